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
