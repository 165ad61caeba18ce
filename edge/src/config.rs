//! Settings: first as they were given (flags and environment), then checked, with all faults reported at once.

use std::{fmt, fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use service_kit::telemetry;

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
    /// The schema registry's Confluent API
    #[arg(long, env = "SCHEMA_REGISTRY_URL", default_value = "http://127.0.0.1:8085/apis/ccompat/v7")]
    pub registry: String,
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
    /// How to log
    #[command(flatten)]
    pub telemetry: telemetry::Args,
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
    /// The registry's address.
    pub registry: String,
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
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

const MIN_BODY: usize = 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;
const MAX_BATCH_ORDERS: usize = 1_000_000;
const MAX_BATCH_BYTES: usize = 1024 * 1024 * 1024;
/// After a stop a body that was begun gets 1 second, its order a deadline of 5, and the flush 1: see `app`.
const MIN_DRAIN: u64 = 8;
const MAX_DRAIN: u64 = 600;

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
            args.registry.starts_with("http://") || args.registry.starts_with("https://"),
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
        let instance = args.instance.unwrap_or_else(host_name);
        expect(
            (1..=64).contains(&instance.len())
                && instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            "--instance: 1 to 64 of letters, digits, dot, underscore and hyphen are possible",
        );
        let order_schema = match &args.order_schema {
            None => Ok(schemas::contracts::ORDER_SCHEMA_JSON.to_owned()),
            Some(path) => fs::read_to_string(path).map_err(|error: io::Error| {
                faults.push(format!("--order-schema: cannot read {}: {error}", path.display()));
            }),
        };
        match order_schema {
            Ok(order_schema) if faults.is_empty() => Ok(Self {
                listen: args.listen,
                admin_listen: args.admin_listen,
                admin_hosts: args.admin_hosts,
                kafka: args.kafka,
                registry: args.registry,
                order_schema,
                instance,
                max_body_bytes: args.max_body_bytes,
                max_batch_orders: args.max_batch_orders,
                max_batch_bytes: args.max_batch_bytes,
                drain: Duration::from_secs(args.drain_seconds),
            }),
            _ => Err(Faults(faults)),
        }
    }
}

/// The host's name as the kernel has it.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "edge".to_owned() } else { name.to_owned() }
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
        ] {
            assert!(text.contains(flag), "{flag}: {text}");
        }
    }
}
