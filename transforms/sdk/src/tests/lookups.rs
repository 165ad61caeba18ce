//! A transform that looks its records up: the host is asked once a table, and each record gets its own answer.

use transform_frame::{BatchWriter, RecordParts, Verdict as Framed, Verdicts};

use crate::{prelude::*, testing};

fn by_text(record: &Everything, (): &()) -> Option<Vec<u8>> {
    Some(record.text.clone().into_bytes()).filter(|key| !key.is_empty())
}

fn by_number(record: &Everything, (): &()) -> Option<Vec<u8>> {
    Some(record.long.to_string().into_bytes())
}

#[transform(
    schema = "src/tests/everything.avsc",
    name = "looks-up",
    lookup(table = "texts", key = by_text),
    lookup(table = "numbers", key = by_number)
)]
fn looks_up(_record: Everything, _config: &(), input: &Input<'_>) -> Verdict<Everything> {
    let found = |table| input.found(table).map_or("nothing", |value| std::str::from_utf8(value).unwrap());
    reject(format!("{} {} {}", found("texts"), found("numbers"), found("others")))
}

fn judged(records: &[(&str, i64)]) -> Vec<String> {
    let mut batch = BatchWriter::with_capacity(0);
    for (text, long) in records {
        let mut value = Vec::new();
        let record = Everything { text: (*text).into(), long: *long, ..Everything::default() };
        crate::Datum::write(&record, &mut crate::Writer(&mut value)).unwrap();
        let headers = std::iter::empty::<(&str, Option<&[u8]>)>();
        batch.record(&RecordParts { key: None, value: &value, timestamp_ms: 0, headers }).unwrap();
    }
    // One that cannot be read is looked up nowhere, and disturbs nobody.
    let headers = std::iter::empty::<(&str, Option<&[u8]>)>();
    batch.record(&RecordParts { key: None, value: &[9; 3], timestamp_ms: 0, headers }).unwrap();
    let frame = crate::process::<__transform>(&(), &batch.finish()).unwrap();
    let reason = |verdict: Result<Framed<'_>, _>| match verdict {
        Ok(Framed::Reject(reason)) => reason.to_owned(),
        other => panic!("{other:?}"),
    };
    Verdicts::parse(&frame).unwrap().map(reason).collect()
}

#[test]
fn each_record_gets_what_the_tables_have_under_its_keys() {
    testing::table("texts", &[("a", "A"), ("b", "B")]);
    testing::table("numbers", &[("1", "one")]);
    let broken = "cannot read the record: expected a boolean at byte 0 of the datum";
    let expected = ["A nothing nothing", "nothing one nothing", "B one nothing", "nothing nothing nothing", broken];
    assert_eq!(judged(&[("a", 0), ("", 1), ("b", 1), ("c", 2)]), expected);
}

#[test]
fn a_table_that_is_not_there_rejects_and_says_which() {
    testing::table("texts", &[]);
    let words = "lookup `numbers`: the pipeline has no table of this name";
    assert_eq!(judged(&[("a", 0)]), [words, words]);
}

#[test]
fn a_test_gives_the_third_argument() {
    let given = testing::Given::with("key", 7, &[("name", "value")]).found("texts", "A");
    let input = given.input();
    assert_eq!((input.key(), input.timestamp_ms(), input.headers().count()), (Some(&b"key"[..]), 7, 1));
    assert_eq!(looks_up(Everything::default(), &(), &input), reject("A nothing nothing"));
}
