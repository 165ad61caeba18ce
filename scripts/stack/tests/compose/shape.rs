//! The compose file by itself: readable, loopback only, no secret in it, everything watched, one deploy step.

use std::collections::BTreeSet;

use stack::Service;
use stack::ports::Ports;

use crate::files::{Compose, docker_compose, dockerfile, text};

const INTERFACES: [&str; 2] = ["kafka-ui", "kibana"];

#[test]
fn the_services_are_those_of_the_native_stack_the_set_up_and_two_user_interfaces() {
    let compose = Compose::read();
    let expected: BTreeSet<&str> =
        Service::ALL.map(Service::name).into_iter().chain(["setup"]).chain(INTERFACES).collect();
    assert_eq!(compose.names().into_iter().collect::<BTreeSet<_>>(), expected);
    for name in compose.names() {
        let profiles = compose.list(name, "profiles");
        assert_eq!(profiles == ["ui"], INTERFACES.contains(&name), "{name} is in the profiles {profiles:?}");
    }
}

#[test]
fn a_missing_secret_is_asked_for_and_none_is_in_the_file() {
    let both = [("POSTGRES_PASSWORD", "PASSWORD"), ("TRANSFORMS_TOKEN", "TOKEN")];
    for left in 0..both.len() {
        let fault = docker_compose(&[], &both[left..=left]).unwrap_err();
        assert!(fault.contains("the file .env"), "the way out is not named: {fault}");
    }
    // Every line that sets a secret takes it from the one place that asks for it.
    for line in text("docker-compose.yml").lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, value)) = line.trim().split_once(": ") else { continue };
        if key.ends_with("PASSWORD") || key.ends_with("TOKEN") {
            assert!(value.starts_with('*'), "{key} is written into the file");
        }
    }
}

#[test]
fn the_ports_are_the_documented_ones_on_loopback_only() {
    // These stay inside: nobody outside the stack speaks to them.
    const INSIDE: [u16; 3] = [9085, 9093, 9300];
    let compose = Compose::read();
    for service in Service::ALL {
        let mut native: Vec<u16> =
            Ports::default().of(service).into_iter().filter(|port| !INSIDE.contains(port)).collect();
        native.sort_unstable();
        let published = compose.list(service.name(), "ports");
        let expected: Vec<String> = native.iter().map(|port| format!("127.0.0.1:{port}:{port}/tcp")).collect();
        assert_eq!(published, expected, "{service}");
    }
    for name in compose.names() {
        for port in compose.list(name, "ports") {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port} beyond loopback");
        }
    }
}

#[test]
fn every_service_is_asked_for_its_health_and_started_again() {
    let compose = Compose::read();
    for name in compose.names() {
        let service = compose.service(name);
        let asked = service["healthcheck"]["test"].as_str();
        if name == "setup" {
            assert_eq!((asked, service["restart"].as_str()), (None, Some("no")), "it runs once");
            continue;
        }
        assert!(asked.is_some_and(|test| !test.is_empty()), "{name} has no health check");
        assert!(service["healthcheck"]["start_period"].is_string(), "{name}: a slow start is not a fault");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log is not bounded");
    }
}

#[test]
fn who_waits_waits_for_health() {
    let compose = Compose::read();
    for name in compose.names() {
        for (other, how) in compose.service(name)["depends_on"].as_object().into_iter().flatten() {
            // Transforms is ready after the topics are there, and they are made by the set-up.
            let started = name == "setup" && other == "transforms";
            let expected = if started { "service_started" } else { "service_healthy" };
            assert_eq!(how["condition"], expected, "{name} waits for {other}");
        }
    }
    let waited: BTreeSet<&str> =
        compose.service("setup")["depends_on"].as_object().unwrap().keys().map(String::as_str).collect();
    let servers = Service::SERVERS.map(Service::name).into_iter().chain(["transforms"]);
    assert_eq!(waited, servers.collect(), "the deploy step needs all of them");
}

#[test]
fn the_set_up_is_connectors_apply_and_nothing_more() {
    let compose = Compose::read();
    let service = compose.service("setup");
    assert!(service.get("command").is_none() && service.get("entrypoint").is_none(), "it is the image's own command");
    let image = dockerfile("orderflow");
    let (_, setup) = image.split_once("FROM connectors AS setup\n").unwrap();
    assert_eq!(
        setup,
        "COPY --from=modules /modules /modules\nCMD [\"apply\", \"--files\", \"/connectors\", \"--modules\", \"/modules\"]\n"
    );
}

#[test]
fn the_last_versions_of_both_tools_read_it() {
    let file = text("docker-compose.yml");
    assert!(!file.lines().any(|line| line.starts_with("version:")), "v2 warns of it, 1.29 does not need it");
    // Keys of v2 that 1.29 refuses or does not know.
    for key in [
        "develop:",
        "include:",
        "start_interval:",
        "additional_contexts:",
        "pull_policy: build",
        "required:",
        "!reset",
        "!override",
    ] {
        assert!(!file.contains(key), "docker-compose 1.29 does not read `{key}`");
    }
}
