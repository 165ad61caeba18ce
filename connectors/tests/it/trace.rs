//! An order in each state, as `connectors trace` sees it.

use std::time::Duration;

use connectors::connect::Connect;
use connectors::names::sink_group;
use connectors::trace::verdict::Verdict;
use connectors::trace::{Options, Report, Sources, show, trace};
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as REFUSED;
use schemas::names::{headers, topics};
use serde_json::{Value, json};

use crate::house::{House, PARTITION, placed, received};

const SINKS: [&str; 2] = ["orders-postgres", "orders-elasticsearch"];

fn options(asked: &str) -> Options {
    Options { asked: asked.parse().unwrap(), records: 1_000_000, time_limit: Duration::from_secs(60), since: None }
}

async fn traced(house: &House, asked: &str) -> Report {
    trace(&house.sources(), &options(asked)).await.unwrap()
}

fn verdict<'a>(report: &'a Report, sink: &str) -> &'a Verdict {
    &report.stores.iter().find(|judged| judged.store.sink.name == sink).unwrap().verdict
}

/// What both stores hold of the version.
fn hold(house: &House, offset: i64) {
    let row = json!({ "order_id": "o", "received_partition": PARTITION, "received_offset": offset });
    let mut held = house.held.lock().unwrap();
    (held.row, held.document) = (Some(row.clone()), Some(row));
}

fn read(house: &House, placed: i64) {
    for sink in SINKS {
        house.commit(&sink_group(sink), topics::ORDER_PLACED, placed);
    }
}

#[tokio::test]
async fn a_stored_order_shows_its_way_and_its_changes() {
    let house = House::new().await;
    house.post("o");
    house.post("other");
    house.place("o", 0);
    house.commit("p", topics::ORDERS_RECEIVED, 2);
    read(&house, 1);
    hold(&house, 0);
    let report = traced(&house, "o").await;
    assert!(report.is_settled(), "{report:?}");
    let text = show::text(&report);
    for wanted in [
        "orders.received/0/0  1970-01-01T00:00:01Z  request r-1  newest",
        "order_placed/0/0 of 0/0 by clean@1.0.0+sha256:0123456789ab, enrich@1.0.0+sha256:ba9876543210",
        "region: (not there) -> \"EMEA\"",
        "orders-postgres (PostgreSQL table order_placed): stored, received at 0/0",
        "reads order_placed next 1",
        "holds {\"order_id\":\"o\"",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(!text.contains("amount:"), "what was not changed is not told: {text}");
    let json: Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["stores"][0]["verdict"], "stored");
    assert_eq!(json["deliveries"][0]["at"], "order_placed/0/0");
}

#[tokio::test]
async fn each_module_is_shown_with_what_it_changed_where_that_comes_to_what_is_stored() {
    let house = House::new().await;
    house.post("o");
    house.place("o", 0);
    let [clean, enrich] = ["clean@1.0.0+sha256:0123456789ab", "enrich@1.0.0+sha256:ba9876543210"];
    let change =
        |field: &str, before: Option<&str>, after: &str| json!({ "field": field, "before": before, "after": after });
    let step = |module: &str, changes: Vec<Value>| json!({ "module": module, "changes": changes });
    let told = async |steps: Value| {
        house.held.lock().unwrap().steps = Some(steps);
        show::text(&traced(&house, "o").await)
    };
    let emea = || change("region", None, "\"EMEA\"");
    // The first module changed something that the second changed back.
    let (there, back) = (change("channel", None, "\"web\""), change("channel", Some("\"web\""), "null"));
    let text = told(json!([step(clean, vec![there]), step(enrich, vec![emea(), back])])).await;
    let wanted = format!(
        "\n    {clean}\n      channel: (not there) -> \"web\"\n    {enrich}\n      region: (not there) -> \"EMEA\"\n      \
         channel: \"web\" -> null\n    the pipeline itself\n"
    );
    assert!(text.contains(&wanted), "{wanted} is not in\n{text}");
    let text = told(json!([step(clean, vec![]), step(enrich, vec![emea()])])).await;
    assert!(text.contains(&format!("\n    {clean} changed nothing\n    {enrich}\n")), "{text}");

    // Another value than the one that is stored, and other modules than made it.
    for other in [
        json!([step(clean, vec![]), step(enrich, vec![change("region", None, "\"APAC\"")])]),
        json!([step(enrich, vec![emea()])]),
    ] {
        let text = told(other).await;
        assert!(text.contains("\n    region: (not there) -> \"EMEA\"\n") && !text.contains("APAC"), "{text}");
    }
}

#[tokio::test]
async fn a_waiting_order_says_for_whom_how_many_are_before_it_and_what_the_healer_does() {
    let house = House::new().await;
    house.post("a");
    house.post("o");
    let report = traced(&house, "o").await;
    let Verdict::Waiting { reader, before, .. } = verdict(&report, SINKS[0]) else { panic!("{report:?}") };
    assert_eq!((reader.name.as_str(), *before), ("p", Some(1)), "the pipeline has read nothing yet");

    for (id, offset) in [("a", 0), ("b", 5), ("c", 6), ("o", 1)] {
        house.place(id, offset);
    }
    house.commit("p", topics::ORDERS_RECEIVED, 2);
    read(&house, 1);
    house.held.lock().unwrap().failed = true;
    let report = traced(&house, "orders.received/0/1").await;
    let Verdict::Waiting { reader, at, before } = verdict(&report, SINKS[0]) else { panic!("{report:?}") };
    assert_eq!((reader.name.as_str(), at.offset, *before), (SINKS[0], 3, Some(2)));
    assert!(!report.is_settled());
    let text = show::text(&report);
    let wanted = "waiting for orders-postgres at order_placed/0/3, 2 records before it; task 1 FAILED for 62 s; B: no; \
                  restart 2 asked for; next in 7 s";
    assert!(text.contains(wanted), "{text}");
}

#[tokio::test]
async fn a_dead_letter_says_its_reason_and_how_to_send_it_again() {
    let house = House::new().await;
    house.post("o");
    house.post("q");
    house.commit("p", topics::ORDERS_RECEIVED, 2);
    house.letter(topics::ORDERS_DEAD_LETTER, "o", &received("o"), (topics::ORDERS_RECEIVED, 0), &[]);
    let text = show::text(&traced(&house, "o").await);
    let wanted = "dead letter orders.dead-letter/0/0: x.Refused (TASK_PUT): not this one; \
                  to send it again: transforms replay orders.dead-letter/0/0 --send";
    assert_eq!(text.matches(wanted).count(), 2, "it is in neither store: {text}");

    house.place("q", 1);
    read(&house, 1);
    house.letter(topics::POSTGRES_DEAD_LETTER, "q", &placed("q", 1), (topics::ORDER_PLACED, 0), &[]);
    let row = json!({ "received_partition": PARTITION, "received_offset": 1 });
    house.held.lock().unwrap().document = Some(row);
    // Asked by the letter's own address.
    let report = traced(&house, "order_placed.postgres.dead-letter/0/0").await;
    assert!(matches!(verdict(&report, SINKS[1]), Verdict::Stored { .. }), "{report:?}");
    let Verdict::DeadLetter { replay, .. } = verdict(&report, SINKS[0]) else { panic!("{report:?}") };
    assert_eq!(replay, "connectors dead-letters replay order_placed.postgres.dead-letter/0/0 --yes");
}

#[tokio::test]
async fn a_dropped_a_replaced_and_an_unknown_order_are_told_apart() {
    let house = House::new().await;
    house.post("o");
    house.commit("p", topics::ORDERS_RECEIVED, 1);
    let drop = [("orderflow.module", "filter@1.0.0+sha256:0123456789ab")];
    house.letter(topics::ORDERS_DROPPED, "o", b"{}", (topics::ORDERS_RECEIVED, 0), &[]);
    house.write(
        topics::ORDERS_DROPPED,
        "o",
        b"{}",
        &[
            ("__connect.errors.topic", "orders.received"),
            ("__connect.errors.partition", "0"),
            ("__connect.errors.offset", "0"),
            drop[0],
        ],
    );
    let report = traced(&house, "o").await;
    assert!(report.is_settled() && matches!(verdict(&report, SINKS[0]), Verdict::Dropped { .. }), "{report:?}");

    house.post("o");
    let report = traced(&house, "orders.received/0/0").await;
    assert!(matches!(verdict(&report, SINKS[0]), Verdict::Replaced { by } if by.offset == 1), "{report:?}");

    let report = traced(&house, "never-posted").await;
    assert_eq!(verdict(&report, SINKS[0]), &Verdict::NeverAcknowledged);
    assert!(!report.is_settled());
    let err = trace(&house.sources(), &options("orders.received/0/99")).await.unwrap_err().to_string();
    assert!(err.contains("no committed record lies at orders.received/0/99"), "{err}");
}

#[tokio::test]
async fn what_a_pipeline_writes_into_topics_of_its_own_is_found_there() {
    let house = House::new().await;
    house.held.lock().unwrap().pipeline = vec![
        ("errors.deadletterqueue.topic.name", "team.bad"),
        ("dropped.topic.name", "team.gone"),
        ("outputs", "vip"),
        ("outputs.vip.topic", "team.vip"),
    ];
    ["team.bad", "team.gone", "team.vip"].iter().for_each(|topic| house.topic(topic));
    let ids = ["bad", "gone", "vip", "bare", "lost"];
    ids.iter().for_each(|id| house.post(id));
    for group in ["p", "orders-transforms"] {
        house.commit(group, topics::ORDERS_RECEIVED, 5);
    }
    house.letter("team.bad", "bad", &received("bad"), (topics::ORDERS_RECEIVED, 0), &[]);
    let by = [(headers::MODULE, "filter@1.0.0+sha256:0123456789ab")];
    house.letter("team.gone", "gone", b"{}", (topics::ORDERS_RECEIVED, 1), &by);
    house.write("team.vip", "vip", &placed("vip", 2), &[]);
    // Of a schema without a version.
    house.write("team.vip", "bare", &received("bare"), &[(headers::REQUEST_ID, "r-1")]);

    let report = traced(&house, "bad").await;
    let Verdict::DeadLetter { replay, .. } = verdict(&report, SINKS[0]) else { panic!("{report:?}") };
    assert_eq!(replay, "transforms replay team.bad/0/0 --send");
    let report = traced(&house, "gone").await;
    assert!(
        matches!(verdict(&report, SINKS[1]), Verdict::Dropped { by, .. } if by.starts_with("filter@")),
        "{report:?}"
    );
    for (id, at) in [("vip", "team.vip/0/0"), ("team.vip/0/0", "team.vip/0/0"), ("bare", "team.vip/0/1")] {
        let report = traced(&house, id).await;
        assert!(report.is_settled(), "{id}: {report:?}");
        let text = show::text(&report);
        assert_eq!(text.matches(&format!(": went to team.vip ({at})\n")).count(), 2, "{id}: {text}");
    }
    let report = traced(&house, "lost").await;
    assert!(matches!(verdict(&report, SINKS[0]), Verdict::Missing { .. }), "{report:?}");
    // Without the settings nobody knows where else to look.
    let away = Sources { transforms: Connect::new("http://127.0.0.1:1").unwrap(), ..house.sources() };
    for id in ["vip", "lost"] {
        let report = trace(&away, &options(id)).await.unwrap();
        let Verdict::Unknown { reason } = verdict(&report, SINKS[0]) else { panic!("{report:?}") };
        assert!(reason.contains("not all topics that the pipeline may have written it to are known"), "{reason}");
    }
}

#[tokio::test]
async fn a_topic_of_the_pipelines_own_that_may_not_be_read_is_told_and_keeps_nobody_from_the_rest() {
    let house = House::new().await;
    house.held.lock().unwrap().pipeline = vec![("errors.deadletterqueue.topic.name", "team.bad")];
    house.topic("team.bad");
    house.answer_for("team.bad", REFUSED);
    house.post("o");
    house.post("lost");
    house.place("o", 0);
    house.commit("p", topics::ORDERS_RECEIVED, 2);
    read(&house, 1);
    hold(&house, 0);
    let report = traced(&house, "o").await;
    assert!(report.is_settled() && show::text(&report).contains("cannot ask Kafka: Kafka refuses topic team.bad"));
    let report = traced(&house, "lost").await;
    assert!(matches!(verdict(&report, SINKS[0]), Verdict::Unknown { .. }), "{report:?}");
}

#[tokio::test]
async fn a_search_that_ends_at_its_bound_says_so_and_does_not_say_never() {
    let house = House::new().await;
    for id in ["o", "a", "b"] {
        house.post(id);
    }
    let report = trace(&house.sources(), &Options { records: 2, ..options("o") }).await.unwrap();
    let Verdict::NotFound { searched } = verdict(&report, SINKS[0]) else { panic!("{report:?}") };
    assert!(searched.starts_with("back to offset 1 (1970-01-01T00:00:01Z"), "{searched}");
    assert!(show::text(&report).contains("searched orders.received only back to offset 1"));
}
