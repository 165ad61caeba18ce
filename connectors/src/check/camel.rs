//! What Camel's sink owes: one record at a time, acknowledged when it is stored, and no steering by a record's headers.

mod address;

use schemas::names::topics::ORDER_PLACED;

use super::{Subject, chain, documents, split, strict};
use crate::files::At;
use crate::rules;

pub(super) use address::Address;

const URL: &str = "camel.sink.url";
const PATTERN: &str = "camel.remove.headers.pattern";

pub(super) fn check(subject: &mut Subject<'_>) {
    puts_aside(subject);
    let Some(address) = Address::of(subject.setting(URL)) else {
        unjudged(subject);
        return;
    };
    address::check(subject, &address);
    if !subject.is("camel.error.handler", "no") {
        let message =
            if subject.has("camel.error.handler") { "must be \"no\"" } else { "is missing; it must be \"no\"" };
        let fix = "write \"camel.error.handler\": \"no\"; `connectors serve` tries again";
        subject.tell(&rules::CAMEL_ERROR_HANDLER, At::Value("camel.error.handler"), message, fix);
    }
    strict::within_poll_interval(
        subject,
        (("camel.error.handler.max.redeliveries", 0), ("camel.error.handler.redelivery.delay", 1000)),
    );
    let needed = address.id_headers();
    id(subject, &needed);
    // Which headers are allowed is known only where one of them names the document.
    if !needed.is_empty() {
        headers(subject, &needed, matches!(address, Address::Http { .. }));
    }
    form(subject);
    if !documents::filters_tombstones(subject) {
        let message = "has no Filter for RecordIsTombstone before the others";
        let fix = "add the predicate and the Filter, as orders-elasticsearch.json has them";
        subject.tell(&rules::TOMBSTONE, At::Key("transforms"), message, fix);
    }
    documents::provenance(subject);
}

fn unjudged(subject: &mut Subject<'_>) {
    let url = subject.setting(URL);
    let scheme = url.split([':', '?']).next().unwrap_or_default();
    let beginning =
        |component: &str| address::BEGINNINGS.into_iter().find(|start| start.split(':').next() == Some(component));
    let fix = "write camel.sink.url as elasticsearch:NAME?hostAddresses=…&operation=Index&indexName=…";
    if url.is_empty() && subject.setting("camel.sink.component").is_empty() {
        subject.required(URL, "it says where the documents go");
    } else if url.is_empty() {
        let message = "gives the address in parts";
        subject.tell(&rules::CAMEL_COMPONENT, At::Key("camel.sink.component"), message, fix);
    } else if let Some(start) = beginning(scheme) {
        let message = format!("does not begin with {start}");
        subject.tell(&rules::URL_OPTION, At::Value(URL), &message, &format!("begin it with {start}"));
    } else if let Some(near) = super::near(scheme, ["elasticsearch", "http", "https"].into_iter()) {
        let message = format!("`{scheme}` is not a component; did you mean {near}?");
        let fix = format!("begin it with {}", beginning(near).unwrap_or_default());
        subject.tell(&rules::URL_OPTION, At::Value(URL), &message, &fix);
    } else {
        subject.tell(&rules::CAMEL_COMPONENT, At::Value(URL), &format!("is of the component `{scheme}`"), fix);
    }
}

/// What acknowledges records that are not delivered.
fn puts_aside(subject: &mut Subject<'_>) {
    let aside = |key: &&str| key.starts_with("camel.aggregation.") || *key == "camel.beans.aggregate";
    for key in subject.keys().filter(aside) {
        let message = "puts records aside and acknowledges them before they are delivered";
        let fix = "take it out; one record at a time is the price of losing none";
        subject.tell(&rules::CAMEL_AGGREGATION, At::Key(key), message, fix);
    }
    if subject.is("camel.idempotency.enabled", "true") {
        let message = "passes over what it has seen before, an order that is posted again too";
        let fix = "take it out; the document's id makes a record that comes again harmless";
        subject.tell(&rules::SILENT_DROP, At::Key("camel.idempotency.enabled"), message, fix);
    }
}

/// Each header that names the document is made of a field of the record.
fn id(subject: &mut Subject<'_>, needed: &[&str]) {
    if needed.is_empty() {
        let message = "names no header as the document's id";
        let fix = "end the path in /_doc/${header.docId}, and make CamelHeader.docId of order_id";
        return subject.tell(&rules::NO_KEY, At::Value(URL), message, fix);
    }
    for (place, header) in needed.iter().enumerate() {
        let wanted = format!("CamelHeader.{header}");
        let Some((alias, field)) = made_of(subject, &wanted) else {
            let message = format!("no transform makes {wanted}, so each document gets an id by chance");
            let fix = format!(
                "add HeaderFrom$Value with \"fields\": \"order_id\", \"headers\": \"{wanted}\", \"operation\": \"copy\""
            );
            subject.tell(&rules::NO_KEY, At::Key("transforms"), &message, &fix);
            continue;
        };
        // The first one is the id; what follows is its version.
        if place == 0 && field != "order_id" && subject.list("topics").any(|topic| topic == ORDER_PLACED) {
            let message = format!("`{field}` is not the key of {ORDER_PLACED}, order_id");
            let key = format!("transforms.{alias}.fields");
            subject.tell(&rules::NO_KEY, At::Value(&key), &message, "write \"order_id\"");
        }
    }
}

/// The transform that makes a header, and the field that it is made of.
fn made_of<'d>(subject: &Subject<'d>, header: &str) -> Option<(&'d str, &'d str)> {
    subject.list("transforms").find_map(|alias| {
        let setting = |option: &str| subject.setting(&format!("transforms.{alias}.{option}"));
        let is_one = matches!(chain::short(setting("type")), "HeaderFrom$Value" | "HeaderFrom$Key");
        let pairs = split(setting("headers")).zip(split(setting("fields")));
        let mut fields = pairs.filter(|(name, _)| is_one && *name == header).map(|(_, field)| field);
        fields.next().map(|field| (alias, field))
    })
}

/// Camel's own headers come from the chain and from nobody else.
fn headers(subject: &mut Subject<'_>, needed: &[&str], http: bool) {
    let mut allowed = needed.to_vec();
    if http {
        allowed.push("Content-Type");
    }
    let right = match &allowed[..] {
        [one] => format!("(?!{one}$).*"),
        several => format!("(?!({})$).*", several.join("|")),
    };
    let fix = format!("write \"{PATTERN}\": \"{right}\"");
    let pattern = subject.setting(PATTERN);
    match kept(pattern) {
        _ if pattern.is_empty() => {
            subject.tell(
                &rules::INJECTED_HEADERS,
                At::Key(PATTERN),
                "is missing; a record's headers can redirect it",
                &fix,
            );
        }
        None => {
            let message = format!("`{pattern}` is not of a form that is known to remove all other headers");
            subject.tell(&rules::INJECTED_HEADERS, At::Value(PATTERN), &message, &fix);
        }
        Some(kept) => {
            for name in kept.iter().filter(|name| !allowed.contains(name)) {
                let message = format!("lets the header `{name}` through, which nothing here needs");
                subject.tell(&rules::INJECTED_HEADERS, At::Part(PATTERN, name), &message, &fix);
            }
            for name in needed.iter().filter(|name| !kept.contains(name)) {
                let message = format!("removes the header `{name}`, which names the document");
                subject.tell(&rules::NO_KEY, At::Value(PATTERN), &message, &fix);
            }
        }
    }
    if !subject.is("camel.map.properties", "false") {
        let message = "must be \"false\": a record's headers can set Camel's own properties";
        let fix = "write \"camel.map.properties\": \"false\"";
        subject.tell(&rules::INJECTED_HEADERS, At::Value("camel.map.properties"), message, fix);
    }
    if subject.is("camel.map.headers", "false") {
        let message = "`false` keeps the document's id from Camel as well";
        subject.tell(&rules::CONFLICT, At::Value("camel.map.headers"), message, "take it out");
    }
}

/// The headers that a pattern of the form `(?!(A|B)$).*` lets through.
fn kept(pattern: &str) -> Option<Vec<&str>> {
    let inside = pattern.strip_prefix("(?!")?.strip_suffix("$).*")?;
    let names = inside.strip_prefix('(').and_then(|names| names.strip_suffix(')')).unwrap_or(inside);
    let plain = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let names: Vec<&str> = names.split('|').collect();
    names.iter().all(plain).then_some(names)
}

/// The chain ends in plain JSON with decimals as numbers.
fn form(subject: &mut Subject<'_>) {
    const JSON: &str = "SchemaAndStructToJsonTransform";
    let of = |subject: &Subject<'_>, alias: &str| {
        chain::short(subject.setting(&format!("transforms.{alias}.type"))).to_owned()
    };
    let aliases: Vec<&str> = subject.list("transforms").collect();
    let Some(place) = aliases.iter().position(|alias| of(subject, alias) == JSON) else {
        let message = "has no transform that makes JSON of the record";
        let fix = format!("end the chain in org.apache.camel.kafkaconnector.transforms.{JSON}");
        return subject.tell(&rules::DOCUMENT_FORM, At::Key("transforms"), message, &fix);
    };
    let alias = aliases.get(place).copied().unwrap_or_default();
    for (option, value, what) in [
        ("schemas.enable", "false", "puts the schema into each document"),
        ("converter.type", "value", "makes JSON of the record's key"),
        ("decimal.format", "NUMERIC", "writes decimals as base64"),
    ] {
        let key = format!("transforms.{alias}.{option}");
        if !subject.is(&key, value) {
            let how =
                if subject.has(&key) { format!("`{}`", subject.setting(&key)) } else { "is missing, which".to_owned() };
            let fix = format!("write \"{key}\": \"{value}\"");
            subject.tell(&rules::DOCUMENT_FORM, At::Value(&key), &format!("{how} {what}"), &fix);
        }
    }
    for after in aliases.iter().skip(place + 1) {
        let class = of(subject, after);
        if class.ends_with("$Value") || class == "HeaderToValue" {
            let message = format!("comes after `{alias}`, which leaves text without fields");
            let fix = format!("put {after} before {alias} in `transforms`");
            let key = format!("transforms.{after}.type");
            subject.tell(&rules::TRANSFORM_CHAIN, At::Key(&key), &message, &fix);
        }
    }
}
