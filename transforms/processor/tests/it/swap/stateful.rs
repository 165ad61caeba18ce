//! A module that remembers is taken as stateful, and then has a fresh instance for each batch: in a pipeline, and as a
//! candidate beside one. Here each batch has one order, since the next is posted when the one before is through.

use std::time::{Duration, Instant};

use rdkafka::message::{Headers, Message};
use serde_json::{Value, json};

use super::world::{World, config};
use crate::harness::PATIENCE;
use crate::rest::{self, Process};

/// Uploads `moody` with its own mood for the trial.
async fn upload(process: &Process, query: &str) -> (u16, Value) {
    let wasm = tokio::task::block_in_place(|| rest::evil("moody.wasm"));
    let post = process.http.post(format!("{}/modules{query}", process.url)).header("content-type", "application/wasm");
    let answered = post.body(wasm).send().await.unwrap();
    (answered.status().as_u16(), answered.json().await.unwrap())
}

/// Posts orders, each when the pipeline has committed the one before.
async fn one_by_one(world: &World, process: &Process, count: usize) {
    for number in 0..count {
        world.orders([format!("o-{number}")]);
        let until = Instant::now() + PATIENCE;
        while process.metric("transforms_records_in_total").await as usize <= number {
            assert!(Instant::now() < until, "order {number} does not get through");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Why the dead letters are dead, once there are so many.
fn reasons(world: &World, count: usize) -> Vec<String> {
    let consumer = world.reader(&["dead"]);
    let (mut reasons, until) = (Vec::new(), Instant::now() + PATIENCE);
    while reasons.len() < count {
        assert!(Instant::now() < until, "there are only {reasons:?}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let headers = message.headers().unwrap();
        let said = headers.iter().find(|header| header.key == "__connect.errors.exception.message").unwrap();
        reasons.push(String::from_utf8_lossy(said.value.unwrap()).into_owned());
    }
    reasons
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_remembers_starts_anew_with_each_batch_of_its_pipeline() {
    let world = World::start().await;
    let process = world.process("a").await;
    // It rejects each record with the number that it has in the life of its instance.
    let (status, refused) = upload(&process, "?parameter.mood=numbering").await;
    assert_eq!((status, &refused["check"]), (422, &json!("purity")), "{refused}");
    let (status, taken) = upload(&process, "?parameter.mood=numbering&stateful=true").await;
    assert_eq!((status, &taken["stateful"]), (201, &json!(true)), "{taken}");
    let mut numbering = config(1, "numbering", &[]);
    numbering["transforms.m.type"] = json!("moody@0.1.0");
    process.put(&numbering).await;
    one_by_one(&world, &process, 6).await;
    let reasons = tokio::task::block_in_place(|| reasons(&world, 6));
    assert!(reasons.iter().all(|reason| reason.ends_with("this is record 1")), "{reasons:?}");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_remembers_starts_anew_with_each_sample() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    let (status, taken) = upload(&process, "?parameter.mood=counting&stateful=true").await;
    assert_eq!(status, 201, "{taken}");
    // A fresh instance for each record takes more time than a record may.
    process.put(&config(1, "good", &[("swap.max.time.per.record.us", "1000000")])).await;
    let candidate = json!({
        "alias": "m", "module": "moody@0.1.0", "records": 15, "share": 50, "parameters": { "mood": "counting" },
    });
    let (status, shown) = process.call("PUT", "/connectors/p/shadow", Some(candidate)).await;
    assert_eq!(status, 202, "{shown}");
    process.status(|body| body["shadow"].is_object()).await;
    let verdict = compared_one_by_one(&world, &process).await;
    // Kept, it would drop each fifth record.
    assert_eq!((&verdict["result"], &verdict["compared"]), (&json!("equal"), &json!(15)), "{verdict}");
    world.end([process]).await;
}

/// Posts orders, each when the one before was compared or passed over, until there is a verdict.
async fn compared_one_by_one(world: &World, process: &Process) -> Value {
    let count = |shown: &Value, of: &str| shown["progress"][of].as_u64().unwrap_or_default();
    let seen = |shown: &Value| count(shown, "compared") + count(shown, "skipped");
    for number in 0..200 {
        let (_, shown) = process.call("GET", "/connectors/p/shadow", None).await;
        if shown["state"] == "DONE" {
            return shown["verdict"].clone();
        }
        world.orders([format!("o-{number}")]);
        let through = |_: u16, shown: &Value| shown["state"] == "DONE" || seen(shown) > number;
        process.until("/connectors/p/shadow", through).await;
    }
    panic!("no verdict")
}
