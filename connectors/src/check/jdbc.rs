//! What the JDBC sinks owe: one row an order, whatever comes again, and values that go together.

use super::plugins::{Plugin, Rows};
use super::{Subject, driver, strict};
use crate::files::At;
use crate::rules;

use schemas::names::topics::ORDER_PLACED;

/// The column of `order_placed` that names a row.
const ORDER_ID: &str = "order_id";

pub(super) fn check(subject: &mut Subject<'_>, plugin: &Plugin, words: &Rows) {
    subject.required("connection.url", "it says which database");
    key(subject, words);
    together(subject, words);
    driver::check(subject, plugin);
    for (setting, quiet) in words.grows {
        if subject.is_with(setting, quiet, quiet) {
            continue;
        }
        let message = format!("`{}` lets the sink alter the table", subject.setting(setting));
        let fix = format!("write \"{quiet}\" and put the field into stores/*.sql");
        subject.tell(&rules::STORE_GROWS, At::Value(setting), &message, &fix);
    }
    strict::within_poll_interval(subject, (words.retries, words.pause));
    // Only Debezium's has it; the others write a batch row by row.
    if plugin.kind("dialect.postgres.unnest.insert.enabled").is_some() {
        unnest(subject);
    }
    super::documents::provenance(subject);
}

/// Which row is meant: an upsert with the order's id as the key.
fn key(subject: &mut Subject<'_>, words: &Rows) {
    let fix = format!(
        "write \"insert.mode\": \"upsert\", \"{}\": \"record_value\", \"{}\": \"order_id\"",
        words.key_mode, words.key_fields
    );
    match subject.or("insert.mode", "insert").to_ascii_lowercase().as_str() {
        "upsert" => {
            if let Some((key, message)) = upsert(subject, words) {
                subject.tell(&rules::NO_KEY, At::Value(key), &message, &fix);
            }
        }
        "update" => {
            let message = "`update` changes rows that are there, and drops new orders";
            subject.tell(&rules::SILENT_DROP, At::Value("insert.mode"), message, &fix);
        }
        mode @ ("insert" | "multi") => {
            let what = if subject.has("insert.mode") { format!("`{mode}`") } else { format!("is missing; {mode}") };
            let message = format!("{what} stores a record that comes again once more, or stops at it");
            subject.tell(&rules::NO_KEY, At::Value("insert.mode"), &message, &fix);
        }
        // The list of values has told it already.
        _ => {}
    }
    let mode = subject.or(words.key_mode, "none");
    if subject.is("delete.enabled", "true") && !mode.eq_ignore_ascii_case("record_key") {
        let message = format!("deletes by the record's key, and {} is {mode}", words.key_mode);
        let fix = format!("write \"{}\": \"record_key\", or take it out", words.key_mode);
        subject.tell(&rules::CONFLICT, At::Key("delete.enabled"), &message, &fix);
    }
}

/// What an upsert lacks: the key, and the words.
fn upsert(subject: &Subject<'_>, words: &Rows) -> Option<(&'static str, String)> {
    let mode = subject.or(words.key_mode, "none").to_ascii_lowercase();
    let fields: Vec<&str> = subject.list(words.key_fields).collect();
    let told = |key, what: &str| Some((key, what.to_owned()));
    match mode.as_str() {
        "none" if subject.has(words.key_mode) => told(words.key_mode, "`none`: an upsert needs to know which row"),
        "none" => told(words.key_mode, "is missing; an upsert needs to know which row"),
        "kafka" => told(
            words.key_mode,
            "`kafka` makes a row for each record, so an order that is posted again is stored twice",
        ),
        "record_value" | "record_header" if fields.is_empty() => {
            told(words.key_fields, "is missing; it names the columns of the key")
        }
        // A key that is a text has no names in it.
        "record_key" if fields.is_empty() && subject.house => {
            told(words.key_fields, "is missing; the key of a record is a text, and its column needs a name")
        }
        _ if subject.list("topics").any(|topic| topic == ORDER_PLACED) && fields != [ORDER_ID] => {
            let named = subject.setting(words.key_fields);
            told(words.key_fields, &format!("`{named}` is not the key of {ORDER_PLACED}, {ORDER_ID}"))
        }
        _ => None,
    }
}

fn together(subject: &mut Subject<'_>, words: &Rows) {
    if !subject.setting("field.include.list").is_empty() && !subject.setting("field.exclude.list").is_empty() {
        let message = "is given together with field.include.list";
        subject.tell(&rules::CONFLICT, At::Key("field.exclude.list"), message, "keep one of the two");
    }
    let (least, most) =
        (subject.number("connection.pool.min_size", 0), subject.number("connection.pool.max_size", u64::MAX));
    if most < least {
        let message = format!("{least} is more than connection.pool.max_size, {most}");
        subject.tell(&rules::CONFLICT, At::Value("connection.pool.min_size"), &message, "make it the smaller one");
    }
    if words.table.iter().filter(|key| subject.has(key)).count() > 1 {
        let key = words.table.last().copied().unwrap_or_default();
        let message = format!("is given together with {}", words.table.first().copied().unwrap_or_default());
        subject.tell(&rules::CONFLICT, At::Key(key), &message, "keep the newer one");
    }
    let url = subject.setting("connection.url");
    if !url.is_empty() && !url.starts_with("jdbc:") && !driver::begins_with_placeholder(url) {
        let message = "is not the address of a database: it does not begin with jdbc:";
        subject.tell(
            &rules::BAD_VALUE,
            At::Value("connection.url"),
            message,
            "write jdbc:postgresql://HOST:PORT/DATABASE",
        );
    }
}

/// One statement for a batch: each row in it once, and only PostgreSQL has it.
fn unnest(subject: &mut Subject<'_>) {
    const UNNEST: &str = "dialect.postgres.unnest.insert.enabled";
    if !subject.is(UNNEST, "true") {
        return;
    }
    if subject.is("insert.mode", "upsert") && !subject.is("use.reduction.buffer", "true") {
        let message = "with upsert needs use.reduction.buffer, which keeps the last record of a key";
        let fix = "write \"use.reduction.buffer\": \"true\"";
        subject.tell(&rules::UNNEST_BUFFER, At::Key(UNNEST), message, fix);
    }
    let url = subject.setting("connection.url");
    if url.starts_with("jdbc:") && !url.starts_with("jdbc:postgresql:") {
        let message = "is PostgreSQL's, and the address is another database's";
        subject.tell(&rules::CONFLICT, At::Key(UNNEST), message, "take it out");
    }
}
