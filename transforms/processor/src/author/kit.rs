//! What a module is built with, carried in this command: the SDK, its macros, the frame, the WIT world, the schema of
//! `order_placed`, and the versions of crates that the shipped modules are built and tested with. So an author needs no
//! checkout.

use schemas::contracts::ORDER_PLACED_AVSC;

/// A file of a module's folder: its path and its text.
pub type File = (&'static str, &'static str);

macro_rules! carried {
    ($($path:literal),+ $(,)?) => {
        &[$((concat!("kit/", $path), include_str!(concat!("../../../", $path)))),+]
    };
}

/// `kit/`: laid out as in the repository, since the SDK names its neighbours by path.
pub const KIT: &[File] = carried![
    "frame/Cargo.toml",
    "frame/src/lib.rs",
    "frame/src/read.rs",
    "frame/src/write.rs",
    "sdk/Cargo.toml",
    "sdk/macros/Cargo.toml",
    "sdk/macros/src/codec.rs",
    "sdk/macros/src/lib.rs",
    "sdk/macros/src/parameters.rs",
    "sdk/macros/src/schema.rs",
    "sdk/macros/src/transform.rs",
    "sdk/src/datum.rs",
    "sdk/src/decimal.rs",
    "sdk/src/guest.rs",
    "sdk/src/heap.rs",
    "sdk/src/host.rs",
    "sdk/src/lib.rs",
    "sdk/src/parameters.rs",
    "sdk/src/process.rs",
    "sdk/src/testing.rs",
    "sdk/src/verdict.rs",
    "wit/transform.wit",
];

/// The schema that the template's rule is written for.
pub const SCHEMA: File = ("order_placed.avsc", ORDER_PLACED_AVSC);

/// The lock file of the shipped modules.
const LOCK: &str = include_str!("../../../modules/Cargo.lock");

/// A lock file for a module that depends on the SDK and nothing else: the crates that the SDK leads to in the lock file
/// of the shipped modules, at the same versions.
#[must_use]
pub fn lock(name: &str) -> String {
    let head = LOCK.split("\n\n").next().unwrap_or_default();
    let packages: Vec<&str> = LOCK.split("\n\n").filter(|block| block.starts_with("[[package]]")).collect();
    let own = format!("[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n \"transform-sdk\",\n]");
    let mut wanted = vec!["transform-sdk"];
    let mut found: Vec<&str> = Vec::new();
    while let Some(dependency) = wanted.pop() {
        let (name, version) =
            dependency.split_once(' ').map_or((dependency, None), |(name, version)| (name, Some(version)));
        for package in &packages {
            let meant =
                value(package, "name") == name && version.is_none_or(|version| value(package, "version") == version);
            if meant && !found.contains(package) {
                found.push(package);
                wanted.extend(dependencies(package));
            }
        }
    }
    found.push(&own);
    // As cargo sorts them: it compares the text.
    found.sort_by_key(|package| (value(package, "name"), value(package, "version")));
    let blocks: Vec<&str> = std::iter::once(head).chain(found).map(str::trim_end).collect();
    blocks.join("\n\n") + "\n"
}

/// The value of `key = "…"` in a package's block.
fn value<'l>(package: &'l str, key: &str) -> &'l str {
    let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
    line.map_or("", |value| value.trim_end_matches('"'))
}

/// The lines of a package's list of dependencies.
fn dependencies(package: &str) -> impl Iterator<Item = &str> {
    package.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\","))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every file below `dir` that no test owns, relative to the rooms of the transforms.
    fn files(rooms: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" && name != "target" {
                files(rooms, &path, found);
            } else if path.is_file() && name != "tests.rs" && name != "Cargo.lock" {
                found.push(format!("kit/{}", path.strip_prefix(rooms).unwrap().display()));
            }
        }
    }

    #[test]
    fn every_file_of_the_kit_is_carried() {
        let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        let mut found = Vec::new();
        for room in ["frame", "sdk", "wit"] {
            files(&rooms, &rooms.join(room), &mut found);
        }
        found.sort();
        let carried: Vec<&str> = KIT.iter().map(|(path, _)| *path).collect();
        assert_eq!(carried, found);
    }

    #[test]
    fn the_lock_file_holds_what_the_sdk_leads_to_and_no_more() {
        let lock = lock("zz-rule");
        for name in ["zz-rule", "transform-sdk", "transform-frame", "transform-macros", "wit-bindgen", "quote"] {
            assert_eq!(lock.matches(&format!("\nname = \"{name}\"\n")).count(), 1, "{name}");
        }
        for name in ["clean", "enrich", "unicode-normalization"] {
            assert!(!lock.contains(&format!("\nname = \"{name}\"\n")), "{name}");
        }
        assert!(lock.starts_with("# This file is automatically @generated"), "{lock}");
        assert!(lock.trim_end().ends_with("\"transform-sdk\",\n]"), "sorted by name: {lock}");
    }
}
