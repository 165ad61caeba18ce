//! The same versions: every image against the `pom.xml`, the toolchain file or the package that the native stack uses.

use crate::files::{Compose, between, dockerfile, path, text};

/// The version that a pom of the native stack names for an artifact.
fn pom_version(pom: &str, artifact: &str) -> String {
    let text = text(pom);
    let (_, dependencies) = text.split_once("<dependencies>").unwrap();
    let dependency = between(dependencies, &format!("<artifactId>{artifact}</artifactId>"), "</dependency>");
    let version = between(dependency, "<version>", "</version>");
    match version.strip_prefix("${").and_then(|name| name.strip_suffix('}')) {
        Some(property) => between(&text, &format!("<{property}>"), "<").to_owned(),
        None => version.to_owned(),
    }
}

#[test]
fn every_server_has_the_version_of_the_native_stack() {
    let compose = Compose::read();
    let server = |name: &str, artifact: &str| pom_version(&format!("scripts/stack/servers/{name}/pom.xml"), artifact);
    for (service, repository, version) in [
        ("kafka", "apache/kafka", server("kafka", "kafka_2.13")),
        ("registry", "apicurio/apicurio-registry", server("registry", "apicurio-registry-app")),
        ("elasticsearch", "elasticsearch", server("elasticsearch", "elasticsearch")),
        ("kibana", "kibana", server("elasticsearch", "elasticsearch")),
    ] {
        assert_eq!(compose.image(service), (repository.to_owned(), version), "{service}");
    }
}

#[test]
fn postgresql_is_that_of_the_distribution_it_is_named_after() {
    let (repository, tag) = Compose::read().image("postgres");
    assert_eq!(repository, "postgres");
    let (major, codename) = tag.split_once('-').unwrap();
    assert!(dockerfile("orderflow").contains(&format!("FROM debian:{codename}-slim ")), "one Debian for all");
    // Elsewhere the native stack runs another PostgreSQL, and there is nothing to compare.
    if text_of("/etc/os-release").contains(&format!("VERSION_CODENAME={codename}\n")) {
        let binaries = format!("/usr/lib/postgresql/{major}/bin/postgres");
        assert!(path(&binaries).exists(), "{binaries} is missing: apt-get install postgresql, or another image");
    }
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn rust_is_the_pinned_toolchain() {
    let pinned = text("rust-toolchain.toml");
    let channel = between(&pinned, "channel = \"", "\"");
    let image = dockerfile("orderflow");
    assert!(image.contains(&format!("FROM rust:{channel}-")), "rust-toolchain.toml says {channel}");
    assert!(image.contains(&format!("ENV RUSTUP_TOOLCHAIN={channel}\n")), "rust-toolchain.toml says {channel}");
    let workflow = text(".github/workflows/compose.yml");
    assert!(workflow.contains(&format!("image: rust:{channel}-")), "the workflow tests with another Rust");
}

#[test]
fn connect_is_built_from_the_same_coordinates_with_the_same_goal_and_checked_by_the_same_lock() {
    let image = dockerfile("connect");
    let native = text("scripts/stack/src/install/maven.rs");
    let goal = between(&native, "const GOAL: &str = \"", "\"");
    assert!(image.contains(goal), "the native stack runs {goal}");
    assert!(
        image.contains("scripts/stack/servers/servers.lock > /locked && sha256sum --check"),
        "the lock is not used"
    );

    let mut built: Vec<String> = between(&image, "--projects ", " ").split(',').map(last_part).collect();
    built.sort();
    let mut locked: Vec<&str> = between(&image, "{64} (", ")/").split('|').collect();
    locked.sort_unstable();
    assert_eq!(built, locked, "what is built is not what is checked");

    // Images stand for the registry and for Elasticsearch; all else that the native stack fetches is Connect's.
    let poms = text("scripts/stack/servers/pom.xml");
    let modules = poms.split("<module>").skip(1).map(|rest| last_part(rest.split('<').next().unwrap()));
    let mut fetched: Vec<String> = modules.filter(|name| name != "registry" && name != "elasticsearch").collect();
    fetched.sort();
    assert_eq!(built, fetched, "the native stack fetches other modules");
}

fn last_part(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn the_same_drivers_are_left_out() {
    let native = text("scripts/stack/src/install/unpack.rs");
    let listed = between(&native, "const OTHER_DRIVERS: [&str; 4] = [", "]");
    let image = dockerfile("connect");
    for driver in listed.split(',').map(|driver| driver.trim().trim_matches('"')) {
        assert!(image.contains(&format!(" {driver}*.jar")), "{driver}*.jar is not left out of the image");
    }
}
