//! Versions that do not do well go back by themselves, in all processes, and stay away.

use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Value, json};

use super::world::{World, agreed, config, ids, times};
use crate::harness::PATIENCE;

const BUDGET: &[(&str, &str)] = &[("swap.max.errors", "3"), ("swap.watch.records", "200")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_breaks_its_budget_goes_back_in_all_processes_and_stays_away() {
    let world = World::start().await;
    let (a, b) = (world.process("a").await, world.process("b").await);
    a.upload(1).await;
    a.upload(2).await;
    a.put(&config(1, "good", BUDGET)).await;
    b.running().await;
    let bad = config(2, "trap", BUDGET);
    a.change(&bad, "", &[&a, &b]).await;
    world.orders(ids("bad-first", 0..60));
    let degraded = |body: &Value| body["degraded"].is_object();
    let on_a = agreed(&a, &b, "degraded").await;
    let trace = on_a["connector"]["trace"].as_str().unwrap();
    assert!(
        trace.starts_with("DEGRADED: file says fickle@1000.1000.1002, running fickle@1000.1000.1001, since "),
        "{trace}"
    );
    assert!(trace.contains("swap.max.errors allows 3"), "{trace}");
    assert_eq!(on_a["connector"]["state"], "RUNNING", "Connect's tools know no other word for it");
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 60));
    let dead: Vec<_> = written.iter().filter(|written| written.topic == "dead").collect();
    assert!(dead.len() <= 2 * 3, "each process may lose its budget to the dead letters: {dead:?}");
    assert_eq!(times(&written).len(), 60, "nothing is lost");
    assert!(times(&written).values().all(|times| *times == 1), "nor doubled");
    let made_by = |patch: &str| written.iter().filter(|one| one.modules.contains(patch)).count();
    assert_eq!((made_by("1000.1000.1001+"), made_by("1000.1000.1002+")), (60 - dead.len(), dead.len()));
    assert_eq!(a.call("GET", "/readyz", None).await.0, 200, "it is visible, and flows");
    assert_eq!(a.metric("transforms_degraded").await, 1.0);
    let rollbacks = "transforms_rollbacks_total";
    assert!(a.metric(rollbacks).await + b.metric(rollbacks).await >= 1.0);

    // The same config again does not install it, and a new process agrees.
    let before = a.status(|_| true).await["version"]["id"].clone();
    a.put(&bad).await;
    b.tasks.drain(PATIENCE).await;
    let c = world.process("c").await;
    assert_eq!(agreed(&a, &c, "degraded").await["degraded"], on_a["degraded"]);
    // What it would go back to stays, and what the file says too.
    for patch in [1001, 1002] {
        let (status, body) = a.call("DELETE", &format!("/modules/fickle@1000.1000.{patch}"), None).await;
        assert_eq!(status, 409, "{body}");
    }
    world.orders(ids("bad-second", 0..30));
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 90));
    assert_eq!(written.iter().filter(|written| written.topic == "dead").count(), dead.len());
    assert_eq!(a.status(|_| true).await["version"]["id"], before);

    // By force it is tried once more, and goes once more.
    a.change(&bad, "?force=true", &[&a, &c]).await;
    assert_ne!(a.status(|_| true).await["version"]["id"], before);
    world.orders(ids("bad-third", 0..60));
    let again = a.status(degraded).await;
    assert!(again["degraded"]["because"].as_str().unwrap().contains("swap.max.errors"), "{again}");

    // Another config is another version.
    a.put(&config(2, "good", BUDGET)).await;
    a.status(|body| body["degraded"].is_null()).await;
    c.status(|body| body["degraded"].is_null()).await;
    // A pipeline that was deleted has no past.
    assert_eq!(a.call("DELETE", "/connectors/p", None).await.0, 204);
    a.until("/connectors/p/status", |status, _| status == 404).await;
    world.end([a, c]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_cannot_open_never_replaces_the_one_that_runs() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "good", &[])).await;
    let before = process.status(|body| body["version"].is_object()).await;
    // The API refuses what does not open, so it comes as from a process where it did.
    let (_, info) = process.call("GET", "/connectors/p", None).await;
    let mut shut = info["config"].clone();
    shut["transforms.m.mood"] = json!("shut");
    let stored = json!({ "config": shut, "state": "STARTED", "modules": info["modules"] }).to_string();
    let producer = world.producer();
    producer
        .send(BaseRecord::to("transforms.config").key("p").payload(&stored).partition(0))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(PATIENCE).unwrap();
    let after = process.status(|body| body["degraded"].is_object()).await;
    let because = after["degraded"]["because"].as_str().unwrap();
    assert!(because.contains("cannot be opened") && because.contains("it does not open"), "{because}");
    assert!(after["degraded"]["says"].as_str().unwrap().starts_with("other settings"), "{after}");
    assert_eq!((&after["version"]["id"], &after["tasks"][0]["rebuilds"]), (&before["version"]["id"], &json!(0)));
    world.orders(ids("o", 0..20));
    assert_eq!(tokio::task::block_in_place(|| world.read(&["out"], 20)).len(), 20);
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_goes_back_without_asking_the_registry() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "good", BUDGET)).await;
    let good = process.status(|body| body["version"].is_object()).await["version"]["id"].clone();
    process.change(&config(1, "trap", BUDGET), "", &[&process]).await;
    world.orders(ids("o", 0..5));
    assert_eq!(tokio::task::block_in_place(|| world.read(&["out"], 5)).len(), 5, "the schemas are known from here on");
    world.without_registry().await;
    world.orders(ids("bad", 0..10));
    process.status(|body| body["degraded"].is_object() && body["version"]["id"] == good).await;
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_kept_its_budget_is_watched_no_more() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    let watch = [("swap.max.errors", "0"), ("swap.watch.records", "20")];
    process.put(&config(1, "good", &watch)).await;
    process.change(&config(1, "trap", &watch), "", &[&process]).await;
    world.orders(ids("o", 0..20));
    process.status(|body| body["version"]["watch"]["passed"] == true && body["degraded"].is_null()).await;
    world.orders(ids("bad", 0..5));
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 25));
    assert_eq!(written.iter().filter(|written| written.topic == "dead").count(), 5);
    let status = process.status(|_| true).await;
    assert!(status["degraded"].is_null(), "{status}");
    // What the module did is told with the process's own metrics; the hunt for what it trapped on was of more calls.
    assert_eq!(process.metric(r#"transforms_module_rejected_total{pipeline="p""#).await, 5.0);
    for (name, least) in [("records_total", 25.0), ("call_seconds_count", 5.0), ("memory_bytes", 65_536.0)] {
        let told = process.metric(&format!(r#"transforms_module_{name}{{pipeline="p""#)).await;
        assert!(told >= least, "{name}: {told}");
    }
    process.tasks.drain(PATIENCE).await;
    // Nor is it after a restart.
    let process = world.process("a").await;
    let status = process.status(|body| body["version"].is_object()).await;
    let watch = &status["version"]["watch"];
    assert_eq!((&watch["passed"], &watch["records"]), (&json!(true), &json!(0)), "it is known to have passed");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_and_time_have_budgets_too() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "good", &[])).await;
    for (mood, key, value, word) in [
        ("reject", "swap.max.rejects", "2", "rejected by it"),
        // Each runs out of its time of some milliseconds, alone or with others.
        ("slow", "swap.max.errors", "1", ""),
    ] {
        process.change(&config(1, mood, &[(key, value)]), "", &[&process]).await;
        world.orders(ids(&format!("bad-{mood}"), 0..10));
        let status = process.status(|body| body["degraded"].is_object()).await;
        assert!(status["degraded"]["because"].as_str().unwrap().contains(word), "{status}");
        process.change(&config(1, "good", &[(key, value)]), "", &[&process]).await;
    }
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], 20));
    assert_eq!(times(&written).len(), 20);
    world.end([process]).await;
}
