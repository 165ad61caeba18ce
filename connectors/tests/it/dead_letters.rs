//! Dead letters listed, shown, sent again and discarded, against librdkafka's mock cluster.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use connectors::dead_letters::guard::{Guard, Wanted};
use connectors::dead_letters::replay::{Outcome, Rules};
use connectors::dead_letters::select::{Bounds, Filter};
use connectors::dead_letters::{Deed, Order, Reach, Report, Sources, deal, list, show};
use connectors::kafka::record::Record;
use connectors::kafka::scan::Scanner;
use rdkafka::Message as _;
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as REFUSED;
use schemas::names::{headers, topics};
use schemas::registry::Registry;
use serde_json::json;

use crate::house::{House, PARTITION, placed, received};

const REACH: Reach = Reach { records: 1_000_000, time_limit: Duration::from_secs(60) };

fn sources(house: &House) -> Sources {
    let (registry, elastic) = (Registry::new(&house.url()).unwrap(), house.sources().elastic);
    Sources { kafka: house.kafka(), registry, elastic, transforms: "http://t:8084".to_owned() }
}

fn replay() -> Deed {
    paced(10_000)
}

/// At so many a second.
fn paced(rate: u32) -> Deed {
    Deed::Replay(Rules { max_replays: 3, rate, by: "me".to_owned() })
}

/// Orders that were received, and a letter of each.
fn parked(house: &House, ids: &[&str]) {
    ids.iter().for_each(|id| house.post(id));
    for (id, offset) in ids.iter().zip(0..) {
        house.letter(topics::ORDERS_DEAD_LETTER, id, &received(id), (topics::ORDERS_RECEIVED, offset), &[]);
    }
}

/// All open letters of the transforms.
fn all_of_them(limit: usize) -> Order {
    let filter = Filter { topics: vec![topics::ORDERS_DEAD_LETTER.to_owned()], ..Filter::default() };
    Order { filter, limit, reach: REACH, yes: true }
}

async fn dealt(house: &House, topic: &str, yes: bool, deed: Deed) -> Report {
    let filter = Filter { topics: vec![topic.to_owned()], ..Filter::default() };
    let order = Order { filter, limit: 100, reach: REACH, yes };
    deal(&sources(house), order, deed, |_| {}).await.unwrap()
}

async fn records(house: &House, topic: &'static str) -> Vec<Record> {
    let kafka = house.kafka();
    let read = move || {
        let scanner = Scanner::new(&kafka).unwrap();
        let (low, end) = scanner.watermarks(topic, PARTITION).unwrap();
        let (mut found, until) = (Vec::new(), Instant::now() + Duration::from_secs(30));
        let each = |message: &rdkafka::message::BorrowedMessage<'_>| {
            assert!(message.offset() < end);
            found.push(Record::of(message));
            std::ops::ControlFlow::Continue(())
        };
        assert!(scanner.read(topic, PARTITION, low..end, until, each).unwrap());
        found
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// Why a letter was left; of one that was not, nothing.
fn why(report: &Report, at: usize) -> &str {
    match &report.letters[at].outcome {
        Outcome::Left { why } => why,
        Outcome::Would { .. } | Outcome::Did { .. } => "",
    }
}

#[tokio::test]
async fn a_letter_of_the_transforms_is_sent_once_to_where_it_was_received_with_its_first_version() {
    let house = House::new().await;
    house.post("o");
    house.letter(
        topics::ORDERS_DEAD_LETTER,
        "o",
        &received("o"),
        (topics::ORDERS_RECEIVED, 0),
        &[("traceparent", "t")],
    );
    let letters = topics::ORDERS_DEAD_LETTER;
    let dry = dealt(&house, letters, false, replay()).await;
    assert_eq!(dry.letters[0].outcome, Outcome::Would { what: "send to orders.received/0".to_owned() });
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await.len(), 1, "a dry run writes nothing");

    let sent = dealt(&house, letters, true, replay()).await;
    assert_eq!(sent.letters[0].outcome, Outcome::Did { what: "sent as orders.received/0/1".to_owned() });
    let again = &records(&house, topics::ORDERS_RECEIVED).await[1];
    assert_eq!((again.key.as_deref(), again.value.as_deref()), (Some(&b"o"[..]), Some(&received("o")[..])));
    assert_eq!((again.received(), again.timestamp_ms), ((0, 0), Some(1_000)), "its version stays");
    assert_eq!((again.header(headers::REPLAYS), again.header("traceparent")), (Some("1"), Some("t")));
    assert_eq!(again.header(headers::ERROR_TOPIC), None);

    let second = dealt(&house, letters, true, replay()).await;
    assert!(second.letters.is_empty(), "{second:?}");
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await.len(), 2, "a second run sends nothing twice");
}

#[tokio::test]
async fn letters_are_sent_no_faster_than_they_may_be() {
    static SENT: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let house = House::new().await;
    parked(&house, &["o", "p", "q"]);
    let report = deal(&sources(&house), all_of_them(100), paced(1), |_| SENT.lock().unwrap().push(Instant::now()))
        .await
        .unwrap();
    assert_eq!(report.count(|outcome| matches!(outcome, Outcome::Did { .. })), 3, "{report:?}");
    let sent = SENT.lock().unwrap().clone();
    let gaps: Vec<Duration> = sent.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| Duration::from_millis(950) <= *gap), "one a second: {gaps:?}");
}

#[tokio::test]
async fn a_run_that_was_killed_half_way_goes_on_behind_its_last_letter() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let house = House::new().await;
    parked(&house, &["o", "p", "q", "r"]);
    let sources_of = sources(&house);
    let killed = deal(&sources_of, all_of_them(100), replay(), |_| {
        assert!(SENT.fetch_add(1, Ordering::SeqCst) < 1, "as if the process died behind the second letter");
    });
    assert!(killed.await.is_err(), "it ended half way");
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await.len(), 4 + 2);

    // Again, of the rest at most so many a run.
    let second = deal(&sources_of, all_of_them(1), replay(), |_| {}).await.unwrap();
    let sent: Vec<_> = second.letters.iter().map(|line| line.letter.offset).collect();
    assert_eq!((sent, second.more), (vec![2], true), "{second:?}");
    let third = deal(&sources(&house), all_of_them(100), replay(), |_| {}).await.unwrap();
    assert_eq!((third.letters.len(), third.more), (1, false), "{third:?}");
    let mut again: Vec<_> = records(&house, topics::ORDERS_RECEIVED).await.split_off(4);
    again.sort_by(|one, other| one.key.cmp(&other.key));
    let keys: Vec<_> = again.iter().map(|record| String::from_utf8_lossy(record.key.as_deref().unwrap())).collect();
    assert_eq!(keys, ["o", "p", "q", "r"], "each once");
    let fourth = deal(&sources(&house), all_of_them(100), replay(), |_| {}).await.unwrap();
    assert!(fourth.letters.is_empty(), "{fourth:?}");
}

#[tokio::test]
async fn a_letter_that_somebody_else_sent_or_that_comes_back_for_ever_is_left() {
    let house = House::new().await;
    house.post("o");
    house.post("p");
    house.letter(topics::ORDERS_DEAD_LETTER, "o", &received("o"), (topics::ORDERS_RECEIVED, 0), &[]);
    // As `transforms replay --send` does.
    house.write(topics::ORDERS_RECEIVED, "o", &received("o"), &[(headers::REPLAY_OF, "0/0"), (headers::REPLAYS, "1")]);
    let often = [(headers::REPLAYS, "3"), (headers::REPLAY_OF, "0/0")];
    house.letter(topics::ORDERS_DEAD_LETTER, "p", &received("p"), (topics::ORDERS_RECEIVED, 1), &often);
    let report = dealt(&house, topics::ORDERS_DEAD_LETTER, true, replay()).await;
    assert_eq!(why(&report, 0), "it was sent again already, as orders.received/0/2");
    assert!(why(&report, 1).contains("sent again 3 times already"), "{report:?}");
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await.len(), 3);
}

#[tokio::test]
async fn an_order_that_was_posted_again_is_never_put_back_by_its_older_letter() {
    let house = House::new().await;
    house.post("o");
    house.post("o");
    house.letter(topics::ORDERS_DEAD_LETTER, "o", &received("o"), (topics::ORDERS_RECEIVED, 0), &[]);
    house.letter(topics::ELASTICSEARCH_DEAD_LETTER, "o", &placed("o", 0), (topics::ORDER_PLACED, 0), &[]);
    for topic in [topics::ORDERS_DEAD_LETTER, topics::ELASTICSEARCH_DEAD_LETTER] {
        let report = dealt(&house, topic, true, replay()).await;
        assert!(why(&report, 0).contains("orders.received/0/1 replaces it"), "{report:?}");
    }
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await.len(), 2);
}

#[tokio::test]
async fn a_post_that_comes_while_a_letter_is_sent_is_seen_if_it_lies_before_it() {
    let house = House::new().await;
    house.post("o");
    house.post("p");
    let lane = (topics::ORDERS_RECEIVED.to_owned(), PARTITION);
    let wanted = ["o", "p"].map(|id| Wanted { lane: lane.clone(), key: id.into(), version: i64::from(id == "p") });
    let (kafka, asked) = (house.kafka(), wanted.clone());
    let bounds = Bounds { records: 100, until: Instant::now() + Duration::from_secs(60) };
    let search = tokio::task::spawn_blocking(move || {
        let mut guard = Guard::new(&kafka).unwrap();
        guard.search(&asked, bounds).unwrap();
        guard
    });
    let mut guard = search.await.unwrap();
    assert_eq!(wanted.each_ref().map(|wanted| guard.newer(wanted)), [Ok(None), Ok(None)]);
    house.post("o");
    house.post("p");
    // The letter would lie at 3: the POST of o at 2 comes before it, that of p at 3 does not.
    let caught = tokio::task::spawn_blocking(move || {
        guard.catch_up(&lane, Some(3)).unwrap();
        guard
    });
    let guard = caught.await.unwrap();
    assert_eq!(wanted.each_ref().map(|wanted| guard.newer(wanted)), [Ok(Some(2)), Ok(None)]);
}

#[tokio::test]
async fn a_letter_of_a_sink_goes_to_the_topic_that_only_this_sink_reads() {
    let house = House::new().await;
    house.post("o");
    house.place("o", 0);
    let modules = [(headers::MODULES, "clean@1.0.0+sha256:0")];
    for letters in [topics::POSTGRES_DEAD_LETTER, topics::ELASTICSEARCH_DEAD_LETTER] {
        house.letter(letters, "o", &placed("o", 0), (topics::ORDER_PLACED, 0), &modules);
    }
    let newer = json!({ "received_partition": PARTITION, "received_offset": 7 });
    house.held.lock().unwrap().document = Some(newer);
    let report = dealt(&house, topics::ELASTICSEARCH_DEAD_LETTER, true, replay()).await;
    assert_eq!(why(&report, 0), "the index holds the newer version 0/7; discard the letter");

    house.held.lock().unwrap().document = None;
    for (letters, retry) in [
        (topics::POSTGRES_DEAD_LETTER, topics::POSTGRES_RETRY),
        (topics::ELASTICSEARCH_DEAD_LETTER, topics::ELASTICSEARCH_RETRY),
    ] {
        let report = dealt(&house, letters, true, replay()).await;
        assert_eq!(report.letters[0].outcome, Outcome::Did { what: format!("sent as {retry}/0/0") });
        let sent = records(&house, retry).await;
        assert_eq!((sent.len(), sent[0].value.as_deref()), (1, Some(&placed("o", 0)[..])));
        assert_eq!(sent[0].header(headers::MODULES), Some("clean@1.0.0+sha256:0"), "the row still names its modules");
    }
    assert_eq!(records(&house, topics::ORDER_PLACED).await.len(), 1, "the other sink sees nothing of it");
}

#[tokio::test]
async fn a_letter_in_a_topic_that_only_a_pipeline_names_is_listed_and_sent_as_the_houses_are() {
    let house = House::new().await;
    house.topic("team.bad");
    house.post("o");
    house.letter("team.bad", "o", &received("o"), (topics::ORDERS_RECEIVED, 0), &[]);
    let filter = || Filter { pipelines: vec!["team.bad".to_owned()], ..Filter::default() };
    let listing = list(&sources(&house), filter(), REACH).await.unwrap();
    assert_eq!((listing.topics.len(), listing.topics["team.bad"].count.open), (4, 1), "{listing:?}");

    let named = Filter { topics: vec!["team.bad".to_owned()], ..Filter::default() };
    let order = |filter| Order { filter, limit: 100, reach: REACH, yes: true };
    let strange = deal(&sources(&house), order(named), replay(), |_| {}).await.unwrap();
    assert!(why(&strange, 0).contains("team.bad is no dead-letter topic of this house"), "{strange:?}");
    let sent = deal(&sources(&house), order(filter()), replay(), |_| {}).await.unwrap();
    assert_eq!(sent.letters[0].outcome, Outcome::Did { what: "sent as orders.received/0/1".to_owned() });
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await[1].received(), (0, 0), "its version stays");

    house.answer_for("team.bad", REFUSED);
    let listing = list(&sources(&house), filter(), REACH).await.unwrap();
    assert!(listing.incomplete["team.bad"].starts_with("not at all: Kafka refuses topic team.bad"), "{listing:?}");
}

#[tokio::test]
async fn the_list_counts_reasons_and_what_was_done_and_a_discarded_letter_stays() {
    let house = House::new().await;
    house.post("o");
    house.post("p");
    let letters = topics::ORDERS_DEAD_LETTER;
    let module = [(headers::MODULE, "m@1.0.0+sha256:0")];
    house.letter(letters, "o", &received("o"), (topics::ORDERS_RECEIVED, 0), &module);
    house.letter(letters, "p", &received("p"), (topics::ORDERS_RECEIVED, 1), &module);
    house.write(letters, "x", b"x", &[]);
    let because = || Deed::Discard { because: "a test order".to_owned(), by: "me".to_owned() };
    let one = |yes| {
        let filter = Filter { order: Some("p".to_owned()), ..Filter::default() };
        Order { filter, limit: 100, reach: REACH, yes }
    };
    let dry = deal(&sources(&house), one(false), because(), |_| {}).await.unwrap();
    assert_eq!(dry.letters[0].outcome, Outcome::Would { what: "discard".to_owned() });
    let done = deal(&sources(&house), one(true), because(), |_| {}).await.unwrap();
    assert_eq!(done.letters[0].outcome, Outcome::Did { what: "discarded".to_owned() });

    let listing = list(&sources(&house), Filter::default(), REACH).await.unwrap();
    let text = list::text(&listing);
    for wanted in [
        "orders.dead-letter: 2 letters, 1 open, 1 discarded, received 1970-01-01T00:00:01Z",
        "x.Refused (TASK_PUT) by m@1.0.0+sha256:0: 2 letters",
        "such as orders.dead-letter/0/1: not this one",
        "1 records there are no dead letters",
        "order_placed.postgres.dead-letter: none",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert_eq!(records(&house, letters).await.len(), 3, "nothing is deleted");

    let shown = show(&sources(&house), &"orders.dead-letter/0/1".parse().unwrap(), REACH).await.unwrap();
    let text = show::text(&shown);
    for wanted in
        ["discarded", "a test order", "customer: \"Zoë\"", "amount: \"12.50\"", "http://t:8084/modules/m@1.0.0"]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    // A discarded letter is sent by nobody, named or not.
    let filter = Filter { letters: vec!["orders.dead-letter/0/1".parse().unwrap()], ..Filter::default() };
    let named = Order { filter, limit: 100, reach: REACH, yes: true };
    let report = deal(&sources(&house), named, replay(), |_| {}).await.unwrap();
    assert!(why(&report, 0).starts_with("discarded"), "{report:?}");
    assert_eq!(records(&house, topics::ORDERS_RECEIVED).await.len(), 2);
}
