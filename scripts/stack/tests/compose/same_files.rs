//! The same files: what users edit is mounted as it lies in the checkout, and the images are built from the same sources.

use std::fs;

use crate::files::{Compose, between, dockerfile, path, text};

/// The mounts of a service out of the checkout, as `source:target`.
fn mounts(compose: &Compose, service: &str) -> Vec<String> {
    let checkout = format!("{}/", path("").display().to_string().trim_end_matches('/'));
    let own = compose.list(service, "volumes");
    own.iter().filter_map(|mount| Some(mount.strip_prefix(&checkout)?.to_owned())).collect()
}

#[test]
fn the_connector_files_are_the_checkouts() {
    let compose = Compose::read();
    for service in ["setup", "connectors"] {
        assert_eq!(mounts(compose, service), ["connectors:/connectors:ro", "schemas:/schemas:ro"], "{service}");
    }
    assert!(path("connectors/stores").is_dir(), "the stores lie where `connectors apply` looks for them");
    assert!(path("schemas/order_placed.avsc").is_file(), "and the schemas beside them");
}

#[test]
fn every_variable_of_the_connector_files_is_given_to_the_worker() {
    let environment = Compose::read().environment("connect");
    let mut seen = 0;
    for entry in fs::read_dir(path("connectors")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        for rest in fs::read_to_string(&file).unwrap().split("${env:").skip(1) {
            let name = rest.split('}').next().unwrap();
            assert!(environment.contains_key(name), "{} needs {name}", file.display());
            seen += 1;
        }
    }
    assert!(4 <= seen, "the sinks name at least four variables, {seen} were found");
}

#[test]
fn the_edge_checks_orders_by_the_schema_that_lies_in_the_checkout() {
    let compose = Compose::read();
    assert_eq!(mounts(compose, "edge"), ["schemas:/schemas:ro"]);
    assert_eq!(compose.environment("edge")["ORDER_SCHEMA"], "/schemas/order.schema.json");
    assert!(path("schemas/order.schema.json").is_file());
}

#[test]
fn the_database_is_set_up_by_the_script_that_lies_in_the_checkout() {
    let mounted = "scripts/stack/images/postgres/orders.sh";
    assert_eq!(mounts(Compose::read(), "postgres"), [format!("{mounted}:/docker-entrypoint-initdb.d/orders.sh:ro")]);
    assert!(path(mounted).is_file());
}

#[test]
fn our_images_are_built_from_this_checkout_target_by_target() {
    let compose = Compose::read();
    let image = dockerfile("orderflow");
    for service in ["edge", "transforms", "connectors", "setup"] {
        let build = &compose.service(service)["build"];
        assert_eq!(build["target"], service);
        assert_eq!(build["dockerfile"], "scripts/stack/images/orderflow.Dockerfile");
        assert!(image.contains(&format!(" AS {service}\n")), "the Dockerfile has no target {service}");
    }
    assert_eq!(compose.service("connect")["build"]["dockerfile"], "scripts/stack/images/connect.Dockerfile");
    assert!(image.contains("transforms build transforms/modules --out /modules\n"));
    for name in between(&image, "RUN cargo build --release --locked ", "\n").split("--package ").skip(1) {
        assert!(["edge", "transforms", "connectors"].contains(&name.trim()), "{name} is built for nothing");
    }
}

#[test]
fn no_image_needs_what_only_buildkit_has() {
    for name in ["orderflow", "connect"] {
        let image = dockerfile(name);
        for word in ["--mount", "<<", "# syntax", "--platform", "TARGETARCH", "COPY --chmod", "COPY --link"] {
            let used =
                image.lines().any(|line| line.contains(word) && (!line.starts_with('#') || word.starts_with('#')));
            assert!(!used, "{name}.Dockerfile has `{word}`; docker-compose 1.29 builds without BuildKit");
        }
    }
}

#[test]
fn what_the_images_copy_passes_the_ignore_file() {
    let ignore = text(".dockerignore");
    let kept: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for needed in
        ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "schemas", "edge", "transforms", "connectors", "scripts"]
    {
        assert!(kept.contains(&needed) && path(needed).exists(), "{needed} does not reach the build");
    }
    let dropped: Vec<&str> = ignore.lines().filter(|line| !line.starts_with(['!', '#'])).collect();
    assert_eq!(dropped.first(), Some(&"*"), "the list says what is sent, all else is not: data, secrets, history");
    assert!(dropped.contains(&"**/target"), "build folders are not sent");
}
