//! What operators see: metrics that are true and bounded, and a log that tells of each request and of nothing in it.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use schemas::names::topics;
use serde_json::Value;

use crate::{
    command::free_ports,
    world::{NDJSON, PARTITIONS, PATIENCE, World, get, order, request, talk, until},
};

fn raw(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    request(body, headers).replacen("POST /api/orders", &format!("{method} {target}"), 1)
}

/// One of each kind that needs nothing but a client; `mark` stands wherever a client can write what it likes.
fn requests(mark: &str) -> Vec<String> {
    let post = |body: &str, headers: &[(&str, &str)]| {
        let token = format!("Bearer {mark}");
        let mut headers = headers.to_vec();
        headers.extend([("authorization", token.as_str()), ("cookie", mark), ("x-trace", mark), ("traceparent", mark)]);
        raw("POST", &format!("/api/orders?key={mark}"), &headers, body)
    };
    let good = format!(r#"{{"orderId":"{mark}","amount":1,"customer":"{mark}","email":"a@{mark}"}}"#);
    let unknown = format!(r#"{{"orderId":"{mark}","amount":"{mark}","customer":"","{mark}":"{mark}"}}"#);
    let twice = format!(r#"{{"{mark}":1,"{mark}":2}}"#);
    vec![
        post(&good, &[]),
        post(&unknown, &[]),
        post(&twice, &[]),
        post(mark, &[]),
        post(&format!("{good}\n{unknown}\n{twice}\n{mark}\n"), &[NDJSON]),
        post(&format!("[{good}, {unknown}"), &[]),
        post(&good, &[("content-type", mark)]),
        post(&good, &[("content-encoding", mark)]),
        post(&good, &[("x-deadline-ms", mark)]),
        post(&"x".repeat(1_100_000), &[("x-padding", mark)]),
        raw("GET", &format!("/api/orders?{mark}"), &[], ""),
        raw("PUT", "/api/orders", &[("x-request-id", "not safe")], ""),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_clients_send_the_metrics_do_not_grow() {
    let world = World::ready().await;
    let send = async |mark: &str| {
        for sent in requests(mark) {
            assert!(talk(world.app.address, sent.as_bytes()).await.is_some(), "{sent:.200}");
        }
        let elsewhere = raw("GET", &format!("/{mark}"), &[], "");
        assert_eq!(talk(world.app.address, elsewhere.as_bytes()).await.unwrap().status, 404);
    };
    // Without values, and without what the broker's statistics add once they have come.
    let lines = async || -> BTreeSet<String> {
        let text = get(world.app.admin_address, "/metrics").await.text;
        let lines = text.lines().filter(|line| !line.contains("_kafka_"));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    send("first").await;
    let before = lines().await;
    for reason in
        ["malformed", "invalid", "media-type", "encoding", "deadline", "method", "not-found", "body-too-large"]
    {
        let line = format!(r#"orderflow_edge_refusals_total{{reason="{reason}"}}"#);
        assert!(before.contains(&line), "{line} is not in {before:#?}");
    }
    for number in 0..8 {
        send(&format!("m{number}-{}", uuid::Uuid::new_v4())).await;
    }
    assert_eq!(lines().await, before);

    let page = include_str!("../../METRICS.md");
    let text = get(world.app.admin_address, "/metrics").await.text;
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(page.contains(&format!("| `{name}` |")) || page.contains(&format!("| `{name}_total` |")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_and_fill_are_those_of_the_orders() {
    let world = World::ready().await;
    for id in ["a", "b"] {
        assert_eq!(world.post(&order(id)).await.status, 202);
    }
    let lines = format!("{}\n{}\n", order("c"), "{");
    assert_eq!(crate::world::post_lines(world.app.address, &lines).await.receipts().len(), 2);
    for (name, expected) in [
        (r#"orderflow_edge_stage_seconds_count{stage="read"}"#, 2.0),
        (r#"orderflow_edge_stage_seconds_count{stage="check"}"#, 3.0),
        (r#"orderflow_edge_stage_seconds_count{stage="publish"}"#, 3.0),
        ("orderflow_edge_request_seconds_count", 2.0),
        (r#"orderflow_edge_refusals_total{reason="malformed"}"#, 1.0),
        ("orderflow_edge_queue_orders_limit", 8192.0),
        ("orderflow_edge_body_bytes_limit", 67_108_864.0),
    ] {
        assert_eq!(world.metric(name).await, expected, "{name}");
    }
    // A body that is half here has its share of the memory, and its client a connection.
    let mut client = tokio::net::TcpStream::connect(world.app.address).await.unwrap();
    let half = request(&"x".repeat(100_000), &[]);
    tokio::io::AsyncWriteExt::write_all(&mut client, &half.as_bytes()[..60_000]).await.unwrap();
    until("the body is counted", async || 50_000.0 < world.metric("orderflow_edge_body_bytes ").await).await;
    assert_eq!(world.metric("orderflow_edge_connections ").await, 1.0);
    assert!(16.0 <= world.metric("orderflow_edge_connections_limit").await);
    drop(client);
    until("all is given back", async || {
        world.metric("orderflow_edge_body_bytes ").await + world.metric("orderflow_edge_connections ").await == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_tells_of_each_request_and_of_nothing_in_it() {
    const MARK: &str = "Qx7secret";
    let world = World::ready().await;
    let (address, admin) = free_ports().await;
    let mut edge = Command::new(env!("CARGO_BIN_EXE_edge"))
        .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string(), "--instance", "test"])
        .args(["--kafka", &world.kafka.bootstrap_servers(), "--registry", &world.registry.url()])
        .args(["--log=debug", "--log-format=json"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = edge.stderr.take().unwrap();
    let log = world.tasks.spawn_blocking(move || std::io::read_to_string(log).unwrap());
    until("the process is ready", async || {
        let ready = raw("GET", "/readyz", &[], "");
        talk(admin, ready.as_bytes()).await.is_some_and(|answer| answer.status == 200)
    })
    .await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = request(&order("traced"), &[("traceparent", trace), ("x-request-id", "my-request")]);
    let mut ids = vec![("my-request".to_owned(), 202)];
    assert_eq!(talk(address, traced.as_bytes()).await.unwrap().status, 202);
    for sent in requests(MARK) {
        let answer = talk(address, sent.as_bytes()).await.unwrap();
        ids.push((answer.header("x-request-id").unwrap().to_owned(), answer.status));
    }
    // Nobody takes orders any more: the edge's own fault, which is told at warn, and once for many.
    world.kafka.broker_down(1).unwrap();
    until("the edge knows", async || {
        let answer = talk(address, request(&order(MARK), &[("x-deadline-ms", "200")]).as_bytes()).await.unwrap();
        answer.status == 503
    })
    .await;
    for _ in 0..20 {
        talk(address, request(&order(MARK), &[]).as_bytes()).await.unwrap();
    }
    edge.kill().unwrap();
    edge.wait().unwrap();
    let log = tokio::time::timeout(PATIENCE, log).await.unwrap().unwrap();

    assert!(!log.to_lowercase().contains(&MARK.to_lowercase()), "{:?}", log.lines().find(|line| line.contains(MARK)));
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |message: &str| events.iter().filter(move |event| event["message"] == message).collect::<Vec<_>>();
    for (id, status) in ids {
        let told: Vec<_> = of("request").into_iter().filter(|event| event["request.id"] == id.as_str()).collect();
        let [told] = &told[..] else { panic!("one line for {id}: {told:?}") };
        assert_eq!((&told["http.status"], &told["level"]), (&status.into(), &"DEBUG".into()), "{told}");
        assert!(told["duration.ms"].as_f64().is_some() && told["persisted"].is_string(), "{told}");
        assert_eq!(told["http.path"], "/api/orders", "{told}");
        assert_eq!(told["trace.parent"].as_str(), (id == "my-request").then_some(trace), "{told}");
    }
    assert!(3 <= of("line is refused").len(), "those of the batch");
    let (warned, unavailable) = (of("a request failed"), |event: &&Value| event["reason"] == "unavailable");
    let warned = warned.into_iter().filter(unavailable).count();
    assert!((1..=10).contains(&warned), "{warned} warnings of more than twenty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_more_is_told_what_an_accepted_order_outlives() {
    let world = World::started(false).await;
    let ready = async |path| get(world.app.admin_address, path).await.json();
    assert!(ready("/readyz?verbose").await["durability"].is_null(), "nobody has seen the topic");
    world.kafka.create_topic(topics::ORDERS_RECEIVED, PARTITIONS, 1).unwrap();
    world.until_ready().await;
    let durability = ready("/readyz?verbose").await["durability"].clone();
    assert_eq!((&durability["partitions"], &durability["replicas"]), (&PARTITIONS.into(), &1.into()), "{durability}");
    assert!(ready("/readyz").await.get("durability").is_none());
}
