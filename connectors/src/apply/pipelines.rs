//! Pipelines: given to `transforms`, which checks module names and parameters and resolves `name@1`. They are given
//! even where the text is the same, since `name@1` may mean a newer module now.

use tokio::time::Instant;

use super::{ApplyError, Change, LOOK_EVERY, Line, Out, Target};
use crate::compare::{self, Difference};
use crate::connect::{ConnectError, RUNNING, Status};
use crate::files::Connector;
use crate::retry;
use schemas::mark;

/// Gives `transforms` all of them, one after the other, and waits until each runs as its file says.
///
/// # Errors
/// [`ApplyError`] at the first that is refused or does not come to run.
pub async fn apply(target: &Target, pipelines: &[Connector], out: Out<'_>) -> Result<(), ApplyError> {
    for pipeline in pipelines {
        ours(target, pipeline).await?;
        let failed = |source| ApplyError::Connect { kind: "pipeline", name: pipeline.name.clone(), source };
        let deadline = target.deadline();
        let given = retry::until(deadline, "transforms", || one(target, pipeline)).await.map_err(failed)?;
        let state = running(target, pipeline, &given).await?;
        let note = format!("{} -> {}; {state}", pipeline.setting("topics"), pipeline.setting("output.topic"));
        out(Line::new("pipeline", &pipeline.name, given.change, note).with(&given.keys));
    }
    Ok(())
}

/// One that others deployed is not taken from them in silence.
async fn ours(target: &Target, pipeline: &Connector) -> Result<(), ApplyError> {
    let there = retry::until(target.deadline(), "transforms", || target.transforms.settings(&pipeline.name)).await;
    let there =
        there.map_err(|source| ApplyError::Connect { kind: "pipeline", name: pipeline.name.clone(), source })?;
    match there.and_then(|there| compare::foreign(&there, &target.owner)) {
        Some(why) => Err(ApplyError::Foreign { kind: "pipeline", name: pipeline.name.clone(), why }),
        None => Ok(()),
    }
}

/// What became of the settings.
struct Given {
    change: Change,
    /// The version that they make.
    version: String,
    /// The keys in which it differed.
    keys: Vec<Difference>,
    /// What held the pipeline before, where that may be over now.
    over: Option<String>,
}

async fn one(target: &Target, pipeline: &Connector) -> Result<Given, ConnectError> {
    let (transforms, name) = (&target.transforms, &pipeline.name);
    let before = transforms.settings(name).await?;
    let over = transforms.status(name).await?.as_ref().and_then(Status::sent_back);
    let keys = before.as_ref().map(|before| compare::differences(before, pipeline, &target.owner)).unwrap_or_default();
    let settings = mark::marked(&pipeline.settings, &target.owner);
    match target.force {
        true => transforms.force_settings(name, &settings).await?,
        false => transforms.put_settings(name, &settings).await?,
    }
    let after = transforms.settings(name).await?;
    let change = match before {
        None => Change::Created,
        Some(_) if before == after => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    let over = over.filter(|_| target.force || change == Change::Updated);
    Ok(Given { change, version: transforms.wanted_version(name).await?, keys, over })
}

/// Waits until all slots have taken the version over, or something is known to keep them from it; answers which.
/// Until then records may still be made by the version before.
async fn running(target: &Target, pipeline: &Connector, given: &Given) -> Result<String, ApplyError> {
    let deadline = target.deadline();
    loop {
        let state = match target.transforms.status(&pipeline.name).await {
            Ok(Some(status)) => match settled(&status, given) {
                Ok(state) => return Ok(state),
                Err(state) => state,
            },
            Ok(None) => "transforms does not list it yet".to_owned(),
            Err(err) => err.to_string(),
        };
        if deadline <= Instant::now() {
            let (kind, name) = ("pipeline", pipeline.name.clone());
            return Err(ApplyError::NotRunning { kind, name, waited: target.wait, state });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How the pipeline stands, for good or, as the error, for now.
fn settled(status: &Status, given: &Given) -> Result<String, String> {
    let wanted = &given.version;
    match status.sent_back() {
        Some(held) if given.over.as_ref() == Some(&held) => return Err(held),
        Some(held) => return Ok(held),
        None => {}
    }
    let (slots, state) = (status.tasks.len(), &status.connector.state);
    if status.is_held() {
        return Ok(format!("held by operator ({state}), left so; PUT /connectors/{}/resume", status.name));
    }
    let taken = status.version.as_ref().filter(|running| running.id == *wanted).map_or(0, |running| running.slots);
    let well = status.parts().all(|part| part.state == RUNNING);
    if well && 0 < slots && taken == slots {
        return Ok(format!("{slots} slots RUNNING"));
    }
    let trace = || status.parts().find_map(|part| part.trace.as_deref()).map(str::to_owned);
    Err(trace().unwrap_or_else(|| format!("{taken} of {slots} slots run version {wanted}, the pipeline is {state}")))
}
