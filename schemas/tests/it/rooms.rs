//! Dependencies point one way: DESIGN's table of rooms, held by a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate and all that it may depend on of ours, tests included.
const ROOMS: [(&str, &[&str]); 16] = [
    ("schemas", &[]),
    ("service-kit", &[]),
    ("edge", &["schemas", "service-kit"]),
    ("transform-frame", &[]),
    ("transform-host", &["transform-frame"]),
    ("transform-macros", &[]),
    ("transform-sdk", &["transform-frame", "transform-macros"]),
    ("transforms", &["schemas", "service-kit", "transform-host"]),
    ("connectors", &["schemas", "service-kit"]),
    ("stack", &["schemas"]),
    ("promise", &["schemas", "stack"]),
    (
        "race",
        &[
            "connectors",
            "edge",
            "race-native",
            "schemas",
            "service-kit",
            "stack",
            "transform-host",
            "transform-sdk",
            "transforms",
        ],
    ),
    ("race-native", &["transform-sdk"]),
    ("clean", &["transform-sdk"]),
    ("customer-tier", &["transform-sdk"]),
    ("enrich", &["transform-sdk"]),
];

/// What a crate must run without, whatever stands between.
const WITHOUT: [(&str, &[&str]); 4] = [
    ("service-kit", &["rdkafka", "apache-avro", "wasmtime"]),
    ("transform-host", &["rdkafka", "hyper", "tokio", "reqwest"]),
    ("schemas", &["rdkafka", "wasmtime"]),
    ("edge", &["wasmtime"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn cargo(args: &[&str], manifest: &Path) -> String {
    let output = Command::new(env!("CARGO")).args(args).arg("--manifest-path").arg(manifest).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates of a workspace, each with its direct dependencies of ours.
fn rooms(workspace: &str) -> BTreeMap<String, BTreeSet<String>> {
    let manifest = root().join(workspace).join("Cargo.toml");
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1", "--offline"], &manifest);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let ours = dependencies.filter(|dependency| !dependency["path"].is_null());
        let ours = ours.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
        (package["name"].as_str().unwrap().to_owned(), ours.collect())
    });
    packages.collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut found = rooms("");
    found.extend(rooms("transforms/modules"));
    let named: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let there: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(there, named, "a room came or went: change ROOMS and ARCHITECTURE.md");
    for (room, allowed) in ROOMS {
        for dependency in &found[room] {
            assert!(allowed.contains(&dependency.as_str()), "{room} must not depend on {dependency}");
        }
    }
}

/// A workspace of its own, whose crates have names like `panic` and `wasi`: what they are is told by where they lie.
#[test]
fn hostile_guests_depend_on_what_authors_use_and_no_more() {
    let guests = rooms("transforms/evil");
    assert!(10 <= guests.len(), "the guests are not where they were: {:?}", guests.keys());
    for (guest, dependencies) in guests {
        let allowed = |name: &String| ["transform-sdk", "evil-kit"].contains(&name.as_str());
        assert!(dependencies.iter().all(allowed), "{guest} depends on {dependencies:?}");
    }
}

#[test]
fn a_room_runs_without_what_it_must_not_know() {
    for (room, without) in WITHOUT {
        let tree = cargo(
            &["tree", "--offline", "--edges=normal", "--prefix=none", "--package", room],
            &root().join("Cargo.toml"),
        );
        for name in without {
            let found = tree.lines().any(|line| line.split(' ').next() == Some(name));
            assert!(!found, "{room} must run without {name}");
        }
    }
}

#[test]
fn the_top_level_holds_only_what_the_design_names() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    let allowed = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "connectors",
        "docker-compose.yml",
        "edge",
        "rust-toolchain.toml",
        "schemas",
        "scripts",
        "transforms",
    ];
    for path in String::from_utf8(listed.stdout).unwrap().lines() {
        let top = path.split('/').next().unwrap();
        assert!(top.starts_with('.') || allowed.contains(&top), "{top} does not belong at the top level");
    }
}
