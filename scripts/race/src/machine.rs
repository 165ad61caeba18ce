//! Where a bench ran, and of what our programs are built.

use std::{
    fmt::{self, Display, Formatter},
    path::Path,
};

use serde::Serialize;
use stack::Service;

/// A machine, and the libraries that decide how fast we are.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The machine, the commit and the compiler.
    #[serde(flatten)]
    pub host: stack::machine::Machine,
    /// The Kafka client.
    pub librdkafka: String,
    /// The HTTP server.
    pub hyper: String,
}

/// A private stack that runs as a user's does, not as a test's: quick starts cost a third of the speed.
pub(crate) fn as_shipped(dir: &Path, services: impl IntoIterator<Item = Service>) -> stack::Options {
    let mut options = stack::Options::private(dir, services);
    options.fast_jvm = false;
    options
}

impl Machine {
    /// This one, now. What cannot be told is `unknown`.
    #[must_use]
    pub fn now() -> Self {
        Self {
            host: stack::machine::Machine::now(),
            librdkafka: rdkafka::util::get_rdkafka_version().1,
            hyper: locked("hyper").unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { host, librdkafka, hyper } = self;
        write!(f, "{host}\nlibraries: librdkafka {librdkafka}, hyper {hyper}")
    }
}

/// The version of a library that this program was built with.
fn locked(name: &str) -> Option<String> {
    let lock = include_str!("../../../Cargo.lock");
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_those_that_it_was_built_with() {
        let machine = Machine::now();
        assert!(machine.hyper.starts_with("1.") && machine.librdkafka.starts_with("2."), "{machine:?}");
    }
}
