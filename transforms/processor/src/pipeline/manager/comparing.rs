//! The comparison with a candidate: started, settled, and carried over every change of the pipeline after which what was
//! compared still counts. After any other it begins anew, and says so.

use std::sync::Arc;

use serde_json::Value;

use super::{Comparing, Live, Manager};
use crate::pipeline::plan::Candidate;
use crate::pipeline::shadow::Restarted;
use crate::record::tap::Tap;
use crate::state::catalog::Pin;
use crate::state::facts::{Fact, Facts, Shadow, now_ms, time_text};

/// What is to be done about a comparison.
enum Next {
    /// Nothing: it goes on, or waits for records.
    GoesOn,
    /// It has its verdict.
    Settle(Value),
    /// It begins, or begins anew.
    Start { live: Arc<Live>, tap: Arc<Tap>, restarted: Option<Restarted> },
}

impl Manager {
    /// Starts, ends and settles the comparison with a candidate.
    pub(super) fn compare(&self, name: &str, facts: &Facts) {
        let wanted = facts.shadow.as_ref().filter(|shadow| shadow.verdict.is_none());
        let Some(wanted) = wanted else {
            if let Some(pipeline) = self.lock().get_mut(name) {
                (pipeline.comparing, pipeline.anew_with) = (None, None);
            }
            return;
        };
        match self.next(name, wanted) {
            Next::GoesOn => {}
            Next::Settle(verdict) => self.settle(name, wanted, verdict),
            Next::Start { live, tap, restarted } => self.start_to_compare(name, wanted, (live, tap, restarted)),
        }
    }

    fn next(&self, name: &str, wanted: &Shadow) -> Next {
        let mut pipelines = self.lock();
        let Some(pipeline) = pipelines.get_mut(name) else { return Next::GoesOn };
        let live = pipeline.live.clone().filter(|_| pipeline.slots.is_some());
        if let Some((of, own)) = pipeline.comparing.as_ref().filter(|(_, own)| own.id == wanted.id) {
            if let Some(verdict) = own.verdict() {
                return Next::Settle(verdict);
            }
            let parted = live.as_ref().and_then(|live| of.plan.parts_with(&live.plan));
            let Some(because) = parted else { return Next::GoesOn };
            let (since, because) = (time_text(now_ms()), because.to_owned());
            let restarted = Restarted { since, because, uncounted: own.progress().compared };
            pipeline.anew_with = Some((wanted.id.clone(), restarted));
        }
        // The one before ends first: both would use the same tap.
        pipeline.comparing = None;
        // It may be tried again and again until the candidate can be read; that it begins anew is as true then.
        pipeline.anew_with = pipeline.anew_with.take().filter(|(id, _)| *id == wanted.id);
        let restarted = pipeline.anew_with.as_ref().map(|(_, restarted)| restarted.clone());
        let tap = Arc::clone(&pipeline.tap);
        live.map_or(Next::GoesOn, |live| Next::Start { live, tap, restarted })
    }

    fn start_to_compare(
        &self,
        name: &str,
        wanted: &Shadow,
        (live, tap, restarted): (Arc<Live>, Arc<Tap>, Option<Restarted>),
    ) {
        // Nothing is locked: it may have to be compiled.
        let candidate = match self.candidate(wanted) {
            Ok(candidate) => candidate,
            Err(reason) => {
                tracing::warn!(pipeline = name, reason, "candidate cannot be compared yet");
                return;
            }
        };
        if let Some(Restarted { because, uncounted, .. }) = &restarted {
            tracing::warn!(pipeline = name, because, uncounted, "the comparison with the candidate begins anew");
        }
        let (plan, nudge) = (Arc::clone(&live.plan), Arc::clone(&self.nudge));
        match Comparing::start(wanted.clone(), plan, candidate, (tap, restarted), nudge) {
            Ok(comparing) => {
                if let Some(pipeline) = self.lock().get_mut(name) {
                    (pipeline.comparing, pipeline.anew_with) = (Some((live, comparing)), None);
                }
            }
            Err(error) => tracing::warn!(pipeline = name, error = %error, "there can be no thread for the candidate"),
        }
    }

    fn candidate(&self, wanted: &Shadow) -> Result<Candidate, String> {
        let Pin { module, digest } = &wanted.module;
        match tokio::task::block_in_place(|| self.materials.catalog.module(module)) {
            Some(Ok(found)) if found.digest() == digest => Ok(Candidate {
                alias: wanted.alias.clone(),
                module: found,
                stateful: self.materials.catalog.is_stateful(module),
                parameters: wanted.parameters.clone(),
            }),
            Some(Ok(found)) => Err(format!("{module} is here with digest {}, not {digest}", found.digest())),
            Some(Err(reason)) => Err(reason),
            None => Err(format!("module {module} is not here")),
        }
    }

    fn settle(&self, name: &str, wanted: &Shadow, verdict: Value) {
        let word = |key: &str| verdict.get(key).and_then(Value::as_str).unwrap_or_default();
        let module = &wanted.module.module;
        tracing::info!(pipeline = name, module, result = word("result"), "the candidate has its verdict");
        self.audit(name, "shadow.verdict", module, &format!("{}: {}", word("result"), word("decision")));
        self.tell(name, &Fact::Shadow(Some(Box::new(Shadow { verdict: Some(verdict), ..wanted.clone() }))));
    }
}
