//! Batches: each line has its receipt, in order, and one bad line costs one line.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{NDJSON, PATIENCE, SCHEMA_ID, World, order, post_lines, request, talk, until};

/// Line, status and the kind of the problem, if it is one.
fn verdicts(receipts: &[Value]) -> Vec<(u64, u64, &str)> {
    let number = |receipt: &Value, name: &str| receipt[name].as_u64().unwrap_or_else(|| panic!("{name}: {receipt}"));
    receipts
        .iter()
        .map(|receipt| {
            let kind = receipt["type"].as_str().unwrap_or_default();
            (number(receipt, "line"), number(receipt, "status"), kind.trim_start_matches("urn:orderflow:problem:"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_line_costs_one_line() {
    let world = World::ready().await;
    let long = format!(r#"{{"orderId":"long","amount":1,"customer":"{}"}}"#, "c".repeat(1 << 20));
    let lines = [
        order("first"),
        "{".to_owned(),
        String::new(),
        r#"{"orderId":"twice","orderId":"twice","amount":1,"customer":"c"}"#.to_owned(),
        " \t\r".to_owned(),
        r#"{"orderId":"invalid","amount":1.005}"#.to_owned(),
        r#"{"orderId":"a/b","amount":1,"customer":"c"}"#.to_owned(),
        long.clone(),
        format!("{}\r", order("crlf")),
        format!("[{}]", order("in-an-array")),
        order("last"),
    ];
    let answer = world.post_with(&lines.join("\n"), &[NDJSON, ("x-request-id", "mine")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (207, Some("application/x-ndjson")), "{answer:?}");
    assert_eq!((answer.header("cache-control"), answer.header("x-request-id")), (Some("no-store"), Some("mine")));
    let receipts = answer.receipts();
    assert_eq!(
        verdicts(&receipts),
        [
            (1, 202, ""),
            (2, 400, "malformed"),
            (4, 400, "malformed"),
            (6, 422, "invalid"),
            (7, 422, "invalid"),
            (8, 413, "body-too-large"),
            (9, 202, ""),
            (10, 422, "invalid"),
            (11, 202, ""),
        ]
    );
    let stored = world.stored();
    assert_eq!(stored.len(), 3);
    for (index, key) in [(0, "first"), (6, "crlf"), (8, "last")] {
        let stored = stored.iter().find(|stored| stored.key == key).unwrap();
        let expected = json!({ "line": receipts[index]["line"], "status": 202, "orderId": key, "persisted": "yes",
            "topic": "orders.received", "partition": stored.partition, "offset": stored.offset,
            "requestId": "mine", "schemaId": SCHEMA_ID });
        assert_eq!(receipts[index], expected);
        assert_eq!(stored.headers, [("orderflow.request-id".to_owned(), "mine".to_owned())]);
    }
    for refused in receipts.iter().filter(|receipt| receipt["status"] != 202) {
        assert_eq!((&refused["persisted"], &refused["retry"]), (&json!("no"), &json!("pointless")), "{refused}");
        assert_eq!(refused["requestId"], "mine");
    }
    assert_eq!((&receipts[3]["orderId"], &receipts[3]["errorsTotal"]), (&json!("invalid"), &json!(2)));
    assert_eq!(receipts[4].get("orderId"), None, "no id, so it is not repeated");
    assert_eq!((&receipts[5]["limit"], &receipts[5]["size"]), (&json!(1 << 20), &json!(long.len())));
    for (outcome, count) in [("accepted", 3.0), ("malformed", 2.0), ("invalid", 3.0), ("too_large", 1.0)] {
        let name = format!(r#"orderflow_edge_requests_total{{outcome="{outcome}"}}"#);
        assert_eq!(world.metric(&name).await, count, "{name}");
    }
    assert_eq!(world.metric(r#"orderflow_edge_batches_total{ended="complete"}"#).await, 1.0);
    assert_eq!(world.metric("orderflow_edge_in_flight_requests").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_line_is_refused_as_it_would_be_alone() {
    let world = World::ready().await;
    for body in ["{", "{\"a\":1}x", r#"{"orderId":"a","amount":1,"customer":""}"#, r#"{"orderId":"a"}"#] {
        let alone = world.post(body).await.json();
        let mut line = world.post_with(body, &[NDJSON]).await.receipts().remove(0);
        let members = line.as_object_mut().unwrap();
        assert_eq!(members.remove("line"), Some(json!(1)));
        members.remove("orderId");
        members.insert("requestId".to_owned(), alone["requestId"].clone());
        assert_eq!(line, alone);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_array_is_a_batch_of_its_elements() {
    let world = World::ready().await;
    let elements = [
        r#"{"orderId":"a","amount":1,"customer":"[\"],}\\"}"#,
        r#"{"orderId":"b","amount":1,"customer":"c","items":[{"sku":"]","quantity":1,"unitPrice":1}]}"#,
        r#"[[{"x":[]}]]"#,
        r#""],[""#,
        r#"{"orderId":"c","amount":1,"customer":"c","customer":"d"}"#,
        r#"{"orderId":"d","amount":1,"customer":"]\u005d"}"#,
    ];
    let body = format!(" \n[ {} ]\r\n", elements.join(" ,\n "));
    let answer = world.post(&body).await;
    assert_eq!((answer.status, answer.header("content-type")), (207, Some("application/x-ndjson")), "{answer:?}");
    let expected =
        [(1, 202, ""), (2, 202, ""), (3, 422, "invalid"), (4, 422, "invalid"), (5, 400, "malformed"), (6, 202, "")];
    assert_eq!(verdicts(&answer.receipts()), expected);
    let mut keys: Vec<String> = world.stored().into_iter().map(|stored| stored.key).collect();
    keys.sort();
    assert_eq!(keys, ["a", "b", "d"]);

    for (body, expected) in [
        ("[]".to_owned(), &[][..]),
        (format!("[{},]", order("e")), &[(1, 202, ""), (2, 400, "malformed")]),
        (format!("[{},{}", order("e"), order("f")), &[(1, 202, ""), (2, 400, "batch-form")]),
        (format!("[{}] []", order("e")), &[(1, 202, ""), (2, 400, "batch-form")]),
    ] {
        let answer = world.post(&body).await;
        assert_eq!((answer.status, verdicts(&answer.receipts())), (207, expected.to_vec()), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_name_of_lines_is_known_and_no_lines_are_no_receipts() {
    let world = World::ready().await;
    for kind in ["application/x-ndjson", "application/ndjson; charset=utf-8", "Application/JSONL"] {
        let answer = world.post_with(&order("a"), &[("content-type", kind)]).await;
        assert_eq!(verdicts(&answer.receipts()), [(1, 202, "")], "{kind}: {answer:?}");
    }
    let answer = world.post_with("\n\n", &[NDJSON]).await;
    assert_eq!((answer.status, answer.text.as_str()), (207, ""));
}

/// Its receipts would end as they break off: with the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_over_http_1_0_is_refused_before_anything_is_taken() {
    let world = World::ready().await;
    let old = |body: &str, headers: &[(&str, &str)]| request(body, headers).replacen("HTTP/1.1", "HTTP/1.0", 1);
    for (body, headers) in [(order("a") + "\n", &[NDJSON][..]), (format!("[{}]", order("b")), &[])] {
        let answer = talk(world.app.address, old(&body, headers).as_bytes()).await.unwrap();
        assert_eq!(answer.verdict(), (505, "no".to_owned(), "pointless".to_owned()), "{answer:?}");
        assert_eq!(answer.json()["type"], "urn:orderflow:problem:http-version");
    }
    let single = talk(world.app.address, old(&order("single"), &[]).as_bytes()).await.unwrap();
    assert_eq!(single.status, 202, "{single:?}");
    let keys: Vec<String> = world.stored().into_iter().map(|stored| stored.key).collect();
    assert_eq!(keys, ["single"]);
}

/// The order of the lines is the order in the topic, and never are more in flight than may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_lines_keep_their_order_and_are_never_in_flight_all_at_once() {
    let world = World::ready().await;
    // There are four partitions, and one request is under way at a time.
    world.kafka.broker_round_trip_time(-1, std::time::Duration::from_millis(25)).unwrap();
    let lines: Vec<String> = (0..5000).map(|line| order(&format!("id-{}", line % 50))).collect();
    let (address, lines) = (world.app.address, lines.join("\n"));
    let posted = world.tasks.spawn(async move { post_lines(address, &lines).await });
    let mut most: f64 = 0.0;
    until("all are answered", async || {
        most = most.max(world.metric("orderflow_edge_queue_orders").await);
        posted.is_finished()
    })
    .await;
    assert!((100.0..=512.0).contains(&most), "{most} in flight");
    world.kafka.broker_round_trip_time(-1, std::time::Duration::ZERO).unwrap();
    let answer = posted.await.unwrap().unwrap();
    let receipts = answer.receipts();
    assert_eq!(receipts.len(), 5000);
    let mut last: HashMap<i64, i64> = HashMap::new();
    for (index, receipt) in receipts.iter().enumerate() {
        assert_eq!((&receipt["line"], &receipt["status"]), (&json!(index + 1), &json!(202)), "{receipt}");
        let (partition, offset) = (receipt["partition"].as_i64().unwrap(), receipt["offset"].as_i64().unwrap());
        let before = last.insert(partition, offset);
        assert!(before.is_none_or(|before| before + 1 == offset), "line {index}: {before:?} before {offset}");
    }
    assert_eq!(world.stored().len(), 5000);
}

/// A receipt comes while the batch is still being written, however the bytes are cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_come_while_the_batch_is_written() {
    let world = World::ready().await;
    for (kind, begin, between, end) in [("application/x-ndjson", "", "\r\n", ""), ("application/json", " [", ",", "]")]
    {
        let mut stream = TcpStream::connect(world.app.address).await.unwrap();
        let head =
            format!("POST /api/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\nconnection: close\r\n");
        stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
        let mut read = String::new();
        for number in 0..3 {
            let begin = if number == 0 { begin } else { "" };
            for piece in format!("{begin}{}{between}", order(&format!("stream-{number}"))).as_bytes().chunks(7) {
                let piece = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
                stream.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let answered = format!("stream-{number}");
            while !read.contains(&answered) {
                let mut piece = [0; 4096];
                let more = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("a receipt in time");
                let more = more.unwrap();
                assert!(0 < more, "closed: {read}");
                read.push_str(&String::from_utf8_lossy(&piece[..more]));
            }
        }
        let last = if end.is_empty() { String::new() } else { format!("{:x}\r\n{end}\r\n", end.len()) };
        stream.write_all(format!("{last}0\r\n\r\n").as_bytes()).await.unwrap();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut read)).await.expect("an end in time").unwrap();
        assert!(read.starts_with("HTTP/1.1 207") && read.ends_with("0\r\n\r\n"), "{read}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_beyond_the_limits_is_refused_and_the_receipts_before_stand() {
    let world = World::with(|config| {
        (config.max_body_bytes, config.max_batch_orders, config.max_batch_bytes) = (1024, 3, 2048);
    })
    .await;
    let lines: Vec<String> = (0..5).map(|line| order(&format!("count-{line}"))).collect();
    let answer = world.post_with(&format!("\n{}", lines.join("\n")), &[NDJSON]).await;
    let receipts = answer.receipts();
    assert_eq!(verdicts(&receipts), [(2, 202, ""), (3, 202, ""), (4, 202, ""), (5, 413, "batch-too-large")]);
    let numbers = |receipt: &Value| json!([receipt["limit"], receipt["size"], receipt["unit"], receipt["persisted"]]);
    assert_eq!(numbers(&receipts[3]), json!([3, 5, "orders", "no"]));
    assert_eq!(world.stored().len(), 3);

    let wide = |id: &str| format!(r#"{{"orderId":"{id}","amount":1,"customer":"c"{}}}"#, " ".repeat(860));
    let body = format!("{}\n{}\n{}\n", wide("a"), wide("b"), wide("c"));
    let announced = world.post_with(&body, &[NDJSON]).await;
    assert_eq!(announced.verdict(), (413, "no".to_owned(), "pointless".to_owned()), "{announced:?}");
    assert_eq!(numbers(&announced.json()), json!([2048, body.len(), "bytes", "no"]));
    assert_eq!(world.post(&format!("[{}]", wide("a").repeat(3))).await.verdict().0, 413);
    let chunked = request("", &[NDJSON, ("transfer-encoding", "chunked")]).replace("content-length: 0\r\n", "");
    let chunked = format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let receipts = talk(world.app.address, chunked.as_bytes()).await.unwrap().receipts();
    assert_eq!(verdicts(&receipts), [(1, 202, ""), (2, 202, ""), (3, 413, "batch-too-large")]);
    assert_eq!((&receipts[2]["limit"], &receipts[2]["unit"]), (&json!(2048), &json!("bytes")));
    assert_eq!(world.metric(r#"orderflow_edge_batches_total{ended="cut_short"}"#).await, 2.0);
    // A single order keeps its own limit.
    let single = world.post(&wide("a").replace("\"c\"", &format!("\"{}\"", "c".repeat(200)))).await;
    assert_eq!((single.status, &single.json()["limit"]), (413, &json!(1024)));
}
