//! `transforms logs`: what modules said, from the topic that every process writes it to.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use schemas::names::topics;
use service_kit::kafka;

use crate::author::show::plain;
use crate::kafka::client::{self, Log};
use crate::logs::Line;
use crate::state::follow;

/// Lines that are looked through for those that are wanted.
const LOOKED_THROUGH: i64 = 100_000;
/// The broker must answer within this.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

/// The flags of `logs`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only lines of this pipeline
    pub pipeline: Option<String>,
    /// Only lines of this module: a name, or a name with a version
    #[arg(long)]
    pub module: Option<String>,
    /// Only lines of this level and above: debug, info, warn or error
    #[arg(long, default_value = "debug")]
    pub level: String,
    /// So many of the latest lines
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub last: u32,
    /// Go on with what comes, until the command is ended
    #[arg(long, short)]
    pub follow: bool,
    /// As they stand in the topic: one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Which Kafka
    #[command(flatten)]
    pub kafka: kafka::Args,
}

/// Which lines are wanted.
struct Wanted<'a> {
    args: &'a Args,
    level: usize,
}

/// Shows the lines on standard output.
///
/// # Errors
/// When the topic cannot be read or standard output takes no more.
pub fn run(args: &Args) -> anyhow::Result<()> {
    tell(args, &mut std::io::stdout().lock())
}

/// Shows the lines.
///
/// # Errors
/// When the topic cannot be read or `out` takes no more.
pub fn tell(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let level = LEVELS.iter().position(|level| *level == args.level);
    let level = level.with_context(|| format!("--level {:?}: use one of {}", args.level, LEVELS.join(", ")))?;
    let wanted = Wanted { args, level };
    let (kafka, topic) = (args.kafka.brokers()?, topics::TRANSFORMS_LOGS);
    let config = client::state_consumer(&kafka, "transforms-logs");
    let consumer: BaseConsumer<Log> = BaseConsumer::from_config_and_context(&config, Log::default())?;
    let there = follow::exists(consumer.client(), topic).map_err(|error| client::last_words(&consumer, &error));
    let there = there.map_err(anyhow::Error::msg).with_context(|| format!("{kafka} does not tell {topic}"))?;
    ensure!(there, "there is no topic {topic} at {kafka}; `connectors apply` makes it");
    let (low, high) = consumer.fetch_watermarks(topic, 0, PATIENCE)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(low.max(high - LOOKED_THROUGH)))?;
    consumer.assign(&list)?;
    for line in latest(&consumer, &wanted)? {
        show(out, &line, args.json)?;
    }
    if !args.follow {
        return Ok(());
    }
    // Until somebody ends it, or reads no more.
    loop {
        if let Some(line) = next(&consumer)?.and_then(|line| wanted.take(line)) {
            show(out, &line, args.json)?;
            out.flush()?;
        }
    }
}

/// The last wanted lines that are there now.
fn latest(consumer: &BaseConsumer<Log>, wanted: &Wanted<'_>) -> anyhow::Result<Vec<Line>> {
    let (mut lines, mut until) = (std::collections::VecDeque::new(), Instant::now() + PATIENCE);
    loop {
        match consumer.poll(POLL) {
            None => ensure!(Instant::now() < until, "the broker did not answer in {PATIENCE:?}"),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(lines.into()),
            Some(Err(error)) => {
                bail!("{} cannot be read: {}", topics::TRANSFORMS_LOGS, consumer.context().words(&error))
            }
            Some(Ok(message)) => {
                until = Instant::now() + PATIENCE;
                lines.extend(parsed(message.payload()).and_then(|line| wanted.take(line)));
                if lines.len() > wanted.args.last as usize {
                    lines.pop_front();
                }
            }
        }
    }
}

/// The next line, if there is one soon.
fn next(consumer: &BaseConsumer<Log>) -> anyhow::Result<Option<Line>> {
    match consumer.poll(POLL) {
        None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Some(Err(error)) => bail!("{} cannot be read: {}", topics::TRANSFORMS_LOGS, consumer.context().words(&error)),
        Some(Ok(message)) => Ok(parsed(message.payload())),
    }
}

/// Whatever else somebody wrote there is no line.
fn parsed(payload: Option<&[u8]>) -> Option<Line> {
    serde_json::from_slice(payload?).ok()
}

impl Wanted<'_> {
    fn take(&self, line: Line) -> Option<Line> {
        let level = LEVELS.iter().position(|level| *level == line.level).unwrap_or(0);
        let pipeline = self.args.pipeline.as_ref().is_none_or(|name| *name == line.pipeline);
        let module = self.args.module.as_ref().is_none_or(|name| {
            let rest = line.module.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['@', '+']))
        });
        (self.level <= level && pipeline && module).then_some(line)
    }
}

/// Control characters of a module, or of whoever else wrote into the topic, must not reach somebody's terminal.
fn show(out: &mut impl Write, line: &Line, json: bool) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", serde_json::to_string(line)?)?;
        return Ok(());
    }
    let module = line.module.split('+').next().unwrap_or_default();
    let shown = format!("{} {:5} {} {module}: {}", line.at, line.level, line.pipeline, line.text);
    writeln!(out, "{}", plain(&shown))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pipeline: &str, module: &str, level: &str) -> Line {
        Line {
            at: "2026-11-26T10:00:00Z".to_owned(),
            pipeline: pipeline.to_owned(),
            instance: "here".to_owned(),
            module: module.to_owned(),
            level: level.to_owned(),
            text: "half\u{1b}[2J a line".to_owned(),
        }
    }

    #[test]
    fn a_line_is_wanted_by_pipeline_module_and_level() {
        let args = Args {
            pipeline: Some("p".to_owned()),
            module: Some("clean@1.0.0".to_owned()),
            level: "info".to_owned(),
            last: 1,
            follow: false,
            json: false,
            kafka: kafka::Args { kafka: String::new(), security: kafka::SecurityArgs::default() },
        };
        let wanted = Wanted { args: &args, level: 1 };
        let label = "clean@1.0.0+sha256:0123456789ab";
        assert!(wanted.take(line("p", label, "warn")).is_some());
        for (pipeline, module, level) in
            [("q", label, "warn"), ("p", "clean@1.0.01+sha256:01", "warn"), ("p", label, "debug")]
        {
            assert!(wanted.take(line(pipeline, module, level)).is_none(), "{pipeline} {module} {level}");
        }
    }

    #[test]
    fn what_a_module_says_cannot_steer_a_terminal() {
        let mut out = Vec::new();
        show(&mut out, &line("p\u{1b}c", "clean@1.0.0+sha256:0123456789ab", "info"), false).unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(shown, "2026-11-26T10:00:00Z info  p\u{fffd}c clean@1.0.0: half\u{fffd}[2J a line\n");
    }
}
