//! Edited sinks are rehearsed beside the live ones: the report names what the edit does, nothing live changes, and what a
//! killed rehearsal leaves is removed when it is over, by its own word.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use promise::read::Postgres;
use promise::settle;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};

use crate::house::{House, root, scratch};

/// One of a rehearsal that was over long ago, by its name alone.
const ALIKE: &str = "orderflow-rehearsal-1764000000-00000001";
/// The marks of killed rehearsals are over after the time limit, 10 s here, and 45 s more.
const OVER: Duration = Duration::from_secs(90);

/// kill -9 while its connectors are being made. What is left stands for its own time; [`edits`] comes back to it.
pub(crate) fn killed(house: &mut House) {
    let posts = house.stream("rehearsed-1", 8, 150);
    house.load(posts, 300);
    at_rest(house);
    let file = edited("orders-postgres", "killed", |config| mask(config, "live,by,pick,name,mask"));
    let mut rehearsal = start(house, &file, &["--timeout", "10"]);
    let begun = Instant::now();
    while !traces(house).iter().any(|left| left.starts_with("connector ")) {
        let ended = rehearsal.try_wait().unwrap();
        assert!(ended.is_none() && begun.elapsed() < OVER, "it made no connector: {ended:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    rehearsal.kill().unwrap();
    rehearsal.wait().unwrap();
    println!("killed after {:.1} s; left: {}", begun.elapsed().as_secs_f32(), traces(house).join(", "));
}

/// Three edits at once; then nothing of anybody is left, but what only looks similar.
pub(crate) fn edits(house: &mut House) {
    let posts = house.stream("rehearsed-2", 9, 150);
    house.load(posts, 300);
    at_rest(house);
    alike(house);
    let begun = Instant::now();
    let jdbc = edited("orders-postgres", "jdbc", |config| mask(config, "live,by,pick,name,mask"));
    let camel = edited("orders-elasticsearch", "camel", |config| mask(config, "live,by,pick,docId,mask,toJson"));
    let broken = edited("orders-postgres", "broken", |config| {
        config["transforms.pick.exclude"] = json!("items,customer");
    });
    let last = ["--last", "100", "--format", "json", "--timeout", "100"];
    let few = ["--last", "2", "--format", "json", "--timeout", "100"];
    let rehearsals = [start(house, &jdbc, &last), start(house, &camel, &last), start(house, &broken, &few)];
    let [jdbc, camel, broken] = rehearsals.map(|rehearsal| report(&rehearsal.wait_with_output().unwrap()));
    for (store, report) in [("table", jdbc), ("index", camel)] {
        let difference = &report["difference"];
        let rows = difference["liveRows"].as_u64().unwrap();
        assert!(0 < rows && report["records"]["count"] == 100, "{report:#}");
        assert_eq!((&report["store"]["kind"], &difference["differing"]), (&json!(store), &json!(rows)), "{report:#}");
        assert_eq!((&difference["onlyLive"], &difference["onlyEdited"]), (&json!(0), &json!(0)), "{report:#}");
        let fields = difference["fields"].as_array().unwrap();
        assert_eq!((fields.len(), &fields[0]["field"]), (1, &json!("customer")), "{report:#}");
        assert_eq!((&fields[0]["rows"], &fields[0]["changes"][0]["after"]), (&json!(rows), &json!("\"hidden\"")));
        assert_eq!(
            (&report["poison"], difference["examples"].as_array().unwrap().len()),
            (&json!([]), 5),
            "{report:#}"
        );
        println!("{store}: {rows} of {rows} differ in customer; {}", report["rates"]);
    }
    let poison = broken["poison"].as_array().unwrap();
    assert_eq!((poison.len(), &broken["difference"]["onlyLive"]), (2, &json!(2)), "{broken:#}");
    for one in poison {
        assert_eq!(one["sides"], json!(["edited"]), "{broken:#}");
        assert!(one["message"].as_str().unwrap().contains("customer"), "{broken:#}");
    }
    println!("three rehearsals took {:.1} s", begun.elapsed().as_secs_f32());
    nothing_is_left(house);
    house.expect_all_zero();
}

/// What the killed one left is over soon; the next rehearsal, or the healer's look, removes it.
fn nothing_is_left(house: &House) {
    let begun = Instant::now();
    while !traces(house).is_empty() {
        let left = traces(house);
        assert!(begun.elapsed() < OVER, "left behind: {left:?}");
        std::thread::sleep(Duration::from_secs(1));
        let absent =
            edited("orders-postgres", "clean", |config| config["topics"] = json!("order_placed.postgres.retry"));
        report(&start(house, &absent, &["--format", "json"]).wait_with_output().unwrap());
    }
    let alike: [String; 2] = [format!("topic {ALIKE}"), format!("table {}_live", ALIKE.replace('-', "_"))];
    let found = [topics(house), tables(house)].concat();
    for name in alike {
        assert!(found.contains(&name), "{name} was not ours to remove: {found:?}");
    }
    run(house, &format!("drop table {}_live", ALIKE.replace('-', "_")));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    house.runtime.block_on(admin(house).delete_topics(&[ALIKE], &options)).unwrap();
}

/// A user's own table and topic with such names.
fn alike(house: &House) {
    run(house, &format!("create table {}_live (order_id text)", ALIKE.replace('-', "_")));
    let topic = NewTopic::new(ALIKE, 1, TopicReplication::Fixed(1));
    let made = house.runtime.block_on(admin(house).create_topics(&[topic], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

fn mask(config: &mut Value, chain: &str) {
    config["transforms"] = json!(chain);
    config["transforms.mask.type"] = json!("org.apache.kafka.connect.transforms.MaskField$Value");
    config["transforms.mask.fields"] = json!("customer");
    config["transforms.mask.replacement"] = json!("hidden");
}

/// A copy of a shipped file, changed, in a folder of its own.
fn edited(name: &str, folder: &str, edit: impl FnOnce(&mut Value)) -> PathBuf {
    let text = std::fs::read_to_string(root().join(format!("connectors/{name}.json"))).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    edit(&mut file["config"]);
    let path = scratch(&format!("rehearsal-{folder}")).join(format!("{name}.json"));
    std::fs::write(&path, file.to_string()).unwrap();
    path
}

fn start(house: &House, file: &std::path::Path, args: &[&str]) -> Child {
    let mut command = Command::new(house.options.binaries.join("connectors"));
    command.arg("rehearse").arg(file).args(args).envs(house.stack.endpoints().environment());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn report(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(report["left"], json!([]), "{told}");
    let counted = |key: &str| report["difference"][key].as_u64().unwrap_or(0);
    let poison = report["poison"].as_array().is_some_and(|poison| !poison.is_empty());
    let differs = poison || ["differing", "onlyLive", "onlyEdited"].into_iter().any(|key| 0 < counted(key));
    assert_eq!(output.status.code(), Some(if differs { 2 } else { 0 }), "{told}");
    report
}

/// What rehearsals have made and is still there, in every server.
fn traces(house: &House) -> Vec<String> {
    let endpoints = house.stack.endpoints();
    let get = |url: String| -> Value {
        house.runtime.block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let connectors = get(format!("{}/connectors", endpoints.connect));
    let connectors = connectors.as_array().into_iter().flatten().map(|name| format!("connector {}", text(name)));
    let indexes = get(format!("{}/_cat/indices?format=json", endpoints.elasticsearch));
    let indexes = indexes.as_array().into_iter().flatten().map(|index| format!("index {}", text(&index["index"])));
    let groups = admin(house).inner().fetch_group_list(None, Duration::from_secs(10)).unwrap();
    let groups = groups.groups().iter().map(|group| format!("group {}", group.name())).collect::<Vec<_>>();
    let alike = |name: &String| !name.contains(ALIKE) && !name.contains(&ALIKE.replace('-', "_"));
    let all = connectors.chain(indexes).chain(groups).chain(topics(house)).chain(tables(house));
    all.filter(|name| name.replace('_', "-").contains("orderflow-rehearsal-")).filter(alike).collect()
}

fn topics(house: &House) -> Vec<String> {
    let metadata = admin(house).inner().fetch_metadata(None, Duration::from_secs(10)).unwrap();
    metadata.topics().iter().map(|topic| format!("topic {}", topic.name())).collect()
}

fn tables(house: &House) -> Vec<String> {
    let names = house.runtime.block_on(async {
        let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
        postgres.tables().await.unwrap()
    });
    names.into_iter().map(|name| format!("table {name}")).collect()
}

fn run(house: &House, sql: &str) {
    house.runtime.block_on(async {
        let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
        postgres.run(sql).await.unwrap();
    });
}

fn admin(house: &House) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &house.places.kafka).create().unwrap()
}

fn at_rest(house: &House) {
    settle::wait(&house.places, Duration::from_secs(600)).unwrap_or_else(|error| panic!("{error}"));
}
