//! `transforms test`: a module on orders, in the sandbox.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use service_kit::kafka;
use transform_host::Engine;
use transform_host::build::one;

use crate::author::orders::{MAX_ORDERS, Orders, is_standard_input};
use crate::author::report::Report;
use crate::author::show::{Look, plain_error};
use crate::author::topic;
use crate::author::trial::{self, Trial};

/// The module broke on an order, or on what the processor makes of its output; or an order never reached it.
const BROKEN: u8 = 3;
/// The file of orders that a module's folder has.
const SAMPLES: &str = "orders.ndjson";

/// The flags of `test`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Exit codes: 0 every order was emitted, dropped or rejected by the module; 1 it could not be \
                        tried; 2 wrong usage; 3 the module broke on an order (trap, time, memory, output), or an order \
                        was refused before it.")]
pub struct Args {
    /// The module's .wasm file, or its folder, which is built first
    #[arg(default_value = ".")]
    module: PathBuf,
    /// Which orders.
    #[command(flatten)]
    orders: OrdersArgs,
    /// So many orders are shown one by one
    #[arg(long, default_value_t = 50)]
    show: usize,
    /// How the result is written
    // `--log-format` is called `format` in clap's table already.
    #[arg(id = "result-format", long = "format", value_enum, default_value_t)]
    format: Format,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Which orders a module is tried on, and with which parameters.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OrdersArgs {
    /// One JSON order a line, as posted or as stored; - is standard input [default: orders.ndjson beside the module]
    #[arg(long, value_name = "FILE", conflicts_with = "from_topic")]
    input: Option<PathBuf>,
    /// The newest orders of a topic such as orders.received; nothing is written or committed
    #[arg(long, value_name = "TOPIC")]
    from_topic: Option<String>,
    /// How many of the topic
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MAX_ORDERS as i64))]
    last: u32,
    /// A parameter of the module; can be given more than once
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Which Kafka
    #[command(flatten)]
    kafka: kafka::Args,
    /// The schema registry (Confluent API)
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8085/apis/ccompat/v7"
    )]
    registry: String,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE, such as default.channel=web".to_owned()),
    }
}

impl OrdersArgs {
    /// Runs a module on the orders.
    pub(super) fn tried(&self, engine: &Arc<Engine>, wasm: &[u8], orders: &Orders) -> anyhow::Result<Report> {
        let parameters: BTreeMap<String, String> = self.set.iter().cloned().collect();
        let tried = || {
            let mut trial = Trial::new(engine, wasm, &parameters)?;
            trial.run(&orders.samples(&trial.shape, now_ms())?)
        };
        // What the module or an order says may stand in it.
        tried().map_err(|error| plain_error(&error))
    }

    /// The file of orders that may change; `None`: they are read once, from a topic or from standard input.
    pub(super) fn watched(&self, dir: &Path) -> Option<PathBuf> {
        self.file(dir).filter(|file| !is_standard_input(file))
    }

    /// The file that is read; `None`: a topic is.
    fn file(&self, dir: &Path) -> Option<PathBuf> {
        match (&self.input, &self.from_topic) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(dir.join(SAMPLES)),
        }
    }

    /// The orders; `dir` is where the module lies.
    pub(super) fn load(&self, dir: &Path) -> anyhow::Result<Orders> {
        match (self.file(dir), &self.from_topic) {
            (None, Some(topic)) => {
                let kafka = self.kafka.brokers()?;
                let from = topic::Address { kafka: &kafka, registry: &self.registry, topic };
                topic::newest(from, usize::try_from(self.last).unwrap_or(MAX_ORDERS))
            }
            (Some(file), _) => {
                let orders = Orders::from_file(&file);
                if self.input.is_some() { orders } else { orders.context("name orders with --input or --from-topic") }
            }
            (None, None) => bail!("name orders with --input or --from-topic"),
        }
    }
}

/// Tries the module and prints what became of each order.
///
/// # Errors
/// When it cannot be tried.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (wasm, dir) = module(&args.module)?;
    let orders = args.orders.load(&dir)?;
    let report = args.orders.tried(&trial::engine()?, &wasm, &orders)?;
    match args.format {
        Format::Text => print!("{}", Look { colour: colour(), orders: args.show }.report(&report)),
        Format::Json => println!("{}", serde_json::to_string(&report)?),
    }
    Ok(exit_code(&report))
}

/// The component, and the folder that it lies in.
fn module(path: &Path) -> anyhow::Result<(Vec<u8>, PathBuf)> {
    if path.is_dir() {
        super::build::warn_of_other_kit(path);
        let built = one::build(path, &one::How { shown: true, ..one::How::default() })?;
        return Ok((built.wasm, path.to_owned()));
    }
    let wasm = std::fs::read(path).with_context(|| {
        let dashed = path.with_file_name(path.file_name().unwrap_or_default().to_string_lossy().replace('_', "-"));
        let hint = if dashed.is_file() {
            format!("did you mean {}?", dashed.display())
        } else {
            "`transforms build` in the module's folder makes it".to_owned()
        };
        format!("cannot read {}; {hint}", path.display())
    })?;
    Ok((wasm, path.parent().unwrap_or(Path::new(".")).to_owned()))
}

pub(super) fn exit_code(report: &Report) -> ExitCode {
    if report.counts.broken + report.counts.unread > 0 { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Whether standard output is a screen that wants colours.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
