//! How a connector and its tasks stand, as Connect tells it.

use serde::Deserialize;

use super::cause;

/// A connector's state, as Connect tells it. After a worker's death it may be stale.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The connector's name.
    #[serde(default)]
    pub name: String,
    /// The connector itself.
    #[serde(default)]
    pub connector: Part,
    /// Its tasks.
    #[serde(default)]
    pub tasks: Vec<Part>,
    /// The version that runs (`transforms` only).
    #[serde(default)]
    pub version: Option<Running>,
    /// The id of the schema that it writes by (`transforms` only).
    #[serde(default)]
    pub output_schema_id: Option<u32>,
}

/// Which version of a pipeline runs, and in how many slots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// Slots that have taken it over.
    pub slots: usize,
}

/// The state of a connector or of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// The task's number; 0 for the connector itself.
    #[serde(default)]
    pub id: i32,
    /// RUNNING, FAILED, PAUSED, STOPPED, UNASSIGNED, RESTARTING.
    #[serde(default)]
    pub state: String,
    /// Who has it.
    #[serde(default)]
    pub worker_id: Option<String>,
    /// The version of the plugin that it runs. Workers since KIP-891 tell it.
    #[serde(default)]
    pub version: Option<String>,
    /// The stack trace of a failure.
    #[serde(default)]
    pub trace: Option<String>,
}

/// The state of something that works.
pub const RUNNING: &str = "RUNNING";
/// The state of something that Connect will not start again by itself.
pub const FAILED: &str = "FAILED";
const PAUSED: &str = "PAUSED";
/// The states in which an operator holds a connector.
const HELD: [&str; 2] = [PAUSED, "STOPPED"];

impl Status {
    /// Connector and tasks all RUNNING, with as many tasks as wanted.
    #[must_use]
    pub fn all_running(&self, tasks: usize) -> bool {
        self.connector.state == RUNNING && self.tasks.len() == tasks && self.tasks.iter().all(|t| t.state == RUNNING)
    }

    /// Paused or stopped by an operator; Connect keeps that until somebody resumes it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        HELD.contains(&self.connector.state.as_str())
    }

    /// Whether somebody paused it. Its tasks stay.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.connector.state == PAUSED
    }

    /// How many of connector and tasks are FAILED.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.parts().filter(|part| part.state == FAILED).count()
    }

    /// The connector, then its tasks.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.connector).chain(&self.tasks)
    }

    /// What `transforms` says of a version that it sent back by itself, or of a flow that its breaker holds, with the
    /// way out. Giving the same file again changes neither. Only for pipelines: a sink's trace may quote anything.
    #[must_use]
    pub fn sent_back(&self) -> Option<String> {
        let trace = self.connector.trace.as_deref()?;
        let ways_out = [("DEGRADED: ", "change the file, or apply it with --force"), ("PARKED since ", "")];
        let (at, way_out) = ways_out.iter().find_map(|(word, way_out)| Some((trace.find(word)?, way_out)))?;
        let told = trace.get(at..)?;
        Some(if way_out.is_empty() { told.to_owned() } else { format!("{told}; {way_out}") })
    }

    /// Why the first failed part failed, in one line: what that means, where it is known, and the last cause of its trace,
    /// which is the one that says it.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.parts()
            .find(|part| part.state == FAILED)
            .map(|part| cause::told(part.trace.as_deref().unwrap_or_default()))
    }
}
