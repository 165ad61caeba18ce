//! Where a candidate looks on: samples of what the live chain judged. A slot gives a copy when there is somebody and
//! there is room, and never waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use transform_host::{Record, Verdict};

use crate::kafka::{Address, Input};
use crate::lookup::Taken;

/// Samples that may wait, of all slots together.
const WAITING: usize = 2;
/// Records of a sample: as many as go into one call of a module.
const RECORDS: usize = 240;
/// Bytes of the values of a sample, about.
const BYTES: usize = 1 << 20;

/// Some records with what the live chain made of them.
#[derive(Debug)]
pub struct Sample {
    /// Where they lay.
    pub addresses: Vec<Address>,
    /// The records.
    pub records: Vec<Record>,
    /// The live verdicts.
    pub verdicts: Vec<Verdict>,
    /// What one record took in the live chain.
    pub took: Duration,
    /// Memory of the live chain.
    pub memory_bytes: usize,
    /// What the live chain looked up in.
    pub tables: Taken,
}

/// What is told of the live chain beside what it made.
pub struct Judged<'l> {
    /// What the batch took.
    pub took: Duration,
    /// The most memory that its instances took.
    pub memory_bytes: usize,
    /// What it looks up in; asked only when somebody looks on.
    pub tables: &'l dyn Fn() -> Taken,
}

/// The place where one candidate may look on.
#[derive(Debug, Default)]
pub struct Tap {
    listener: Mutex<Option<Listener>>,
}

#[derive(Debug, Clone)]
struct Listener {
    samples: Sender<Sample>,
    state: Arc<Waiting>,
}

/// What is known of the samples that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    count: AtomicUsize,
    skipped: AtomicU64,
}

impl Waiting {
    /// A sample was taken out.
    pub fn taken(&self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Records that were passed over, since others waited.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

impl Tap {
    /// Lets somebody look on; who did before does no more.
    pub fn listen(&self, samples: Sender<Sample>) -> Arc<Waiting> {
        let state = Arc::new(Waiting::default());
        *self.lock() = Some(Listener { samples, state: Arc::clone(&state) });
        state
    }

    /// This one looks on no more; another one that does now goes on.
    pub fn close(&self, waiting: &Arc<Waiting>) {
        let mut listener = self.lock();
        if listener.as_ref().is_some_and(|listener| Arc::ptr_eq(&listener.state, waiting)) {
            *listener = None;
        }
    }

    /// Shows what was judged.
    pub fn offer(
        &self,
        inputs: &mut dyn Iterator<Item = &Input>,
        records: &[Record],
        verdicts: &[Verdict],
        judged: &Judged<'_>,
    ) {
        let Some(listener) = self.lock().clone() else { return };
        if verdicts.is_empty() {
            return;
        }
        let mut bytes = 0_usize;
        let fitting = records.iter().zip(verdicts).take(RECORDS).take_while(|(record, _)| {
            bytes = bytes.saturating_add(record.value.len());
            bytes <= BYTES
        });
        let count = fitting.count();
        let skip = |records: usize| listener.state.skipped.fetch_add(records as u64, Ordering::Relaxed);
        if listener.state.count.fetch_add(1, Ordering::SeqCst) >= WAITING || count == 0 {
            listener.state.taken();
            skip(verdicts.len());
            return;
        }
        skip(verdicts.len() - count);
        let sample = Sample {
            addresses: inputs.take(count).map(Input::address).collect(),
            records: records.iter().take(count).cloned().collect(),
            verdicts: verdicts.iter().take(count).cloned().collect(),
            took: judged.took / u32::try_from(verdicts.len()).unwrap_or(u32::MAX),
            memory_bytes: judged.memory_bytes,
            tables: (judged.tables)(),
        };
        if listener.samples.send(sample).is_err() {
            self.close(&listener.state);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
