//! The stages on the servers, each waited for: table and index, schema, pipeline, sinks.

use tokio::time::Instant;

use super::EvolveError;
use super::report::{Pipeline, Report};
use crate::apply::{ApplyError, LOOK_EVERY, Line, Target, pipelines, stores, subjects};
use crate::compare;
use crate::connect::{RUNNING, Status};
use crate::files::{Connector, Deployment};
use crate::plan;
use crate::retry;

/// Which pipelines write the topic, and by which schema now.
pub(super) async fn pipelines(
    target: &Target,
    all: &Deployment,
    topic: &str,
    report: &mut Report,
) -> Result<(), EvolveError> {
    let newest = match report.subject_changes() {
        true => None,
        false => Some(target.registry.id_of(all.contracts.placed.subject, &all.contracts.placed.schema).await?),
    };
    for pipeline in all.pipelines.iter().filter(|one| one.setting("output.topic") == topic) {
        let name = pipeline.name.clone();
        let ask = || target.transforms.status(&name);
        let status = retry::until(target.deadline(), "transforms", ask).await;
        let status = status.map_err(|source| EvolveError::Connect("transforms", source))?;
        let mut told = Pipeline { name, ..Pipeline::default() };
        if let Some(status) = &status {
            told.schema = status.output_schema_id;
            told.state.clone_from(&status.connector.state);
            if let Some(trace) = status.parts().find_map(|part| part.trace.as_deref()) {
                report.refused.push(format!("pipeline {} is not well: {trace}; mend that first", told.name));
            }
            told.held = status.is_held();
            told.restarts = !status.is_held() && (newest.is_none() || told.schema != newest);
        }
        if report.module.is_some() {
            told.changes = changes(target, pipeline, report).await?;
        }
        report.pipelines.push(told);
    }
    Ok(())
}

/// How a pipeline's file differs from what runs.
async fn changes(target: &Target, pipeline: &Connector, report: &mut Report) -> Result<Vec<String>, EvolveError> {
    let ask = || target.transforms.settings(&pipeline.name);
    let there = retry::until(target.deadline(), "transforms", ask).await;
    let there = there.map_err(|source| EvolveError::Connect("transforms", source))?.unwrap_or_default();
    let foreign = compare::foreign(&there, &target.owner);
    report.refused.extend(foreign.map(|why| format!("pipeline {}: {why}", pipeline.name)));
    Ok(compare::differences(&there, pipeline, &target.owner).iter().map(plan::difference).collect())
}

/// All of them, in order.
pub(super) async fn run(target: &Target, all: &Deployment, report: &mut Report) -> Result<(), EvolveError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut out = |line: Line| lines.push(line);
    stores::tables(target, &all.tables, &mut out).await?;
    stores::indexes(target, &all.indexes, &mut out).await?;
    let id = subjects::register(target, &all.contracts.placed, &mut out).await?;
    report.done.extend(lines.iter().map(ToString::to_string));
    for pipeline in &mut report.pipelines {
        let told = match (pipeline.changes.is_empty(), pipeline.restarts, pipeline.schema) {
            (false, ..) => {
                let status = given(target, all, &pipeline.name, id).await?;
                format!("has its file, {}", pipeline.now(&status, id))
            }
            (true, true, _) => {
                let status = taken(target, &pipeline.name, id).await?;
                format!("restarted, {}", pipeline.now(&status, id))
            }
            (true, false, Some(there)) if there == id => format!("writes by schema {id} already"),
            (true, false, _) => {
                format!("is {}, and takes the schema when it is resumed and restarted", pipeline.state)
            }
        };
        report.done.push(format!("{:<9} {:<40} {told}", "pipeline", pipeline.name));
    }
    for sink in all
        .sinks
        .iter()
        .filter(|sink| crate::connect::topics(&sink.settings).contains(&all.contracts.placed.topic.to_owned()))
    {
        let told = steady(target, &sink.name).await?;
        report.done.push(format!("{:<9} {:<40} {told}", "sink", sink.name));
    }
    report.applied = true;
    Ok(())
}

/// Starts a pipeline over, which looks its schema up anew, and waits until all its slots write by this one. What was read
/// and not committed is read again: nothing is lost, and nothing is written twice.
async fn taken(target: &Target, name: &str, id: u32) -> Result<Status, ApplyError> {
    let failed = |source| ApplyError::Connect { kind: "pipeline", name: name.to_owned(), source };
    retry::until(target.deadline(), "transforms", || target.transforms.restart(name, false)).await.map_err(failed)?;
    writing(target, name, id).await
}

/// Gives a pipeline its file, with the module that fills the field; it looks its schema up anew with it.
async fn given(target: &Target, all: &Deployment, name: &str, id: u32) -> Result<Status, ApplyError> {
    let file: Vec<Connector> = all.pipelines.iter().filter(|one| one.name == name).cloned().collect();
    pipelines::apply(target, &file, &mut |_: Line| {}).await?;
    writing(target, name, id).await
}

/// Waits until all slots of a pipeline write by this schema; one that is held does when it is resumed.
async fn writing(target: &Target, name: &str, id: u32) -> Result<Status, ApplyError> {
    let deadline = target.deadline();
    let ready = |status: Status| {
        // Then it runs, by the right schema perhaps, and the version before is what runs.
        if let Some(sent_back) = status.sent_back() {
            return Err(sent_back);
        }
        let well = status.parts().all(|part| part.state == RUNNING) && !status.tasks.is_empty();
        let there = status.output_schema_id;
        if (well && there == Some(id)) || status.is_held() {
            return Ok(status);
        }
        let trace = status.parts().find_map(|part| part.trace.clone());
        let state = || format!("it is {} and writes by schema {there:?}, not {id}", status.connector.state);
        Err(trace.unwrap_or_else(state))
    };
    settled(target, deadline, ("pipeline", name), async || match target.transforms.status(name).await {
        Ok(Some(status)) => ready(status),
        Ok(None) => Err("transforms does not list it".to_owned()),
        Err(err) => Err(err.to_string()),
    })
    .await
}

/// That a sink runs, whoever may have to mend it.
async fn steady(target: &Target, name: &str) -> Result<String, ApplyError> {
    let look = async || match target.connect.status(name).await {
        Ok(Some(status)) if status.is_held() => Ok(format!("held by operator ({})", status.connector.state)),
        Ok(Some(status)) if status.parts().all(|part| part.state == RUNNING) => {
            Ok(format!("{} tasks RUNNING", status.tasks.len()))
        }
        Ok(Some(status)) => Err(status.failure().unwrap_or_else(|| format!("it is {}", status.connector.state))),
        Ok(None) => Ok("is not deployed".to_owned()),
        Err(err) => Err(err.to_string()),
    };
    settled(target, target.deadline(), ("sink", name), look).await
}

async fn settled<T>(
    target: &Target,
    deadline: Instant,
    (kind, name): (&'static str, &str),
    look: impl AsyncFn() -> Result<T, String>,
) -> Result<T, ApplyError> {
    loop {
        match look().await {
            Ok(told) => return Ok(told),
            Err(state) if deadline <= Instant::now() => {
                return Err(ApplyError::NotRunning { kind, name: name.to_owned(), waited: target.wait, state });
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
