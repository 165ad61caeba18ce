//! Who they are: what each is built from, how it is set, and how much better ours is to be.

use crate::peers::{Program, Servers, Settings};

/// An edge in other tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Peer {
    /// Spring Boot with Web MVC and spring-kafka.
    Spring,
    /// Fastify on Node with its own Ajv, and a Kafka client in JavaScript.
    Fastify,
    /// FastAPI on uvicorn with pydantic, and confluent-kafka.
    Fastapi,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Spring, Self::Fastify, Self::Fastapi];

    pub(crate) fn program(self) -> Program {
        match self {
            Self::Spring => Program::Java("edge-spring/edge-spring.jar"),
            Self::Fastify => Program::Node("edge-fastify"),
            Self::Fastapi => Program::Python("edge-fastapi"),
        }
    }

    /// Orders per CPU-second of ours, of those of this one.
    pub(super) fn goal(self) -> f64 {
        match self {
            Self::Spring => 10.0,
            Self::Fastify => 2.5,
            Self::Fastapi => 8.0,
        }
    }

    /// The address of the registry's interface that it speaks.
    pub(super) fn registry(self, servers: &Servers) -> &str {
        match self {
            Self::Spring => &servers.registry_api,
            Self::Fastify | Self::Fastapi => &servers.registry,
        }
    }

    /// As its documentation has it, and as an expert would set it for this job with our linger and compression.
    pub(crate) fn settings(self) -> [Settings; 2] {
        let linger = edge::publish::settings::config("", "").get("linger.ms").unwrap_or("1").to_owned();
        let ours = [("LINGER_MS", linger.as_str()), ("COMPRESSION", "none")];
        match self {
            Self::Spring => {
                let threads = [("VIRTUAL_THREADS", "true"), ("SERVER_TOMCAT_MAXKEEPALIVEREQUESTS", "-1")];
                [
                    Settings::new("Spring, plain", &["-Xmx512m"], &[]),
                    Settings::new("Spring, tuned", &["-Xmx512m", "-XX:+UseParallelGC"], &[ours, threads].concat()),
                ]
            }
            // What lives as long as a request is not to be copied out of the young generation.
            Self::Fastify => [
                Settings::new("Fastify, plain", &[], &[]),
                Settings::new("Fastify, tuned", &["--max-semi-space-size=64"], &ours),
            ],
            Self::Fastapi => {
                let python = [("POLL", "loop"), ("GC_THRESHOLD", "50000")];
                [
                    Settings::new("FastAPI, plain", &[], &[]),
                    Settings::new("FastAPI, tuned", &[], &[ours, python].concat()),
                ]
            }
        }
    }
}
