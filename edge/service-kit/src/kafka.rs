//! Which Kafka, and who we are to it: the flags that all commands share, and what is made of them. It makes no clients and
//! knows no client library: what one must be told are names and values.

pub mod refusal;
pub mod security;

use std::{fmt, sync::Arc};

pub use refusal::Heard;
pub use security::{Security, SecurityArgs};

/// The flags of a command that speaks to Kafka; `#[command(flatten)]` them.
#[derive(Clone, Debug, clap::Args)]
// Clap names groups after types, and a command's own flags are called `Args` as well.
#[group(skip)]
pub struct Args {
    /// Kafka's brokers
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092", global = true)]
    pub kafka: String,
    /// How to be known to Kafka
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// A Kafka, by its first brokers' addresses, and who we are to it. Cheap to clone. Shown as the addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Brokers {
    servers: Arc<str>,
    security: Arc<Security>,
}

/// All that is wrong with the flags.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(Vec<String>);

// === impl Args ===

impl Args {
    /// Checks what was given and reads the files. Each fault is appended; the value counts only when there is none.
    pub fn check(&self, faults: &mut Vec<String>) -> Brokers {
        if self.kafka.trim().is_empty() {
            faults.push("--kafka: is empty; name a broker such as 127.0.0.1:9092".to_owned());
        }
        Brokers::new(self.kafka.as_str(), self.security.check(faults))
    }

    /// The same for a command that has nothing else to check.
    ///
    /// # Errors
    /// All faults at once.
    pub fn brokers(&self) -> Result<Brokers, Faults> {
        let mut faults = Vec::new();
        let brokers = self.check(&mut faults);
        if faults.is_empty() { Ok(brokers) } else { Err(Faults(faults)) }
    }
}

// === impl Brokers ===

impl Brokers {
    /// At these addresses, known as this.
    pub fn new(servers: impl Into<Arc<str>>, security: Security) -> Self {
        Self { servers: servers.into(), security: Arc::new(security) }
    }

    /// The addresses, as a client library takes them.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// What librdkafka must be told to find them and to be known: names and values.
    #[must_use]
    pub fn properties(&self) -> Vec<(&'static str, &str)> {
        let mut properties = self.security.properties();
        properties.push(("bootstrap.servers", self.servers()));
        properties
    }
}

/// Of a Kafka that asks nobody who he is.
impl From<&str> for Brokers {
    fn from(servers: &str) -> Self {
        Self::new(servers, Security::default())
    }
}

impl From<String> for Brokers {
    fn from(servers: String) -> Self {
        Self::new(servers, Security::default())
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.servers)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// A command with a subcommand, as most of ours are.
    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        kafka: Args,
        #[command(subcommand)]
        _act: Act,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Act {
        List,
    }

    fn brokers(words: &[&str]) -> Result<Brokers, Faults> {
        Command::try_parse_from([&["test"], words].concat()).unwrap().kafka.brokers()
    }

    #[test]
    fn the_flags_stand_before_and_behind_the_act_and_all_that_is_wrong_is_told_at_once() {
        let plain = brokers(&["--kafka", "h:1,i:2", "list"]).unwrap();
        assert_eq!((plain.to_string(), &plain), ("h:1,i:2".to_owned(), &Brokers::from("h:1,i:2")));
        let properties = plain.properties();
        assert_eq!(properties, [("security.protocol", "plaintext"), ("bootstrap.servers", "h:1,i:2")]);
        let told = brokers(&["--kafka=", "list", "--kafka-security-protocol=sasl_ssl"]).unwrap_err().to_string();
        for flag in ["--kafka: ", "--kafka-sasl-username: ", "--kafka-sasl-password-file: "] {
            assert_eq!(told.lines().filter(|line| line.starts_with(flag)).count(), 1, "{flag}: {told}");
        }
    }

    #[test]
    fn brokers_are_shown_without_a_secret() {
        let path = std::env::temp_dir().join(format!("kafka-brokers-{}", std::process::id()));
        std::fs::write(&path, "right horse\n").unwrap();
        let file = format!("--kafka-sasl-password-file={}", path.display());
        let flags = ["--kafka=h:1", "--kafka-security-protocol=sasl_ssl", "--kafka-sasl-username=u", &file, "list"];
        let brokers = brokers(&flags);
        std::fs::remove_file(&path).unwrap();
        let brokers = brokers.unwrap();
        assert!(brokers.properties().contains(&("sasl.password", "right horse")), "it is known");
        assert!(!format!("{brokers:?} {brokers}").contains("horse"), "{brokers:?}");
    }
}
