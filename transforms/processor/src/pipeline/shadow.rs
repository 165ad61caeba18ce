//! A candidate beside the live chain: it gets samples of what the slots judged, on a thread of its own, and its outputs
//! are compared and thrown away. A slot pays one copy of what is compared; the thread rests after each sample, so that
//! it takes no more than its share of one core. After enough records there is a verdict.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;
use transform_host::{Chain, ChainError, Record, Verdict};

use super::plan::{Candidate, Plan};
use crate::record::compare::Comparison;
use crate::record::tap::{Sample, Tap, Waiting};
use crate::state::facts::{Shadow, ShadowPolicy};

/// How often it looks whether it must end.
const LOOK: Duration = Duration::from_millis(100);
/// The longest rest after a sample.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Times in a row that a candidate may fail to start.
const STARTS: u32 = 3;

/// A candidate that is compared in this process.
pub struct Comparing {
    /// The shadow's id.
    pub id: String,
    state: Arc<State>,
    tap: Arc<Tap>,
    waiting: Arc<Waiting>,
    restarted: Option<Restarted>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    compared: AtomicU64,
    verdict: Mutex<Option<Value>>,
}

/// How far a comparison is in this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Records that were compared.
    pub compared: u64,
    /// Records that passed meanwhile and were not.
    pub skipped: u64,
    /// That it began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted: Option<Restarted>,
}

/// A comparison began anew: the pipeline became one of which the records that were compared say nothing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restarted {
    /// Since when.
    pub since: String,
    /// What is another.
    pub because: String,
    /// Records that were compared and do not count.
    pub uncounted: u64,
}

impl Comparing {
    /// Starts to compare at a tap; anew, where it had begun before.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        spec: Shadow,
        plan: Arc<Plan>,
        candidate: Candidate,
        (tap, restarted): (Arc<Tap>, Option<Restarted>),
        nudge: Arc<Notify>,
    ) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let (samples, receiver) = channel();
        let waiting = tap.listen(samples);
        let comparing = Self {
            id: spec.id.clone(),
            state: Arc::clone(&state),
            tap: Arc::clone(&tap),
            waiting: Arc::clone(&waiting),
            restarted,
        };
        std::thread::Builder::new().name("shadow".to_owned()).spawn(move || {
            let samples = Samples { receiver, waiting: Arc::clone(&waiting) };
            let verdict = compare(&spec, &plan, &candidate, &samples, &state);
            tap.close(&waiting);
            if verdict.is_some() {
                *state.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
                nudge.notify_one();
            }
        })?;
        Ok(comparing)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (compared, skipped) = (self.state.compared.load(Ordering::Relaxed), self.waiting.skipped());
        Progress { compared, skipped, restarted: self.restarted.clone() }
    }

    /// The verdict, once there is one.
    #[must_use]
    pub fn verdict(&self) -> Option<Value> {
        self.state.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Comparing {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.tap.close(&self.waiting);
    }
}

/// What the slots show.
struct Samples {
    receiver: Receiver<Sample>,
    waiting: Arc<Waiting>,
}

/// Compares until there is a verdict; `None`: it was ended.
fn compare(spec: &Shadow, plan: &Plan, candidate: &Candidate, samples: &Samples, state: &State) -> Option<Value> {
    let failed = |why: &str| {
        let none = Comparison::new(plan.schema_text(), &spec.expect).ok();
        Some(verdict(spec, plan, none.as_ref(), Some(why)))
    };
    let mut comparison = match Comparison::new(plan.schema_text(), &spec.expect) {
        Ok(comparison) => comparison,
        Err(why) => return failed(&why),
    };
    let (mut chain, tables) = match plan.beside(candidate) {
        Ok(chain) => chain,
        Err(why) => return failed(&format!("it cannot be opened: {why}")),
    };
    while let Some(mut sample) = next(&samples.receiver, state) {
        samples.waiting.taken();
        let left = usize::try_from(spec.records - comparison.compared).unwrap_or(usize::MAX);
        sample.records.truncate(left);
        tables.take(sample.tables.clone());
        let started = Instant::now();
        let verdicts = match judged(&mut chain, &sample.records) {
            Ok(verdicts) => verdicts,
            Err(error) => return Some(verdict(spec, plan, Some(&comparison), Some(&error.to_string()))),
        };
        let took = started.elapsed();
        let each = took / u32::try_from(verdicts.len().max(1)).unwrap_or(u32::MAX);
        // What a candidate logs and counts is not the pipeline's.
        drop((chain.take_logs(), chain.take_metrics()));
        comparison.add(&sample, &verdicts, each, chain.memory_bytes());
        state.compared.store(comparison.compared, Ordering::Relaxed);
        if comparison.compared >= spec.records {
            return Some(verdict(spec, plan, Some(&comparison), None));
        }
        rest(started.elapsed(), spec.share, state);
    }
    None
}

/// The next sample; `None` when the comparison must end.
fn next(samples: &Receiver<Sample>, state: &State) -> Option<Sample> {
    while !state.ended.load(Ordering::Relaxed) {
        match samples.recv_timeout(LOOK) {
            Ok(sample) => return Some(sample),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

/// Rests for as long as its share asks after so much work.
fn rest(worked: Duration, share: u8, state: &State) {
    let share = u32::from(share.clamp(1, 100));
    let until = Instant::now() + (worked * (100 - share) / share).min(LONGEST_REST);
    while !state.ended.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// One verdict a record, whatever it takes: records that run out of time together are judged alone.
fn judged(chain: &mut Chain, records: &[Record]) -> Result<Vec<Verdict>, ChainError> {
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(records.len());
    let (mut alone, mut starts) = (false, 0);
    while let Some(rest) = records.get(verdicts.len()..).filter(|rest| !rest.is_empty()) {
        chain.begin();
        let part = if alone { rest.get(..1).unwrap_or(rest) } else { rest };
        match chain.apply(part) {
            Ok(more) => {
                starts = 0;
                verdicts.extend(more);
            }
            Err(ChainError::Breaker { .. }) if !alone => alone = true,
            Err(ChainError::Start { .. }) if starts < STARTS => starts += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(verdicts)
}

/// What came of it, as the API shows it.
fn verdict(spec: &Shadow, plan: &Plan, comparison: Option<&Comparison>, failed: Option<&str>) -> Value {
    let slow = comparison.is_some_and(|found| found.times().1 > plan.spec.policy.watch_time);
    let result = match comparison {
        _ if failed.is_some() || slow => "fails",
        Some(found) if found.faults > 0 => "fails",
        Some(found) if found.differing > 0 => "differs",
        Some(_) => "equal",
        None => "fails",
    };
    let change = format!(
        "set transforms.{}.type to {} in the pipeline's file and apply it (`transforms promote` does both)",
        spec.alias, spec.module.module
    );
    let (decision, next) = match (spec.policy, result) {
        (ShadowPolicy::Report, _) => ("none", None),
        // No process has the file at hand, and the file is the truth: so this is as far as it goes by itself.
        (ShadowPolicy::Promote, "equal") => ("ready to promote", Some(change)),
        (ShadowPolicy::Promote, _) => ("not promoted", None),
        (ShadowPolicy::Reject, "equal") => ("not rejected", Some(change)),
        (ShadowPolicy::Reject, _) => ("rejected", None),
    };
    let mut shown = json!({ "result": result, "decision": decision, "next": next, "failed": failed });
    if let (Some(found), Some(fields)) = (comparison, shown.as_object_mut()) {
        let (live, candidate) = found.times();
        let micros = |time: Duration| time.as_nanos() as f64 / 1_000.0;
        let figures = json!({
            "compared": found.compared,
            "differing": found.differing,
            "faults": found.faults,
            "fields": found.fields,
            "outcomes": found.outcomes,
            "examples": found.examples,
            "micros_per_record": { "live": micros(live), "candidate": micros(candidate) },
            "memory_bytes": { "live": found.memory_bytes.0, "candidate": found.memory_bytes.1 },
        });
        fields.extend(figures.as_object().cloned().unwrap_or_default());
    }
    shown
}
