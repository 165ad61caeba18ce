//! A module that may take the place of one of a pipeline's: opened beside them, and compared for as long as they stay what
//! they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use transform_host::{Chain, Isolation, Step};

use super::Plan;
use crate::lookup::SlotTables;
use crate::record::finish::Output;

/// A module that may take the place of one of a pipeline's.
#[derive(Clone)]
pub struct Candidate {
    /// The step that it stands in for.
    pub alias: String,
    /// The module.
    pub module: Arc<transform_host::Module>,
    /// It keeps something between records: each batch needs a fresh instance.
    pub stateful: bool,
    /// What it is told; `None`: what the step is told.
    pub parameters: Option<BTreeMap<String, String>>,
}

impl Plan {
    /// A chain of these modules, but with the candidate in the place of the step with its alias; and the tables that it
    /// looks up in. Blocks.
    ///
    /// # Errors
    /// When there is no such step, or the chain cannot be opened.
    pub fn beside(&self, candidate: &Candidate) -> Result<(Chain, Arc<SlotTables>), String> {
        let output = Output::new(self.pinned, &self.schema_text)?;
        let named = self.named().map_err(|fault| format!("{}: {}", fault.key, fault.message))?;
        let mut steps = self.steps.clone();
        let Some(step) = steps.iter_mut().find(|step| step.alias == candidate.alias) else {
            return Err(format!("{:?} is no step of {}", candidate.alias, self.spec.name));
        };
        step.module = Arc::clone(&candidate.module);
        step.isolation = if candidate.stateful { Isolation::Batch } else { self.spec.isolation };
        if let Some(parameters) = &candidate.parameters {
            step.parameters.clone_from(parameters);
        }
        self.chain(steps, &output, &named).map_err(|error| error.to_string())
    }

    /// Why what was compared beside this plan says nothing of `later`, which runs in its place; `None` when it still
    /// does. What else a config says (tasks, breaker, topics that are read) changes nothing of a comparison.
    #[must_use]
    pub fn parts_with(&self, later: &Self) -> Option<&'static str> {
        let steps = self.steps.len() == later.steps.len()
            && self.steps.iter().zip(&later.steps).all(|(one, other)| is_same(one, other));
        let around = |plan: &Self| (plan.spec.outputs.clone(), plan.spec.lookups.clone(), plan.spec.isolation);
        if !steps {
            return Some("the live modules are others, or are told something else");
        }
        if (&self.schema_text, &self.named) != (&later.schema_text, &later.named) {
            return Some("the schema of an output is another");
        }
        if around(self) != around(later) {
            return Some("the outputs, the lookups or the isolation are others");
        }
        // A candidate that is too slow fails by this.
        (self.spec.policy.watch_time != later.spec.policy.watch_time)
            .then_some("swap.max.time.per.record.us is another")
    }
}

fn is_same(one: &Step, other: &Step) -> bool {
    (&one.alias, one.module.digest(), &one.parameters) == (&other.alias, other.module.digest(), &other.parameters)
        && (&one.when, one.isolation) == (&other.when, other.isolation)
}
