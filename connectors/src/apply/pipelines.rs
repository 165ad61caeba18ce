//! Pipelines: given to `transforms`, which checks module names and parameters and resolves `name@1`. They are given
//! even where the text is the same, since `name@1` may mean a newer module now.

use super::{ApplyError, Change, Line, Out, Target};
use crate::connect::{ConnectError, Status};
use crate::files::Connector;
use crate::retry;

/// Gives `transforms` all of them.
///
/// # Errors
/// [`ApplyError`] at the first that is refused.
pub async fn apply(target: &Target, pipelines: &[Connector], out: Out<'_>) -> Result<(), ApplyError> {
    for pipeline in pipelines {
        let failed = |source| ApplyError::Connect { kind: "pipeline", name: pipeline.name.clone(), source };
        let deadline = target.deadline();
        let (change, held) = retry::until(deadline, "transforms", || one(target, pipeline)).await.map_err(failed)?;
        let mut note = format!("{} -> {}", pipeline.setting("topics"), pipeline.setting("output.topic"));
        if let Some(held) = held {
            note.push_str("; ");
            note.push_str(&held);
        }
        out(Line { kind: "pipeline", name: pipeline.name.clone(), change, note });
    }
    Ok(())
}

async fn one(target: &Target, pipeline: &Connector) -> Result<(Change, Option<String>), ConnectError> {
    let (transforms, name) = (&target.transforms, &pipeline.name);
    let before = transforms.settings(name).await?;
    match target.force {
        true => transforms.force_settings(name, &pipeline.settings).await?,
        false => transforms.put_settings(name, &pipeline.settings).await?,
    }
    let after = transforms.settings(name).await?;
    let change = match before {
        None => Change::Created,
        Some(_) if before == after => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    Ok((change, transforms.status(name).await?.and_then(held)))
}

/// What `transforms` says of a version that it sent back by itself, or of a flow that its breaker holds. Giving the same
/// file again changes neither.
fn held(status: Status) -> Option<String> {
    let trace = status.connector.trace?;
    let ways_out = [("DEGRADED: ", "change the file, or apply it with --force"), ("PARKED since ", "")];
    let (at, way_out) = ways_out.iter().find_map(|(word, way_out)| Some((trace.find(word)?, way_out)))?;
    let held = trace.get(at..)?;
    Some(if way_out.is_empty() { held.to_owned() } else { format!("{held}; {way_out}") })
}
