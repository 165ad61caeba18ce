//! The same settings: key for key, in both directions. What differs is listed here, with what it is instead.

use std::collections::BTreeSet;

use stack::ports::Ports;
use stack::{Options, Service};

use crate::files::{Compose, Settings, dockerfile, settings, text};

/// What the native stack tells a service.
fn native(service: Service, separator: &str) -> Settings {
    settings(&stack::settings(service, &Ports::default()), separator)
}

/// Both the same, but for `differing` keys, which must be as said (`None`: not there).
fn compare(what: &str, native: &Settings, compose: &Settings, differing: &[(&str, Option<&str>)]) {
    let keys: BTreeSet<&str> = native.keys().chain(compose.keys()).map(String::as_str).collect();
    for key in keys {
        let found = compose.get(key).map(String::as_str);
        match differing.iter().find(|(name, _)| *name == key) {
            Some((_, expected)) => assert_eq!(found, *expected, "{what}: {key} differs from what this test lists"),
            None => {
                assert_eq!(found, native.get(key).map(String::as_str), "{what}: {key} (left compose, right native)");
            }
        }
    }
}

#[test]
fn the_broker() {
    let environment = Compose::read().environment("kafka");
    // The image's own rule for names; these are not settings of the broker.
    let properties = environment
        .iter()
        .filter(|(key, _)| key.starts_with("KAFKA_") && !["KAFKA_HEAP_OPTS", "KAFKA_OPTS"].contains(&key.as_str()));
    let properties = properties
        .map(|(key, value)| (key["KAFKA_".len()..].to_lowercase().replace('_', "."), value.clone()))
        .collect();
    compare(
        "kafka",
        &native(Service::Kafka, "="),
        &properties,
        &[
            // The image formats its folder without --standalone, so the quorum is a named one.
            ("controller.quorum.bootstrap.servers", None),
            ("controller.quorum.voters", Some("1@kafka:9093")),
            ("listeners", Some("PLAINTEXT://0.0.0.0:29092,HOST://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093")),
            ("advertised.listeners", Some("PLAINTEXT://kafka:29092,HOST://127.0.0.1:9092")),
            ("listener.security.protocol.map", Some("CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT")),
            ("log.dirs", Some("/var/lib/kafka/data")),
        ],
    );
}

#[test]
fn the_registry() {
    let compose = Compose::read().environment("registry");
    compare(
        "registry",
        &native(Service::Registry, "="),
        &compose,
        &[
            ("APICURIO_KAFKASQL_BOOTSTRAP_SERVERS", Some("kafka:29092")),
            ("QUARKUS_HTTP_HOST", Some("0.0.0.0")),
            ("JAVA_OPTS_APPEND", Some("-Xmx512m -Xms128m -Duser.timezone=UTC -XX:+ExitOnOutOfMemoryError")),
        ],
    );
}

#[test]
fn elasticsearch() {
    let compose = Compose::read().environment("elasticsearch");
    compare(
        "elasticsearch",
        &native(Service::Elasticsearch, ": "),
        &compose,
        &[
            ("http.host", None),
            ("http.port", None),
            ("transport.host", None),
            ("transport.port", None),
            ("path.data", None),
            ("path.logs", None),
            // Modules that the native build does not have.
            ("xpack.ml.enabled", Some("false")),
            ("ingest.geoip.downloader.enabled", Some("false")),
            ("ES_JAVA_OPTS", Some("-Xms512m -Xmx512m")),
        ],
    );
}

#[test]
fn the_connect_worker() {
    let compose = settings(&text("scripts/stack/images/connect/worker.properties"), "=");
    compare(
        "connect",
        &native(Service::Connect, "="),
        &compose,
        &[
            ("bootstrap.servers", Some("kafka:29092")),
            ("listeners", Some("http://0.0.0.0:8083")),
            ("rest.advertised.host.name", Some("connect")),
            ("plugin.path", Some("/opt/connect/plugins")),
            ("value.converter.apicurio.registry.url", Some("http://registry:8085/apis/registry/v2")),
        ],
    );
    assert_eq!(text("scripts/stack/images/connect/log4j2.properties"), stack::LOG4J);
}

#[test]
fn the_database() {
    let compose = Compose::read().environment("postgres");
    let native_setup = text("scripts/stack/src/servers/postgres.rs");
    for argument in compose["POSTGRES_INITDB_ARGS"].split(' ') {
        // The image takes the method for TCP alone; the socket inside the container stays its superuser's.
        let argument = argument.strip_prefix("--auth-host=").unwrap_or(argument);
        assert!(native_setup.contains(&format!("\"{argument}\"")), "the native stack does not say {argument}");
    }
    let native = native(Service::Postgres, "=");
    for (compose_name, native_name) in
        [("ORDERS_DB", "POSTGRES_DB"), ("ORDERS_USER", "POSTGRES_USER"), ("ORDERS_PASSWORD", "POSTGRES_PASSWORD")]
    {
        assert_eq!(compose[compose_name], native[native_name], "{compose_name}");
    }
}

#[test]
fn heaps_and_flags_of_the_java_servers() {
    let compose = Compose::read();
    let heap = format!("-Xmx{}m", Options::user().unwrap().heap_mb);
    let image = dockerfile("connect");
    let (kafka, registry) = (compose.environment("kafka"), compose.environment("registry"));
    let kafka = format!("{} {}", kafka["KAFKA_HEAP_OPTS"], kafka["KAFKA_OPTS"]);
    for flag in [&heap, "-Xms128m", "-Duser.timezone=UTC", "-XX:+ExitOnOutOfMemoryError"] {
        let native = text("scripts/stack/src/servers.rs");
        assert!(flag == heap || native.contains(&format!("\"{flag}\"")), "the native stack does not say {flag}");
        assert!(kafka.contains(flag) && registry["JAVA_OPTS_APPEND"].contains(flag), "{flag} is missing");
        assert!(image.contains(&format!("\"{flag}\"")), "{flag} is missing in Connect's image");
    }
    let worker = text("scripts/stack/src/servers/connect.rs");
    for said in worker
        .split('"')
        .filter(|said| said.starts_with("-Djakarta") || said.starts_with("org.apache.kafka.connect.cli"))
    {
        assert!(image.contains(&format!("\"{said}\"")), "the native stack says {said}");
    }
}

/// A native address as containers see it.
fn in_containers(value: &str) -> String {
    let native = native(Service::Kafka, "=");
    assert!(native["advertised.listeners"].ends_with("127.0.0.1:9092"));
    let mut value = value.replace("127.0.0.1:9092", "kafka:29092");
    for service in Service::ALL {
        for port in Ports::default().of(service) {
            value = value.replace(&format!("127.0.0.1:{port}"), &format!("{service}:{port}"));
        }
    }
    if value == "127.0.0.1" { "postgres".to_owned() } else { value }
}

#[test]
fn connect_and_our_commands_are_told_the_same_addresses() {
    const STORES: [&str; 5] = ["POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"];
    const SERVERS: [&str; 5] =
        ["KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "CONNECT_URL", "TRANSFORMS_URL", "ELASTICSEARCH_URL"];
    let compose = Compose::read();
    let native = native(Service::Edge, "=");
    let worker: &[&str] = &["POSTGRES_JDBC_URL", "POSTGRES_USER", "POSTGRES_PASSWORD", "ELASTICSEARCH_HOST"];
    let deploys = [&STORES[..], &SERVERS[..]].concat();
    for (service, needed) in [
        ("connect", worker),
        ("edge", &["KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL"][..]),
        ("transforms", &["KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL"][..]),
        ("connectors", &deploys),
        ("setup", &deploys),
    ] {
        let environment = compose.environment(service);
        for name in needed {
            assert!(environment.contains_key(*name), "{service} is not told {name}");
        }
        for (name, value) in environment.iter().filter(|(name, _)| native.contains_key(*name)) {
            assert_eq!(*value, in_containers(&native[name]), "{service}: {name}");
        }
    }
}
