//! The wiring of the command: arguments, and what each subcommand does with the library.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, Parser, Subcommand};
use promise::check::{check, check_answers};
use promise::generator::{Generator, Mix};
use promise::ledger::{self, Ledger};
use promise::load::{self, Gauge, Plan};
use promise::oracle::Oracle;
use promise::read::Places;
use promise::settle;
use promise::world::World;
use tokio_util::sync::CancellationToken;

/// Proves the promise: every order answered 202 is stored exactly once, or is a dead letter with its reason.
#[derive(Debug, Parser)]
#[command(name = "promise", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints seeded POST bodies, one a line, with what should become of them.
    Generate(Stream),
    /// POSTs seeded orders at a steady rate, and writes the ledger.
    Load {
        #[command(flatten)]
        stream: Stream,
        /// Where the edge listens.
        #[arg(long, env = "EDGE_URL", default_value = "http://127.0.0.1:8080")]
        edge: String,
        /// Orders a second.
        #[arg(long, default_value_t = 300)]
        rate: u32,
        /// The file that is appended to.
        #[arg(long)]
        ledger: PathBuf,
    },
    /// Holds the edge's answers against the rules; needs nothing but the ledger.
    Answers {
        /// The ledger that `load` wrote.
        #[arg(long)]
        ledger: PathBuf,
        /// The checkout: oracle, pipeline file and tables.
        #[arg(long, default_value = ".")]
        root: PathBuf,
    },
    /// Waits until all is at rest, reads everything, and counts what broke the promise.
    Check {
        /// The ledger that `load` wrote; it must hold every order that was posted since the topics were made.
        #[arg(long)]
        ledger: PathBuf,
        /// Seconds to wait until all is at rest.
        #[arg(long, default_value_t = 120)]
        wait: u64,
        /// The checkout: oracle, pipeline file and tables.
        #[arg(long, default_value = ".")]
        root: PathBuf,
        #[command(flatten)]
        places: PlaceArgs,
    },
}

/// A seeded stream of orders.
#[derive(Debug, ClapArgs)]
struct Stream {
    /// The beginning of every order id; another one for each run on one stack.
    #[arg(long, default_value = "p")]
    run: String,
    /// The same seed gives the same stream.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many orders.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
}

impl Stream {
    fn posts(&self) -> impl Iterator<Item = promise::generator::Post> + use<> {
        Generator::new(&self.run, self.seed, Mix::default()).take(self.count)
    }
}

/// Where everything is; the native stack's addresses by default.
#[derive(Debug, ClapArgs)]
struct PlaceArgs {
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092")]
    kafka: String,
    #[arg(long, env = "SCHEMA_REGISTRY_URL", default_value = "http://127.0.0.1:8085/apis/ccompat/v7")]
    registry: String,
    #[arg(long, env = "TRANSFORMS_URL", default_value = "http://127.0.0.1:8084")]
    transforms: String,
    #[arg(long, env = "ELASTICSEARCH_URL", default_value = "http://127.0.0.1:9200")]
    elasticsearch: String,
    #[arg(long, env = "POSTGRES_HOST", default_value = "127.0.0.1")]
    postgres_host: String,
    #[arg(long, env = "POSTGRES_PORT", default_value_t = 5432)]
    postgres_port: u16,
    #[arg(long, env = "POSTGRES_DB", default_value = "orders")]
    postgres_db: String,
    #[arg(long, env = "POSTGRES_USER", default_value = "orders")]
    postgres_user: String,
    #[arg(long, env = "POSTGRES_PASSWORD", default_value = "", hide_env_values = true)]
    postgres_password: String,
}

impl PlaceArgs {
    fn places(self) -> Places {
        let Self {
            kafka,
            registry,
            transforms,
            elasticsearch,
            postgres_host,
            postgres_port,
            postgres_db,
            postgres_user,
            postgres_password,
        } = self;
        Places {
            kafka,
            registry,
            transforms,
            elasticsearch,
            postgres: promise::read::postgres_config(
                &postgres_host,
                postgres_port,
                &postgres_db,
                &postgres_user,
                &postgres_password,
            ),
        }
    }
}

/// Runs the command; false when a counter is not zero.
pub(crate) fn run(args: Args) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args.command {
        Command::Generate(stream) => generate(&stream),
        Command::Load { stream, edge, rate, ledger } => {
            let ledger = Arc::new(Ledger::open(&ledger)?);
            let plan = Plan::new(&edge, rate);
            runtime.block_on(load::run(&plan, stream.posts(), ledger, &Gauge::default(), &CancellationToken::new()))?;
            Ok(true)
        }
        Command::Answers { ledger, root } => {
            let posts = ledger::read(&ledger)?;
            let verdicts = Oracle::of_checkout(&root).judge(&posts)?;
            let world = World { posts, verdicts, ..World::default() };
            let findings = check_answers(&world);
            println!("{}\n{findings}", world.summary());
            Ok(findings.all_zero())
        }
        Command::Check { ledger, wait, root, places } => {
            let places = places.places();
            let posts = ledger::read(&ledger)?;
            let verdicts = Oracle::of_checkout(&root).judge(&posts)?;
            let took = settle::wait(&places, Duration::from_secs(wait))?;
            eprintln!("at rest after {took:.1?}");
            let world = runtime.block_on(places.read(World { posts, verdicts, ..World::default() }))?;
            let findings = check(&world);
            println!("{}\n{findings}", world.summary());
            Ok(findings.all_zero())
        }
    }
}

fn generate(stream: &Stream) -> anyhow::Result<bool> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for post in stream.posts() {
        let body = String::from_utf8_lossy(&post.body).replace(['\n', '\r'], " ");
        writeln!(out, "{}\t{}\t{:?}\t{body}", post.seq, post.id, post.class).context("cannot write")?;
    }
    out.flush()?;
    Ok(true)
}
