//! `connectors status`: every connector and pipeline with state, tasks, lag, last failure and healing, as a table or
//! JSON. Asks Kafka Connect, `transforms`, Kafka and the supervisor side by side; whoever is away is named.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;
use service_kit::kafka::Brokers;

use crate::connect::{self, Connect, ConnectError, RUNNING, Settings, Status};
use crate::http::{Access, Body, Http};
use crate::kafka::KafkaError;
use crate::kafka::lag::{Looked, Place, Reader};
use crate::names::sink_group;
use crate::serve::admin::HEALING;
use crate::serve::{duty, trials};

mod show;

pub use show::table;

/// The supervisor is on the same machine; a status must not wait for it.
const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(2);
/// A status is for now; a worker in a rebalance is named as such.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Kafka Connect.
    pub connect: Connect,
    /// `transforms`.
    pub transforms: Connect,
    /// Kafka's brokers, and who we are to them.
    pub kafka: Brokers,
    /// `connectors serve`.
    pub supervisor: String,
}

/// The whole answer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Every connector and pipeline is RUNNING, with all its tasks, and everyone asked has answered.
    pub ok: bool,
    /// One row a connector or pipeline.
    pub connectors: Vec<Row>,
    /// Every `connectors serve` that takes part; nothing where Kafka did not tell.
    pub healers: Option<Vec<Healer>>,
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
    /// How many tasks there are.
    pub tasks: usize,
    /// Records that wait, as far as is known.
    pub lag: Option<i64>,
    /// Where it stands in each partition.
    pub partitions: Vec<Partition>,
    /// Why it failed.
    pub failure: Option<String>,
    /// What the supervisor does about it.
    pub healing: Option<String>,
}

/// Where a connector stands in a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset that it will read.
    pub committed: i64,
    /// Records that wait; null where that could not be seen in time.
    pub lag: Option<i64>,
}

impl Row {
    fn is_well(&self) -> bool {
        self.state == RUNNING && 0 < self.tasks && self.running == self.tasks
    }
}

/// Asks everyone.
pub async fn gather(sources: &Sources) -> Report {
    gather_with(sources, Readers::new()).await.0
}

/// The same with readers of before, for whoever asks again and again; gives them back.
pub async fn gather_with(sources: &Sources, readers: Readers) -> (Report, Readers) {
    let (sinks, pipelines, healing) = tokio::join!(
        limited("Kafka Connect", sinks(&sources.connect)),
        limited("transforms", pipelines(&sources.transforms)),
        healing(&sources.supervisor),
    );
    let mut report = Report::default();
    let mut asked = Vec::new();
    for (kind, answer) in [("sink", sinks), ("pipeline", pipelines)] {
        match answer {
            Ok(found) => asked.extend(found.into_iter().map(|(status, settings)| (kind, status, settings))),
            Err(reason) => report.unreachable.push(reason),
        }
    }
    let (lags, readers) = match positions(&sources.kafka, &asked, readers).await {
        Ok((lags, healers, readers)) => {
            report.healers = healers;
            (lags, readers)
        }
        Err(err) => {
            report.unreachable.push(format!("Kafka: {err}"));
            (Lags::new(), Readers::new())
        }
    };
    report.connectors = asked.iter().map(|(kind, status, _)| row(kind, status, &lags, &healing)).collect();
    report.ok =
        report.unreachable.is_empty() && !report.connectors.is_empty() && report.connectors.iter().all(Row::is_well);
    (report, readers)
}

fn row(kind: &'static str, status: &Status, lags: &Lags, healing: &Value) -> Row {
    let told = healing.get("connectors").and_then(|connectors| connectors.get(&status.name)?.get("healing")?.as_str());
    Row {
        name: status.name.clone(),
        kind,
        state: status.connector.state.clone(),
        running: status.tasks.iter().filter(|task| task.state == RUNNING).count(),
        tasks: status.tasks.len(),
        lag: lags.get(&status.name).and_then(|found| found.lag),
        partitions: lags.get(&status.name).map(|found| found.partitions.clone()).unwrap_or_default(),
        failure: status.failure(),
        healing: told.filter(|_| kind == "sink").map(str::to_owned),
    }
}

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
    let Ok(http) = Http::new(supervisor, SUPERVISOR_TIMEOUT, &Access::default()) else { return Value::Null };
    match http.send(Method::GET, HEALING, Body::Empty).await {
        Ok(answer) if answer.status.is_success() => serde_json::from_slice(&answer.body).unwrap_or_default(),
        Ok(_) | Err(_) => Value::Null,
    }
}

/// Readers of groups' positions, by group.
pub type Readers = BTreeMap<String, Reader>;

/// By connector.
type Lags = BTreeMap<String, Waits>;

/// What waits before a connector.
#[derive(Debug, Clone, Default)]
struct Waits {
    /// Nothing where it could not be seen in time.
    lag: Option<i64>,
    partitions: Vec<Partition>,
}

/// What waits before each, and who heals. Kafka's client blocks; all groups are asked in one blocking piece of work.
async fn positions(
    servers: &Brokers,
    asked: &[(&'static str, Status, Settings)],
    mut readers: Readers,
) -> Result<(Lags, Option<Vec<Healer>>, Readers), KafkaError> {
    let groups: Vec<(String, String, Vec<String>)> = asked
        .iter()
        .map(|(kind, status, settings)| {
            let group = if *kind == "sink" { sink_group(&status.name) } else { status.name.clone() };
            (status.name.clone(), group, connect::topics(settings))
        })
        .collect();
    let servers = servers.clone();
    let work = tokio::task::spawn_blocking(move || {
        readers.retain(|known, _| known == duty::GROUP || groups.iter().any(|(_, group, _)| group == known));
        let mut lags = Lags::new();
        for (name, group, topics) in groups {
            lags.insert(name, waits(reader(&mut readers, &servers, group)?, &topics)?);
        }
        // Who may not see the group still sees the rest.
        let healers = reader(&mut readers, &servers, duty::GROUP.to_owned())?.instances().ok();
        let healer = |(name, on_duty)| Healer { name, on_duty };
        Ok((lags, healers.map(|all| all.into_iter().map(healer).collect()), readers))
    });
    work.await.map_err(|_| KafkaError::Cut)?
}

fn reader<'r>(readers: &'r mut Readers, servers: &Brokers, group: String) -> Result<&'r Reader, KafkaError> {
    Ok(match readers.entry(group) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => {
            let reader = Reader::new(servers, place.key())?;
            place.insert(reader)
        }
    })
}

/// A partition where only markers of transactions are left counts nothing; with one that nobody could look into, the
/// sum is unknown.
fn waits(reader: &Reader, topics: &[String]) -> Result<Waits, KafkaError> {
    let places = reader.places(topics)?;
    let waiting: Vec<Place> = places.iter().filter(|place| 0 < place.lag()).cloned().collect();
    let looked = if waiting.is_empty() { Looked::default() } else { reader.unread(&waiting)? };
    let partition = |place: &Place| Partition {
        topic: place.spot.0.clone(),
        partition: place.spot.1,
        committed: place.committed,
        lag: match (looked.unread.contains(&place.spot), looked.unknown.contains(&place.spot)) {
            (true, _) => Some(place.lag()),
            (false, true) => None,
            (false, false) => Some(0),
        },
    };
    let partitions: Vec<Partition> = places.iter().map(partition).collect();
    Ok(Waits { lag: partitions.iter().map(|one| one.lag).sum(), partitions })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sink(name: &str, state: &str, running: usize, tasks: usize) -> Row {
        Row {
            name: name.to_owned(),
            kind: "sink",
            state: state.to_owned(),
            running,
            tasks,
            lag: Some(7),
            ..Row::default()
        }
    }

    #[test]
    fn a_connector_is_well_only_with_all_its_tasks() {
        assert!(sink("a", "RUNNING", 2, 2).is_well());
        for row in [
            sink("a", "RUNNING", 1, 2),
            sink("a", "RUNNING", 0, 0),
            sink("a", "FAILED", 2, 2),
            sink("a", "PAUSED", 2, 2),
        ] {
            assert!(!row.is_well(), "{row:?}");
        }
    }
}
