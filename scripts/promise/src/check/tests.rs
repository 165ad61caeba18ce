//! The checker is checked: a small world in which all is well, and one thing broken at a time.

use super::*;
use crate::decimal::Cents;
use crate::ledger::{Answer, Entry, Told};
use crate::row::{Row, Value, Version};
use crate::world::{Fate, Letter, Origin, Placed, Received, Store, Stored, WrongClock};

const MODULES: &str = "clean@1.0.0+sha256:0123456789ab,enrich@1.0.0+sha256:ba9876543210";
const OTHERS: &str = "mine@6.6.6+sha256:666666666666";

/// There is one partition.
fn version(offset: i64) -> Version {
    Version { partition: 0, offset }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn received_row(id: &str, cents: i128) -> Row {
    let mut row = Row::default();
    row.set("order_id", text(id));
    row.set("amount", Value::Money(Cents(cents)));
    row.set("created_at", Value::Receipt);
    row
}

fn placed_row(id: &str, cents: i128) -> Row {
    let mut row = received_row(id, cents);
    row.set("home_currency", text("USD"));
    row
}

/// The row as the processor and the stores have it.
fn stored_row(id: &str, cents: i128, at: Version) -> Row {
    let mut row = placed_row(id, cents);
    row.set("created_at", Value::Whole(1_000));
    row.set("received_at", Value::Whole(1_000));
    row.set("received_partition", Value::Whole(i64::from(at.partition)));
    row.set("received_offset", Value::Whole(at.offset));
    row
}

fn key(id: &str) -> Option<Vec<u8>> {
    Some(id.as_bytes().to_vec())
}

/// A POST that made the record at `offset` of `orders.received`, whatever its answer was.
fn post(world: &mut World, id: &str, cents: i128, outcome: Outcome, offset: i64, reject: Option<&str>) {
    let seq = world.posts.len() as u64;
    let ok = outcome == Outcome::Ok;
    let receipt = ok.then_some(version(offset));
    let told = Told { order_id: Some(id.to_owned()), request_id: Some(id.to_owned()), schema_id: Some(7) };
    let told = if ok { told } else { Told::default() };
    let answer = Answer { outcome, receipt, told, ..Answer::unknown(ok.then_some(202), "") };
    let (id_text, body) = (id.to_owned(), Vec::new());
    world.posts.push(Entry {
        seq,
        id: id_text,
        class: "valid".to_owned(),
        content_type: "application/json".to_owned(),
        body,
        intended_ms: 999,
        sent_ms: 999,
        done_ms: Some(1_001),
        answer,
    });
    let received = received_row(id, cents);
    let verdict = match reject {
        Some(reason) => Verdict::Reject { received, reason: reason.to_owned() },
        None => Verdict::Place { received, placed: placed_row(id, cents) },
    };
    world.verdicts.insert(seq, verdict);
    let mut row = received_row(id, cents);
    row.set("created_at", Value::Whole(1_000));
    row.set("received_at", Value::Whole(1_000));
    let value = Some([&[0, 0, 0, 0, 7][..], id.as_bytes()].concat());
    let headers = vec![header(headers::REQUEST_ID, id), header("CamelHeader.operation", "Delete")];
    let received = Received { at: version(offset), key: key(id), value: value.clone(), headers, row: Ok(row) };
    world.received.push(received);
    if let Some(reason) = reject {
        let mut dead = letter(topics::ORDERS_RECEIVED, offset, id, value, &format!("clean: {reason} is bad"));
        dead.headers.insert(0, header(headers::REQUEST_ID, id));
        dead.headers.insert(1, header("CamelHeader.operation", "Delete"));
        world.dead.push(dead);
    } else {
        let row = Ok(stored_row(id, cents, version(offset)));
        let at = version(offset + 100);
        let headers = vec![header(headers::REQUEST_ID, id), header(headers::MODULES, MODULES)];
        let value = Some(format!("{id} as it is placed").into_bytes());
        world.placed.push(Placed { at, key: key(id), value, row, headers });
        world.uncommitted.insert(version(offset));
        for store in Store::ALL {
            let mut row = stored_row(id, cents, version(offset));
            row.set("transformed_by", text(MODULES));
            let stored = world.stores.entry(store).or_default();
            stored.retain(|stored| stored.key != id);
            stored.push(Stored { key: id.to_owned(), row });
        }
    }
    world.committed.insert(0, offset + 1);
}

use schemas::names::{headers, topics};

fn header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}

fn letter(topic: &str, offset: i64, id: &str, value: Option<Vec<u8>>, reason: &str) -> Letter {
    let origin = Some(Origin { topic: topic.to_owned(), at: version(offset) });
    let headers = vec![header(headers::ERROR_MESSAGE, reason)];
    Letter { at: version(offset), origin, key: key(id), value, headers, reason: reason.to_owned() }
}

/// `a` once, `b` twice, `c` rejected, `d` with an unknown end and there, `e` with an unknown end and not there.
fn good() -> World {
    let mut world = World { modules: MODULES.to_owned(), partitions: 1, ..World::default() };
    post(&mut world, "a", 1_250, Outcome::Ok, 0, None);
    post(&mut world, "b", 100, Outcome::Ok, 1, None);
    post(&mut world, "b", 200, Outcome::Ok, 2, None);
    post(&mut world, "c", 300, Outcome::Ok, 3, Some("currency"));
    post(&mut world, "d", 400, Outcome::Info, 4, None);
    let lost = Answer { persisted: "possibly".to_owned(), ..Answer::unknown(Some(504), "") };
    let entry = Entry { seq: 5, id: "e".to_owned(), answer: lost, ..world.posts.first().cloned().unwrap() };
    world.posts.push(entry);
    world.verdicts.insert(5, Verdict::Place { received: received_row("e", 1), placed: placed_row("e", 1) });
    world
}

fn store(world: &mut World, store: Store) -> &mut Vec<Stored> {
    world.stores.get_mut(&store).unwrap()
}

/// Breaks the good world, and expects exactly these counters to rise.
fn check_broken(name: &str, break_it: impl Fn(&mut World), counters: &[Counter]) {
    let mut world = good();
    break_it(&mut world);
    let findings = check(&world);
    let risen: Vec<Counter> = Counter::ALL.into_iter().filter(|counter| findings.count(*counter) > 0).collect();
    assert_eq!(risen, counters, "{name}\n{findings}");
}

#[test]
fn a_world_in_which_all_is_well_counts_zero() {
    let findings = check(&good());
    assert!(findings.all_zero(), "{findings}");
}

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

#[test]
fn a_receipt_by_a_clock_that_was_known_to_be_wrong_is_right_then_and_not_at_other_times() {
    let mut world = good();
    for post in &mut world.posts {
        post.sent_ms -= HOUR;
        post.done_ms = post.done_ms.map(|done| done - HOUR);
    }
    assert_ne!(check(&world).count(Counter::Wrong), 0);
    let clock = |from_ms, until_ms| WrongClock { from_ms, until_ms, ahead_ms: HOUR };
    world.clocks = vec![clock(0, i64::MAX), clock(i64::MIN, -2 * HOUR)];
    assert_ne!(check(&world).count(Counter::Wrong), 0);
    world.clocks = vec![clock(-HOUR, 0)];
    let findings = check(&world);
    assert!(findings.all_zero(), "{findings}");
}

#[test]
fn a_deleted_row_a_doubled_one_a_changed_cent_and_a_swapped_version_are_seen() {
    for which in Store::ALL {
        let name = which.to_string();
        check_broken(&name, |world| drop(store(world, which).remove(0)), &[Counter::Lost, Counter::Mismatch]);
        let double = |world: &mut World| {
            let again = store(world, which).first().cloned().unwrap();
            store(world, which).push(again);
        };
        check_broken(&name, double, &[Counter::Duplicate]);
        let cent = |world: &mut World| store(world, which)[0].row.set("amount", Value::Money(Cents(1_251)));
        check_broken(&name, cent, &[Counter::Wrong, Counter::Mismatch]);
        let swap = |world: &mut World| {
            let mut row = stored_row("b", 100, version(1));
            row.set("transformed_by", text(MODULES));
            store(world, which)[1].row = row;
        };
        check_broken(&name, swap, &[Counter::Lost, Counter::Mismatch]);
    }
}

#[test]
fn a_changed_cent_in_both_stores_is_still_wrong() {
    let both = |world: &mut World| {
        for which in Store::ALL {
            store(world, which)[0].row.set("amount", Value::Money(Cents(1_251)));
        }
    };
    check_broken("both", both, &[Counter::Wrong]);
}

#[test]
fn what_nobody_was_promised_is_a_phantom() {
    let stranger = |world: &mut World| {
        for which in Store::ALL {
            let mut row = stored_row("x", 1, version(77));
            row.set("transformed_by", text(MODULES));
            store(world, which).push(Stored { key: "x".to_owned(), row });
        }
    };
    check_broken("a stranger in both stores", stranger, &[Counter::Phantom]);
    let aborted = |world: &mut World| {
        stranger(world);
        world.uncommitted.insert(version(77));
    };
    check_broken("the same from an aborted transaction", aborted, &[Counter::AbortedRead]);
    let denied = |world: &mut World| world.posts[4].answer.outcome = Outcome::Fail;
    check_broken("an order that was answered with no", denied, &[Counter::Phantom]);
    let twice = |world: &mut World| {
        post(world, "d", 400, Outcome::Info, 9, None);
        world.posts.pop();
        world.committed.insert(0, 10);
    };
    check_broken("a POST with an unknown end, there twice", twice, &[Counter::Phantom]);
}

#[test]
fn the_output_topic_is_counted() {
    let gone = |world: &mut World| drop(world.placed.remove(1));
    check_broken("an older version without an output", gone, &[Counter::Lost, Counter::Integrity]);
    let double = |world: &mut World| {
        let again = Placed { at: version(500), ..world.placed.last().cloned().unwrap() };
        world.placed.push(again);
    };
    check_broken("an output twice", double, &[Counter::Duplicate, Counter::Integrity]);
    let inverted = |world: &mut World| {
        world.placed[1].at.offset = 102;
        world.placed[2].at.offset = 101;
    };
    check_broken("two versions the wrong way round", inverted, &[Counter::Inversion]);
    for (name, headers) in [
        ("a header that names no digest", vec![header(headers::REQUEST_ID, "b"), header(headers::MODULES, "clean")]),
        ("modules that do not run", vec![header(headers::REQUEST_ID, "b"), header(headers::MODULES, OTHERS)]),
        ("a header named twice", vec![header(headers::MODULES, OTHERS), header(headers::MODULES, MODULES)]),
        ("the request id gone", vec![header(headers::MODULES, MODULES)]),
    ] {
        check_broken(name, |world: &mut World| world.placed[1].headers = headers.clone(), &[Counter::Wrong]);
    }
    let rekeyed = |world: &mut World| world.placed[1].key = key("a");
    check_broken("an output under another key", rekeyed, &[Counter::Wrong]);
    let behind = |world: &mut World| assert!(world.committed.insert(0, 4).is_some());
    check_broken("an offset that was not committed", behind, &[Counter::Integrity]);
}

#[test]
fn dead_letters_are_counted_by_where_they_come_from() {
    let gone = |world: &mut World| world.dead.clear();
    check_broken("no dead letter", gone, &[Counter::Lost, Counter::Integrity]);
    let double = |world: &mut World| world.dead.push(world.dead[0].clone());
    check_broken("twice", double, &[Counter::Duplicate, Counter::Integrity]);
    let other = |world: &mut World| world.dead[0].reason = "customer".to_owned();
    check_broken("another reason", other, &[Counter::Wrong]);
    let bare = |world: &mut World| drop(world.dead[0].headers.remove(1));
    check_broken("a header lost", bare, &[Counter::Wrong]);
    let changed = |world: &mut World| world.dead[0].value = Some(b"changed".to_vec());
    check_broken("a changed value", changed, &[Counter::Wrong]);
    let good = |world: &mut World| {
        assert!(
            world
                .verdicts
                .insert(3, Verdict::Place { received: received_row("c", 300), placed: placed_row("c", 300) })
                .is_some()
        );
    };
    check_broken("a good order", good, &[Counter::Wrong]);
    let dropped = |world: &mut World| world.dropped = std::mem::take(&mut world.dead);
    check_broken("a marker in its place", dropped, &[]);
}

/// This store was to refuse what lies there in `order_placed`, and has a copy in its dead letters.
fn refuse(world: &mut World, which: Store, offset: i64) {
    let placed = world.placed.iter().find(|placed| placed.at == version(offset)).cloned().unwrap();
    let mut letter = letter(topics::ORDER_PLACED, offset, "", placed.value, "refused by the store");
    letter.key = placed.key;
    letter.headers = [placed.headers, letter.headers].concat();
    world.sink_dead.entry(which).or_default().push(letter);
    world.refused.entry(which).or_default().insert(version(offset), "By the store".to_owned());
}

/// PostgreSQL has a letter in the place of order `a`.
fn refused_a(world: &mut World) {
    store(world, Store::Postgres).retain(|stored| stored.key != "a");
    refuse(world, Store::Postgres, 100);
}

#[test]
fn a_sinks_dead_letter_explains_what_its_store_lacks() {
    check_broken("once", refused_a, &[]);
    let twice = |world: &mut World| {
        refused_a(world);
        refuse(world, Store::Postgres, 100);
    };
    check_broken("twice", twice, &[Counter::Duplicate]);
    let older = |world: &mut World| {
        let mut row = stored_row("b", 100, version(1));
        row.set("transformed_by", text(MODULES));
        store(world, Store::Elasticsearch)[1].row = row;
        refuse(world, Store::Elasticsearch, 102);
    };
    check_broken("the newest version is dead, the older one stays", older, &[]);
    let missing = |world: &mut World| {
        refuse(world, Store::Postgres, 100);
        world.sink_dead.clear();
    };
    check_broken("it is stored, and was to be refused", missing, &[Counter::Lost]);
}

#[test]
fn a_sinks_dead_letter_is_a_copy_of_what_was_to_be_refused() {
    type Change = fn(&mut Letter);
    let changes: [(&str, Change); 6] = [
        ("nothing in it", |letter| letter.value = None),
        ("another value", |letter| letter.value = Some(b"another".to_vec())),
        ("another key", |letter| letter.key = key("b")),
        ("a header lost", |letter| drop(letter.headers.remove(0))),
        ("another reason", |letter| letter.reason = "another".to_owned()),
        ("no kind of failure", |letter| letter.reason = ": refused by the store".to_owned()),
    ];
    for (name, change) in changes {
        let changed = |world: &mut World| {
            refused_a(world);
            world.sink_dead.values_mut().flatten().for_each(change);
        };
        check_broken(name, changed, &[Counter::Wrong]);
    }
    let good = |world: &mut World| {
        refused_a(world);
        world.refused.clear();
    };
    check_broken("a good order", good, &[Counter::Wrong]);
    let all_good = |world: &mut World| {
        for which in Store::ALL {
            store(world, which).clear();
            for offset in [100, 101, 102, 104] {
                refuse(world, which, offset);
            }
        }
        world.sink_dead.values_mut().flatten().for_each(|letter| letter.value = None);
        world.refused.clear();
    };
    check_broken("empty letters of all good orders", all_good, &[Counter::Wrong]);
}

#[test]
fn what_a_store_is_to_refuse_is_nobodys_order() {
    let poison = |world: &mut World| {
        let (at, value) = (version(300), Some(b"no Avro".to_vec()));
        world.placed.push(Placed { at, key: key("p"), value, row: Err("no frame".to_owned()), headers: Vec::new() });
        for which in Store::ALL {
            refuse(world, which, 300);
        }
    };
    check_broken("a letter in each store", poison, &[]);
    let unannounced = |world: &mut World| {
        poison(world);
        world.refused.clear();
    };
    check_broken("nobody planted it", unannounced, &[Counter::Wrong]);
    let skipped = |world: &mut World| {
        poison(world);
        world.sink_dead.remove(&Store::Postgres);
    };
    check_broken("passed over without a copy", skipped, &[Counter::Lost]);
}

#[test]
fn a_receipt_says_nothing_that_is_not_so() {
    type Change = fn(&mut Told);
    let changes: [(&str, Change, &[Counter]); 4] = [
        ("another order", |told| told.order_id = Some("b".to_owned()), &[Counter::Wrong]),
        ("another request", |told| told.request_id = Some("b".to_owned()), &[Counter::Wrong]),
        ("another schema", |told| told.schema_id = Some(8), &[Counter::Wrong]),
        ("the place alone, as in older ledgers", |told| *told = Told::default(), &[]),
    ];
    for (name, change, counters) in changes {
        check_broken(name, |world| change(&mut world.posts[0].answer.told), counters);
        let by_content = |world: &mut World| {
            world.posts[0].answer.receipt = None;
            change(&mut world.posts[0].answer.told);
        };
        check_broken(&format!("{name}, without a place"), by_content, counters);
    }
    let noted = |world: &mut World| world.posts[0].answer.note = "the receipt has no orderId".to_owned();
    check_broken("something is missing", noted, &[Counter::Wrong]);
    // Of twelve partitions none of these ids belongs into the first.
    let elsewhere = |world: &mut World| world.partitions = 12;
    check_broken("another partition than that of the id", elsewhere, &[Counter::Phantom, Counter::Wrong]);
}

#[test]
fn the_input_topic_is_held_against_the_ledger() {
    let unwritten = |world: &mut World| {
        world.received.remove(0);
        world.placed.remove(0);
        for which in Store::ALL {
            store(world, which).remove(0);
        }
    };
    check_broken("202 and nowhere", unwritten, &[Counter::Lost]);
    let late = |world: &mut World| world.posts[0].sent_ms = 2_000;
    check_broken("received before it was sent", late, &[Counter::Wrong]);
    let after = |world: &mut World| world.posts[0].done_ms = Some(500);
    check_broken("received after it was answered", after, &[Counter::Wrong]);
    let given_up = |world: &mut World| world.posts[4].done_ms = Some(500);
    check_broken("received after its client gave up", given_up, &[]);
    let taken =
        |world: &mut World| drop(world.verdicts.insert(0, Verdict::Refuse { status: 422, rule: "x".to_owned() }));
    check_broken("taken against the rules", taken, &[Counter::Wrong, Counter::Misanswered]);
    let refused = |world: &mut World| {
        world.posts[5].answer = Answer { persisted: "no".to_owned(), ..Answer::unknown(Some(422), "") };
    };
    check_broken("refused against the rules", refused, &[Counter::Misanswered]);
    for (status, persisted, counters) in [
        (504, "", &[Counter::Misanswered][..]),
        (500, "possibly", &[Counter::Misanswered]),
        (503, "no", &[]),
        (503, "perhaps", &[Counter::Misanswered]),
    ] {
        let evasive = |world: &mut World| {
            world.posts[5].answer = Answer { persisted: persisted.to_owned(), ..Answer::unknown(Some(status), "") };
        };
        check_broken(&format!("{status} {persisted}"), evasive, counters);
    }
}

#[test]
fn what_a_test_plants_has_its_fate() {
    let plant = |world: &mut World, reason: &str| {
        let value = Some(b"junk".to_vec());
        world.received.push(Received {
            at: version(5),
            key: None,
            value: value.clone(),
            headers: Vec::new(),
            row: Err("no frame".to_owned()),
        });
        let mut dead = letter(topics::ORDERS_RECEIVED, 5, "", value, "Not framed for the registry");
        dead.key = None;
        world.dead.push(dead);
        world.committed.insert(0, 6);
        world.planted.insert(version(5), Fate::DeadLetter(reason.to_owned()));
    };
    check_broken("poison", |world| plant(world, "not framed"), &[]);
    check_broken("poison with another reason", |world| plant(world, "unknown id"), &[Counter::Wrong]);
    let unplanted = |world: &mut World| {
        plant(world, "");
        world.planted.clear();
    };
    check_broken("nobody planted it", unplanted, &[Counter::Phantom]);
}
