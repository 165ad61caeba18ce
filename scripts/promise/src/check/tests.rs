//! The checker is checked: a small world in which all is well, and one thing broken at a time.

use super::*;
use crate::decimal::Cents;
use crate::ledger::{Answer, Entry};
use crate::row::{Row, Value, Version};
use crate::world::{Fate, Letter, Origin, Placed, Received, Store, Stored, WrongClock};

const MODULES: &str = "clean@1.0.0+sha256:0123456789ab,enrich@1.0.0+sha256:ba9876543210";
const OTHERS: &str = "mine@6.6.6+sha256:666666666666";

fn version(offset: i64) -> Version {
    Version { partition: 1, offset }
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
    let answer = Answer { outcome, receipt, ..Answer::unknown(ok.then_some(202), "") };
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
    let value = Some(format!("{id}{offset}").into_bytes());
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
        let at = Version { partition: 1, offset: offset + 100 };
        let headers = vec![header(headers::REQUEST_ID, id), header(headers::MODULES, MODULES)];
        world.placed.push(Placed { at, key: key(id), row, headers });
        world.uncommitted.insert(version(offset));
        for store in Store::ALL {
            let mut row = stored_row(id, cents, version(offset));
            row.set("transformed_by", text(MODULES));
            let stored = world.stores.entry(store).or_default();
            stored.retain(|stored| stored.key != id);
            stored.push(Stored { key: id.to_owned(), row });
        }
    }
    world.committed.insert(1, offset + 1);
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
    let mut world = World { modules: MODULES.to_owned(), ..World::default() };
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
        world.committed.insert(1, 10);
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
    let behind = |world: &mut World| assert!(world.committed.insert(1, 4).is_some());
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

#[test]
fn a_sinks_dead_letter_explains_what_its_store_lacks() {
    let dead = |world: &mut World| {
        store(world, Store::Postgres).retain(|stored| stored.key != "a");
        let letters = vec![letter(topics::ORDER_PLACED, 100, "a", None, "refused by the table")];
        world.sink_dead.insert(Store::Postgres, letters);
    };
    check_broken("once", dead, &[]);
    let twice = |world: &mut World| {
        dead(world);
        let again = letter(topics::ORDER_PLACED, 100, "a", None, "refused by the table");
        world.sink_dead.get_mut(&Store::Postgres).unwrap().push(again);
    };
    check_broken("twice", twice, &[Counter::Duplicate]);
    let older = |world: &mut World| {
        let mut row = stored_row("b", 100, version(1));
        row.set("transformed_by", text(MODULES));
        store(world, Store::Elasticsearch)[1].row = row;
        let letters = vec![letter(topics::ORDER_PLACED, 102, "b", None, "refused by the index")];
        world.sink_dead.insert(Store::Elasticsearch, letters);
    };
    check_broken("the newest version is dead, the older one stays", older, &[]);
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
        world.committed.insert(1, 6);
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
