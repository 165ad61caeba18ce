//! The topic, the table and the index against each other: Kafka as a mock, the stores as stubs.

pub(crate) mod shelves;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectors::kafka::scan::Scanner;
use connectors::kafka::sender::Outgoing;
use connectors::verify::judge::Kind;
use connectors::verify::slices::Span;
use connectors::verify::stores::Store;
use connectors::verify::{Options, Repair, Report, Sources, repair, show, verify};
use schemas::names::{headers, topics};
use serde_json::json;

use crate::house::{PARTITION, placed_as};
use shelves::{World, stored};

const MINUTE: i64 = 60_000;

fn options(repair: Repair) -> Options {
    Options {
        span: Span::ALL,
        slice_ms: MINUTE,
        deep: false,
        examples: 5,
        repair,
        wait: Duration::from_secs(30),
        time_limit: Duration::from_secs(60),
        pause: Duration::from_millis(10),
    }
}

async fn report(world: &World, options: &Options) -> Report {
    let sources = world.house.sources();
    let sources = Sources { kafka: world.house.kafka(), registry: sources.registry, stores: world.stores.clone() };
    verify(&sources, options).await.unwrap()
}

fn found(report: &Report) -> Vec<(Store, Kind, &str)> {
    report.examples.iter().map(|example| (example.store, example.kind, example.order.as_str())).collect()
}

/// Six orders, one a minute; `e` was posted twice.
fn six(world: &World) {
    for (at, id) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let at = i64::try_from(at).unwrap();
        world.store(id, at, 1_000 + at, at * MINUTE);
    }
    world.store("e", 5, 2_000, 5 * MINUTE);
    world.commit(6);
}

/// In which minutes orders were looked at.
fn minutes(world: &World, start: &str) -> Vec<String> {
    let minute = |asked: &String| {
        let text = if asked.starts_with("table") {
            asked.split("timestamptz + ").nth(1)
        } else {
            asked.split("\"gte\":").nth(1)
        };
        let digits: String = text.unwrap().chars().take_while(char::is_ascii_digit).collect();
        (digits.parse::<i64>().unwrap() / MINUTE).to_string()
    };
    let pages = |asked: &&String| {
        asked.starts_with(start)
            && (asked.contains("order by") || asked.contains("\"sort\""))
            && !asked.contains("search_after")
            && !asked.contains("order_id) >")
    };
    world.change(|shelves| shelves.asked.iter().filter(pages).map(minute).collect())
}

#[tokio::test]
async fn where_all_is_the_same_no_order_is_looked_at() {
    let world = World::new().await;
    six(&world);
    let report = report(&world, &options(Repair::No)).await;
    assert_eq!((report.wrong(), report.orders, report.records), (0, 5, 6), "{report:?}");
    assert_eq!(report.stores.iter().map(|store| (store.held, store.looked)).collect::<Vec<_>>(), [(5, 0), (5, 0)]);
    assert_eq!(world.looked("order by") + world.looked("_mget") + world.looked(" in ("), 0);
    assert!(
        show::text(&report)
            .ends_with("equal: counts, amounts and versions by slice; --deep compares every field of every order\n")
    );
}

#[tokio::test]
async fn each_difference_is_found_and_named_and_only_where_sums_differ_anything_is_looked_at() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| {
        shelves.rows.remove("a");
        shelves.rows.get_mut("b").unwrap()["amount"] = json!(10.02);
        shelves.documents.remove("c");
        shelves.documents.insert("e".to_owned(), stored("e", 4, 1_004, 4 * MINUTE));
        shelves.documents.insert("x".to_owned(), stored("x", 3, 1, 9 * MINUTE));
    });
    let report = report(&world, &options(Repair::No)).await;
    use Kind::{Different, Missing, Stale, Surplus};
    use Store::{Elasticsearch, PostgreSql};
    assert_eq!(
        found(&report),
        [
            (PostgreSql, Missing, "a"),
            (PostgreSql, Different, "b"),
            (Elasticsearch, Missing, "c"),
            (Elasticsearch, Stale, "e"),
            (Elasticsearch, Surplus, "x"),
        ]
    );
    assert_eq!(report.wrong(), 5);
    assert_eq!(minutes(&world, "table"), ["0"], "two neighbours are one run, and no other minute is looked into");
    assert_eq!(minutes(&world, "index"), ["2", "4", "9"]);
    let text = show::text(&report);
    for wanted in [
        "topic order_placed: 5 orders in 6 records",
        "PostgreSQL: 4 rows, 1 missing, 1 different",
        "a  version 0/0, order_placed/0/0, received 1970-01-01T00:00:00Z",
        "    amount: 99.99 in the topic, 99.99 in PostgreSQL, of the same form",
        "e  holds version 0/4, the newest is 0/5, order_placed/0/5",
        "x  version 0/3",
        "5 differences; `connectors verify --repair` shows what would be sent again",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(!text.contains("10.02") && !text.contains("10.01"), "values are not told: {text}");
}

#[tokio::test]
async fn what_is_on_its_way_or_a_dead_letter_is_no_difference() {
    let world = World::new().await;
    six(&world);
    // Posted again; the table has it already, the index not yet, and nobody has committed it.
    world.place("a", 6, 7_000, 6 * MINUTE);
    world.change(|shelves| shelves.rows.insert("a".to_owned(), stored("a", 6, 7_000, 6 * MINUTE)));
    // Only one version of it is there, and the index's sink does not take it.
    let value = placed_as("d", 3, 1_003, 3 * MINUTE);
    world.house.letter(topics::ELASTICSEARCH_DEAD_LETTER, "d", &value, (topics::ORDER_PLACED, 3), &[]);
    world.change(|shelves| shelves.documents.remove("d"));
    let told = report(&world, &options(Repair::No)).await;
    assert_eq!((told.wrong(), found(&told)), (0, vec![]), "{told:?}");
    assert_eq!(told.stores.iter().map(|store| store.not_due).collect::<Vec<_>>(), [1, 1]);
    assert!(show::text(&told).contains("1 order not due yet: on the way to orders-elasticsearch"));
    // Once its sink has read it, it must be there.
    world.commit(7);
    assert_eq!(found(&report(&world, &options(Repair::No)).await), [(Store::Elasticsearch, Kind::Stale, "a")]);
}

#[tokio::test]
async fn what_sums_cannot_tell_is_found_by_a_deep_look() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| shelves.documents.get_mut("c").unwrap()["country"] = json!("FR"));
    assert_eq!(report(&world, &options(Repair::No)).await.wrong(), 0);
    let deep = report(&world, &Options { deep: true, ..options(Repair::No) }).await;
    assert_eq!(found(&deep), [(Store::Elasticsearch, Kind::Different, "c")]);
    assert_eq!(deep.examples[0].fields[0].field, "country");
    // A row that nobody can explain, in a partition that does not exist.
    world.change(|shelves| {
        let mut row = stored("b", 1, 1_001, MINUTE);
        row["received_partition"] = json!(7);
        shelves.rows.insert("b".to_owned(), row)
    });
    assert_eq!(found(&report(&world, &options(Repair::No)).await), [(Store::PostgreSql, Kind::Different, "b")]);
}

#[tokio::test]
async fn a_document_that_cannot_be_looked_for_is_an_error_and_not_missing() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| {
        shelves.documents.remove("c");
        shelves.away = Some("c");
    });
    let sources = world.house.sources();
    let sources = Sources { kafka: world.house.kafka(), registry: sources.registry, stores: world.stores.clone() };
    let told = format!("{:#}", verify(&sources, &options(Repair::No)).await.unwrap_err());
    let why =
        "Elasticsearch does not show document c: no_shard_available_action_exception: No shard available for [get]";
    assert!(told.contains(why), "{told}");
}

#[tokio::test]
async fn only_what_was_received_then_is_compared() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| {
        shelves.rows.remove("a");
        shelves.rows.remove("c");
    });
    // The mock does not find records by their time, so that `since` is tried with the real one.
    let span = Span { since: None, until: Some(2 * MINUTE) };
    let told = report(&world, &Options { span, ..options(Repair::No) }).await;
    assert_eq!((found(&told), told.orders), (vec![(Store::PostgreSql, Kind::Missing, "a")], 2));
    assert!(show::text(&told).contains("received before 1970-01-01T00:02:00Z"));
}

fn ends(world: &World) -> [i64; 2] {
    let scanner = Scanner::new(&world.house.kafka()).unwrap();
    Store::ALL.map(|store| scanner.watermarks(store.stage().retry, PARTITION).unwrap().1)
}

#[tokio::test]
async fn a_repair_sends_the_newest_record_of_what_differs_and_nothing_else() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| {
        shelves.rows.remove("a");
        shelves.rows.get_mut("b").unwrap()["amount"] = json!(10.02);
        shelves.documents.insert("e".to_owned(), stored("e", 4, 1_004, 4 * MINUTE));
        shelves.rows.insert("x".to_owned(), stored("x", 3, 1, 9 * MINUTE));
    });
    let dry = report(&world, &options(Repair::Dry)).await;
    assert_eq!((dry.wrong(), ends(&world)), (4, [0, 0]), "a dry run writes nothing");
    assert!(show::text(&dry).contains("2 records would be sent again to order_placed.postgres.retry"));

    let sinks = world.sinks(|_, _| {});
    let done = report(&world, &options(Repair::Yes)).await;
    let mended = done.mended.as_ref().unwrap();
    assert_eq!((mended.mended, mended.left, done.wrong()), (3, 0, 1), "{done:?}");
    assert_eq!(ends(&world), [2, 1]);
    assert!(world.change(|shelves| shelves.rows.contains_key("x")), "nothing is deleted");
    world.change(|shelves| shelves.rows.remove("x"));
    assert_eq!(report(&world, &options(Repair::No)).await.wrong(), 0);
    drop(sinks);
}

/// The sink of the index writes whatever comes. A newer order that it gets between the last look and its own write is
/// overwritten by what was sent; that is found, and mended in turn.
#[tokio::test]
async fn an_order_that_is_posted_while_it_is_mended_ends_as_its_newest_version() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| shelves.documents.remove("e"));
    let (held, write, commit) = (world.shelves.clone(), world.house.writer(), world.house.committer());
    let value = placed_as("e", 6, 3_000, 6 * MINUTE);
    world.change(|shelves| shelves.make(&value, stored("e", 6, 3_000, 6 * MINUTE)));
    let mut times = 0;
    let sinks = world.sinks(move |store, id| {
        assert_eq!((store, id), (Store::Elasticsearch, "e"));
        times += 1;
        if times == 1 {
            write(topics::ORDER_PLACED, "e", &value, &[(headers::MODULES, shelves::MODULES)]);
            let newest = stored("e", 6, 3_000, 6 * MINUTE);
            held.lock().unwrap().rows.insert("e".to_owned(), newest);
            for store in Store::ALL {
                commit(&format!("connect-{}", store.stage().sink), topics::ORDER_PLACED, 7);
            }
        }
    });
    let done = report(&world, &options(Repair::Yes)).await;
    let mended = done.mended.as_ref().unwrap();
    assert_eq!((mended.mended, mended.left, done.wrong()), (1, 0, 0), "{done:?}");
    assert_eq!(ends(&world), [0, 2], "the older one, and then the newest");
    assert_eq!(world.change(|shelves| shelves.documents["e"]["received_offset"].clone()), json!(6));
    drop(sinks);
}

/// What is looked at within the transaction that sends.
#[tokio::test]
async fn an_order_that_the_topic_got_since_it_was_judged_is_left_alone() {
    let world = World::new().await;
    six(&world);
    world.place("e", 6, 3_000, 6 * MINUTE);
    world.place("f", 7, 3_000, 6 * MINUTE);
    let parcel = |id: &str| Outgoing {
        topic: topics::ELASTICSEARCH_RETRY.to_owned(),
        partition: PARTITION,
        key: Some(id.into()),
        value: None,
        timestamp_ms: None,
        headers: Vec::new(),
    };
    let (kafka, parcels) = (world.house.kafka(), ["a", "e"].map(parcel));
    let news = move |end: i64| {
        let everything = Scanner::of_everything(&kafka).unwrap();
        repair::news(&everything, &BTreeMap::from([(PARTITION, end)]), &parcels).unwrap()
    };
    let found = tokio::task::spawn_blocking(move || [6, 7].map(news)).await.unwrap();
    assert_eq!(found, [BTreeSet::from([b"e".to_vec()]), BTreeSet::new()]);
}

#[tokio::test]
async fn a_sink_that_does_not_read_what_was_sent_is_named() {
    let world = World::new().await;
    six(&world);
    world.change(|shelves| shelves.rows.remove("a"));
    let done = report(&world, &Options { wait: Duration::from_millis(300), ..options(Repair::Yes) }).await;
    let text = show::text(&done);
    assert_eq!((done.wrong(), ends(&world)), (1, [1, 0]), "it is sent once, not in each round: {text}");
    assert!(
        text.contains("orders-postgres has not read what was sent to order_placed.postgres.retry within 300ms"),
        "{text}"
    );
}

#[tokio::test]
async fn without_the_schemas_nothing_is_compared() {
    let world = World::new().await;
    six(&world);
    let registry = schemas::registry::Registry::new("http://127.0.0.1:1").unwrap();
    let sources = Sources { kafka: world.house.kafka(), registry, stores: world.stores.clone() };
    let err = verify(&sources, &options(Repair::No)).await.unwrap_err();
    assert!(format!("{err:#}").contains("without the schemas no record can be read"), "{err:#}");
}
