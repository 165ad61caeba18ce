//! Orders that are refused: with the status that fits, `persisted: no`, and nothing in the topic.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{PATIENCE, World, get, order, request, talk, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_and_nothing_is_stored() {
    let world = World::ready().await;
    let large = format!(r#"{{"orderId":"a","amount":1,"customer":"{}"}}"#, "c".repeat(1 << 20));
    let deep = format!("{{\"a\":{}", "[".repeat(500_000));
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(&str, Headers, u16, &str); 15] = [
        ("{", &[], 400, "malformed"),
        ("", &[], 400, "malformed"),
        (&deep, &[], 400, "malformed"),
        (r#"{"orderId":"a","orderId":"a","amount":1,"customer":"c"}"#, &[], 400, "malformed"),
        (r#"{"orderId":"a","amount":1,"customer":"\ud800"}"#, &[], 400, "malformed"),
        (r#"{"orderId":"a","amount":01,"customer":"c"}"#, &[], 400, "malformed"),
        (&order("a"), &[("x-deadline-ms", "199")], 400, "deadline"),
        (&order("a"), &[("x-deadline-ms", "soon")], 400, "deadline"),
        (&order("a"), &[("x-deadline-ms", "300"), ("x-deadline-ms", "4000")], 400, "deadline"),
        (&large, &[], 413, "body-too-large"),
        (&order("a"), &[("content-type", "text/plain")], 415, "media-type"),
        (&order("a"), &[("content-type", "application/json; charset=latin1")], 415, "media-type"),
        (&order("a"), &[("content-encoding", "br")], 415, "encoding"),
        (r#"{"orderId":"a","amount":99.999,"customer":"c"}"#, &[], 422, "invalid"),
        (r#"{"orderId":"a","amount":1,"customer":"\u0000"}"#, &[], 422, "invalid"),
    ];
    for (body, headers, status, kind) in cases {
        let answer = world.post_with(body, headers).await;
        assert_eq!(answer.verdict(), (status, "no".to_owned(), "pointless".to_owned()), "{body:.60}: {answer:?}");
        assert_eq!(answer.json()["type"], format!("urn:orderflow:problem:{kind}"), "{body:.60}");
    }
    let answer = world.post(&large).await;
    assert_eq!((&answer.json()["limit"], &answer.json()["size"]), (&(1 << 20).into(), &large.len().into()));
    assert_eq!((&answer.json()["unit"], &answer.json()["of"]), (&"bytes".into(), &"wire".into()));
    assert_eq!(world.stored().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_broken_rules_are_told_with_pointers() {
    let world = World::ready().await;
    let body = r#"{"orderId":"a/b","amount":1.005,"items":[{"sku":"s","quantity":0,"unitPrice":1}]}"#;
    let answer = world.post(body).await;
    let mut errors: Vec<String> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| format!("{} {}", error["pointer"].as_str().unwrap(), error["rule"].as_str().unwrap()))
        .collect();
    errors.sort();
    assert_eq!(
        errors,
        ["/amount x-decimal", "/customer required", "/items/0/quantity minimum", "/orderId pattern"],
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_too_large_as_a_record_is_told_both_sizes() {
    let world = World::ready().await;
    let item = format!(r#"{{"sku":"{}","quantity":1,"unitPrice":1}}"#, "\u{1f600}".repeat(64));
    let fits = |count: usize| {
        format!(r#"{{"orderId":"a","amount":1,"customer":"c","items":[{}]}}"#, vec![item.as_str(); count].join(","))
    };
    // The shipped rules bound an order below the limit: 500 items of 64 characters, four bytes each.
    assert_eq!(world.post(&fits(500)).await.status, 202);
    let schema = schemas::contracts::ORDER_SCHEMA_JSON.replace(r#""maxItems": 500"#, r#""maxItems": 5000"#);
    let world = World::with_schema(schema).await;
    let answer = world.post(&fits(1010)).await;
    assert_eq!(answer.verdict(), (413, "no".to_owned(), "pointless".to_owned()), "{answer:?}");
    assert_eq!(answer.json()["limit"], 256 * 1024);
    assert!(256 * 1024 < answer.json()["size"].as_u64().unwrap());
    assert_eq!(answer.json()["of"], "encoded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_paths_and_methods_are_told_what_is_here() {
    let world = World::ready().await;
    let elsewhere = get(world.app.address, "/metrics").await;
    assert_eq!(elsewhere.verdict(), (404, "no".to_owned(), "pointless".to_owned()));
    let method = get(world.app.address, "/api/orders").await;
    assert_eq!(method.verdict().0, 405);
    assert_eq!(method.header("allow"), Some("POST"));
}

/// Writes a request in pieces, as a client on a slow line does; every piece must be taken, or the client would see a
/// reset and not the answer.
async fn talk_slowly(address: std::net::SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for piece in sent.as_bytes().chunks(60_000) {
        stream.write_all(piece).await.expect("the edge takes what is written");
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").expect("an answer and no reset");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_client_that_still_writes() {
    let world = World::ready().await;
    let body = "x".repeat(600_000);
    let post = |headers: &[(&str, &str)]| request(&body, headers);
    for (sent, status) in [
        (post(&[("content-type", "text/plain")]), "HTTP/1.1 415"),
        (post(&[("x-deadline-ms", "soon")]), "HTTP/1.1 400"),
        (post(&[]).replacen("POST", "PUT", 1), "HTTP/1.1 405"),
        (post(&[]).replacen("/api/orders", "/elsewhere", 1), "HTTP/1.1 404"),
        (request(&"x".repeat(1_200_000), &[]), "HTTP/1.1 413"),
        (request(&format!("[{}]{body}", order("a")), &[]), "HTTP/1.1 207"), // its last receipt
    ] {
        let answer = talk_slowly(world.app.address, &sent).await;
        assert!(answer.starts_with(status) && answer.contains(r#""persisted":"no""#), "{status}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_is_refused_at_once() {
    let world = World::ready().await;
    let head = request("", &[("content-type", "text/plain"), ("expect", "100-continue")]);
    let head = head.replace("content-length: 0", "content-length: 600000");
    let begun = Instant::now();
    let answer = talk(world.app.address, head.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 415, "{answer:?}");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

/// What came to its end leaves the connection for the next request; what did not ends it, and the answer says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_promises_another_request_only_if_its_body_was_read_to_the_end() {
    let world = World::ready().await;
    let kept = |sent: String| sent.replace("connection: close\r\n", "");
    let longer = |sent: String, size: usize| sent.replace("content-length: 0", &format!("content-length: {size}"));
    let (text, coded) = (("content-type", "text/plain"), ("content-encoding", "gzip"));
    let asks = [text, ("expect", "100-continue")];
    // More than is thrown away: eight times the limit.
    let endless = longer(kept(request("", &[text])), 20 << 20) + &"x".repeat(9 << 20);
    for (sent, status, is_kept) in [
        (kept(request("x", &[text])), 415, true),
        (kept(request("{", &[])), 400, true),
        (kept(request("", &[coded])), 400, true),
        (kept(request("", &[text])).replacen("/api/orders", "/elsewhere", 1), 404, true),
        (longer(kept(request("", &asks)), 9), 415, false),
        (longer(kept(request("", &[text])), 9), 415, false),
        (longer(kept(request("", &[])), 9), 400, false), // too slow
        (endless, 415, false),
    ] {
        let what = sent[..sent.len().min(200)].to_owned();
        let mut stream = TcpStream::connect(world.app.address).await.unwrap();
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let reading = async {
            while !answer.ends_with(b"}") {
                let more = tokio::time::timeout(PATIENCE, read.read_buf(&mut answer)).await.expect("an answer in time");
                assert!(0 < more.unwrap(), "closed: {what}");
            }
        };
        let writing = async {
            let _ = write.write_all(sent.as_bytes()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        assert_eq!(answer.contains("\r\nconnection: close\r\n"), !is_kept, "{what}: {answer}");
        let next = kept(request("{", &[]));
        let again = async {
            stream.write_all(next.as_bytes()).await?;
            let mut piece = [0; 15];
            stream.read_exact(&mut piece).await
        };
        let again = tokio::time::timeout(PATIENCE, again).await.expect("an answer or an end");
        assert_eq!(again.is_ok(), is_kept, "{what}: {answer}");
    }
}

/// What is announced costs the client nothing; it must not cost the others their place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_clients_that_announce_much_stop_nobody() {
    let world = World::ready().await;
    let head = request("", &[]).replace("content-length: 0", "content-length: 1048576");
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(world.app.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    until("all of them are waited for", async || 100.0 <= world.metric("orderflow_edge_in_flight_requests").await)
        .await;
    let answer = world.post(&order("a")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_trickles_is_cut_at_its_deadline() {
    let world = World::ready().await;
    let begun = Instant::now();
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    let sent = request(&order("slow"), &[]);
    let (first, rest) = sent.split_at(sent.len() - 40);
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let trickle = async {
        for byte in rest.as_bytes() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            let mut piece = [0; 4096];
            if let Ok(read) = stream.try_read(&mut piece) {
                answer.push_str(&String::from_utf8_lossy(&piece[..read]));
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, trickle).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("body-slow"), "{answer}");
    assert!(answer.contains(r#""persisted":"no""#) && answer.contains(r#""retry":"safe""#), "{answer}");
    let took = begun.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_is_cut_at_its_deadline() {
    let world = World::ready().await;
    let begun = Instant::now();
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    stream.write_all(b"POST /api/orders HTTP/1.1\r\nhost: local").await.unwrap();
    let mut read = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("the edge closes").unwrap();
    let took = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_lies_stores_nothing() {
    let world = World::ready().await;
    let short = request(&order("lie"), &[]).replace("content-length: ", "content-length: 1");
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    stream.write_all(short.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut read = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("the edge closes");
    let both = request(&order("lie"), &[("transfer-encoding", "chunked")]);
    let answer = talk(world.app.address, both.as_bytes()).await;
    assert!(answer.is_none_or(|answer| answer.status == 400));
    assert_eq!(world.stored().len(), 0);
}
