//! What people read, and what programs go by.

use super::*;
use crate::rehearse::compare::OfExample;

fn field(name: &str, before: Option<&str>, after: Option<&str>) -> OfExample {
    let own = |text: Option<&str>| text.map(str::to_owned);
    OfExample { field: name.to_owned(), before: own(before), after: own(after) }
}

fn report() -> Report {
    let change = |before: &str, after: &str, rows| Change {
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        rows,
    };
    let region = OfField {
        field: "region".to_owned(),
        rows: 1_300,
        changes: vec![change("null", "\"EMEA\"", 1_200), change("null", "\"AMER\"", 60)],
        others: 40,
    };
    let example = Example {
        key: "order-1\u{1b}[2J".to_owned(),
        made_by: MadeBy::Both,
        fields: vec![field("region", Some("null"), Some("\"EMEA\""))],
    };
    let alone =
        Example { key: "order-2".to_owned(), made_by: MadeBy::Live, fields: vec![field("amount", Some("1.00"), None)] };
    let poison = Poison {
        record: Address::new("order_placed", 3, 17),
        key: Some("order-2".to_owned()),
        stage: "TASK_PUT",
        class: "x.Y".to_owned(),
        message: "no such column".to_owned(),
        sides: vec![Side::Edited],
    };
    Report {
        name: "orders-postgres".to_owned(),
        file: "connectors/orders-postgres.json".to_owned(),
        store: Store { kind: "table", name: "order_placed".to_owned(), live: Some("order_placed".to_owned()) },
        records: Records {
            count: 12_345,
            topics: vec!["a".to_owned(), "b".to_owned()],
            oldest: Some("2026-01-01T00:00:00Z".to_owned()),
            newest: Some("2026-01-02T00:00:00Z".to_owned()),
        },
        difference: Difference {
            live_rows: 12_345,
            edited_rows: 12_344,
            differing: 1_300,
            only_live: 1,
            fields: vec![region],
            examples: vec![example, alone],
            ..Difference::default()
        },
        poison: vec![poison],
        rates: vec![
            Rate::of(Side::Edited, 100, Duration::from_secs(2)),
            Rate::of(Side::Live, 100, Duration::from_millis(1)),
        ],
        notes: vec!["a note".to_owned()],
        seconds: 12.3,
        ..Report::default()
    }
}

#[test]
fn people_read_what_becomes_what_and_see_no_control_characters() {
    let expected = "\
connectors/orders-postgres.json on the newest 12,345 records of a, b
  written from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z

1,300 of 12,345 rows differ
  region in 1,300: null -> \"EMEA\" (1,200), null -> \"AMER\" (60), 40 others
1 row only now, not with the file

order-1\u{fffd}[2J
  region: null -> \"EMEA\"

order-2, only now
  amount: 1.00

not taken: 1 record
  order_placed/3/17 (order-2), only with the file: TASK_PUT: x.Y: no such column

one record at a time: 50/s with the file
note: a note
everything temporary is removed; 12 s
";
    assert_eq!(text(&report()), expected);
}

#[test]
fn the_exit_code_tells_no_difference_from_one_and_from_not_knowing() {
    let none = Report { difference: Difference::default(), poison: Vec::new(), ..report() };
    let cut = Report { incomplete: Some("edited: 3 of 9".to_owned()), ..none.clone() };
    let poison = Report { difference: Difference::default(), incomplete: cut.incomplete.clone(), ..report() };
    let codes = [&none, &cut, &poison, &report()].map(Report::exit_code);
    assert_eq!(codes, [0, 1, 2, 2]);
    assert!(text(&cut).contains("not compared: edited: 3 of 9\n"));
    assert!(text(&Report { is_new: true, ..none }).contains("orders-postgres is new; it would make 0 rows\n"));
}

#[test]
fn what_is_left_is_named() {
    let left = Report { left: vec!["table t: busy".to_owned()], ..report() };
    assert!(text(&left).ends_with("removes it: table t: busy\n"));
}
