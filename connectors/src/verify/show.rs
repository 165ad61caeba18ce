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
    let begun = text.len();
    for some in report.examples.chunk_by(|one, other| (one.store, one.kind) == (other.store, other.kind)) {
        kind(&mut text, report, some);
    }
    if let Some(lines) = report.mended.as_ref().map(repaired).filter(|lines| !lines.is_empty()) {
        let _ = write!(text, "\n{lines}");
    }
    if begun < text.len() {
        text.push('\n');
    }
    text.push_str(&verdict(report));
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

fn repaired(mended: &Mended) -> String {
    let mut text = String::new();
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
    text
}

fn verdict(report: &Report) -> String {
    let wrong = report.wrong();
    match (&report.mended, wrong) {
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
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What is told of seven orders, so many of which the table lacks.
    fn told(missing: u64, mended: Option<Mended>) -> String {
        let mut differences = BTreeMap::new();
        if 0 < missing {
            differences.insert(Kind::Missing, missing);
        }
        let (store, sink) = (Store::PostgreSql, "orders-postgres");
        let store = StoreReport { store, sink, held: 7, not_due: 0, slices: 1, looked: 0, differences, beyond: 0 };
        text(&Report {
            since: None,
            until: None,
            slice_seconds: 300,
            deep: false,
            orders: 7,
            records: 7,
            unreadable: 0,
            unreadable_such_as: Vec::new(),
            begins_late: false,
            stores: vec![store],
            examples: Vec::new(),
            mended,
        })
    }

    #[test]
    fn what_nothing_is_to_be_told_of_leaves_no_blank_line() {
        let head = "topic order_placed: 7 orders in 7 records\n";
        let equal = "equal: counts, amounts and versions by slice; --deep compares every field of every order\n";
        let dry = Mended { dry_run: true, ..Mended::default() };
        for mended in [None, Some(dry.clone())] {
            let text = told(0, mended);
            assert!(text.starts_with(head) && text.ends_with(equal), "{text}");
            assert!(!text.contains("\n\n"), "{text}");
        }
        let sent = Mended { sent: BTreeMap::from([("r".to_owned(), 2), ("s".to_owned(), 0)]), ..dry };
        let end = "\n\n2 records would be sent again to r\n\n2 differences; nothing was written, --yes does it\n";
        assert!(told(2, Some(sent)).ends_with(end));
        let done = Mended { mended: 1, left: 1, because: vec!["late".to_owned()], ..Mended::default() };
        assert!(told(2, Some(done)).ends_with("\n\n1 order mended, 1 left\nlate\n\n1 difference left\n"));
    }
}
