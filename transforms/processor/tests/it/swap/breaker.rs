//! A version that passed and fails later: the breaker does what the config says.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::world::{World, agreed, config, ids, times};
use crate::harness::PATIENCE;
use crate::rest::Process;

fn dead(written: &[super::world::Written]) -> usize {
    written.iter().filter(|written| written.topic == "dead").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_that_parks_holds_the_flow_in_all_processes_until_an_operator_resumes() {
    let world = World::start().await;
    let (a, b) = (world.process("a").await, world.process("b").await);
    a.upload(1).await;
    let settings = [("breaker.max.errors", "5"), ("breaker.window.records", "50")];
    a.put(&config(1, "trap", &settings)).await;
    b.running().await;
    world.orders(ids("bad", 0..40));
    let parked = |body: &Value| body["parked"].is_object() && body["tasks"][0]["state"] == "PAUSED";
    a.status(parked).await;
    b.status(parked).await;
    let on_a = agreed(&a, &b, "parked").await;
    assert_eq!(on_a["connector"]["state"], "PAUSED");
    let trace = on_a["connector"]["trace"].as_str().unwrap();
    assert!(trace.starts_with("PARKED since ") && trace.contains("breaker tripped"), "{trace}");
    let (status, ready) = b.call("GET", "/readyz", None).await;
    assert!(status == 503 && ready.to_string().contains("p is parked"), "{status} {ready}");
    // Less than the breaker allows, of each process.
    let first = dead(&tokio::task::block_in_place(|| world.read(&["out", "dead"], 0)));
    assert!(first < 2 * 5, "{first}");
    assert_eq!(b.call("PUT", "/connectors/p/resume", None).await.0, 202);
    // It counts from nothing, and trips again.
    let again = a.status(|body| parked(body) && body["parked"]["since"].is_string()).await;
    assert!(again["parked"]["because"].as_str().unwrap().contains("breaker tripped"));
    // Another version flows.
    a.put(&config(1, "good", &settings)).await;
    a.status(|body| body["parked"].is_null() && body["connector"]["state"] == "RUNNING").await;
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 40));
    assert_eq!(times(&written).len(), 40, "what was held came out");
    world.end([a, b]).await;
}

/// Waits until the breaker tripped so often and the slot is in this state.
async fn tripped(process: &Process, times: f64, state: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    while process.metric("transforms_breaker_trips_total").await < times {
        assert!(Instant::now() < until, "the breaker did not trip {times} times");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.status(|body| body["tasks"][0]["state"] == state).await
}

/// Waits until the breaker tripped so often and holds the flow.
async fn parked(process: &Process, times: f64) {
    tripped(process, times, "PAUSED").await;
    process.status(|body| body["parked"].is_object()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_park_is_ended_by_a_restart_that_starts_something_over_and_by_no_other() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "trap", &[("breaker.max.errors", "5"), ("breaker.window.records", "50")])).await;
    world.orders(ids("bad", 0..40));
    let resets = || tokio::task::block_in_place(|| world.audited("breaker.reset"));
    parked(&process, 1.0).await;
    for (path, expected) in [
        ("tasks/7/restart", 404),
        ("tasks/x/restart", 404),
        ("other/restart", 404),
        ("restart?onlyFailed=true", 202),
        ("restart?onlyFailed=true&includeTasks=true", 202),
    ] {
        assert_eq!(process.call("POST", &format!("/connectors/p/{path}"), None).await.0, expected, "{path}");
    }
    assert_eq!(resets(), 0);
    parked(&process, 1.0).await;
    let restarts = [("restart", 204), ("restart?includeTasks=true", 202), ("tasks/0/restart", 204)];
    for ((path, expected), times) in restarts.into_iter().zip(1_usize..) {
        assert_eq!(process.call("POST", &format!("/connectors/p/{path}"), None).await.0, expected, "{path}");
        assert_eq!(resets(), times, "{path}");
        // It counts from nothing, and trips again.
        parked(&process, times as f64 + 1.0).await;
    }
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_pipeline_stands_is_not_told_when_it_is_deleted() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "trap", &[("breaker.max.errors", "5"), ("breaker.window.records", "50")])).await;
    // What a module takes is known when it has judged something.
    world.orders(ids("o", 0..5));
    assert_eq!(tokio::task::block_in_place(|| world.read(&["out"], 5)).len(), 5);
    world.orders(ids("bad", 0..40));
    parked(&process, 1.0).await;
    let gauges = ["degraded", "parked", "transaction_open_records", "module_memory_bytes"];
    let told = async || {
        let metrics = process.metrics().await;
        let is_told = |gauge: &&str| metrics.contains(&format!("transforms_{gauge}{{pipeline=\"p\""));
        gauges.into_iter().filter(is_told).collect::<Vec<_>>()
    };
    assert_eq!((told().await, process.metric("transforms_parked").await), (gauges.to_vec(), 1.0));
    assert_eq!(process.call("DELETE", "/connectors/p", None).await.0, 204);
    let until = Instant::now() + PATIENCE;
    while !told().await.is_empty() {
        assert!(Instant::now() < until, "{:?} are still told", told().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(process.metric("transforms_breaker_trips_total").await >= 1.0, "what was counted stays");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_that_stops_fails_the_slot_until_it_is_restarted() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    let settings = [("breaker.policy", "stop"), ("breaker.max.errors", "5"), ("breaker.window.records", "50")];
    process.put(&config(1, "trap", &settings)).await;
    world.orders(ids("bad", 0..13));
    let failed = tripped(&process, 1.0, "FAILED").await;
    assert!(failed["tasks"][0]["trace"].as_str().unwrap().contains("breaker tripped"), "{failed}");
    // It trips again only when it counts again.
    let restarts = [("restart?onlyFailed=true&includeTasks=true", 202), ("tasks/0/restart", 204)];
    for ((path, expected), times) in restarts.into_iter().zip([2.0, 3.0]) {
        assert_eq!(process.call("POST", &format!("/connectors/p/{path}"), None).await.0, expected, "{path}");
        tripped(&process, times, "FAILED").await;
    }
    // The mock keeps no offsets, so what was committed before a trip comes again.
    let before = tokio::task::block_in_place(|| world.read(&["out", "dead"], 0)).len();
    process.put(&config(1, "good", &settings)).await;
    process.running().await;
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], before + 13));
    assert_eq!(times(&written).len(), 13);
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_that_rolls_back_brings_the_version_before() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    let settings = [
        ("breaker.policy", "rollback"),
        ("breaker.max.errors", "5"),
        ("breaker.window.records", "50"),
        ("swap.watch.records", "10"),
    ];
    process.put(&config(1, "good", &settings)).await;
    process.change(&config(1, "trap", &settings), "", &[&process]).await;
    world.orders(ids("o", 0..10));
    process.status(|body| body["version"]["watch"]["passed"] == true).await;
    world.orders(ids("bad", 0..20));
    let status = process.status(|body| body["degraded"].is_object()).await;
    assert!(status["degraded"]["because"].as_str().unwrap().contains("breaker tripped"), "{status}");
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 30));
    assert_eq!(times(&written).len(), 30);
    assert!(dead(&written) < 5, "{}", dead(&written));
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_run_out_of_time_with_nothing_before_them_do_not_hold_the_slot_for_ever() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "slow", &[("breaker.max.retries", "0")])).await;
    assert_eq!(process.call("PUT", "/connectors/p/pause", None).await.0, 202);
    process.status(|body| body["tasks"][0]["state"] == "PAUSED").await;
    world.orders([ids("bad", 0..8), ids("o", 0..8)].concat());
    assert_eq!(process.call("PUT", "/connectors/p/resume", None).await.0, 202);
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 16));
    let (slow, good): (Vec<_>, Vec<_>) = written.iter().partition(|written| written.topic == "dead");
    assert!(slow.len() == 8 && slow.iter().all(|written| written.id.starts_with("bad-")), "{slow:?}");
    assert_eq!(good.len(), 8);
    world.end([process]).await;
}
