//! What pipelines are doing in this process, for whoever asks.

use std::sync::Arc;

use super::slots::Slots;
use super::{Manager, Pipeline};
use crate::pipeline::swap::Degraded;
use crate::pipeline::{guard, shadow};
use crate::state::facts::Parked;
use crate::status::{Report, Status};

/// What a pipeline is doing in this process.
#[derive(Debug, Clone, Default)]
pub struct Doing {
    /// What it still waits for.
    pub waiting: Option<String>,
    /// The id that it writes with.
    pub pinned: Option<u32>,
    /// Its slots.
    pub slots: Vec<SlotDoing>,
    /// The version that runs.
    pub version: Option<VersionDoing>,
    /// Another version runs than the config says.
    pub degraded: Option<Degraded>,
    /// The breaker holds the flow.
    pub parked: Option<Parked>,
    /// A candidate is compared here.
    pub shadow: Option<shadow::Progress>,
}

/// What a version is doing.
#[derive(Debug, Clone)]
pub struct VersionDoing {
    /// Its id.
    pub id: String,
    /// Slots that have taken it over.
    pub slots: usize,
    /// How far it is watched.
    pub watch: guard::Progress,
}

/// What a slot is doing.
#[derive(Debug, Clone)]
pub struct SlotDoing {
    /// What it last said.
    pub report: Report,
    /// Records that were read and are not committed.
    pub in_flight: usize,
    /// Records in the open transaction.
    pub open: usize,
    /// How often it made its clients.
    pub starts: u64,
}

impl Manager {
    /// What a pipeline is doing here.
    #[must_use]
    pub fn doing(&self, name: &str) -> Doing {
        let pipelines = self.lock();
        let Some(pipeline) = pipelines.get(name) else { return Doing::default() };
        let slot = |status: &Arc<Status>| SlotDoing {
            report: status.report(),
            in_flight: status.in_flight(),
            open: status.open(),
            starts: status.starts(),
        };
        Doing {
            waiting: pipeline.waiting.clone(),
            pinned: pipeline.live.as_ref().map(|live| live.plan.pinned),
            slots: pipeline.slots.iter().flat_map(|slots| slots.statuses.iter().map(slot)).collect(),
            version: pipeline.live.as_ref().map(|live| VersionDoing {
                id: live.version.id(),
                slots: pipeline.slots.as_ref().map_or(0, Slots::up_to_date),
                watch: live.guard.progress(),
            }),
            degraded: pipeline.degraded.clone(),
            parked: pipeline.parked.clone(),
            shadow: pipeline.compared(),
        }
    }
}

impl Pipeline {
    /// How far a comparison is. One that is to begin anew has compared nothing, and says why.
    fn compared(&self) -> Option<shadow::Progress> {
        let begins_anew = || {
            let (_, restarted) = self.anew_with.clone()?;
            Some(shadow::Progress { restarted: Some(restarted), ..shadow::Progress::default() })
        };
        self.comparing.as_ref().map(|(_, comparing)| comparing.progress()).or_else(begins_anew)
    }
}
