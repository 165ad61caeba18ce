//! Sinks: validated by their plugin, put only where they differ, and waited for until every task runs with what was put.
//! One that an operator has paused or stopped gets its settings and stays held: a deploy step must not undo that in
//! silence. Where a plugin refuses settings nothing is put, and what runs goes on with what it has.

use tokio::time::Instant;
use tracing::info;

use super::{ApplyError, Change, LOOK_EVERY, Line, Out, Target};
use crate::compare::{self, Difference, mask::Mask};
use crate::connect::{Connect, ConnectError};
use crate::files::Connector;
use crate::retry;
use crate::serve::isolate::trial;
use schemas::mark;

use fresh::Before;

mod fresh;

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
        let before = Before::of(target, sink).await;
        let given = retry::until(target.deadline(), "Kafka Connect", || one(&target.connect, sink, &target.owner))
            .await
            .map_err(|source| failed(sink, source))?;
        done.push((sink, given, before));
    }
    // Waited for together: Connect starts them in one rebalance.
    for (sink, Given { change, keys }, before) in done {
        let note = running(target, sink, before.filter(|_| change == Change::Updated)).await?;
        let line = Line::new("sink", &sink.name, change, note);
        out(if change == Change::Updated { line.with(&keys) } else { line });
    }
    Ok(())
}

fn failed(sink: &Connector, source: ConnectError) -> ApplyError {
    ApplyError::Connect { kind: "sink", name: sink.name.clone(), source }
}

async fn valid(target: &Target, sink: &Connector) -> Result<(), ApplyError> {
    let (class, settings) = (sink.setting("connector.class"), mark::marked(&sink.settings, &target.owner));
    let verdict =
        retry::until(target.deadline(), "Kafka Connect", || target.connect.validate(class, &sink.name, &settings));
    let faults = verdict.await.map_err(|source| failed(sink, source))?;
    if !faults.is_empty() {
        let mask = Mask::of([&sink.settings]);
        let faults = faults.iter().map(|fault| format!("{}: {}", fault.key, mask.hide(&fault.words))).collect();
        return Err(ApplyError::Settings { name: sink.name.clone(), faults });
    }
    let there = retry::until(target.deadline(), "Kafka Connect", || target.connect.settings(&sink.name)).await;
    match there.map_err(|source| failed(sink, source))?.and_then(|there| compare::foreign(&there, &target.owner)) {
        Some(why) => Err(ApplyError::Foreign { kind: "sink", name: sink.name.clone(), why }),
        None => Ok(()),
    }
}

/// What became of the settings, and in which keys they differed.
struct Given {
    change: Change,
    keys: Vec<Difference>,
}

async fn one(connect: &Connect, sink: &Connector, owner: &str) -> Result<Given, ConnectError> {
    let there = connect.settings(&sink.name).await?;
    let keys = there.as_ref().map(|there| compare::differences(there, sink, owner)).unwrap_or_default();
    let change = match there {
        None => Change::Created,
        Some(_) if keys.is_empty() => return Ok(Given { change: Change::Unchanged, keys }),
        Some(_) => Change::Updated,
    };
    connect.put_settings(&sink.name, &mark::marked(&sink.settings, owner)).await?;
    Ok(Given { change, keys })
}

/// Waits until it runs or is known to be held; answers which, in words. With `before`, a task that still runs with what
/// it had before does not count.
async fn running(target: &Target, sink: &Connector, before: Option<Before>) -> Result<String, ApplyError> {
    let deadline = target.deadline();
    let mut said = String::new();
    loop {
        let state = match target.connect.status(&sink.name).await {
            Ok(Some(status)) if status.all_running(sink.tasks()) => match &before {
                Some(before) => match before.is_over(target, sink).await {
                    Ok(()) => return Ok(format!("{} tasks RUNNING with it", sink.tasks())),
                    Err(state) => state,
                },
                None => return Ok(format!("{} tasks RUNNING", sink.tasks())),
            },
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
            Ok(Some(status)) => {
                status.failure().map(|failure| Mask::of([&sink.settings]).hide(&failure)).unwrap_or_else(|| {
                    let states: Vec<&str> = status.parts().map(|part| part.state.as_str()).collect();
                    format!("connector and tasks are {}", states.join(", "))
                })
            }
            Ok(None) => "Kafka Connect does not list it yet".to_owned(),
            Err(err) => err.to_string(),
        };
        if deadline <= Instant::now() {
            return Err(ApplyError::NotRunning { kind: "sink", name: sink.name.clone(), waited: target.wait, state });
        }
        // Who waits wants to know for what; a failure is said as it comes.
        if state != said {
            info!(connector = sink.name, state, "not running yet");
            said = state;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A sink that a healer holds runs again by itself; what cannot be asked now is asked again.
async fn is_tried(target: &Target, sink: &Connector) -> bool {
    !matches!(target.connect.settings(&trial::name(&sink.name)).await, Ok(None))
}
