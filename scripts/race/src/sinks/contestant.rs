//! Who drains: a sink as its file has it, the same with the connector's own defaults, or another file beside it.

use std::path::Path;

use anyhow::{Context, bail};
use connectors::{connect::Settings, files, names};

use super::{servers::refused, stores::Kind};

/// Settings that make a sink quicker or slower, and nothing else: what lint asks for and what decides which row or
/// document comes of a record is not among them. Without them Connect's and the connector's own defaults hold.
const TUNING: [&str; 10] = [
    "tasks.max",
    "consumer.override.max.poll.records",
    "batch.size",
    "use.reduction.buffer",
    "dialect.postgres.unnest.insert.enabled",
    "connection.pool.min_size",
    "connection.pool.max_size",
    "flush.max.retries",
    "flush.retry.delay.ms",
    "hibernate.jdbc.batch_size",
];

/// A sink that takes part.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    /// What it is called in the figures.
    pub(super) name: String,
    /// Where it writes.
    pub(super) kind: Kind,
    /// As Connect takes them.
    pub(crate) settings: Settings,
}

impl Contestant {
    /// A sink as a file has it. The file is held to lint's rules, as a deployed one is.
    pub(crate) fn of_file(path: &Path, name: &str) -> anyhow::Result<Self> {
        let (connector, _) = files::one(path).map_err(|found| refused(&found))?;
        let kind = match connector.setting("connector.class") {
            names::JDBC_CLASS => Kind::Postgres,
            names::CAMEL_CLASS => Kind::Elasticsearch,
            other => bail!("{}: no worker here has the class `{other}`", path.display()),
        };
        Ok(Self { name: name.to_owned(), kind, settings: connector.settings })
    }

    /// Another file, called as it is.
    pub(super) fn beside(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("a connector file without a name")?;
        Self::of_file(path, name)
    }

    /// The same sink with the defaults of Connect and of its connector.
    pub(super) fn defaults(&self) -> Self {
        let mut settings = self.settings.clone();
        settings.retain(|key, _| !TUNING.contains(&&**key));
        Self { name: "defaults".to_owned(), kind: self.kind, settings }
    }

    /// What the other has otherwise, as `key=value`.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let differs = |(key, value): &(&String, &String)| other.settings.get(*key) != Some(*value);
        self.settings.iter().filter(differs).map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// Tasks that it runs in.
    pub(crate) fn tasks(&self) -> usize {
        self.settings.get("tasks.max").and_then(|tasks| tasks.parse().ok()).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(file: &str) -> Contestant {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors").join(file);
        Contestant::of_file(&path, "ours").unwrap()
    }

    #[test]
    fn the_defaults_are_the_shipped_sinks_without_what_only_makes_them_quicker() {
        for kind in Kind::ALL {
            let ours = shipped(kind.file());
            assert_eq!(ours.kind, kind);
            let defaults = ours.defaults();
            assert_eq!((defaults.tasks(), defaults.kind), (1, kind));
            assert!(1 < ours.tasks());
            assert!(defaults.differences(&ours).is_empty(), "nothing is added or changed");
            for told in ours.differences(&defaults) {
                let key = told.split('=').next().unwrap();
                assert!(TUNING.contains(&key), "{told} is no matter of speed");
            }
            // With them the same orders come out: what filters, names and keys them stays.
            for key in ["transforms", "topics", "errors.tolerance", "consumer.override.isolation.level"] {
                assert_eq!(defaults.settings.get(key), ours.settings.get(key), "{key}");
                assert!(defaults.settings.contains_key(key), "{key}");
            }
        }
    }

    #[test]
    fn a_file_that_lint_refuses_or_that_no_worker_here_can_run_takes_no_part() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors/examples");
        let other = Contestant::beside(&examples.join("orders-confluent-jdbc.json")).unwrap_err().to_string();
        assert!(other.contains("io.confluent.connect.jdbc.JdbcSinkConnector"), "{other}");
        let none = Contestant::beside(&examples.join("nothing.json")).unwrap_err().to_string();
        assert!(none.contains("nothing.json"), "{none}");
    }
}
