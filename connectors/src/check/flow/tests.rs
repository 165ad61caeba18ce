//! The shipped files fit, and each way in which they could not is told with the field.

use std::path::Path;

use super::*;
use crate::files;

fn shipped() -> Deployment {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    files::read(folder).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// What is told after one text of the shipped table was replaced.
fn with_table(from: &str, to: &str) -> Vec<String> {
    let mut all = shipped();
    assert!(all.tables[0].sql.contains(from), "{from}");
    all.tables[0].sql = all.tables[0].sql.replacen(from, to, 1);
    faults(&all).iter().map(ToString::to_string).collect()
}

/// What is told after one text of the shipped mapping was replaced.
fn with_mapping(from: &str, to: &str) -> Vec<String> {
    let mut all = shipped();
    let text = all.indexes[0].body.to_string();
    assert!(text.contains(from), "{from} is not in {text}");
    all.indexes[0].body = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
    faults(&all).iter().map(ToString::to_string).collect()
}

#[test]
fn the_shipped_files_fit() {
    assert_eq!(faults(&shipped()), Vec::new());
}

#[test]
fn a_field_that_the_table_lacks_or_cannot_hold_is_named() {
    for (from, to, words) in [
        (
            "  region             text,\n",
            "",
            "order_placed.sql: region: order_placed has this field (string); table order_placed has no such column",
        ),
        ("  region             text,\n", "", "add `region text`"),
        (
            "amount             numeric(15, 2)",
            "amount             numeric(9, 2)",
            "column order_placed.amount is numeric(9,2)",
        ),
        ("amount             numeric(15, 2)", "amount             integer", "make it numeric(15, 2)"),
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
            r#""region":{"type":"keyword"},"#,
            "",
            "order_placed.index.json: region: order_placed has this field (string); the mapping is strict",
        ),
        (r#""received_offset":{"type":"long"}"#, r#""received_offset":{"type":"integer"}"#, "is of type integer"),
        (r#""quantity":{"type":"integer"},"#, "", "items.quantity: order_placed has this field (int)"),
        (r#""amount":{"type":"double"}"#, r#""amount":{"type":"long"}"#, "make it double"),
    ] {
        let found = with_mapping(from, to);
        assert!(found.len() == 1 && found[0].contains(words), "{to:?}: {found:#?} lacks {words:?}");
    }
    assert_eq!(with_mapping(r#""dynamic":"strict""#, r#""dynamic":"false""#), Vec::<String>::new());
}

#[test]
fn the_transforms_of_a_sink_decide_what_reaches_the_store() {
    let changed = |key: &str, value: &str| {
        let mut all = shipped();
        for sink in &mut all.sinks {
            if sink.settings.contains_key(key) {
                sink.settings.insert(key.to_owned(), value.to_owned());
            }
        }
        faults(&all).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let found = changed("transforms.name.renames", "items_json:lines");
    assert!(found.iter().any(|fault| fault.contains("lines: order_placed has this field (JSON text)")), "{found:#?}");
    let found = changed("transforms.by.fields", "made_by");
    assert_eq!(found.iter().filter(|fault| fault.contains(": made_by: ")).count(), 2, "{found:#?}");
    // A transform that may do anything is not judged.
    assert_eq!(changed("transforms.name.type", "com.example.Anything"), Vec::<String>::new());
}
