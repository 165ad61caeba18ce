//! The wiring of the command: arguments, and what each subcommand does with the library.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, Parser, Subcommand};
use promise::check::{check, check_answers};
use promise::generator::{Generator, Mix, Post};
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
        #[arg(long, env = "EDGE_URL", hide_env_values = true, default_value = "http://127.0.0.1:8080")]
        edge: String,
        /// Orders a second.
        #[arg(long, default_value_t = 300)]
        rate: u32,
        /// The file that is appended to; the requests are numbered on from those that it has.
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
    /// Numbered from `first` on.
    fn posts(&self, first: u64) -> impl Iterator<Item = Post> + use<> {
        Generator::new(&self.run, self.seed, Mix::default()).take(self.count).map(move |mut post| {
            post.seq += first;
            post
        })
    }
}

/// Where everything is; the native stack's addresses by default.
#[derive(Debug, ClapArgs)]
struct PlaceArgs {
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092")]
    kafka: String,
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8085/apis/ccompat/v7"
    )]
    registry: String,
    #[arg(long, env = "TRANSFORMS_URL", hide_env_values = true, default_value = "http://127.0.0.1:8084")]
    transforms: String,
    #[arg(long, env = "ELASTICSEARCH_URL", hide_env_values = true, default_value = "http://127.0.0.1:9200")]
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
            let (plan, posts) = (Plan::new(&edge, rate), stream.posts(ledger.next_seq()?));
            runtime.block_on(load::run(&plan, posts, ledger, &Gauge::default(), &CancellationToken::new()))?;
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
    for post in stream.posts(0) {
        let body = String::from_utf8_lossy(&post.body).replace(['\n', '\r'], " ");
        writeln!(out, "{}\t{}\t{:?}\t{body}", post.seq, post.id, post.class).context("cannot write")?;
    }
    out.flush()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody listens at this edge, and the ledger has each order all the same.
    #[test]
    fn a_second_load_goes_on_in_the_ledger_of_the_first() {
        let path = std::env::temp_dir().join(format!("promise-loads-{}.ndjson", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for name in ["first", "second"] {
            let ledger = path.to_str().unwrap();
            let load = ["promise", "load", "--edge", "http://127.0.0.1:1", "--rate", "1000", "--count", "30"];
            let words = load.into_iter().chain(["--run", name, "--ledger", ledger]);
            assert!(run(Args::parse_from(words)).unwrap());
        }
        let entries = ledger::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let of = |run: &str| entries.iter().filter(|entry| entry.id.starts_with(run)).count();
        assert_eq!((of("first"), of("second")), (30, 30));
        assert!(entries.iter().zip(0..).all(|(entry, seq)| entry.seq == seq));
    }
}
