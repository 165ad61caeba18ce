//! Verdicts, case by case.

use serde_json::json;

use super::*;
use crate::verify::order::Placed;

/// An order whose name is the only field that a test changes.
fn stored(offset: i64, name: &str) -> Value {
    json!({ "order_id": "o", "amount": 1, "name": name, "received_at": 7, "received_partition": 0,
        "received_offset": offset })
}

fn placed(offset: i64, name: &str) -> Placed {
    let fields = stored(offset, name);
    let fields: Vec<_> = fields
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, value)| schemas::fields::Field {
            path: path.clone(),
            json: value.to_string(),
            read: (path == "received_at").then(String::new),
        })
        .collect();
    Placed::of(&fields, None).unwrap()
}

fn seen(offset: i64, name: &str, at: i64) -> Seen {
    let placed = placed(offset, name);
    let digest = digest(&placed.cells);
    Seen { version: (0, offset), at, received_at: 7, amount: 100, digest, schema: 1, met: 0 }
}

#[test]
fn an_order_is_wrong_only_if_its_newest_version_is_due_and_no_dead_letter() {
    let known = BTreeMap::from([(1, placed(0, "").known)]);
    let (old, new) = (seen(3, "old", 10), seen(5, "new", 20));
    let both = [new, old];
    // What the topic says, which offset of a receipt is a dead letter, how far the sink is, what the store holds.
    let wrong = |kind, wanted| Verdict::Wrong(kind, Some(wanted));
    for (name, history, letter, next, held, expected) in [
        ("it is there", &both[..], None, 99, Some(stored(5, "new")), Verdict::Fine),
        ("missing", &both, None, 99, None, wrong(Kind::Missing, new)),
        ("stale", &both, None, 99, Some(stored(3, "old")), wrong(Kind::Stale, new)),
        (
            "stale, of a version that is not in the topic",
            &both,
            None,
            99,
            Some(stored(4, "x")),
            wrong(Kind::Stale, new),
        ),
        ("another field", &both, None, 99, Some(stored(5, "neu")), wrong(Kind::Different, new)),
        ("newer than what was read", &both, None, 99, Some(stored(6, "x")), Verdict::Ahead),
        ("on its way", &both, None, 20, Some(stored(3, "old")), Verdict::NotDue),
        ("the newer one mends whatever is there", &both, None, 20, None, Verdict::NotDue),
        ("a dead letter, and the older one is there", &both, Some(5), 99, Some(stored(3, "old")), Verdict::Fine),
        ("a dead letter, and the older one is not", &both, Some(5), 99, None, wrong(Kind::Missing, old)),
        ("a dead letter that somebody sent again", &both, Some(5), 99, Some(stored(5, "new")), Verdict::Fine),
        ("the only one is a dead letter", &both[..1], Some(5), 99, None, Verdict::Fine),
        ("not in the topic", &[], None, 99, Some(stored(5, "new")), Verdict::Wrong(Kind::Surplus, None)),
        ("nowhere", &[], None, 99, None, Verdict::Fine),
        ("without a version", &both, None, 99, Some(json!({})), wrong(Kind::Different, new)),
    ] {
        let is_letter = |seen: &Seen| Some(seen.version.1) == letter;
        let verdict = judge(history, held.as_ref(), &known, is_letter, |seen| seen.at < next);
        assert_eq!(verdict, expected, "{name}");
    }
}

#[test]
fn what_is_too_much_to_hold_is_counted() {
    let mut suspects = Suspects::default();
    let suspect = |from| Suspect { key: None, partition: Some(0), from };
    for id in 0..Id::try_from(MOST).unwrap() + 3 {
        suspects.add(Store::PostgreSql, id, suspect(Some(5)));
    }
    suspects.add(Store::PostgreSql, 0, suspect(Some(2)));
    assert_eq!((suspects.len(), suspects.beyond[&Store::PostgreSql]), (MOST, 3));
    assert_eq!(suspects.all[&(Store::PostgreSql, 0)].from, Some(2));
}
