//! Wiring of the commands that look for orders and deal with dead letters.

use std::io::Write as _;

use crate::config::search::Format;
use crate::config::{self, Command, Discard, Replay, Servers, Which};
use crate::dead_letters::replay::{Line, Outcome, Rules};
use crate::dead_letters::select::{Filter, of_pipelines};
use crate::dead_letters::{self, Deed, Order, Reach, Report, Sources};
use crate::decode::plain;
use crate::postgres::Postgres;
use crate::{status, trace};

/// What is left to do, or to look into.
const LEFT: u8 = 2;

/// `connectors trace`: prints, and answers the exit code.
///
/// # Errors
/// Where no client can be made, Kafka cannot be asked, or no record lies at the address.
pub async fn trace(servers: &Servers, options: &config::Trace) -> anyhow::Result<u8> {
    let sources = trace::Sources {
        kafka: servers.kafka.brokers()?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
        connect: super::connect(servers)?,
        transforms: super::transforms(servers)?,
        supervisor: options.supervisor.clone(),
        postgres: Postgres::new(&servers.postgres),
        elastic: super::elastic(servers)?,
    };
    let search = trace::Options {
        asked: options.asked.clone(),
        records: options.bound.records,
        time_limit: options.bound.time_limit,
        since: options.since,
    };
    let report = trace::trace(&sources, &search).await?;
    print(options.format, &report, trace::show::text)?;
    Ok(if report.is_settled() { 0 } else { LEFT })
}

/// `connectors dead-letters`: does it, prints, and answers the exit code.
///
/// # Errors
/// Where no client can be made, or Kafka cannot be asked.
pub async fn dead_letters(servers: &Servers, options: &config::DeadLetters) -> anyhow::Result<u8> {
    let sources = Sources {
        kafka: servers.kafka.brokers()?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
        elastic: super::elastic(servers)?,
        transforms: servers.transforms.clone(),
    };
    match &options.command {
        Command::List(list) => {
            let filter = Filter { pipelines: pipelines(servers).await?, ..filter(&list.which, &[]) };
            let listing = dead_letters::list(&sources, filter, reach(&list.which.bound)).await?;
            print(list.which.format, &listing, dead_letters::list::text)?;
            Ok(0)
        }
        Command::Show(show) => {
            let shown = dead_letters::show(&sources, &show.letter, reach(&show.bound)).await?;
            print(show.format, &shown, dead_letters::show::text)?;
            Ok(0)
        }
        Command::Replay(Replay { some, rate, max_replays }) => {
            let rules = Rules { max_replays: *max_replays, rate: *rate, by: some.by.clone() };
            deal(&sources, some, pipelines(servers).await?, Deed::Replay(rules)).await
        }
        Command::Discard(Discard { some, because }) => {
            let deed = Deed::Discard { because: because.clone(), by: some.by.clone() };
            deal(&sources, some, pipelines(servers).await?, deed).await
        }
    }
}

/// Topics that only pipelines name. Where `transforms` does not answer, those of the house are dealt with all the same.
async fn pipelines(servers: &Servers) -> anyhow::Result<Vec<String>> {
    match status::limited("transforms", status::pipelines(&super::transforms(servers)?)).await {
        Ok(found) => Ok(of_pipelines(found.iter().map(|(_, settings)| settings))),
        Err(reason) => {
            eprintln!("connectors: cannot ask {reason}; topics of pipelines are left out but those given by --topic");
            Ok(Vec::new())
        }
    }
}

async fn deal(sources: &Sources, some: &config::Some, pipelines: Vec<String>, deed: Deed) -> anyhow::Result<u8> {
    let order = Order {
        filter: Filter { pipelines, ..filter(&some.which, &some.letters) },
        limit: usize::try_from(some.limit)?,
        reach: reach(&some.which.bound),
        yes: some.yes,
    };
    let format = some.which.format;
    let out: fn(&Line) = match format {
        Format::Text => |line| {
            let _ = std::io::stdout().write_all(told(line).as_bytes());
        },
        Format::Json => |_| {},
    };
    let report = dead_letters::deal(sources, order, deed, out).await?;
    print(format, &report, summary)?;
    let is_left = report.count(|outcome| !matches!(outcome, Outcome::Did { .. }));
    Ok(if is_left == 0 && !report.more && report.incomplete.is_empty() { 0 } else { LEFT })
}

fn told(line: &Line) -> String {
    let order = line.order.as_deref().unwrap_or("no key");
    let what = match &line.outcome {
        Outcome::Would { what } => format!("would {what}"),
        Outcome::Did { what } => what.clone(),
        Outcome::Left { why } => format!("left: {}", plain(why)),
    };
    format!("{} ({order}, of {}): {what}\n", line.letter, line.of)
}

fn summary(report: &Report) -> String {
    let would = report.count(|outcome| matches!(outcome, Outcome::Would { .. }));
    let did = report.count(|outcome| matches!(outcome, Outcome::Did { .. }));
    let left = report.count(|outcome| matches!(outcome, Outcome::Left { .. }));
    let mut text = match report.dry_run {
        true => format!("{would} would be dealt with, {left} left; nothing was written, --yes does it\n"),
        false => format!("{did} dealt with, {left} left\n"),
    };
    if report.more {
        text.push_str("there are more than --limit, or than 256 MiB; run it again\n");
    }
    for (topic, far) in &report.incomplete {
        text.push_str(&format!("{topic} was read {far}\n"));
    }
    text
}

fn filter(which: &Which, letters: &[crate::kafka::record::Address]) -> Filter {
    Filter {
        topics: which.topics.clone(),
        pipelines: Vec::new(),
        letters: letters.to_vec(),
        reason: which.reason.clone(),
        stage: which.stage.clone(),
        module: which.module.clone(),
        order: which.order.clone(),
        since_ms: which.since,
    }
}

fn reach(bound: &config::Bound) -> Reach {
    Reach { records: bound.records, time_limit: bound.time_limit }
}

pub(super) fn print<T: serde::Serialize>(format: Format, value: &T, text: fn(&T) -> String) -> anyhow::Result<()> {
    let text = match format {
        Format::Text => text(value),
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
    };
    // A reader that has seen enough, as `head` does, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
