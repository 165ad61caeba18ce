//! API keys over real sockets: who may post, how much, and that one who floods does not take the room of another.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use edge::keys;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{NDJSON, PATIENCE, World, order, post, request, until};

/// A file of keys that goes when its test does. A key's secret is its id, doubled.
pub(crate) struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl File {
    pub(crate) fn new(keys: &[(&str, Value)]) -> Self {
        let file = Self(std::env::temp_dir().join(format!("edge-keys-it-{}.json", uuid::Uuid::new_v4())));
        file.write(keys);
        file
    }

    fn write(&self, keys: &[(&str, Value)]) {
        let entry = |(id, more): &(&str, Value)| {
            let sha256: String = Sha256::digest(format!("{id}{id}")).iter().map(|byte| format!("{byte:02x}")).collect();
            let mut entry = json!({ "id": id, "sha256": sha256 });
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entry
        };
        fs::write(&self.0, Value::from(keys.iter().map(entry).collect::<Vec<_>>()).to_string()).unwrap();
    }

    pub(crate) async fn world(&self) -> World {
        let args = keys::Args { api_keys: Some(self.0.clone()), new_api_key: None };
        World::with(|config| config.keys = args.check(&mut Vec::new())).await
    }
}

pub(crate) fn bearer(id: &str) -> String {
    format!("Bearer {id}.{id}{id}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_key_is_told_so_before_its_body_is_read_and_nothing_is_stored() {
    let file = File::new(&[("shop", json!({})), ("old", json!({ "disabled": true }))]);
    let world = file.world().await;
    let no = |status: u16| (status, "no".to_owned(), "pointless".to_owned());
    let mut details = Vec::new();
    for key in ["Bearer shop.wrong", "Bearer nobody.nobody", "Basic c2hvcA==", "Bearer"] {
        let answer = world.post_with(&order("a"), &[("authorization", key)]).await;
        assert_eq!((answer.verdict(), answer.header("www-authenticate")), (no(401), Some("Bearer realm=\"orders\"")));
        details.push(answer.json()["detail"].clone());
    }
    assert!(details.iter().all(|detail| *detail == details[0]), "nobody learns what was wrong: {details:?}");
    assert_eq!(world.post(&order("a")).await.verdict(), no(401));
    assert_eq!(world.post_with(&order("a"), &[("authorization", &bearer("old"))]).await.verdict(), no(403));
    let wrong_path = request("", &[]).replace("/api/orders", "/api/other");
    assert_eq!(crate::world::talk(world.app.address, wrong_path.as_bytes()).await.unwrap().status, 404, "that first");

    // It asked whether to send the body, and hears no instead of "100 Continue".
    let mut stream = TcpStream::connect(world.app.address).await.unwrap();
    let head = request("", &[("expect", "100-continue")]).replace("content-length: 0", "content-length: 70");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut read)).await.expect("an end in time").unwrap();
    assert!(read.starts_with("HTTP/1.1 401"), "{read}");

    assert_eq!(world.post_with(&order("b"), &[("authorization", &bearer("shop"))]).await.status, 202);
    assert_eq!(world.post_with(&order("c"), &[("x-api-key", "shop.shopshop")]).await.status, 202);
    let batch = world.post_with(&(order("d") + "\n"), &[NDJSON, ("authorization", &bearer("shop"))]).await;
    assert_eq!((batch.status, &batch.receipts()[0]["status"]), (207, &json!(202)));
    assert_eq!(batch.header("ratelimit"), None, "it has no quota");
    assert_eq!(world.metric(r#"orderflow_edge_requests_total{outcome="unauthorized"}"#).await, 6.0);
    assert_eq!(world.metric(r#"orderflow_edge_requests_total{outcome="forbidden"}"#).await, 1.0);
    assert_eq!(world.stored().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_and_go_while_the_edge_runs_and_a_bad_file_changes_nothing() {
    let file = File::new(&[("first", json!({}))]);
    let world = file.world().await;
    let status = async |id: &str| world.post_with(&order(id), &[("authorization", &bearer(id))]).await.status;
    assert_eq!((status("first").await, status("second").await), (202, 401));
    file.write(&[("second", json!({}))]);
    assert_eq!(world.app.reloads.run(), []);
    assert_eq!((status("first").await, status("second").await), (401, 202));
    file.write(&[("first", json!({ "burst": 0 })), ("second", json!({ "expires": 7 }))]);
    let faults = world.app.reloads.run();
    assert!(matches!(&faults[..], [("API keys", fault)] if fault.contains("first") && fault.contains("second")));
    assert_eq!((status("first").await, status("second").await), (401, 202));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_quota_is_told_with_the_time_and_each_order_of_a_batch_counts() {
    let one = |burst: u32| json!({ "requestsPerSecond": 1, "burst": burst });
    let slow = json!({ "bytesPerSecond": 1000, "burstBytes": 100 });
    let file = File::new(&[("shop", one(2)), ("batch", json!({ "requestsPerSecond": 1, "burst": 4 })), ("slow", slow)]);
    let world = file.world().await;
    let send = async |key: &str, id: &str| world.post_with(&order(id), &[("authorization", &bearer(key))]).await;
    let accepted = send("shop", "a").await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(accepted.header("ratelimit-policy"), Some(r#""requests";q=2;w=2"#));
    assert_eq!(accepted.header("ratelimit"), Some(r#""requests";r=1;t=1"#));
    let mut refused = send("shop", "b").await;
    until("the quota is used up", async || {
        refused = send("shop", "c").await;
        refused.status == 429
    })
    .await;
    assert_eq!(refused.verdict(), (429, "no".to_owned(), "safe".to_owned()));
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:orderflow:problem:quota-exceeded");
    assert_eq!((&problem["quota"], &problem["limit"]), (&json!("requests"), &json!(1)));
    assert_eq!(problem["violated-policies"], json!(["requests"]));
    assert!((1..=2).contains(&refused.header("retry-after").unwrap().parse::<u32>().unwrap()), "{refused:?}");
    assert_eq!(refused.header("ratelimit"), Some(r#""requests";r=0;t=2"#));

    let lines: String = (0..60).map(|line| order(&format!("line-{line}")) + "\n").collect();
    let batch = world.post_with(&lines, &[NDJSON, ("authorization", &bearer("batch"))]).await;
    assert_eq!(batch.header("ratelimit-policy"), Some(r#""requests";q=4;w=4"#));
    let statuses: Vec<u64> = batch.receipts().iter().map(|receipt| receipt["status"].as_u64().unwrap()).collect();
    assert_eq!((statuses.len(), &statuses[..5]), (60, &[202, 202, 202, 202, 429][..]));
    let last = &batch.receipts()[59];
    assert_eq!((&last["line"], &last["orderId"], &last["persisted"]), (&json!(60), &json!("line-59"), &json!("no")));
    assert!(last["retryAfterMs"].as_u64().unwrap() <= 1250, "{last}");

    assert_eq!(send("slow", "d").await.status, 202);
    let refused = send("slow", "e").await;
    assert!(refused.status == 202 || refused.json()["quota"] == "bytes", "{refused:?}");
    assert!(1.0 <= world.metric(r#"orderflow_edge_over_quota_total{limit="requests"}"#).await);
}

/// With a broker that is far away, so that orders are in flight for long. The noisy key has ten batches going, each with
/// as many orders in flight as it may have; the quiet one posts one order after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_floods_is_refused_and_another_s_orders_are_taken_as_fast_as_before() {
    let file = File::new(&[("noisy", json!({})), ("quiet", json!({}))]);
    let world = file.world().await;
    world.kafka.broker_round_trip_time(-1, Duration::from_millis(50)).unwrap();
    let quiet = async |prefix: &str| {
        let mut took = Vec::new();
        for number in 0..7 {
            let (begun, id) = (Instant::now(), format!("{prefix}-{number}"));
            let answer = world.post_with(&order(&id), &[("authorization", &bearer("quiet"))]).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            took.push(begun.elapsed());
        }
        took.sort();
        took[3]
    };
    let alone = quiet("alone").await;

    let (address, key) = (world.app.address, bearer("noisy"));
    let stop = tokio_util::sync::CancellationToken::new();
    let clients: Vec<_> = (0..10)
        .map(|client| {
            let (key, stop) = (key.clone(), stop.clone());
            world.tasks.spawn(async move {
                let (mut refused, mut round) = (Vec::new(), 0);
                while !stop.is_cancelled() {
                    round += 1;
                    let line = |line| order(&format!("noisy-{client}-{round}-{line}")) + "\n";
                    let lines: String = (0..512).map(line).collect();
                    let answer = post(address, &lines, &[NDJSON, ("authorization", &key)]).await;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    refused.extend(answer.receipts().into_iter().filter(|receipt| receipt["status"] == 503));
                }
                refused
            })
        })
        .collect();
    until("its share is taken", async || {
        500.0 <= world.metric(r#"orderflow_edge_requests_total{outcome="unavailable"}"#).await
    })
    .await;
    let beside = quiet("beside").await;
    assert!(world.metric("orderflow_edge_queue_orders").await <= 4300.0, "half of it, and a few");
    stop.cancel();
    world.kafka.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let mut refused = Vec::new();
    for client in clients {
        refused.extend(client.await.unwrap().unwrap());
    }
    let of_share = refused.iter().filter(|problem| problem["detail"].as_str().unwrap().contains("of this key")).count();
    assert!(500 <= of_share, "{of_share} of {}", refused.len());
    // The broker's queue is one for all, and a test's machine is slow; without shares it is refused, or takes seconds.
    assert!(beside < alone * 2 + Duration::from_millis(700), "alone {alone:?}, beside a noisy one {beside:?}");
}
