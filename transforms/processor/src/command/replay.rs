//! `transforms replay`: a dead letter again, as it was or through the pipeline as it is now, and back into its topic.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use service_kit::kafka;

use crate::author::show::{Look, plain, plain_error, plain_lines};
use crate::replay::letter::{Address, Letter, fetch};
use crate::replay::rerun::{self, Replayed};
use crate::replay::words::{self, Ended};
use crate::replay::{Site, now, send};

/// It did not end as it should.
const OTHERWISE: u8 = 3;
/// What happened then only the broker can show.
const UNSEEN: u8 = 4;

/// The flags of `replay`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it ended as the letter says, or with --with, --now and --send: no module refuses it; \
                        1 it could not be run; 2 wrong usage; 3 it ended otherwise; 4 no module refuses it: the broker \
                        did, which no replay can show."
)]
pub struct Args {
    /// Where the dead letter lies: TOPIC/PARTITION/OFFSET
    letter: Address,
    /// A .wasm file that stands for the module that failed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["now", "send"])]
    with: Option<PathBuf>,
    /// Through the pipeline as it is now; nothing is written
    #[arg(long)]
    now: bool,
    /// If the pipeline takes it now: write it to the topic that it came from, with the version it was received with
    #[arg(long)]
    send: bool,
    /// With --send: not if it was sent again so often already
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_replays: u32,
    /// With --send: who does it, for the record
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
    /// Another pipeline than the one that the letter names
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
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

/// Replays and prints what happened.
///
/// # Errors
/// When it cannot be run.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (text, ended) = told(args)?;
    print!("{text}");
    Ok(match ended {
        Ended::Well => ExitCode::SUCCESS,
        Ended::Otherwise => ExitCode::from(OTHERWISE),
        Ended::Unseen => ExitCode::from(UNSEEN),
    })
}

/// What is printed, and how it ended. Customers' and modules' words may stand in it, so it has nothing that a terminal
/// would take for a command.
///
/// # Errors
/// As [`run`].
pub fn told(args: &Args) -> anyhow::Result<(String, Ended)> {
    let (text, ended) = replayed(args).map_err(|error| plain_error(&error))?;
    Ok((plain_lines(&text), ended))
}

fn replayed(args: &Args) -> anyhow::Result<(String, Ended)> {
    let site = Site { kafka: args.kafka.brokers()?, registry: args.registry.clone() };
    let letter = fetch(&site.kafka, &args.letter)?;
    let mut text = head(args, &letter);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        if args.now || args.send {
            return through_now(args, &site, &letter, &mut text).await;
        }
        let read = |file: &PathBuf| std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        let with = args.with.as_ref().map(read).transpose()?;
        let other = with.is_some();
        let replayed = rerun::run(&site, &letter, with).await?;
        steps(&replayed, &mut text);
        Ok(words::verdict(&replayed, &letter, other, &mut text))
    });
    runtime.shutdown_background();
    ended.map(|ended| (text, ended))
}

fn head(args: &Args, letter: &Letter) -> String {
    let input = &letter.input;
    let key = input.key.as_deref().map(String::from_utf8_lossy);
    let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key {}", plain(&key)));
    let mut text = format!("{}: {}/{}/{}, {key}", args.letter, input.topic, input.partition, input.offset);
    if letter.replays > 0 {
        let (partition, offset) = input.received();
        let _ = write!(text, ", sent again {} times, received at {partition}/{offset}", letter.replays);
    }
    let _ = writeln!(text, "\nthen: {}", plain(&letter.said.to_string()));
    text
}

fn steps(replayed: &Replayed, text: &mut String) {
    for (at, step) in replayed.steps.iter().enumerate() {
        let _ = writeln!(text, "{}. {}, {} units of fuel", at + 1, step.module, step.fuel);
        Look::default().changes(&step.changes, text);
    }
}

async fn through_now(args: &Args, site: &Site, letter: &Letter, text: &mut String) -> anyhow::Result<Ended> {
    let named = letter.chain.as_ref().map(|chain| chain.pipeline.as_str());
    let Some(pipeline) = args.pipeline.as_deref().or(named) else {
        bail!("it was written by an earlier release, which did not name the pipeline; --pipeline does");
    };
    let ended = words::now(&now::through(site, letter, pipeline).await?, pipeline, letter, text);
    if args.send && ended == Ended::Well {
        let send = || send::again(site, (&args.letter, letter), args.max_replays, &args.by);
        let at = tokio::task::block_in_place(send)?;
        let (partition, offset) = letter.input.received();
        let _ = writeln!(text, "sent again, as {at}; its version stays {partition}/{offset}");
    } else if args.send {
        let _ = writeln!(text, "not sent again: it would come back");
    }
    Ok(ended)
}
