//! A trace for people.

use std::fmt::Write as _;

use super::facts::{Changed, Delivery, Held, Parked, Reader, Store, Version};
use super::verdict::{Verdict, newest};
use super::{Report, steps};
use crate::dead_letters::marks::{Did, Mark};
use crate::decode::plain;

/// The report as text.
#[must_use]
pub fn text(report: &Report) -> String {
    let facts = &report.facts;
    let mut text = format!("order {}\n", facts.order_id);
    section(
        &mut text,
        "received",
        facts.posts.iter().map(|post| {
            let mut line = format!("{}  {}", post.at, post.time.as_deref().unwrap_or("at an unknown time"));
            if let Some(request) = &post.request_id {
                let _ = write!(line, "  request {request}");
            }
            if 0 < post.replays {
                let _ = write!(line, "  sent again ({}), first received at {}", post.replays, version(post.version));
            }
            if Some(post.version) == newest(facts) {
                line.push_str("  newest");
            }
            line
        }),
    );
    section(&mut text, "transformed", facts.deliveries.iter().map(delivery));
    section(&mut text, "dead letters", facts.letters.iter().map(parked));
    section(
        &mut text,
        "dropped",
        facts.drops.iter().map(|drop| format!("{} of {} by {}", drop.at, drop.of, drop.module)),
    );
    section(
        &mut text,
        "other outputs",
        facts.outputs.iter().map(|output| {
            let of = output.version.map_or_else(String::new, |of| format!(" of {}", version(of)));
            format!("{}{of}", output.at)
        }),
    );
    text.push_str("stores\n");
    for judged in &report.stores {
        let Store { sink, place, held, .. } = &judged.store;
        let _ = writeln!(text, "  {} ({place}): {}", sink.name, words(&judged.verdict));
        let positions: Vec<String> =
            sink.committed.iter().map(|(topic, next)| format!("{topic} next {next}")).collect();
        let _ = writeln!(text, "    reads {}", positions.join(", "));
        match held {
            Held::Row(_, row) => {
                let _ = writeln!(text, "    holds {row}");
            }
            Held::Nothing => text.push_str("    holds nothing of it\n"),
            Held::Unknown(reason) => {
                let _ = writeln!(text, "    cannot be asked: {}", plain(reason));
            }
        }
    }
    for (topic, far) in &facts.unsearched {
        let _ = writeln!(text, "searched {topic} only {far}; --records, --time-limit and --since say how far");
    }
    for reason in &facts.unreachable {
        let _ = writeln!(text, "cannot ask {reason}");
    }
    text
}

fn section(text: &mut String, head: &str, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "{head}");
    }
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

fn delivery(delivery: &Delivery) -> String {
    let mut text = delivery.at.to_string();
    if let Some(of) = delivery.version {
        let _ = write!(text, " of {}", version(of));
    }
    match delivery.modules.join(", ") {
        modules if modules.is_empty() => text.push_str(", names no module"),
        modules => {
            let _ = write!(text, " by {modules}");
        }
    }
    if let Some(reason) = &delivery.unreadable {
        let _ = write!(text, "\n    cannot be read: {}", plain(reason));
    }
    if delivery.steps.is_empty() {
        delivery.changes.iter().for_each(|change| changed(change, "    ", &mut text));
        return text;
    }
    for step in &delivery.steps {
        let nothing = if step.changes.is_empty() { " changed nothing" } else { "" };
        let _ = write!(text, "\n    {}{nothing}", plain(&step.module));
        step.changes.iter().for_each(|change| changed(change, "      ", &mut text));
    }
    let mut others = steps::others(delivery).peekable();
    if others.peek().is_some() {
        text.push_str("\n    the pipeline itself");
    }
    others.for_each(|change| changed(change, "      ", &mut text));
    text
}

fn changed(change: &Changed, indent: &str, text: &mut String) {
    let side = |side: &Option<String>| side.as_deref().map_or_else(|| "(not there)".to_owned(), plain);
    let _ = write!(text, "\n{indent}{}: {} -> {}", plain(&change.field), side(&change.before), side(&change.after));
}

fn parked(letter: &Parked) -> String {
    let said = &letter.said;
    let module = said.module.as_ref().map_or_else(String::new, |module| format!(" by {}", plain(module)));
    let done = letter.mark.as_ref().map_or_else(|| "open".to_owned(), done);
    let reason = plain(&format!("{} ({}): {}", said.class, said.stage, said.message));
    format!("{} of {}{module}: {reason}; {done}", letter.at, letter.of)
}

/// What was done with a letter, in words.
#[must_use]
pub fn done(mark: &Mark) -> String {
    let time = schemas::fields::rfc3339(mark.at_ms).unwrap_or_default();
    match (mark.did, &mark.to) {
        (Did::Replayed, Some(to)) => format!("replayed {time} as {to}"),
        (Did::Replayed, None) => format!("replayed {time}"),
        (Did::Discarded, _) => {
            let because = mark.because.as_deref().map(plain).unwrap_or_default();
            format!("discarded {time} by {}: {because}", plain(&mark.by))
        }
    }
}

fn version(version: Version) -> String {
    format!("{}/{}", version.partition, version.offset)
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Stored { version: Some(stored) } => format!("stored, received at {}", version(*stored)),
        Verdict::Stored { version: None } => "stored, without a version".to_owned(),
        Verdict::Waiting { reader, at, before } => waiting(reader, &at.to_string(), *before),
        Verdict::DeadLetter { letter, replay } => {
            let said = &letter.said;
            let reason = plain(&format!("{} ({}): {}", said.class, said.stage, said.message));
            let done = letter.mark.as_ref().map_or_else(|| format!("to send it again: {replay}"), done);
            format!("dead letter {}: {reason}; {done}", letter.at)
        }
        Verdict::Dropped { by, at } => format!("dropped by {} (marker {at})", plain(by)),
        Verdict::WentTo { topic, at } => format!("went to {topic} ({at})"),
        Verdict::Replaced { by } => format!("replaced by the later POST at {}", version(*by)),
        Verdict::NeverAcknowledged => "never acknowledged: no such order was received".to_owned(),
        Verdict::NotFound { searched } => format!("not found, searched {searched}"),
        Verdict::Missing { read_by, at, instead } => {
            let instead =
                instead.map_or_else(String::new, |older| format!("; the store holds the older {}", version(older)));
            format!("missing: {read_by} has read past {at}, and nothing came of it{instead}")
        }
        Verdict::Unknown { reason } => format!("not known: {}", plain(reason)),
    }
}

fn waiting(reader: &Reader, at: &str, before: Option<u64>) -> String {
    let before = match before {
        Some(1) => "1 record".to_owned(),
        Some(count) => format!("{count} records"),
        None => "very many records".to_owned(),
    };
    let mut text = format!("waiting for {} at {at}, {before} before it", reader.name);
    let since = reader.since_seconds.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
    match reader.failed_tasks.as_slice() {
        [] => {
            let _ = write!(text, "; {}", reader.state);
        }
        tasks => {
            let tasks: Vec<String> = tasks.iter().map(ToString::to_string).collect();
            let _ = write!(text, "; task {} FAILED{since}", tasks.join(", "));
        }
    }
    for words in [&reader.failure, &reader.healing].into_iter().flatten() {
        let _ = write!(text, "; {}", plain(words));
    }
    text
}
