//! Who judges records: the modules, or nobody. What the worker asks of them, and what it tells them.

use std::borrow::Cow;
use std::sync::Arc;

use transform_host::{Chain, ChainError, LogLine, Passed, Record, Verdict};

use super::divert::Reason;
use crate::kafka::Input;
use crate::logs::GuestLogs;
use crate::lookup::{SlotTables, Taken};
use crate::metrics::ModuleMetrics;

/// Why a batch is not judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// The modules cannot now.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// This version of the pipeline must not go on; what follows comes from outside.
    #[error("{0}")]
    Withdrawn(String),
    /// The slot must not go on.
    #[error("{0}")]
    Stopped(String),
}

/// Who judges records: the modules. In tests, a closure.
pub trait Judge: Send {
    /// A transaction begins.
    fn begin(&mut self);
    /// At least one verdict, and no more than records; in their order.
    ///
    /// # Errors
    /// When nothing can be said now.
    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged>;
    /// The value of `orderflow.modules` for a record that all of them judged.
    fn header(&self) -> &str;
    /// The same for a record that these judged.
    fn header_of(&self, _passed: Passed) -> Cow<'_, str> {
        Cow::Borrowed(self.header())
    }
    /// The value of `orderflow.lookups`: the tables that the modules could look up in since the transaction began.
    fn lookups(&self) -> String {
        "[]".to_owned()
    }
    /// What the modules look up in since the transaction began.
    fn tables(&self) -> Taken {
        Taken::new()
    }
    /// The most memory that its instances took.
    fn memory_bytes(&self) -> usize {
        0
    }
    /// These inputs were judged just now.
    fn judged(&mut self, _inputs: &mut dyn Iterator<Item = &Input>, _records: &[Record], _verdicts: &[Verdict]) {}
    /// The record at this place of the batch failed in a module. `stops`: it may become no dead letter.
    ///
    /// # Errors
    /// When it is one too many; nothing of the batch is written then.
    fn blame(&mut self, _at: (usize, &Input), _reason: &Reason, _stops: bool) -> Result<(), Unjudged> {
        Ok(())
    }
    /// So many records of the batch are committed.
    fn committed(&mut self, _done: usize) {}
}

/// The modules of a pipeline, with what they log and count.
pub struct Modules {
    /// The modules.
    pub chain: Chain,
    /// Where their counters go.
    pub counted: ModuleMetrics,
    /// Where their lines go.
    pub logs: GuestLogs,
    /// The pipeline that they are of.
    pub pipeline: String,
    /// What they look up in.
    pub tables: Arc<SlotTables>,
    /// Why nothing can be looked up in this transaction.
    pub unfit: Option<String>,
}

impl Judge for Modules {
    fn begin(&mut self) {
        self.chain.begin();
        self.unfit = self.tables.begin().err();
    }

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        if let Some(reason) = &self.unfit {
            return Err(ChainError::Lookup(reason.clone()).into());
        }
        let verdicts = self.chain.apply(records);
        for line in self.chain.take_logs() {
            log(&line);
            self.logs.take(&self.pipeline, &line);
        }
        for metric in self.chain.take_metrics() {
            self.counted.count(metric);
        }
        for usage in self.chain.take_usage() {
            self.counted.used(&self.pipeline, &usage);
        }
        Ok(verdicts?)
    }

    fn header(&self) -> &str {
        self.chain.header()
    }

    fn header_of(&self, passed: Passed) -> Cow<'_, str> {
        self.chain.header_of(passed)
    }

    fn lookups(&self) -> String {
        self.tables.header()
    }

    fn tables(&self) -> Taken {
        self.tables.taken()
    }

    fn memory_bytes(&self) -> usize {
        self.chain.memory_bytes()
    }
}

/// A pipeline without modules: every record is its own output.
pub struct PassThrough;

impl Judge for PassThrough {
    fn begin(&mut self) {}

    fn judge(&mut self, records: &[Record]) -> Result<Vec<Verdict>, Unjudged> {
        Ok(records.iter().map(|record| Verdict::Emit(vec![record.clone()])).collect())
    }

    fn header(&self) -> &'static str {
        ""
    }
}

fn log(line: &LogLine) {
    use transform_host::Level;
    let (module, text) = (&line.module, &line.text);
    match line.level {
        Level::Debug => tracing::debug!(module, "{text}"),
        Level::Info => tracing::info!(module, "{text}"),
        Level::Warn | Level::Error => tracing::warn!(module, "{text}"),
    }
}
