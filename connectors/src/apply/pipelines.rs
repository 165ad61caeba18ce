//! Pipelines: given to `transforms`, which checks module names and parameters and resolves `name@1`. They are given
//! even where the text is the same, since `name@1` may mean a newer module now.

use super::{ApplyError, Change, Line, Out, Target};
use crate::connect::{Connect, ConnectError};
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
        let change =
            retry::until(deadline, "transforms", || one(&target.transforms, pipeline)).await.map_err(failed)?;
        out(Line {
            kind: "pipeline",
            name: pipeline.name.clone(),
            change,
            note: format!("{} -> {}", pipeline.setting("topics"), pipeline.setting("output.topic")),
        });
    }
    Ok(())
}

async fn one(transforms: &Connect, pipeline: &Connector) -> Result<Change, ConnectError> {
    let before = transforms.settings(&pipeline.name).await?;
    transforms.put_settings(&pipeline.name, &pipeline.settings).await?;
    let after = transforms.settings(&pipeline.name).await?;
    Ok(match before {
        None => Change::Created,
        Some(_) if before == after => Change::Unchanged,
        Some(_) => Change::Updated,
    })
}
