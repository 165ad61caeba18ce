//! A comparison for people.

use std::fmt::Write as _;

use super::judge::Kind;
use super::report::{Example, Mended, Report, StoreReport};
use super::stores::Store;

/// The whole of it.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let span = match (&report.since, &report.until) {
        (None, None) => String::new(),
        (Some(since), None) => format!(", received since {since}"),
        (None, Some(until)) => format!(", received before {until}"),
        (Some(since), Some(until)) => format!(", received from {since} to {until}"),
    };
    let _ = writeln!(text, "topic order_placed: {} in {} records{span}", many(report.orders, "order"), report.records);
    for store in &report.stores {
        head(&mut text, store);
    }
    if 0 < report.unreadable {
        let some = report.unreadable_such_as.join(", ");
        let _ = writeln!(
            text,
            "{} in the topic cannot be read ({some}); no store is expected to hold them",
            many(report.unreadable, "record")
        );
    }
    for some in report.examples.chunk_by(|one, other| (one.store, one.kind) == (other.store, other.kind)) {
        kind(&mut text, report, some);
    }
    if let Some(mended) = &report.mended {
        repaired(&mut text, mended);
    }
    verdict(&mut text, report);
    text
}

fn head(text: &mut String, store: &StoreReport) {
    let counts: Vec<String> =
        store.differences.iter().map(|(kind, count)| format!("{count} {}", word(*kind))).collect();
    let counts = if counts.is_empty() { "all as in the topic".to_owned() } else { counts.join(", ") };
    let _ = writeln!(text, "{}: {} {}, {counts}", store.store, store.held, store.store.things());
    if 0 < store.beyond {
        let _ = writeln!(
            text,
            "  {} more may differ: too many to look at each; repair these, then verify again",
            store.beyond
        );
    }
    if 0 < store.not_due {
        let _ = writeln!(text, "  {} not due yet: on the way to {}", many(store.not_due, "order"), store.sink);
    }
}

fn kind(text: &mut String, report: &Report, some: &[Example]) {
    let Some(first) = some.first() else { return };
    let all = report.stores.iter().find(|store| store.store == first.store);
    let all = all.and_then(|store| store.differences.get(&first.kind)).copied().unwrap_or_default();
    let shown = u64::try_from(some.len()).unwrap_or(u64::MAX);
    let some_of = if shown < all { format!(", {shown} of {all}") } else { String::new() };
    let _ = writeln!(text, "\n{}{some_of}:", title(first.kind, first.store, report.begins_late));
    for example in some {
        let at = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".to_owned());
        let versions = match first.kind {
            Kind::Missing => format!("version {}", at(&example.wanted)),
            Kind::Stale => format!("holds version {}, the newest is {}", at(&example.held), at(&example.wanted)),
            Kind::Different => format!("version {}", at(&example.held)),
            Kind::Unknown => {
                format!("holds version {}, the topic's newest is {}", at(&example.held), at(&example.wanted))
            }
            Kind::Surplus => format!("version {}", at(&example.held)),
        };
        let record = example.record.as_ref().map_or_else(String::new, |record| format!(", {record}"));
        let time = example.received_at.as_ref().map_or_else(String::new, |time| format!(", received {time}"));
        let _ = writeln!(text, "  {}  {versions}{record}{time}", example.order);
        for field in &example.fields {
            let shape = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            let (topic, held) = (shape(&field.topic), shape(&field.store));
            let alike = if topic == held { ", of the same form" } else { "" };
            let _ = writeln!(text, "    {}: {topic} in the topic, {held} in {}{alike}", field.field, example.store);
        }
    }
}

fn title(kind: Kind, store: Store, begins_late: bool) -> String {
    match kind {
        Kind::Missing => format!("missing in {store}"),
        Kind::Stale => format!("stale in {store}: an older version than the topic's newest"),
        Kind::Different => {
            format!(
                "different in {store}: digits are shown as 9, letters as x; `connectors trace ORDER` shows the values"
            )
        }
        Kind::Unknown => format!("of an unknown version in {store}: one that the topic does not have"),
        Kind::Surplus if begins_late => format!(
            "surplus in {store}: the topic was not read from its first record, or has it no more, so they may well be \
             older. No fault by itself; nothing deletes them"
        ),
        Kind::Surplus => {
            format!(
                "surplus in {store}: the topic has no record of them, and it still has its first. Nothing deletes them"
            )
        }
    }
}

fn repaired(text: &mut String, mended: &Mended) {
    text.push('\n');
    for (topic, count) in mended.sent.iter().filter(|(_, count)| 0 < **count) {
        let verb = if mended.dry_run { "would be sent" } else { "sent" };
        let _ = writeln!(text, "{} {verb} again to {topic}", many(*count, "record"));
    }
    if !mended.dry_run {
        let _ = writeln!(text, "{} mended, {} left", many(mended.mended, "order"), mended.left);
    }
    for why in &mended.because {
        let _ = writeln!(text, "{why}");
    }
}

fn verdict(text: &mut String, report: &Report) {
    let wrong = report.wrong();
    let line = match (&report.mended, wrong) {
        (_, 0) if report.deep => "equal: every order was compared field by field\n".to_owned(),
        (_, 0) => {
            "equal: counts, amounts and versions by slice; --deep compares every field of every order\n".to_owned()
        }
        (None, _) => {
            format!("{}; `connectors verify --repair` shows what would be sent again\n", many(wrong, "difference"))
        }
        (Some(mended), _) if mended.dry_run => {
            format!("{}; nothing was written, --yes does it\n", many(wrong, "difference"))
        }
        (Some(_), _) => format!("{} left\n", many(wrong, "difference")),
    };
    text.push_str(if report.examples.is_empty() && report.mended.is_none() { "" } else { "\n" });
    text.push_str(&line);
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Stale => "stale",
        Kind::Different => "different",
        Kind::Unknown => "of an unknown version",
        Kind::Surplus => "surplus",
    }
}

fn many(count: u64, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}
