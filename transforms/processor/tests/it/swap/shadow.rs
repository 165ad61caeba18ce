//! A candidate beside the live chain.

use clap::Parser;
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Value, json};
use transforms::command::shadow;

use super::world::{World, config, ids, times};
use crate::harness::PATIENCE;
use crate::rest::Process;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: shadow::Args,
}

/// Runs `transforms shadow` against a process.
async fn shadow(process: &Process, flags: &[&str]) -> anyhow::Result<String> {
    let flags = [&["shadow", "p", "--url", &process.url][..], flags].concat();
    shadow::run(&Cli::try_parse_from(flags)?.args).await
}

async fn verdict(process: &Process, world: &World, body: Value, prefix: &str) -> Value {
    let (status, shown) = process.call("PUT", "/connectors/p/shadow", Some(body)).await;
    assert_eq!(status, 202, "{shown}");
    process.status(|body| body["shadow"].is_object()).await;
    // Samples that find no room are passed over, so orders come until there is a verdict.
    for round in 0..200 {
        world.orders(ids(&format!("bad-{prefix}-{round}"), 0..10));
        let (_, shown) = process.call("GET", "/connectors/p/shadow", None).await;
        if shown["state"] == "DONE" {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no verdict")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_gets_the_same_orders_changes_nothing_and_has_its_verdict() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.upload(2).await;
    process.put(&config(1, "good", &[])).await;
    let candidate = |mood: &str, policy: &str| {
        json!({
            "alias": "m", "module": "fickle@1000.1000.1002", "records": 30, "policy": policy, "share": 50,
            "parameters": { "mood": mood },
        })
    };

    let differs = verdict(&process, &world, candidate("shout", "reject"), "differs").await["verdict"].clone();
    assert_eq!((&differs["result"], &differs["decision"]), (&json!("differs"), &json!("rejected")), "{differs}");
    assert_eq!((&differs["compared"], &differs["fields"]), (&json!(30), &json!({ "customer": 30 })));
    let example = &differs["examples"][4];
    assert_eq!(example["fields"], json!([{ "field": "customer", "live": "xxxx_xxx", "candidate": "XXXX_XXX" }]));
    assert!(example["offset"].is_number() && differs["examples"][5].is_null());
    assert!(differs["memory_bytes"]["candidate"].as_u64() > Some(0), "{differs}");

    let equal = verdict(&process, &world, candidate("good", "promote"), "equal").await["verdict"].clone();
    assert_eq!((&equal["result"], &equal["decision"]), (&json!("equal"), &json!("ready to promote")), "{equal}");
    assert!(equal["next"].as_str().unwrap().contains("transforms promote"));
    let (status, kept) = process.call("DELETE", "/modules/fickle@1000.1000.1002", None).await;
    assert!(status == 409 && kept.to_string().contains("in use by p"), "it waits to be promoted: {status} {kept}");
    assert_eq!(process.status(|_| true).await["shadow"], Value::Null, "nothing is compared any more");

    let fails = verdict(&process, &world, candidate("trap", "report"), "fails").await["verdict"].clone();
    assert_eq!((&fails["result"], &fails["faults"]), (&json!("fails"), &json!(30)), "{fails}");
    assert_eq!(fails["outcomes"], json!({ "emitted → trap": 30 }));

    let count = process.metric("transforms_records_in_total").await as usize;
    let written = tokio::task::block_in_place(|| world.read(&["out", "dead"], count));
    assert!(times(&written).values().all(|times| *times == 1));
    assert!(written.iter().all(|one| one.topic == "out" && one.modules.contains("1000.1000.1001+")), "{written:?}");
    let status = process.status(|_| true).await;
    assert!(status["degraded"].is_null() && status["parked"].is_null(), "{status}");

    let told = shadow(&process, &[]).await.unwrap();
    assert!(told.contains("verdict: fails") && told.contains("outcome emitted → trap: 30"), "{told}");
    shadow(&process, &["--end"]).await.unwrap();
    assert_eq!(process.call("GET", "/connectors/p/shadow", None).await.0, 404);
    assert_eq!(process.call("DELETE", "/modules/fickle@1000.1000.1002", None).await.0, 204, "nobody waits for it");
    world.end([process]).await;
}

/// Records that a comparison has seen: those that it compared, and those that it passed over.
fn seen(status: &Value) -> (u64, u64) {
    let count = |of: &str| status["shadow"][of].as_u64().unwrap_or_default();
    (count("compared"), count("compared") + count("skipped"))
}

/// A pipeline whose live module is compared with a candidate, on more records than any test has.
async fn comparing() -> (World, Process) {
    let world = World::start().await;
    let process = world.process("a").await;
    for patch in 1..=3 {
        process.upload(patch).await;
    }
    process.put(&config(1, "good", &[])).await;
    let candidate = json!({ "alias": "m", "module": "fickle@1000.1000.1002", "records": 1_000, "share": 50 });
    assert_eq!(process.call("PUT", "/connectors/p/shadow", Some(candidate)).await.0, 202);
    process.status(|body| body["shadow"].is_object()).await;
    (world, process)
}

/// Posts orders until so many are compared; how many it were, and the status then.
async fn post(world: &World, process: &Process, compared: u64) -> (u64, Value) {
    for posted in 0..900 {
        let status = process.status(|_| true).await;
        if seen(&status).0 >= compared {
            return (posted, status);
        }
        world.orders([format!("o-{posted}")]);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("they are not compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_counts_on_over_changes_that_are_none_of_it_and_says_when_it_begins_anew() {
    let (world, process) = comparing().await;
    let (posted, _) = post(&world, &process, 20).await;
    process.status(|body| seen(body).1 >= posted).await;

    // Another setting of the pipeline: ten more than before, and no comparison that began with this one sees so many.
    let changed = [("breaker.max.errors", "7")];
    process.change(&config(1, "good", &changed), "", &[&process]).await;
    world.orders(ids("more", 0..10));
    let (before, _) = seen(&process.status(|body| seen(body).1 >= posted + 10).await);

    // Over a stop, too. The mock keeps no offsets, so what was compared comes again.
    assert_eq!(process.call("PUT", "/connectors/p/stop", None).await.0, 204);
    let stopped = process.status(|body| body["tasks"] == json!([])).await;
    assert!(seen(&stopped).0 >= before, "{stopped}");
    assert_eq!(process.call("PUT", "/connectors/p/resume", None).await.0, 202);
    process.running().await;
    let resumed = process.status(|_| true).await;
    assert!(seen(&resumed).0 >= before && resumed["shadow"]["restarted"].is_null(), "{resumed}");

    // Other modules: what was compared was compared with something else.
    process.change(&config(3, "good", &changed), "", &[&process]).await;
    let anew = process.status(|body| body["shadow"]["restarted"].is_object()).await["shadow"]["restarted"].clone();
    assert!(anew["because"].as_str().unwrap().contains("the live modules are others"), "{anew}");
    assert!(anew["uncounted"].as_u64().unwrap() >= before && anew["since"].as_str().unwrap().ends_with('Z'), "{anew}");
    let (_, shown) = process.call("GET", "/connectors/p/shadow", None).await;
    assert_eq!((&shown["state"], &shown["progress"]["restarted"]), (&json!("RUNNING"), &anew));
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_comparison_begins_anew_is_told_while_its_candidate_cannot_be_read_and_afterwards() {
    let (world, process) = comparing().await;

    // The API would keep it. What is compared already has it; what begins anew does not find it.
    let producer = world.producer();
    let gone: BaseRecord<'_, str, str> = BaseRecord::to("transforms.modules").key("fickle@1000.1000.1002").partition(0);
    producer.send(gone).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    process.until("/modules/fickle@1000.1000.1002", |status, _| status == 404).await;
    process.change(&config(3, "good", &[]), "", &[&process]).await;
    let waits = process.status(|body| body["shadow"]["restarted"].is_object()).await["shadow"].clone();
    assert_eq!(waits["compared"], 0, "{waits}");

    process.upload(2).await;
    let (_, status) = post(&world, &process, 1).await;
    assert_eq!(status["shadow"]["restarted"], waits["restarted"], "{status}");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_cannot_be_is_refused_with_its_reason() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.upload_as("0.0.1000000001").await;
    process.put(&config(1, "good", &[])).await;
    for (flags, word) in [
        (&["--alias", "m", "--module", "fickle@0.0"][..], "is a throw-away version"),
        (&["--alias", "x", "--module", "fickle"], "is no step"),
        (&["--alias", "m", "--module", "none"], "no module none"),
        (&["--alias", "m", "--module", "fickle", "--policy", "maybe"], "maybe"),
        (&["--alias", "m", "--module", "fickle", "--records", "0"], "records is 0"),
        (&["--alias", "m", "--module", "fickle", "--share", "90"], "share is 90"),
        (&["--alias", "m", "--module", "fickle", "--parameter", "mood=shut"], "does not open"),
        (&["--alias", "m", "--module", "fickle", "--parameter", "mood"], "NAME=VALUE"),
    ] {
        let error = format!("{:#}", shadow(&process, flags).await.unwrap_err());
        assert!(error.contains(word), "{error}");
    }
    let started = shadow(&process, &["--alias", "m", "--module", "fickle", "--records", "5"]).await.unwrap();
    assert!(started.contains("RUNNING"), "{started}");
    let error = shadow(&process, &["--wait", "0"]).await.unwrap_err().to_string();
    assert!(error.contains("no verdict within 0 s"), "{error}");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verdict_on_another_candidate_is_not_taken_for_ones_own() {
    let world = World::start().await;
    let process = world.process("a").await;
    for patch in 1..=3 {
        process.upload(patch).await;
    }
    process.put(&config(1, "good", &[])).await;
    let flags = ["--alias", "m", "--module", "fickle@1000.1000.1002", "--records", "1000", "--wait", "60"];
    let another = async {
        process.until("/connectors/p/shadow", |status, _| status == 200).await;
        let body = json!({ "alias": "m", "module": "fickle@1000.1000.1003", "records": 5, "share": 50 });
        assert_eq!(process.call("PUT", "/connectors/p/shadow", Some(body)).await.0, 202);
        // Until the other has its verdict, which is that it is equal.
        for round in 0.. {
            world.orders(ids(&format!("o-{round}"), 0..10));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = tokio::select! { told = shadow(&process, &flags) => told, () = another => unreachable!() };
    let error = told.unwrap_err().to_string();
    assert!(error.contains("somebody had another candidate compared meanwhile"), "{error}");
    assert!(error.contains("That is:\nfickle@1000.1000.1003 as m: "), "{error}");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_too_slow_fails() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    // The first version is not judged by its time: there is none to go back to.
    process.put(&config(1, "good", &[("swap.max.time.per.record.us", "1")])).await;
    let candidate = json!({ "alias": "m", "module": "fickle", "records": 20, "share": 50 });
    let slow = verdict(&process, &world, candidate, "slow").await["verdict"].clone();
    assert_eq!((&slow["result"], &slow["differing"]), (&json!("fails"), &json!(0)), "{slow}");
    assert!(slow["micros_per_record"]["candidate"].as_f64().unwrap() > 1.0, "{slow}");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_record_that_runs_out_of_time_in_a_candidate_has_its_verdict() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.put(&config(1, "good", &[])).await;
    let parameters = json!({ "mood": "slow" });
    let candidate = json!({ "alias": "m", "module": "fickle", "records": 12, "share": 50, "parameters": parameters });
    let late = verdict(&process, &world, candidate, "late").await["verdict"].clone();
    assert_eq!((&late["failed"], &late["faults"]), (&Value::Null, &json!(12)), "{late}");
    assert_eq!(late["outcomes"], json!({ "emitted → deadline": 12 }), "{late}");
    world.end([process]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_is_equal_is_promoted_where_its_policy_says_so() {
    let world = World::start().await;
    let process = world.process("a").await;
    process.upload(1).await;
    process.upload(2).await;
    let live = config(1, "good", &[]);
    process.put(&live).await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("promoted-{}.json", std::process::id()));
    std::fs::write(&file, serde_json::to_string_pretty(&json!({ "name": "p", "config": live })).unwrap()).unwrap();
    let flags = ["--alias", "m", "--module", "fickle@1000.1000.1002", "--records", "20", "--share", "50"];
    let flags = [&flags[..], &["--policy", "promote", "--wait", "60", "--file", file.to_str().unwrap()]].concat();
    let told = async {
        let told = shadow(&process, &flags).await.unwrap();
        process.status(|body| body["version"]["slots"] == 1).await;
        told
    };
    let load = async {
        for round in 0.. {
            world.orders(ids(&format!("o-{round}"), 0..10));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = tokio::select! { told = told => told, () = load => unreachable!() };
    assert!(
        told.contains("verdict: equal") && told.contains("+    \"transforms.m.type\": \"fickle@1000.1000.1002\""),
        "{told}"
    );
    let (_, info) = process.call("GET", "/connectors/p", None).await;
    assert_eq!(info["modules"]["m"]["module"], "fickle@1000.1000.1002", "{info}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("fickle@1000.1000.1002"), "the file is the truth");
    std::fs::remove_file(&file).unwrap();
    world.end([process]).await;
}
