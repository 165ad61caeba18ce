//! `connectors status`: every connector and pipeline with state, tasks, lag, last failure and healing, as a table or
//! JSON. Asks Kafka Connect, `transforms`, Kafka and the supervisor side by side; whoever is away is named.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use crate::connect::{self, Connect, ConnectError, RUNNING, Settings, Status};
use crate::http::{Body, Http};
use crate::kafka::KafkaError;
use crate::kafka::lag::{Looked, Place, Reader};
use crate::names::sink_group;
use crate::serve::admin::HEALING;
use crate::serve::trials;

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
    /// Kafka's bootstrap servers.
    pub kafka: String,
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
    /// Who could not be asked, and why.
    pub unreachable: Vec<String>,
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
    /// Why it failed.
    pub failure: Option<String>,
    /// What the supervisor does about it.
    pub healing: Option<String>,
}

impl Row {
    fn is_well(&self) -> bool {
        self.state == RUNNING && 0 < self.tasks && self.running == self.tasks
    }
}

/// Asks everyone.
pub async fn gather(sources: &Sources) -> Report {
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
    let lags = lags(&sources.kafka, &asked).await;
    if let Err(err) = &lags {
        report.unreachable.push(format!("Kafka: {err}"));
    }
    let lags = lags.unwrap_or_default();
    report.connectors = asked.iter().map(|(kind, status, _)| row(kind, status, &lags, &healing)).collect();
    report.ok =
        report.unreachable.is_empty() && !report.connectors.is_empty() && report.connectors.iter().all(Row::is_well);
    report
}

fn row(kind: &'static str, status: &Status, lags: &Lags, healing: &Value) -> Row {
    let told = healing.get("connectors").and_then(|connectors| connectors.get(&status.name)?.get("healing")?.as_str());
    Row {
        name: status.name.clone(),
        kind,
        state: status.connector.state.clone(),
        running: status.tasks.iter().filter(|task| task.state == RUNNING).count(),
        tasks: status.tasks.len(),
        lag: lags.get(&status.name).copied().flatten(),
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
    let Ok(http) = Http::new(SUPERVISOR_TIMEOUT) else { return Value::Null };
    let url = format!("{}{HEALING}", supervisor.trim_end_matches('/'));
    match http.send(Method::GET, &url, Body::Empty).await {
        Ok(answer) if answer.status.is_success() => serde_json::from_slice(&answer.body).unwrap_or_default(),
        Ok(_) | Err(_) => Value::Null,
    }
}

/// By connector; nothing where it could not be seen in time.
type Lags = BTreeMap<String, Option<i64>>;

/// Kafka's client blocks; all groups are asked in one blocking piece of work.
async fn lags(servers: &str, asked: &[(&'static str, Status, Settings)]) -> Result<Lags, KafkaError> {
    let groups: Vec<(String, String, Vec<String>)> = asked
        .iter()
        .map(|(kind, status, settings)| {
            let group = if *kind == "sink" { sink_group(&status.name) } else { status.name.clone() };
            (status.name.clone(), group, connect::topics(settings))
        })
        .collect();
    let servers = servers.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        groups.into_iter().map(|(name, group, topics)| Ok((name, lag(&servers, &group, &topics)?))).collect()
    });
    work.await.map_err(|_| KafkaError::Cut)?
}

/// A partition where only markers of transactions are left counts nothing; with one that nobody could look into, the
/// sum is unknown.
fn lag(servers: &str, group: &str, topics: &[String]) -> Result<Option<i64>, KafkaError> {
    let reader = Reader::new(servers, group)?;
    let waiting: Vec<_> = reader.places(topics)?.into_iter().filter(|place| 0 < place.lag()).collect();
    let looked = if waiting.is_empty() { Looked::default() } else { reader.unread(&waiting)? };
    let unread = waiting.iter().filter(|place| looked.unread.contains(&place.spot));
    Ok(looked.unknown.is_empty().then(|| unread.map(Place::lag).sum()))
}

/// The report as a table for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let head = ["NAME", "KIND", "STATE", "TASKS", "LAG"].map(str::to_owned);
    let cells: Vec<[String; 5]> = std::iter::once(head).chain(report.connectors.iter().map(cells)).collect();
    let mut widths = [0_usize; 5];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (row, line) in std::iter::once(None).chain(report.connectors.iter().map(Some)).zip(&cells) {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
        for (label, words) in row.into_iter().flat_map(|row| [("failure", &row.failure), ("healing", &row.healing)]) {
            if let Some(words) = words {
                let _ = writeln!(text, "  {label}: {words}");
            }
        }
    }
    if report.connectors.is_empty() {
        let _ = writeln!(text, "nothing is deployed; run `connectors apply`");
    }
    for reason in &report.unreachable {
        let _ = writeln!(text, "cannot ask {reason}");
    }
    text
}

fn cells(row: &Row) -> [String; 5] {
    let lag = row.lag.map_or_else(|| "?".to_owned(), |lag| lag.to_string());
    [row.name.clone(), row.kind.to_owned(), row.state.clone(), format!("{}/{}", row.running, row.tasks), lag]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(name: &str, state: &str, running: usize, tasks: usize) -> Row {
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

    #[test]
    fn the_table_has_a_line_a_connector_and_names_failures() {
        let failed = Row { failure: Some("Y: no".to_owned()), lag: None, ..sink("orders-postgres", "RUNNING", 0, 2) };
        let report = Report { connectors: vec![sink("a", "RUNNING", 6, 6), failed], ..Report::default() };
        let expected = "\
NAME             KIND  STATE    TASKS  LAG
a                sink  RUNNING  6/6    7
orders-postgres  sink  RUNNING  0/2    ?
  failure: Y: no
";
        assert_eq!(table(&report), expected);
    }
}
