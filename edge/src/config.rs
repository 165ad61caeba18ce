//! Settings: first as they were given (flags, environment, file), then checked, with all faults reported at once.

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use schemas::registry::Address;
use service_kit::{files, host, kafka::SecurityArgs, telemetry};

use crate::{
    check::Rules,
    keys,
    publish::Security,
    transport::{self, Transport},
};

mod file;
pub mod given;
mod print;

pub use given::Given;

/// What was given.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "edge",
    version,
    about = "Takes orders over HTTP and answers when Kafka has them",
    max_term_width = 110
)]
pub struct Args {
    /// Where orders are posted
    #[arg(long, env = "EDGE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are
    #[arg(long, env = "EDGE_ADMIN_LISTEN", default_value = "127.0.0.1:9080")]
    pub admin_listen: SocketAddr,
    /// Host names by which the admin port may be called, beside loopback names; separated by commas
    #[arg(long, env = "EDGE_ADMIN_HOSTS", value_delimiter = ',')]
    pub admin_hosts: Vec<String>,
    /// Kafka's brokers
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// How to be known to Kafka
    #[command(flatten)]
    pub kafka_security: SecurityArgs,
    /// The schema registry's Confluent API
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8085/apis/ccompat/v7"
    )]
    pub registry: Address,
    /// JSON Schema of an order; the one that is built in if absent
    #[arg(long, env = "ORDER_SCHEMA")]
    pub order_schema: Option<PathBuf>,
    /// This process's name, stable over restarts; the host's name if absent
    #[arg(long, env = "EDGE_INSTANCE")]
    pub instance: Option<String>,
    /// The largest body, in bytes, both as it comes and with its content coding undone
    #[arg(long, env = "EDGE_MAX_BODY_BYTES", default_value_t = 1024 * 1024)]
    pub max_body_bytes: usize,
    /// The most orders in one batch
    #[arg(long, env = "EDGE_MAX_BATCH_ORDERS", default_value_t = 10_000)]
    pub max_batch_orders: usize,
    /// The largest body of a batch, in bytes, measured likewise; each order of it is bounded by --max-body-bytes
    #[arg(long, env = "EDGE_MAX_BATCH_BYTES", default_value_t = 16 * 1024 * 1024)]
    pub max_batch_bytes: usize,
    /// Seconds to finish open requests after a stop, before they are cut
    #[arg(long, env = "EDGE_DRAIN_SECONDS", default_value_t = 8)]
    pub drain_seconds: u64,
    /// How orders come in
    #[command(flatten)]
    pub transport: transport::Args,
    /// Who may post
    #[command(flatten)]
    pub keys: keys::Args,
    /// How to log
    #[command(flatten)]
    pub telemetry: telemetry::Args,
    /// Where settings are, and what to do with them
    #[command(flatten)]
    pub source: given::Args,
}

/// What is used.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where orders are posted.
    pub listen: SocketAddr,
    /// Where the operator looks.
    pub admin_listen: SocketAddr,
    /// Names of the admin port.
    pub admin_hosts: Vec<String>,
    /// Kafka's brokers.
    pub kafka: String,
    /// Who we are for Kafka.
    pub kafka_security: Security,
    /// Where that was read from.
    pub kafka_security_args: SecurityArgs,
    /// The registry's address.
    pub registry: Address,
    /// The text of the order's JSON Schema.
    pub order_schema: String,
    /// This process's name.
    pub instance: String,
    /// The largest body.
    pub max_body_bytes: usize,
    /// The most orders in one batch.
    pub max_batch_orders: usize,
    /// The largest body of a batch.
    pub max_batch_bytes: usize,
    /// Time to finish.
    pub drain: Duration,
    /// How orders come in.
    pub transport: Transport,
    /// Who may post, if not everybody.
    pub keys: Option<keys::Config>,
    /// How to log.
    pub log: telemetry::Args,
    /// How all this was read, so that it can be read anew; absent if it was not.
    pub source: Option<Source>,
    /// The logging of this process, once it is set up.
    pub logs: Option<telemetry::Logs>,
}

/// The words of the command and what they led to.
#[derive(Clone)]
pub struct Source {
    words: Vec<OsString>,
    given: Given,
}

/// What was read of all settings.
#[derive(Debug)]
pub struct Settings {
    /// The flags that are no settings, and how to log.
    pub args: Option<Args>,
    /// Where each comes from.
    pub given: Given,
    /// What is used.
    pub config: Result<Config, Faults>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl From<Vec<String>> for Faults {
    fn from(faults: Vec<String>) -> Self {
        Self(faults)
    }
}

const MIN_BODY: usize = 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;
/// Ours has a hundredth of it.
const MAX_SCHEMA: u64 = 1024 * 1024;
const MAX_BATCH_ORDERS: usize = 1_000_000;
const MAX_BATCH_BYTES: usize = 1024 * 1024 * 1024;
/// After a stop a body that was begun gets 1 second, its order a deadline of 5, and the flush 1: see `app`.
const MIN_DRAIN: u64 = 8;
const MAX_DRAIN: u64 = 600;

impl Faults {
    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Settings {
    /// Reads flags, environment and file, and all that they name. Blocks on the file system.
    ///
    /// # Errors
    /// When help is asked for, or the words are not those of the command.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let mut faults = Vec::new();
        let (args, given) = Given::read::<Args>(words, &mut faults)?;
        let config = args.clone().map(Config::try_from);
        let config = match config {
            Some(Ok(config)) if faults.is_empty() => {
                Ok(Config { source: Some(Source { words: words.to_vec(), given: given.clone() }), ..config })
            }
            Some(Err(Faults(more))) => {
                // Of a value that could not be read, nothing else is known.
                let names = |fault: &str| fault.split([':', ' ']).next().unwrap_or_default().to_owned();
                let known: Vec<String> = faults.iter().map(|fault| names(fault)).collect();
                let news = more.iter().filter(|fault| !known.contains(&names(fault)));
                faults.extend(news.map(|fault| given.located(fault)));
                Err(Faults(faults))
            }
            Some(Ok(_)) | None => Err(Faults(faults)),
        };
        Ok(Self { args, given, config })
    }
}

// The words may hold a password.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    /// The same words read anew, and the names of the settings whose values are others now.
    ///
    /// # Errors
    /// What is wrong now.
    pub fn again(&self) -> Result<(Config, Vec<String>), Faults> {
        let settings = Settings::read(&self.words).map_err(|error| Faults(vec![error.to_string()]))?;
        let changed = self.given.changed(&settings.given).into_iter().map(str::to_owned).collect();
        Ok((settings.config?, changed))
    }
}

impl TryFrom<Args> for Config {
    type Error = Faults;

    fn try_from(args: Args) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut expect = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        expect(!args.kafka.trim().is_empty(), "--kafka: at least one broker is needed, as host:port");
        expect(
            ["http://", "https://"].iter().any(|scheme| args.registry.url().starts_with(scheme)),
            "--registry: an address that begins with http:// or https:// is needed",
        );
        expect(
            (MIN_BODY..=MAX_BODY).contains(&args.max_body_bytes),
            "--max-body-bytes: from 1024 to 16777216 is possible",
        );
        expect(
            (1..=MAX_BATCH_ORDERS).contains(&args.max_batch_orders),
            "--max-batch-orders: from 1 to 1000000 is possible",
        );
        expect(
            (args.max_body_bytes..=MAX_BATCH_BYTES).contains(&args.max_batch_bytes),
            "--max-batch-bytes: from --max-body-bytes, so that a batch of one order fits, to 1073741824 is possible",
        );
        expect(
            args.listen != args.admin_listen || args.listen.port() == 0,
            "--admin-listen: must differ from --listen, so that operators' endpoints are not where orders are posted",
        );
        expect(
            (MIN_DRAIN..=MAX_DRAIN).contains(&args.drain_seconds),
            "--drain-seconds: from 8 (for a body 1, for an order's deadline 5, for the rest 2) to 600 is possible",
        );
        let instance = args.instance.or_else(host::name).unwrap_or_else(|| "edge".to_owned());
        expect(
            (1..=64).contains(&instance.len())
                && instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            "--instance: 1 to 64 of letters, digits, dot, underscore and hyphen are possible",
        );
        let kafka_security = args.kafka_security.check(&mut faults);
        let order_schema = match &args.order_schema {
            None => Ok(schemas::contracts::ORDER_SCHEMA_JSON.to_owned()),
            Some(path) => files::read_text(path, MAX_SCHEMA).map_err(|fault| {
                faults.push(format!("--order-schema: {} {fault}", path.display()));
            }),
        };
        if let (Some(path), Ok(order_schema)) = (&args.order_schema, &order_schema)
            && let Err(error) = Rules::compile(order_schema)
        {
            faults.push(format!("--order-schema: {}: {:#}", path.display(), anyhow::Error::new(error)));
        }
        if let Err(error) = telemetry::check(&args.telemetry) {
            faults.push(format!("--log: {error}"));
        }
        let transport = Transport::check(args.transport, &mut faults);
        let keys = args.keys.check(&mut faults);
        match order_schema {
            Ok(order_schema) if faults.is_empty() => Ok(Self {
                listen: args.listen,
                admin_listen: args.admin_listen,
                admin_hosts: args.admin_hosts,
                kafka: args.kafka,
                kafka_security,
                kafka_security_args: args.kafka_security,
                registry: args.registry,
                order_schema,
                instance,
                max_body_bytes: args.max_body_bytes,
                max_batch_orders: args.max_batch_orders,
                max_batch_bytes: args.max_batch_bytes,
                drain: Duration::from_secs(args.drain_seconds),
                log: args.telemetry,
                source: None,
                logs: None,
                transport,
                keys,
            }),
            _ => Err(Faults(faults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(args: &[&str]) -> Result<Config, Faults> {
        Config::try_from(Args::try_parse_from(std::iter::once(&"edge").chain(args)).unwrap())
    }

    #[test]
    fn the_defaults_are_a_config() {
        let config = config(&["--instance", "a"]).unwrap();
        assert_eq!(config.order_schema, schemas::contracts::ORDER_SCHEMA_JSON);
    }

    #[test]
    fn the_registry_s_password_is_used_and_shown_nowhere() {
        let words = ["edge", "--instance=a", "--registry=http://user:hidden@host/api"].map(OsString::from);
        let settings = Settings::read(&words).unwrap();
        let printed = settings.given.to_string();
        assert!(
            printed.contains("registry = \"http://host/api\" # flag; its user and password are not shown"),
            "{printed}"
        );
        assert!(!format!("{printed}{settings:?}").contains("hidden"), "{settings:?}");
        assert_eq!(settings.config.unwrap().registry.url(), "http://user:hidden@host/api");
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let faults = config(&[
            "--kafka=",
            "--registry=localhost",
            "--max-body-bytes=9",
            "--max-batch-orders=0",
            "--max-batch-bytes=8",
            "--drain-seconds=7",
            "--instance=a b",
            "--admin-listen=127.0.0.1:8080",
            "--order-schema=/nowhere/x.json",
            "--kafka-tls-ca=/nowhere/ca.pem",
            "--max-connections=9",
            "--tls-cert=/nowhere/cert.pem",
            "--api-keys=/nowhere/keys.json",
        ]);
        let text = faults.unwrap_err().to_string();
        for flag in [
            "--kafka",
            "--registry",
            "--max-body-bytes",
            "--max-batch-orders",
            "--max-batch-bytes",
            "--drain-seconds",
            "--instance",
            "--admin-listen",
            "--order-schema",
            "--kafka-tls-ca",
            "--max-connections",
            "--tls-key",
            "--api-keys",
        ] {
            assert!(text.contains(flag), "{flag}: {text}");
        }
    }
}
