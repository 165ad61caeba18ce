//! Orders that are refused: with the status that fits, `persisted: no`, and nothing in the topic.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{PATIENCE, World, get, order, request, talk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_and_nothing_is_stored() {
    let world = World::ready().await;
    let large = format!(r#"{{"orderId":"a","amount":1,"customer":"{}"}}"#, "c".repeat(1 << 20));
    let deep = "[".repeat(500_000);
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(&str, Headers, u16, &str); 14] = [
        ("{", &[], 400, "malformed"),
        ("", &[], 400, "malformed"),
        (&deep, &[], 400, "malformed"),
        (r#"{"orderId":"a","orderId":"a","amount":1,"customer":"c"}"#, &[], 400, "malformed"),
        (r#"{"orderId":"a","amount":1,"customer":"\ud800"}"#, &[], 400, "malformed"),
        (r#"{"orderId":"a","amount":01,"customer":"c"}"#, &[], 400, "malformed"),
        (&order("a"), &[("x-deadline-ms", "199")], 400, "deadline"),
        (&order("a"), &[("x-deadline-ms", "soon")], 400, "deadline"),
        (&large, &[], 413, "body-too-large"),
        (&order("a"), &[("content-type", "text/plain")], 415, "media-type"),
        (&order("a"), &[("content-type", "application/json; charset=latin1")], 415, "media-type"),
        (&order("a"), &[("content-encoding", "gzip")], 415, "encoding"),
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
