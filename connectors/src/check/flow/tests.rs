//! The shipped files fit, and each way in which they could not is told with the field and its place.

use std::fs;
use std::path::Path;

use super::*;

const FILES: [&str; 4] =
    ["orders-postgres.json", "orders-elasticsearch.json", "stores/order_placed.sql", "stores/order_placed.index.json"];

/// What is told after one text of a shipped file was replaced, as often as it stands there.
fn with(file: &str, from: &str, to: &str) -> Vec<String> {
    let texts = FILES.map(|name| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(!name.ends_with(file) || text.contains(from), "{from}");
        if name.ends_with(file) { text.replace(from, to) } else { text }
    });
    let files: Vec<(&str, &str)> = FILES.into_iter().zip(texts.iter().map(String::as_str)).collect();
    findings(&Folder::of(&files))
        .iter()
        .map(|found| format!("{}:{} {}", found.file, found.place.line, found.told()))
        .collect()
}

fn with_table(from: &str, to: &str) -> Vec<String> {
    with("order_placed.sql", from, to)
}

fn with_mapping(from: &str, to: &str) -> Vec<String> {
    with("order_placed.index.json", from, to)
}

#[test]
fn the_shipped_files_fit() {
    assert_eq!(with_table("text", "text"), [""; 0]);
}

#[test]
fn a_field_that_the_table_lacks_or_cannot_hold_is_named() {
    for (from, to, words) in [
        (
            "  region             text,\n",
            "",
            "stores/order_placed.sql:5 region: order_placed has this field (string); table order_placed has no such column",
        ),
        (
            "amount             numeric(15, 2)",
            "amount             numeric(9, 2)",
            "column order_placed.amount is numeric(9,2)",
        ),
        ("amount             numeric(15, 2)", "amount             integer", "sql:7 amount: "),
        (
            "received_offset    bigint",
            "received_offset    integer",
            "received_offset: order_placed has this field (long)",
        ),
        ("email              text,", "email              varchar(64),", "is varchar(64)"),
        ("region             text,", "region             text not null,", "is not null and the field may be null"),
        (
            "  transformed_by     text\n",
            "  transformed_by     text, gift boolean not null\n",
            "gift: column order_placed.gift is not null and has no default",
        ),
        ("  items              jsonb,\n", "", "items: order_placed has this field (JSON text)"),
    ] {
        let found = with_table(from, to);
        assert!(found.len() == 1 && found[0].contains(words), "{to:?}: {found:#?} lacks {words:?}");
    }
    // As the file's head says that a field is added.
    let later = "create index if not exists order_placed_by_created_at";
    let added = format!("alter table order_placed add column if not exists gift boolean default false; {later}");
    assert_eq!(with_table(later, &added), Vec::<String>::new());
    assert_eq!(
        with_table("region             text,", "\"region\" TEXT, -- a comment, with (all) of it\n"),
        Vec::<String>::new()
    );
}

#[test]
fn what_follows_the_columns_of_a_table_is_none() {
    for more in ["with (fillfactor = 80)", "partition by range (created_at)", "using heap"] {
        let found = |columns: &str| with_table("  transformed_by     text\n)", &format!("{columns}) {more}"));
        assert_eq!(found("  transformed_by text\n"), Vec::<String>::new(), "{more}");
        let found = found("  transformed_by text, gift boolean not null\n");
        assert!(found.len() == 1 && found[0].contains(" gift: "), "{more}: {found:#?}");
    }
}

/// What is told of a sink that writes only some fields by a list of its own, beside the shipped table.
fn with_list(file: &str, key: &str, names: &str) -> Vec<String> {
    let text = |of: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(of)).unwrap();
    // Items are left out by the list, not by transforms.
    let (from, to) = ("live,by,pick,name\"", format!("live,by\", \"{key}\": \"{names}\""));
    let sink = text(file);
    assert!(sink.contains(from), "{file}");
    let (sink, table) = (sink.replace(from, &to), text("stores/order_placed.sql"));
    let found = findings(&Folder::of(&[("sink.json", &sink), ("stores/order_placed.sql", &table)]));
    found.iter().map(|found| format!("{} | {}", found.told(), found.fix)).collect()
}

#[test]
fn a_sinks_own_list_of_fields_decides_what_reaches_the_table() {
    const CONFLUENT: (&str, &str) = ("examples/orders-confluent-jdbc.json", "fields.whitelist");
    const AIVEN: (&str, &str) = ("examples/orders-aiven-jdbc.json", "fields.whitelist");
    const INCLUDE: (&str, &str) = ("orders-postgres.json", "field.include.list");
    const EXCLUDE: (&str, &str) = ("orders-postgres.json", "field.exclude.list");
    // The key is written whatever a list says; the columns of all others may be null or have a default.
    let least = "amount, customer, created_at, received_at";
    let of_topic = "order_placed:amount,order_placed : customer,created_at,received_at";
    for ((file, key), names) in [
        (CONFLUENT, least),
        (AIVEN, least),
        (INCLUDE, least),
        (INCLUDE, of_topic),
        (EXCLUDE, "items,order_placed:items_json"),
        (EXCLUDE, "order_id,items,items_json"),
        (INCLUDE, "${env:FIELDS}"),
    ] {
        assert_eq!(with_list(file, key, names), Vec::<String>::new(), "{key} {names}");
    }
    for ((file, key), names, words) in [
        (CONFLUENT, "customer,created_at,received_at", "fields.whitelist leaves this field of order_placed out"),
        (CONFLUENT, "customer,created_at,received_at", "| add amount to fields.whitelist of orders-confluent-jdbc, "),
        (AIVEN, "customer,created_at,received_at", "| add amount to fields.whitelist of orders-aiven-jdbc, "),
        // These take no names with a topic.
        (CONFLUENT, "order_placed:amount,customer,created_at,received_at", "| add amount to fields.whitelist"),
        (INCLUDE, "orders.received:amount,customer,created_at,received_at", "| add amount to field.include.list"),
        (EXCLUDE, "amount,items,items_json", "| take amount out of field.exclude.list of orders-postgres, "),
        (EXCLUDE, "items,orders.received:items_json", "items_json: order_placed has this field (JSON text)"),
        (CONFLUENT, "amount,customer,created_at,received_at,items", "items: order_placed has this field"),
    ] {
        let found = with_list(file, key, names);
        assert!(found.len() == 1 && found[0].contains(words), "{key} {names}: {found:#?} lacks {words:?}");
    }
    // What columns are called is not known then.
    assert_eq!(with_list("orders-postgres.json", "column.naming.prefix", "o_"), Vec::<String>::new());
}

#[test]
fn a_field_that_the_mapping_lacks_or_cannot_take_is_named() {
    for (from, to, words) in [
        (
            "      \"region\": { \"type\": \"keyword\" },\n",
            "",
            "order_placed.index.json:11 region: order_placed has this field (string); the mapping of order_placed is strict",
        ),
        (
            r#""received_offset": { "type": "long" }"#,
            r#""received_offset": { "type": "integer" }"#,
            "is of type integer",
        ),
        (r#""quantity": { "type": "integer" },"#, "", "json:18 items.quantity: order_placed has this field (int)"),
        (r#""amount": { "type": "double" }"#, r#""amount": { "type": "long" }"#, "json:13 amount: "),
    ] {
        let found = with_mapping(from, to);
        assert!(found.len() == 1 && found[0].contains(words), "{to:?}: {found:#?} lacks {words:?}");
    }
    assert_eq!(with_mapping(r#""dynamic": "strict""#, r#""dynamic": "false""#), Vec::<String>::new());
}

#[test]
fn the_transforms_of_a_sink_decide_what_reaches_the_store() {
    let found = with("orders-postgres.json", "items_json:items", "items_json:lines");
    assert!(found.iter().any(|told| told.contains("lines: order_placed has this field (JSON text)")), "{found:#?}");
    for file in ["orders-postgres.json", "orders-elasticsearch.json"] {
        let found = with(file, "\"transformed_by\"", "\"made_by\"");
        assert!(found.len() == 1 && found[0].contains(" made_by: "), "{found:#?}");
    }
    // A transform that may do anything is not judged.
    let class = "org.apache.kafka.connect.transforms.ReplaceField$Value";
    assert_eq!(with("orders-postgres.json", class, "com.example.Anything"), Vec::<String>::new());
}
