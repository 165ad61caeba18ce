//! Sinks: validated by their plugin, put only where they differ, and waited for until every task runs. One that an
//! operator has paused or stopped gets its settings and stays held: a deploy step must not undo that in silence.

use tokio::time::Instant;

use super::{ApplyError, Change, LOOK_EVERY, Line, Out, Target};
use crate::connect::{Connect, ConnectError, Settings};
use crate::files::Connector;
use crate::retry;
use crate::serve::isolate::trial;

/// Validates all, puts those that differ, and waits for all.
///
/// # Errors
/// [`ApplyError`]; where a plugin refuses settings, nothing is put.
pub async fn apply(target: &Target, sinks: &[Connector], out: Out<'_>) -> Result<(), ApplyError> {
    for sink in sinks {
        valid(target, sink).await?;
    }
    let mut done = Vec::new();
    for sink in sinks {
        let change = retry::until(target.deadline(), "Kafka Connect", || one(&target.connect, sink))
            .await
            .map_err(|source| failed(sink, source))?;
        done.push((sink, change));
    }
    // Waited for together: Connect starts them in one rebalance.
    for (sink, change) in done {
        let note = running(target, sink).await?;
        out(Line { kind: "sink", name: sink.name.clone(), change, note });
    }
    Ok(())
}

fn failed(sink: &Connector, source: ConnectError) -> ApplyError {
    ApplyError::Connect { kind: "sink", name: sink.name.clone(), source }
}

async fn valid(target: &Target, sink: &Connector) -> Result<(), ApplyError> {
    let class = sink.setting("connector.class");
    let verdict =
        retry::until(target.deadline(), "Kafka Connect", || target.connect.validate(class, &sink.name, &sink.settings));
    match verdict.await.map_err(|source| failed(sink, source))? {
        faults if faults.is_empty() => Ok(()),
        faults => Err(ApplyError::Settings { name: sink.name.clone(), faults }),
    }
}

async fn one(connect: &Connect, sink: &Connector) -> Result<Change, ConnectError> {
    let change = match connect.settings(&sink.name).await? {
        None => Change::Created,
        Some(there) if same(&there, &sink.settings) => return Ok(Change::Unchanged),
        Some(_) => Change::Updated,
    };
    connect.put_settings(&sink.name, &sink.settings).await?;
    Ok(change)
}

/// Connect adds the name to the settings.
fn same(there: &Settings, wanted: &Settings) -> bool {
    let without_name = |settings: &Settings| settings.iter().filter(|(key, _)| *key != "name").count();
    without_name(there) == without_name(wanted)
        && wanted.iter().all(|(key, value)| key == "name" || there.get(key) == Some(value))
}

/// Waits until it runs or is known to be held; answers which, in words.
async fn running(target: &Target, sink: &Connector) -> Result<String, ApplyError> {
    let deadline = target.deadline();
    loop {
        let state = match target.connect.status(&sink.name).await {
            Ok(Some(status)) if status.all_running(sink.tasks()) => {
                return Ok(format!("{} tasks RUNNING", sink.tasks()));
            }
            Ok(Some(status)) if status.is_held() && is_tried(target, sink).await => {
                "`connectors serve` holds it while it tries its records".to_owned()
            }
            Ok(Some(status)) if status.is_held() => {
                let (state, base) = (&status.connector.state, target.connect.base());
                return Ok(format!(
                    "held by operator ({state}), left so; curl -X PUT {base}/connectors/{}/resume",
                    sink.name
                ));
            }
            Ok(Some(status)) => status.failure().unwrap_or_else(|| {
                let states: Vec<&str> = status.parts().map(|part| part.state.as_str()).collect();
                format!("connector and tasks are {}", states.join(", "))
            }),
            Ok(None) => "Kafka Connect does not list it yet".to_owned(),
            Err(err) => err.to_string(),
        };
        if deadline <= Instant::now() {
            return Err(ApplyError::NotRunning { kind: "sink", name: sink.name.clone(), waited: target.wait, state });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A sink that a healer holds runs again by itself; what cannot be asked now is asked again.
async fn is_tried(target: &Target, sink: &Connector) -> bool {
    !matches!(target.connect.settings(&trial::name(&sink.name)).await, Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_connect_adds_is_no_difference() {
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let wanted = settings(&[("topics", "t")]);
        assert!(same(&settings(&[("topics", "t"), ("name", "n")]), &wanted));
        assert!(!same(&settings(&[("topics", "u"), ("name", "n")]), &wanted));
        assert!(!same(&settings(&[("topics", "t"), ("more", "m"), ("name", "n")]), &wanted));
        assert!(!same(&settings(&[("name", "n")]), &wanted));
    }
}
