//! Batches in trouble: a client that stalls, breaks off, hangs up or does not read; Kafka away; a drain. The receipts
//! are true, what was taken is settled, and nobody waits for ever.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::world::{NDJSON, PATIENCE, World, dechunked, get, order, post_lines, request, stored, talk, until};

const QUEUE: &str = "orderflow_edge_queue_orders";
const CLIENT_GONE: &str = r#"orderflow_edge_batches_total{ended="client_gone"}"#;

/// A connection on which a batch was begun: its head, and these bytes of a body that is announced to be longer.
async fn begin(world: &World, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    let head = request("", &[NDJSON]).replace("content-length: 0", &format!("content-length: {}", sent.len() + 1000));
    stream.write_all(format!("{head}{sent}").as_bytes()).await.unwrap();
    stream
}

async fn receipts(stream: &mut TcpStream) -> Vec<Value> {
    let mut read = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut read)).await.expect("an end in time").unwrap();
    let (head, body) = read.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 207"), "{read}");
    dechunked(body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(prefix: &str, count: usize) -> String {
    (0..count).map(|line| order(&format!("{prefix}-{line}")) + "\n").collect()
}

/// Line, status, persisted and retry.
fn verdict(receipt: &Value) -> Value {
    json!([receipt["line"], receipt["status"], receipt["persisted"], receipt["retry"]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_stalls_is_ended_in_time_and_the_receipts_before_stand() {
    let world = World::ready().await;
    let begun = Instant::now();
    let mut stream = begin(&world, &format!("{}{{\"orderId\":", lines("stall", 2))).await;
    let receipts = receipts(&mut stream).await;
    let took = begun.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
    assert_eq!((receipts.len(), &receipts[1]["status"]), (3, &json!(202)), "{receipts:?}");
    assert_eq!(verdict(&receipts[2]), json!([3, 400, "no", "safe"]));
    assert_eq!(receipts[2]["type"], "urn:orderflow:problem:body-slow");
    assert_eq!(world.stored().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_connection_broke_is_taken() {
    let world = World::ready().await;
    let stream = begin(&world, &format!("{}{{\"orderId\":\"half", lines("broken", 3))).await;
    until("three are accepted", async || {
        world.metric(r#"orderflow_edge_requests_total{outcome="accepted"}"#).await == 3.0
    })
    .await;
    drop(stream);
    until("the batch has ended", async || world.metric("orderflow_edge_in_flight_requests").await == 0.0).await;
    let mut keys: Vec<String> = world.stored().into_iter().map(|stored| stored.key).collect();
    keys.sort();
    assert_eq!(keys, ["broken-0", "broken-1", "broken-2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_cancels_nothing_of_its_batch() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(1)).unwrap();
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    stream.write_all(request(&lines("gone", 10), &[NDJSON]).as_bytes()).await.unwrap();
    until("all are handed over", async || world.metric(QUEUE).await == 10.0).await;
    drop(stream);
    until("the edge has seen it leave", async || world.metric(CLIENT_GONE).await == 1.0).await;
    assert_eq!(world.metric(r#"orderflow_edge_requests_total{outcome="client_gone"}"#).await, 10.0);
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    until("all are in the topic", async || world.stored().len() == 10).await;
    until("the share of the queue is given back", async || world.metric(QUEUE).await == 0.0).await;
}

/// With a small window and long ids, so that the receipts wait in the edge and not in the kernel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_only_when_it_has_written_all_gets_all() {
    let world = World::ready().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.app.address).await.unwrap();
    let sent = request(&lines(&"i".repeat(120), 10_000), &[NDJSON]);
    let written = tokio::time::timeout(PATIENCE, stream.write_all(sent.as_bytes())).await;
    written.expect("the edge takes all").expect("and does not let the client go");
    let receipts = receipts(&mut stream).await;
    assert_eq!((receipts.len(), verdict(&receipts[9999])), (10_000, json!([10_000, 202, "yes", null])));
}

/// Its receipts are large, so that neither the kernel nor we can hold them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_let_go() {
    let world = World::ready().await;
    let members: Vec<String> = (0..40).map(|member| format!(r#""{}{member}":0"#, "k".repeat(60))).collect();
    let line = format!("{{{}}}\n", members.join(","));
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    let body = line.repeat(5000);
    let begun = Instant::now();
    let sent = request(&body, &[NDJSON]);
    let (mut read, mut write) = stream.split();
    let written = tokio::time::timeout(PATIENCE, write.write_all(sent.as_bytes())).await;
    assert!(written.expect("the edge lets it go").is_err(), "the edge does not take all of it");
    until("the batch has ended", async || world.metric(CLIENT_GONE).await == 1.0).await;
    let took = begun.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&took), "{took:?}");
    let refused = world.metric(r#"orderflow_edge_requests_total{outcome="invalid"}"#).await;
    assert!((500.0..4500.0).contains(&refused), "{refused} lines were taken");
    let _ = read.read(&mut [0]).await;
    assert_eq!(world.post(&order("other")).await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_slow_broker_each_line_has_its_own_deadline() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(1)).unwrap();
    let begun = Instant::now();
    let answer = world.post_with(&lines("slow", 20), &[NDJSON, ("x-deadline-ms", "200")]).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(900), "{took:?}");
    let verdicts: Vec<Value> = answer.receipts().iter().map(verdict).collect();
    let expected: Vec<Value> = (1..=20).map(|line| json!([line, 504, "possibly", "with-same-order-id"])).collect();
    assert_eq!(verdicts, expected);
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    until("they arrive all the same", async || world.stored().len() == 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_in_the_middle_is_told_line_by_line() {
    let world = World::ready().await;
    let mut stream = begin(&world, &lines("before", 3)).await;
    until("three are accepted", async || {
        world.metric(r#"orderflow_edge_requests_total{outcome="accepted"}"#).await == 3.0
    })
    .await;
    world.kafka.broker_down(-1).unwrap();
    stream.write_all(lines("within-the-grace", 2).as_bytes()).await.unwrap();
    until("the edge is not ready", async || get(world.app.admin_address, "/readyz").await.status == 503).await;
    tokio::time::sleep(Duration::from_millis(1100)).await; // the grace
    stream.write_all(lines("after", 2).as_bytes()).await.unwrap();
    let receipts = receipts(&mut stream).await;
    let verdicts: Vec<Value> = receipts.iter().map(verdict).collect();
    let no = |line: usize| json!([line, 503, "no", "safe"]);
    assert_eq!(&verdicts[..3], [1, 2, 3].map(|line| json!([line, 202, "yes", null])));
    assert_eq!(&verdicts[3..7], [4, 5, 6, 7].map(no), "{receipts:?}");
    assert_eq!((&receipts[3]["orderId"], &receipts[6]["orderId"]), (&json!("within-the-grace-0"), &json!("after-1")));
    let whole = world.post_with(&order("whole"), &[NDJSON]).await;
    assert_eq!(whole.verdict(), (503, "no".to_owned(), "safe".to_owned()), "nothing can be taken: {whole:?}");
    world.kafka.broker_up(-1).unwrap();
    until("orders are taken again", async || world.post(&order("back")).await.status == 202).await;
    let stored = world.stored();
    assert!(stored.iter().all(|stored| stored.key.starts_with("before") || stored.key == "back"), "no means no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_lines_and_not_batches() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_secs(2)).unwrap();
    let address = world.app.address;
    let batches: Vec<_> = (0..20)
        .map(|batch| world.tasks.spawn(async move { post_lines(address, &lines(&format!("full-{batch}"), 500)).await }))
        .collect();
    until("the queue is full", async || 8192.0 <= world.metric(QUEUE).await).await;
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let (mut accepted, mut refused, mut in_doubt) = (0, 0, 0);
    for batch in batches {
        let answer = batch.await.unwrap().unwrap();
        assert_eq!(answer.receipts().len(), 500);
        for (index, receipt) in answer.receipts().iter().enumerate() {
            match receipt["status"].as_u64() {
                Some(202) => accepted += 1,
                // How long a mock broker takes on a machine with other work is not what this test is about.
                Some(504) => in_doubt += 1,
                _ => {
                    assert_eq!(verdict(receipt), json!([index + 1, 503, "no", "safe"]), "{receipt}");
                    refused += 1;
                }
            }
        }
    }
    assert!(0 < accepted && 0 < refused, "{accepted} accepted, {refused} refused, {in_doubt} in doubt");
    let stored = world.stored().len();
    assert!((accepted..=accepted + in_doubt).contains(&stored), "{stored} stored, {accepted} accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_what_was_taken_and_takes_no_more() {
    let world = World::ready().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_millis(500)).unwrap();
    let mut stream = begin(&world, &lines("drain", 5)).await;
    until("all are handed over", async || world.metric(QUEUE).await == 5.0).await;
    // Slow until here, so that they are seen in flight; the drain is not about the broker's speed.
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let servers = world.kafka.bootstrap_servers();
    let begun = Instant::now();
    let answered = async { (receipts(&mut stream).await, begun.elapsed()) };
    let ((receipts, took), ()) = tokio::join!(answered, world.app.drain());
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "within the drain's time: {took:?}");
    let verdicts: Vec<Value> = receipts.iter().map(verdict).collect();
    assert_eq!(&verdicts[..5], [1, 2, 3, 4, 5].map(|line| json!([line, 202, "yes", null])));
    assert_eq!(verdicts[5..], [json!([6, 503, "no", "safe"])]);
    assert!(receipts[5]["detail"].as_str().unwrap().contains("stopping"), "{receipts:?}");
    assert_eq!(stored(&servers).len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_all_of_a_batch_is_a_plain_refusal() {
    let world = World::started_without_registry().await;
    until("kafka is known", async || {
        get(world.app.admin_address, "/readyz").await.json()["conditions"][0]["met"] == true
    })
    .await;
    let no_schema = world.post_with(&lines("a", 2), &[NDJSON]).await;
    assert_eq!(no_schema.verdict(), (503, "no".to_owned(), "safe".to_owned()), "{no_schema:?}");
    let pause: u64 = no_schema.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&pause), "{no_schema:?}");
    for (headers, status) in [
        (&[("content-type", "text/x-ndjson")][..], 415),
        (&[("content-type", "application/x-ndjson; charset=latin1")], 415),
        (&[NDJSON, ("content-encoding", "br")], 415),
        (&[NDJSON, ("x-deadline-ms", "soon")], 400),
    ] {
        assert_eq!(world.post_with(&lines("a", 2), headers).await.verdict().0, status, "{headers:?}");
    }
    world.registry.fail(false);
    world.until_ready().await;
    assert_eq!(world.stored().len(), 0);
}

/// Its first byte decides its limit, so it is let write; the refusal reaches it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_order_that_asked_first_and_is_too_large_is_refused_without_a_reset() {
    let world = World::ready().await;
    let body = "x".repeat(1_200_000);
    let sent = request(&body, &[("expect", "100-continue")]);
    let answer = talk(world.app.address, sent.as_bytes()).await.unwrap();
    let text = format!("{}{}", answer.head, answer.text);
    assert!(text.contains("100 Continue") && text.contains("413 Payload Too Large"), "{text}");
}

/// Nothing more of the body is wanted, so that nothing but the line itself can wake the batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_line_before_an_end_that_is_refused_is_answered_and_so_is_the_end() {
    let world = World::ready().await;
    let answer = world.post("[{}] x").await;
    let verdicts: Vec<Value> = answer.receipts().iter().map(verdict).collect();
    assert_eq!(verdicts, [json!([1, 422, "no", "pointless"]), json!([2, 400, "no", "pointless"])], "{answer:?}");
}

/// As many as may wait at once come in one piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_refused_lines_than_may_wait_are_all_answered() {
    let world = World::ready().await;
    let answer = world.post_with(&"{}\n".repeat(2000), &[NDJSON]).await;
    let lines: Vec<u64> = answer.receipts().iter().map(|receipt| receipt["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=2000).collect::<Vec<u64>>());
    until("the batch has ended", async || world.metric("orderflow_edge_in_flight_requests").await == 0.0).await;
}

/// The client goes on only when it has the receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receipt_of_a_refused_line_does_not_wait_for_more_of_the_body() {
    let world = World::ready().await;
    let mut stream = begin(&world, "{}\n").await;
    let begun = Instant::now();
    let mut read = String::new();
    while !read.contains("\"line\":1") {
        let mut piece = [0; 4096];
        let more = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("a receipt in time").unwrap();
        assert!(0 < more, "closed: {read}");
        read.push_str(&String::from_utf8_lossy(&piece[..more]));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "before the client is taken for silent: {took:?}");
}

/// It is thrown away for some seconds, so that its client reads the refusal and not a reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_refused_holds_no_memory_while_its_rest_is_thrown_away() {
    let world = World::started_without_registry().await;
    until("kafka is known", async || {
        get(world.app.admin_address, "/readyz").await.json()["conditions"][0]["met"] == true
    })
    .await;
    let _stream = begin(&world, &lines("a", 20)).await;
    let requests = async || world.metric("orderflow_edge_in_flight_requests").await;
    until("the batch has come", async || requests().await == 1.0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.metric("orderflow_edge_body_bytes ").await, 0.0);
}

/// It reads enough that its connection is never blocked for as long as a write may take; the batch gives it up all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_too_slowly_is_given_up_after_a_minute() {
    let world = World::ready().await;
    let members: Vec<String> = (0..40).map(|member| format!(r#""{}{member}":0"#, "k".repeat(60))).collect();
    let sent = request(&format!("{{{}}}\n", members.join(",")).repeat(5000), &[NDJSON]);
    // A large buffer of the kernel's has room again only after so much was read that a write would have waited too long.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(128 * 1024).unwrap();
    let mut stream = socket.connect(world.app.address).await.unwrap();
    let begun = Instant::now();
    let (mut read, mut write) = stream.split();
    let writing = async {
        let _ = write.write_all(sent.as_bytes()).await;
        std::future::pending::<()>().await;
    };
    let reading = async {
        let mut piece = vec![0; 200 * 1024];
        while world.metric(CLIENT_GONE).await == 0.0 {
            let _ = tokio::time::timeout(Duration::from_secs(1), read.read_exact(&mut piece)).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(begun.elapsed() < Duration::from_secs(180), "it is still waited for");
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    let took = begun.elapsed();
    assert!(Duration::from_secs(60) < took, "{took:?}");
}
