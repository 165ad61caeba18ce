//! One order in each state.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::facts::{Dropped, Ends};
use super::*;
use crate::connect::Settings;
use crate::dead_letters::letter::Said;

const RETRY: &str = "order_placed.postgres.retry";
const LETTERS: &str = "order_placed.postgres.dead-letter";

fn at(topic: &str, offset: i64) -> Address {
    Address::new(topic, 3, offset)
}

fn version(offset: i64) -> Version {
    Version { partition: 3, offset }
}

fn post(offset: i64, of: i64) -> Post {
    let at = at(topics::ORDERS_RECEIVED, offset);
    Post { at, version: version(of), time: None, request_id: None, replays: u32::from(of < offset) }
}

fn delivery(topic: &str, offset: i64, of: i64) -> Delivery {
    let (modules, changes, steps) = (Vec::new(), Vec::new(), Vec::new());
    Delivery { at: at(topic, offset), version: Some(version(of)), modules, changes, steps, unreadable: None }
}

fn letter(topic: &str, offset: i64, of: Address) -> Parked {
    Parked { at: at(topic, offset), of, said: Said::default(), mark: None }
}

/// The pipeline has read up to 20, the sink up to 30 and up to 5 of what was sent again.
fn reader(name: &str, committed: &[(&str, i64)]) -> Reader {
    let committed = committed.iter().map(|(topic, offset)| ((*topic).to_owned(), *offset)).collect();
    Reader { name: name.to_owned(), state: "RUNNING".to_owned(), committed, ..Reader::default() }
}

fn facts() -> Facts {
    Facts { pipeline: reader("p", &[(topics::ORDERS_RECEIVED, 20)]), ..Facts::default() }
}

fn store(held: Held) -> Store {
    let sink = reader("s", &[(topics::ORDER_PLACED, 30), (RETRY, 5)]);
    Store { sink, place: String::new(), letters: Some(LETTERS.to_owned()), held }
}

fn row(offset: i64) -> Held {
    Held::Row(Some(version(offset)), Value::Null)
}

#[test]
fn what_the_store_holds_is_stored_and_what_it_holds_newer_has_replaced_it() {
    let facts = Facts { posts: vec![post(10, 10)], ..facts() };
    assert_eq!(judge(&facts, &store(row(10))), Verdict::Stored { version: Some(version(10)) });
    assert_eq!(judge(&facts, &store(row(12))), Verdict::Replaced { by: version(12) });
}

#[test]
fn an_earlier_post_that_is_asked_for_was_replaced_by_the_later_even_while_that_waits() {
    let facts = Facts { posts: vec![post(10, 10), post(25, 25)], asked: Some(version(10)), ..facts() };
    assert_eq!(judge(&facts, &store(Held::Nothing)), Verdict::Replaced { by: version(25) });
    let stored = judge(&facts, &store(row(10)));
    assert_eq!(stored, Verdict::Stored { version: Some(version(10)) }, "it is still there");
}

#[test]
fn what_was_not_read_yet_waits_for_whoever_reads_it() {
    let mut facts = Facts { posts: vec![post(20, 20)], ..facts() };
    let reader = |verdict| match verdict {
        Verdict::Waiting { reader, at, .. } => (reader.name, at),
        other => panic!("{other:?}"),
    };
    assert_eq!(reader(judge(&facts, &store(Held::Nothing))), ("p".to_owned(), at(topics::ORDERS_RECEIVED, 20)));
    facts.deliveries = vec![delivery(topics::ORDER_PLACED, 30, 20)];
    assert_eq!(reader(judge(&facts, &store(row(10)))), ("s".to_owned(), at(topics::ORDER_PLACED, 30)));
    // The store does not answer: that it waits is known all the same.
    let away = store(Held::Unknown("away".to_owned()));
    assert_eq!(reader(judge(&facts, &away)), ("s".to_owned(), at(topics::ORDER_PLACED, 30)));
}

#[test]
fn a_letter_of_the_transforms_counts_for_each_store_and_one_of_a_sink_for_its_own() {
    let mut facts = Facts { posts: vec![post(10, 10)], ..facts() };
    facts.letters = vec![letter(topics::ORDERS_DEAD_LETTER, 7, at(topics::ORDERS_RECEIVED, 10))];
    let replay = |verdict| match verdict {
        Verdict::DeadLetter { replay, .. } => replay,
        other => panic!("{other:?}"),
    };
    let command = "transforms replay orders.dead-letter/3/7 --send";
    assert_eq!(replay(judge(&facts, &store(Held::Nothing))), command);

    facts.deliveries = vec![delivery(topics::ORDER_PLACED, 29, 10)];
    facts.letters = vec![letter(LETTERS, 2, at(topics::ORDER_PLACED, 29))];
    let command = "connectors dead-letters replay order_placed.postgres.dead-letter/3/2 --yes";
    assert_eq!(replay(judge(&facts, &store(Held::Nothing))), command);
    let other = Store { letters: Some("another".to_owned()), ..store(row(10)) };
    assert_eq!(judge(&facts, &other), Verdict::Stored { version: Some(version(10)) });
}

#[test]
fn what_was_sent_again_is_judged_by_where_it_is_now() {
    // Refused by the transforms at 10, sent again as 19, dropped there.
    let mut facts = Facts { posts: vec![post(10, 10), post(19, 10)], ..facts() };
    facts.letters = vec![letter(topics::ORDERS_DEAD_LETTER, 7, at(topics::ORDERS_RECEIVED, 10))];
    facts.drops = vec![Dropped {
        at: at(topics::ORDERS_DROPPED, 1),
        of: at(topics::ORDERS_RECEIVED, 19),
        module: "m".to_owned(),
    }];
    let dropped = Verdict::Dropped { by: "m".to_owned(), at: at(topics::ORDERS_DROPPED, 1) };
    assert_eq!(judge(&facts, &store(Held::Nothing)), dropped);
    // Refused by the sink at 29, sent again as 5 of its own topic, which it has yet to read.
    facts.deliveries = vec![delivery(topics::ORDER_PLACED, 29, 10), delivery(RETRY, 5, 10)];
    facts.letters = vec![letter(LETTERS, 2, at(topics::ORDER_PLACED, 29))];
    assert!(matches!(judge(&facts, &store(Held::Nothing)), Verdict::Waiting { at, .. } if at.topic == RETRY));
    // And refused again.
    facts.letters.push(letter(LETTERS, 4, at(RETRY, 5)));
    assert!(
        matches!(judge(&facts, &store(Held::Nothing)), Verdict::DeadLetter { letter, .. } if letter.at.offset == 4)
    );
}

#[test]
fn what_was_read_and_left_no_trace_is_missing_and_what_nobody_can_tell_is_not_known() {
    let mut facts = Facts { posts: vec![post(10, 10)], ..facts() };
    let missing = |reader: &str, at| Verdict::Missing { read_by: reader.to_owned(), at, instead: None };
    assert_eq!(judge(&facts, &store(Held::Nothing)), missing("p", at(topics::ORDERS_RECEIVED, 10)));
    facts.unsearched = BTreeMap::from([(topics::ORDER_PLACED.to_owned(), "back to offset 5".to_owned())]);
    let verdict = judge(&facts, &store(Held::Nothing));
    assert!(matches!(&verdict, Verdict::Unknown { reason } if reason.contains("back to offset 5")), "{verdict:?}");

    facts.deliveries = vec![delivery(topics::ORDER_PLACED, 29, 10)];
    assert_eq!(judge(&facts, &store(Held::Nothing)), missing("s", at(topics::ORDER_PLACED, 29)));
    let away = judge(&facts, &store(Held::Unknown("away".to_owned())));
    assert_eq!(away, Verdict::Unknown { reason: "away".to_owned() });
    let older = judge(&facts, &store(row(4)));
    assert!(matches!(older, Verdict::Missing { instead: Some(instead), .. } if instead == version(4)));
}

#[test]
fn what_a_module_sent_to_another_output_went_there_once_the_pipeline_is_past_it() {
    let output = |offset, of: Option<i64>, request: Option<&str>| {
        let (version, request_id) = (of.map(version), request.map(str::to_owned));
        Output { at: at("orders.vip", offset), version, request_id }
    };
    let went = |offset| Verdict::WentTo { topic: "orders.vip".to_owned(), at: at("orders.vip", offset) };
    let mut facts = Facts { posts: vec![post(10, 10)], outputs: vec![output(3, Some(10), None)], ..facts() };
    assert_eq!(judge(&facts, &store(Held::Nothing)), went(3));
    assert!(went(3).is_settled());
    facts.deliveries = vec![delivery(topics::ORDER_PLACED, 30, 10)];
    assert!(matches!(judge(&facts, &store(Held::Nothing)), Verdict::Waiting { .. }), "the sinks get it as well");
    facts.deliveries.clear();

    // Of another version, of another request, and of nobody knows which.
    facts.posts[0].request_id = Some("r".to_owned());
    facts.outputs = vec![output(3, Some(9), Some("r")), output(4, None, Some("q")), output(5, None, None)];
    assert!(matches!(judge(&facts, &store(Held::Nothing)), Verdict::Missing { .. }));
    facts.outputs.push(output(6, None, Some("r")));
    assert_eq!(judge(&facts, &store(Held::Nothing)), went(6));

    (facts.posts, facts.outputs) = (vec![post(25, 25)], vec![output(7, Some(25), None)]);
    assert!(matches!(judge(&facts, &store(Held::Nothing)), Verdict::Waiting { .. }), "it is being read");
    facts.posts.clear();
    assert_eq!(judge(&facts, &store(Held::Nothing)), went(7), "the record of its POST is gone");
}

#[test]
fn a_pipelines_own_topics_are_ends_as_the_houses_and_what_is_not_known_of_them_is_not_missing() {
    let settings = [("errors.deadletterqueue.topic.name", "bad"), ("dropped.topic.name", "gone")];
    let settings: Settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut facts = Facts { posts: vec![post(10, 10)], ends: Ends::of(&settings), ..facts() };
    let told = |facts: &Facts| judge(facts, &store(Held::Nothing));
    for topic in ["bad", topics::ORDERS_DEAD_LETTER] {
        facts.letters = vec![letter(topic, 7, at(topics::ORDERS_RECEIVED, 10))];
        let command = format!("transforms replay {topic}/3/7 --send");
        assert!(matches!(told(&facts), Verdict::DeadLetter { replay, .. } if replay == command), "{topic}");
    }
    facts.letters = vec![letter("another", 7, at(topics::ORDERS_RECEIVED, 10))];
    assert!(matches!(told(&facts), Verdict::Missing { .. }), "no end of this pipeline");
    facts.unsearched = BTreeMap::from([("gone".to_owned(), "back to offset 5".to_owned())]);
    assert!(matches!(told(&facts), Verdict::Unknown { reason } if reason.starts_with("gone was searched back to")));
    facts.unsearched.clear();
    facts.ends.unheard = true;
    assert_eq!(told(&facts), Verdict::Unknown { reason: UNHEARD.to_owned() });
}

#[test]
fn an_order_that_was_never_received_is_told_from_one_that_was_not_found() {
    let mut facts = facts();
    assert_eq!(judge(&facts, &store(Held::Nothing)), Verdict::NeverAcknowledged);
    let searched = "back to offset 5".to_owned();
    facts.unsearched.insert(topics::ORDERS_RECEIVED.to_owned(), searched.clone());
    assert_eq!(judge(&facts, &store(Held::Nothing)), Verdict::NotFound { searched });
    assert_eq!(judge(&facts, &store(row(4))), Verdict::Stored { version: Some(version(4)) });
}
