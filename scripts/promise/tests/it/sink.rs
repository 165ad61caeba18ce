//! What several stages do with a sink: the `connectors` command as a user types it, and Connect's own door.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::faults::wait_for;
use crate::house::House;

/// Those that are shipped, by name: the table's and the index's.
pub(crate) const SINKS: [&str; 2] = ["orders-postgres", "orders-elasticsearch"];

/// Until Connect has done what it was asked for, and between two looks.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// What it said with `--format json`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// `connectors …`, with what `stack env` says and nothing else.
pub(crate) fn connectors(house: &House, args: &[&str]) -> Answer {
    let mut run = Command::new(house.options.binaries.join("connectors"));
    run.args(args).current_dir(crate::house::root());
    run.env_clear().envs(house.stack.endpoints().environment()).env("ORDERFLOW_LOG", "warn");
    let Output { status, stdout, stderr } = run.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// What `connectors serve` counts of a sink under this name, with these words among the labels; 0 where it has nothing.
pub(crate) fn counted(house: &House, name: &str, labels: &[&str]) -> f64 {
    let url = format!("{}/metrics", house.stack.endpoints().connectors);
    let text = house.runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() });
    let head = format!("{name}_total{{");
    let line = text.lines().find(|line| line.starts_with(&head) && labels.iter().all(|label| line.contains(label)));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// A sink as Connect has it.
#[derive(Clone, Copy)]
pub(crate) struct Sink<'h> {
    pub(crate) house: &'h House,
    pub(crate) name: &'static str,
}

impl Sink<'_> {
    pub(crate) fn config(self) -> Value {
        self.get("config").unwrap()
    }

    pub(crate) fn state(self) -> String {
        self.get("status").unwrap()["connector"]["state"].as_str().unwrap().to_owned()
    }

    /// None, while Connect does not say.
    pub(crate) fn status(self) -> Option<Value> {
        self.get("status").ok()
    }

    /// The connector and all of its tasks are RUNNING.
    pub(crate) fn runs(self) -> bool {
        self.is("RUNNING")
    }

    /// Its tasks rest until they are resumed, and keep what they are assigned.
    pub(crate) fn pause(self) {
        self.ask("pause", None);
        wait_for("its tasks to rest", LIMIT, PAUSE, || self.is("PAUSED"));
    }

    pub(crate) fn resume(self) {
        self.ask("resume", None);
        wait_for("its tasks", LIMIT, PAUSE, || self.runs());
    }

    /// What Connect has against its settings with a change, by their keys. Nothing is put.
    pub(crate) fn faults(self, change: impl Fn(&mut Value)) -> BTreeMap<String, String> {
        let mut config = self.config();
        change(&mut config);
        let (connect, class) = (&self.house.stack.endpoints().connect, config["connector.class"].as_str().unwrap());
        let ask =
            reqwest::Client::new().put(format!("{connect}/connector-plugins/{class}/config/validate")).json(&config);
        let told: reqwest::Result<Value> =
            self.house.runtime.block_on(async { ask.send().await?.error_for_status()?.json().await });
        let told = told.unwrap();
        let values = told["configs"].as_array().unwrap().iter().map(|config| &config["value"]);
        let faulty = values.filter(|value| value["errors"].as_array().is_some_and(|errors| !errors.is_empty()));
        faulty.map(|value| (value["name"].as_str().unwrap().to_owned(), value["errors"].to_string())).collect()
    }

    /// As somebody does with curl, who knows nothing of the files.
    pub(crate) fn put(self, change: impl Fn(&mut Value)) {
        let mut config = self.config();
        change(&mut config);
        self.ask("config", Some(&config));
    }

    /// The same, by a stop: else its tasks go on with what they have, and say RUNNING, until Connect gets to them.
    pub(crate) fn put_and_run(self, change: impl Fn(&mut Value)) {
        self.ask("stop", None);
        wait_for("no task of it", LIMIT, PAUSE, || {
            self.get("status").is_ok_and(|status| status["tasks"].as_array().is_some_and(Vec::is_empty))
        });
        self.put(change);
        self.resume();
    }

    /// The connector and all of its tasks are in this state.
    fn is(self, state: &str) -> bool {
        let Some(status) = self.status() else { return false };
        let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        status["connector"]["state"] == state && !tasks.is_empty() && tasks.iter().all(|task| task["state"] == state)
    }

    /// A PUT, until it is taken: Connect may be rebalancing.
    fn ask(self, what: &str, body: Option<&Value>) {
        let request = reqwest::Client::new().put(self.url(what));
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        let taken = || {
            let sent = self.house.runtime.block_on(request.try_clone().unwrap().send());
            sent.is_ok_and(|answer| answer.status().is_success())
        };
        wait_for(&format!("the PUT of {what}"), Duration::from_secs(30), PAUSE, taken);
    }

    fn get(self, rest: &str) -> reqwest::Result<Value> {
        self.house.runtime.block_on(async { reqwest::get(self.url(rest)).await?.error_for_status()?.json().await })
    }

    fn url(self, rest: &str) -> String {
        format!("{}/connectors/{}/{rest}", self.house.stack.endpoints().connect, self.name)
    }
}
