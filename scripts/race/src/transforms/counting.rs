//! Work that counts what passes: from its first record on a measured loop is at work.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use transforms::{
    kafka::{Input, Outgoing},
    work::{Factory, Hold, NoWork, Tally, Work},
};

/// What passed so far.
#[derive(Debug, Default)]
pub(super) struct Passed {
    records: AtomicU64,
    first: OnceLock<(Instant, Duration)>,
}

impl Passed {
    /// Records that were judged.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::SeqCst)
    }

    /// Time and CPU time of this process since the first record.
    pub(super) fn since_first(&self) -> Option<(Duration, Duration)> {
        let (began, cpu) = self.first.get()?;
        Some((began.elapsed(), cpu_time()?.saturating_sub(*cpu)))
    }
}

/// CPU time of this process so far.
fn cpu_time() -> Option<Duration> {
    crate::process::cpu_of_self().ok()
}

/// Work with a count.
pub(super) struct Counted {
    pub(super) inner: Box<dyn Work>,
    pub(super) passed: Arc<Passed>,
}

impl Work for Counted {
    fn apply(&mut self, batch: &[Input], out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        self.passed.first.get_or_init(|| (Instant::now(), cpu_time().unwrap_or_default()));
        let tally = self.inner.apply(batch, out)?;
        self.passed.records.fetch_add(tally.done as u64, Ordering::SeqCst);
        Ok(tally)
    }

    fn divert(&mut self, input: &Input, reason: &str, out: &mut Vec<Outgoing>) -> Result<Tally, Hold> {
        self.inner.divert(input, reason, out)
    }
}

/// Makes it.
pub(super) struct Counting<F> {
    pub(super) make: F,
    pub(super) passed: Arc<Passed>,
}

impl<F: Fn() -> anyhow::Result<Box<dyn Work>> + Send + Sync> Factory for Counting<F> {
    fn make(&self) -> Result<Box<dyn Work>, NoWork> {
        let inner = (self.make)().map_err(|error| NoWork::Never(format!("{error:#}")))?;
        Ok(Box::new(Counted { inner, passed: Arc::clone(&self.passed) }))
    }
}
