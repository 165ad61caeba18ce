//! From "the servers run" to "orders flow": builds the transforms, calls the one deploy step, waits for the path.
//!
//! What is deployed is decided by `connectors apply`; this only calls it, and asks the services afterwards.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::progress::{Progress, ToolFailure};
use crate::{Options, Stack, StackError, http, probe};

/// A clean build of all guests, with their standard library, on a slow machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(20 * 60);
/// The deploy step waits for servers by itself; this is longer.
const APPLY_DEADLINE: Duration = Duration::from_secs(240);
/// From the deploy step to running sinks.
const PATH_DEADLINE: Duration = Duration::from_secs(90);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Builds the shipped transforms into the stack's folder; what is fresh is not built again.
///
/// # Errors
/// If they do not build.
pub fn build_modules(options: &Options, modules: &Path, progress: &Progress) -> Result<(), StackError> {
    progress.say("transforms: building the modules (a first build takes a minute or two)");
    let mut command = Command::new(options.binaries.join("transforms"));
    command.arg("build").arg(options.root.join("transforms/modules")).arg("--out").arg(modules);
    command.current_dir(&options.root);
    let log = options.dir.join("logs/modules.log");
    progress
        .run(command, &log, "transforms: building", BUILD_DEADLINE)
        .map_err(|failure| failed("transforms build", &failure, &log))
}

/// Topics, schemas, table and mapping, modules, pipelines, sinks: `connectors apply`, which knows their order.
///
/// # Errors
/// If it fails.
pub fn apply(options: &Options, stack: &Stack, progress: &Progress) -> Result<(), StackError> {
    progress.say("deploy: connectors apply");
    let mut command = Command::new(options.binaries.join("connectors"));
    command.arg("apply").arg("--modules").arg(stack.layout().modules());
    command.arg("--files").arg(options.root.join("connectors"));
    command.current_dir(&options.root).envs(stack.endpoints().environment());
    let log = stack.layout().logs().join("apply.log");
    progress
        .run(command, &log, "deploy: connectors apply", APPLY_DEADLINE)
        .map_err(|failure| failed("connectors apply", &failure, &log))
}

fn failed(program: &str, failure: &ToolFailure, log: &Path) -> StackError {
    StackError::Deploy(format!(
        "`{program}` failed; its output, {}, ends with:\n{}",
        log.display(),
        failure.output.trim()
    ))
}

/// A sink that an operator has paused or stopped. That is kept, and no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub sink: String,
    /// Connect's word for it.
    pub state: String,
}

/// Waits until an order would go all the way: the edge and the transforms are ready, every sink and its tasks run, but
/// for those that an operator holds; these are given back.
///
/// # Errors
/// If they do not in time; the error says which, and why.
pub fn wait_for_path(options: &Options, stack: &Stack, progress: &Progress) -> Result<Vec<Held>, StackError> {
    progress.say("deploy: waiting until orders can flow");
    let sinks = sinks_of(&options.root.join("connectors"))?;
    let end = Instant::now() + PATH_DEADLINE;
    loop {
        let lacks = match path_is_open(stack, &sinks) {
            Ok(held) => return Ok(held),
            Err(lacks) => lacks,
        };
        if Instant::now() >= end {
            let logs = stack.layout().logs();
            return Err(StackError::Deploy(format!(
                "orders cannot flow after {} s: {lacks}; the logs are in {}",
                PATH_DEADLINE.as_secs(),
                logs.display()
            )));
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

fn path_is_open(stack: &Stack, sinks: &[String]) -> Result<Vec<Held>, String> {
    let (endpoints, mut held) = (stack.endpoints(), Vec::new());
    for (name, url) in [("edge", &endpoints.edge_admin), ("transforms", &endpoints.transforms)] {
        let answer = http::get(&format!("{url}/readyz"), ASK_AGAIN * 10).map_err(|error| format!("{name}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{name} is not ready: {}", answer.body.replace('\n', " ").trim()));
        }
    }
    for sink in sinks {
        let url = format!("{}/connectors/{sink}/status", endpoints.connect);
        let answer = http::get(&url, ASK_AGAIN * 10).map_err(|error| format!("connect: {error}"))?;
        let state = runs(&answer.body).map_err(|state| format!("the sink {sink} does not run: {state}"))?;
        held.extend(state.map(|state| Held { sink: sink.clone(), state }));
    }
    probe::http_ok(&format!("{}/healthz", endpoints.connectors)).map_err(|lacks| format!("connectors: {lacks}"))?;
    Ok(held)
}

/// Kafka Connect's answer about one connector.
#[derive(Deserialize)]
struct ConnectorStatus {
    connector: Part,
    tasks: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    state: String,
    #[serde(default)]
    trace: String,
}

/// Whether it runs, or the state in which an operator holds it.
fn runs(body: &str) -> Result<Option<String>, String> {
    let status: ConnectorStatus = serde_json::from_str(body)
        .map_err(|_| format!("Connect says {}", body.chars().take(200).collect::<String>()))?;
    if ["PAUSED", "STOPPED"].contains(&status.connector.state.as_str()) {
        return Ok(Some(status.connector.state));
    }
    if status.tasks.is_empty() {
        return Err("it has no tasks yet".to_owned());
    }
    let stuck = status.tasks.iter().chain([&status.connector]).find(|part| part.state != "RUNNING");
    stuck.map_or(Ok(None), |part| Err(format!("{} {}", part.state, part.trace.lines().next().unwrap_or_default())))
}

/// One connector file, as far as it matters here.
#[derive(Deserialize)]
struct ConnectorFile {
    name: String,
    config: ConnectorConfig,
}

#[derive(Deserialize)]
struct ConnectorConfig {
    #[serde(rename = "connector.class")]
    class: String,
}

/// The connectors that Kafka Connect runs; the pipelines are told by their class.
fn sinks_of(folder: &Path) -> Result<Vec<String>, StackError> {
    let mut sinks = Vec::new();
    for entry in fs::read_dir(folder).map_err(StackError::file("read", folder))?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: ConnectorFile = crate::control::read_json(&path)?;
        if !file.config.class.starts_with("orderflow.") {
            sinks.push(file.name);
        }
    }
    Ok(sinks)
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn a_connector_runs_when_it_and_all_its_tasks_do_or_is_held() {
        for (body, expected) in [
            (r#"{"connector":{"state":"RUNNING"},"tasks":[{"state":"RUNNING"}]}"#, Ok(None)),
            (r#"{"connector":{"state":"RUNNING"},"tasks":[]}"#, Err("it has no tasks yet")),
            (
                r#"{"connector":{"state":"RUNNING"},"tasks":[{"state":"FAILED","trace":"why\n at x"}]}"#,
                Err("FAILED why"),
            ),
            (r#"{"connector":{"state":"PAUSED"},"tasks":[{"state":"PAUSED"}]}"#, Ok(Some("PAUSED".to_owned()))),
            (r#"{"connector":{"state":"STOPPED"},"tasks":[]}"#, Ok(Some("STOPPED".to_owned()))),
            (r#"{"error_code":404}"#, Err("Connect says {\"error_code\":404}")),
        ] {
            assert_eq!(runs(body), expected.map_err(str::to_owned), "{body}");
        }
    }
}
