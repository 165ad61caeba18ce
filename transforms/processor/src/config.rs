//! The command line, and what it means: read once, all faults at once.

use std::net::SocketAddr;

use service_kit::telemetry;

/// Runs pipelines of sandboxed transforms between Kafka topics, exactly once.
#[derive(Debug, clap::Parser)]
#[command(name = "transforms", version)]
pub struct Args {
    /// How to log.
    #[command(flatten)]
    pub log: telemetry::Args,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Run the pipelines and serve the REST API
    Serve(ServeArgs),
    /// Make the folder of a new module, ready to build and test
    New(crate::command::new::Args),
    /// Build a module, or a workspace of them
    Build(crate::command::build::Args),
    /// Run a module in the sandbox on orders and show before and after
    Test(crate::command::test::Args),
    /// Build a module at each save and show what it does to orders
    Dev(crate::command::dev::Args),
    /// Upload a module; the same one again changes nothing
    Push(crate::command::push::Args),
}

/// The flags of `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeArgs {
    /// Where the REST API listens
    #[arg(long, env = "TRANSFORMS_LISTEN", default_value = "127.0.0.1:8084")]
    pub listen: SocketAddr,
    /// The brokers
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// The schema registry (Confluent API)
    #[arg(long, env = "SCHEMA_REGISTRY_URL", default_value = "http://127.0.0.1:8085/apis/ccompat/v7")]
    pub registry: String,
    /// This process's name, stable over restarts [default: the host's name]
    #[arg(long, env = "TRANSFORMS_INSTANCE")]
    pub instance: Option<String>,
    /// Further host names that the REST API answers to, separated by commas (loopback names always)
    #[arg(long, env = "TRANSFORMS_HOSTS", value_delimiter = ',')]
    pub hosts: Vec<String>,
}

/// What `serve` works with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the REST API listens.
    pub listen: SocketAddr,
    /// The brokers.
    pub kafka: String,
    /// The registry.
    pub registry: String,
    /// This process's name.
    pub instance: String,
    /// Further host names.
    pub hosts: Vec<String>,
}

impl TryFrom<ServeArgs> for Config {
    type Error = anyhow::Error;

    fn try_from(args: ServeArgs) -> anyhow::Result<Self> {
        let mut faults = Vec::new();
        let instance = args.instance.unwrap_or_else(host_name);
        if !crate::pipeline::spec::is_name(&instance) {
            faults.push(format!("--instance {instance:?}: use 1 to 100 of A-Z a-z 0-9 . _ -"));
        }
        if args.kafka.trim().is_empty() {
            faults.push("--kafka: is empty; name a broker such as 127.0.0.1:9092".to_owned());
        }
        if !args.registry.starts_with("http://") && !args.registry.starts_with("https://") {
            faults.push(format!(
                "--registry {:?}: is not an address; write http://host:port/apis/ccompat/v7",
                args.registry
            ));
        }
        if !args.listen.ip().is_loopback() && args.hosts.is_empty() {
            // Without a name the door would refuse every caller but loopback ones.
            faults.push(format!(
                "--listen {}: not loopback, so --hosts must name the hosts that it answers to",
                args.listen
            ));
        }
        anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(Self { listen: args.listen, kafka: args.kafka, registry: args.registry, instance, hosts: args.hosts })
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "local".to_owned() } else { name.to_owned() }
}
