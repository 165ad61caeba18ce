//! `connectors status`: every connector and pipeline with state, tasks, lag, version, last failure and healing, and the
//! dead letters that wait, as a table or JSON. Asks Kafka Connect, `transforms`, Kafka and the supervisor side by side;
//! whoever is away is named.

use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;
use service_kit::kafka::Brokers;

use crate::connect::{Connect, ConnectError, Part, RUNNING, Settings, Status};
use crate::http::{Access, Body, Http};
use crate::serve::admin::HEALING;
use crate::serve::trials;

mod letters;
mod positions;
mod show;
mod versions;

pub use letters::DeadLetters;
pub use show::table;
pub(crate) use show::{troubles, waiting};
pub use versions::{Module, Versions};

use letters::Counting;
use positions::{Lags, Readers};
use versions::Told;

/// The supervisor is on the same machine, and what else is told beside the states is worth no longer wait.
pub(crate) const BESIDE_TIMEOUT: Duration = Duration::from_secs(2);
/// A status is for now; a worker in a rebalance is named as such.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// The kind of what Kafka Connect runs.
const SINK: &str = "sink";
/// The kind of what `transforms` runs.
const PIPELINE: &str = "pipeline";

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Kafka Connect.
    pub connect: Connect,
    /// The same, for what only a status wants to know: versions.
    pub connect_rest: Http,
    /// `transforms`.
    pub transforms: Connect,
    /// The same, for its version and modules.
    pub transforms_rest: Http,
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// `connectors serve`.
    pub supervisor: String,
}

/// The whole answer.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Every connector and pipeline is RUNNING, with all its tasks, and everyone asked has answered. Dead letters do
    /// not count: the rest flows on beside them.
    pub ok: bool,
    /// One row a connector or pipeline.
    pub connectors: Vec<Row>,
    /// The dead letters with which nothing was done.
    pub dead_letters: DeadLetters,
    /// Every `connectors serve` that takes part; nothing where Kafka did not tell.
    pub healers: Option<Vec<Healer>>,
    /// Why it did not, where somebody is to mend that: mostly a right that is missing.
    pub healers_unknown: Option<String>,
    /// Of the servers, as far as they tell.
    pub versions: Versions,
    /// Who could not be asked, and why.
    pub unreachable: Vec<String>,
}

/// One `connectors serve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Healer {
    /// The name of its instance.
    pub name: String,
    /// It is the one that acts.
    pub on_duty: bool,
}

/// One connector or pipeline.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// `sink` or `pipeline`.
    pub kind: &'static str,
    /// The state of the connector itself.
    pub state: String,
    /// How many tasks are RUNNING.
    pub running: usize,
    /// Its tasks.
    pub tasks: Vec<Task>,
    /// Records that wait; null where that is not known, as of a sink whose topics are a pattern.
    pub lag: Option<i64>,
    /// Records a second of all partitions together; null as [`Partition::rate`] is.
    pub rate: Option<f64>,
    /// Where it stands in each partition.
    pub partitions: Vec<Partition>,
    /// The version of its plugin, or the labels of its modules as rows have them; nothing where that is not told.
    pub version: Option<String>,
    /// The modules of a pipeline, in order.
    pub modules: Vec<Module>,
    /// A pipeline runs another version than its file says, or its breaker holds it: which, why, and the way out. The
    /// first does its work, so it makes nothing ill; the second is PAUSED and stands still.
    pub degraded: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// What the supervisor does about it.
    pub healing: Option<String>,
}

/// One task of a connector, or one slot of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its number.
    pub id: i32,
    /// Its state.
    pub state: String,
    /// Who has it; nothing where that is not told.
    pub worker: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// Where a connector stands in a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset that it will read.
    pub committed: i64,
    /// Records that wait; null where that could not be seen in time.
    pub lag: Option<i64>,
    /// Records a second, of the last looks; null where there was no look before, as in every single one.
    pub rate: Option<f64>,
}

impl Row {
    fn is_well(&self) -> bool {
        self.state == RUNNING && !self.tasks.is_empty() && self.running == self.tasks.len()
    }
}

impl Task {
    fn of(part: &Part) -> Self {
        // A part's words are found as those of a connector that has only this one.
        let alone = Status { connector: part.clone(), ..Status::default() };
        Self { id: part.id, state: part.state.clone(), worker: part.worker_id.clone(), failure: alone.failure() }
    }
}

/// What is kept from look to look, for whoever asks again and again.
#[derive(Default)]
pub struct Memory {
    readers: Readers,
    letters: Counting,
}

/// Asks everyone.
pub async fn gather(sources: &Sources) -> Report {
    gather_within(sources, &mut Memory::default(), letters::WHOLE).await
}

/// The same, with what is kept from the look before.
pub async fn gather_with(sources: &Sources, memory: &mut Memory) -> Report {
    gather_within(sources, memory, letters::SHORT).await
}

async fn gather_within(sources: &Sources, memory: &mut Memory, patience: Duration) -> Report {
    let Memory { readers, letters } = memory;
    let answers = ask(sources).await;
    letters.hear(&answers.pipelines);
    let look = look(&sources.kafka, answers, readers);
    let (mut report, ()) = tokio::join!(look, letters.look(&sources.kafka, patience));
    report.dead_letters = letters.told();
    report
}

/// What everyone but Kafka answered.
struct Answers {
    sinks: Result<Found, String>,
    pipelines: Result<Found, String>,
    healing: Value,
    workers: Told,
    processes: Told,
}

async fn ask(sources: &Sources) -> Answers {
    let (sinks, pipelines, healing, workers, processes) = tokio::join!(
        limited("Kafka Connect", sinks(&sources.connect)),
        limited("transforms", pipelines(&sources.transforms)),
        healing(&sources.supervisor),
        versions::of_connect(&sources.connect_rest),
        versions::of_transforms(&sources.transforms_rest),
    );
    Answers { sinks, pipelines, healing, workers, processes }
}

/// All but the dead letters.
async fn look(kafka: &Brokers, answers: Answers, readers: &mut Readers) -> Report {
    let Answers { sinks, pipelines, healing, workers, processes } = answers;
    let versions = Versions { connect: workers.server(), transforms: processes.server() };
    let mut report = Report { versions, ..Report::default() };
    let mut asked: Vec<Asked> = Vec::new();
    for (kind, answer) in [(SINK, sinks), (PIPELINE, pipelines)] {
        match answer {
            Ok(found) => asked.extend(found.into_iter().map(|(status, settings)| (kind, status, settings))),
            Err(reason) => report.unreachable.push(reason),
        }
    }
    let kafka = positions::ask(kafka, &asked, std::mem::take(readers)).await;
    (report.healers, report.healers_unknown, *readers) = (kafka.healers, kafka.healers_unknown, kafka.readers);
    report.unreachable.extend(kafka.reasons);
    let lags = kafka.lags;
    let told = |kind: &str| if kind == SINK { &workers } else { &processes };
    report.connectors = asked.iter().map(|one| row(one, told(one.0), &lags, &healing)).collect();
    report.ok =
        report.unreachable.is_empty() && !report.connectors.is_empty() && report.connectors.iter().all(Row::is_well);
    report
}

fn row((kind, status, settings): &Asked, told: &Told, lags: &Lags, healing: &Value) -> Row {
    let name = &status.name;
    let healer = healing.get("connectors").and_then(|connectors| connectors.get(name)?.get("healing")?.as_str());
    let is_sink = *kind == SINK;
    let modules = if is_sink { Vec::new() } else { told.modules(name, settings) };
    Row {
        name: name.clone(),
        kind,
        state: status.connector.state.clone(),
        running: status.tasks.iter().filter(|task| task.state == RUNNING).count(),
        tasks: status.tasks.iter().map(Task::of).collect(),
        lag: lags.get(name).and_then(|found| found.lag),
        rate: None,
        partitions: lags.get(name).map(|found| found.partitions.clone()).unwrap_or_default(),
        version: if is_sink { told.plugin(&status.connector, settings) } else { versions::labels(&modules) },
        modules,
        degraded: if is_sink { None } else { status.sent_back() },
        failure: status.failure(),
        healing: healer.filter(|_| is_sink).map(str::to_owned),
    }
}

/// The kind of a connector, its state and its settings.
type Asked = (&'static str, Status, Settings);

/// A connector's state and settings.
pub(crate) type Found = Vec<(Status, Settings)>;

/// A trial is no connector of its own: what it does stands in the healing of its sink. Nor is a rehearsal's.
pub(crate) async fn sinks(connect: &Connect) -> Result<Found, ConnectError> {
    let sinks = connect.list().await?.into_iter().filter(|(name, one)| !trials::is_temporary(name, one));
    Ok(sinks.map(|(_, one)| (one.status, one.info.config)).collect())
}

pub(crate) async fn pipelines(transforms: &Connect) -> Result<Found, ConnectError> {
    let mut found = Vec::new();
    for name in transforms.names().await? {
        if let (Some(status), Some(settings)) = (transforms.status(&name).await?, transforms.settings(&name).await?) {
            found.push((Status { name, ..status }, settings));
        }
    }
    Ok(found)
}

/// The answer, or who gave none and why.
pub(crate) async fn limited(
    who: &str,
    ask: impl Future<Output = Result<Found, ConnectError>>,
) -> Result<Found, String> {
    match tokio::time::timeout(LIST_TIMEOUT, ask).await {
        Ok(answer) => answer.map_err(|err| format!("{who}: {err}")),
        Err(_) => Err(format!("{who}: no answer within {LIST_TIMEOUT:?}")),
    }
}

/// Nothing where no supervisor answers: it is no part of the flow.
pub(crate) async fn healing(supervisor: &str) -> Value {
    match Http::new(supervisor, BESIDE_TIMEOUT, &Access::default()) {
        Ok(http) => get(&http, HEALING).await,
        Err(_) => Value::Null,
    }
}

/// Nothing where no answer comes.
async fn get(http: &Http, path: &str) -> Value {
    match http.send(Method::GET, path, Body::Empty).await {
        Ok(answer) if answer.status.is_success() => serde_json::from_slice(&answer.body).unwrap_or_default(),
        Ok(_) | Err(_) => Value::Null,
    }
}

#[cfg(test)]
pub(crate) mod tests;
