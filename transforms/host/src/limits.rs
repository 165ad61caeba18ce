//! What a module may use, from its upload on. One struct, so that one page says it; each field has a guest in
//! `transforms/evil` that tries, or a test where no guest can. A test reads this page and holds it to that.
//!
//! Not here: how many records a transaction has (the processor's), and what a topic takes (`topics.json`).

use std::time::Duration;

/// The limits of one engine. The defaults are what CONTRACTS promises.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of an uploaded component, at every door. Tried by a test with too long a file, and by one that uploads it.
    pub module_bytes: usize,
    /// Processor time of the process that an upload is compiled in, over all its threads, in whole seconds. Tried by a
    /// test with compile bombs: a guest that is built like others compiles in a hundredth of it.
    pub compile_cpu: Duration,
    /// Memory that this process may fill. Tried by a test with compile bombs, as [`Limits::compile_cpu`].
    pub compile_memory: usize,
    /// From this process's start to its end; a busy machine needs more than processor time. Tried by a test with a compile
    /// bomb and little patience.
    pub compile_wall: Duration,
    /// Bytes that this process may write into a file: none. Tried by a test that asks the system: no upload is run there.
    pub compile_file_bytes: u64,
    /// Linear memory of one instance. Tried by `evil/memory-bomb`.
    pub memory_bytes: usize,
    /// Elements in all tables of one instance. Tried by `evil/probe` with a table that a test writes into it,
    /// once too large and once growing: Rust's guests cannot grow a table, and have one from the start.
    pub table_elements: usize,
    /// Core instances in one component; one from `wit-component` is a handful. Tried by `evil/probe` with more of
    /// them, which a test writes into it.
    pub instances: usize,
    /// Tables of one instance, whatever their size. Tried by `evil/probe` with more of them, which a test writes into it.
    pub tables: usize,
    /// Linear memories of one instance; one from `wit-component` has one. Tried by `evil/probe` with more of them,
    /// which a test writes into it.
    pub memories: usize,
    /// Machine stack of guest code. Tried by `evil/recursion`.
    pub stack_bytes: usize,
    /// Time of a call with no record in it; see [`Limits::call_per_record`]. Tried by `evil/spin`.
    ///
    /// Time is processor time of the calling thread, so that a busy machine does not send good records to the dead
    /// letters; wall-clock time is bounded by [`Limits::wall_factor`] times as much.
    pub call_base: Duration,
    /// Time that each record of a call adds. Tried by `evil/spin`.
    pub call_per_record: Duration,
    /// The most that a call gets, however many records it has. Tried by `evil/spin`.
    pub call_max: Duration,
    /// Time of `describe`, `configure` and instantiation, each. Tried by `evil/spin-describe` and `evil/spin-configure`.
    pub start: Duration,
    /// How much more wall-clock than processor time a call may take. Tried by a test that sleeps: no guest can.
    pub wall_factor: u32,
    /// How often the deadline is looked at. Tried by `evil/spin`, which is cut at a tick.
    pub tick: Duration,
    /// Records in one call; a longer batch is split. Tried by `evil/census`.
    pub call_records: usize,
    /// Bytes of values in one call; a longer batch is split, a longer record goes alone. Tried by `evil/census`.
    pub call_bytes: usize,
    /// Bytes that a guest may pass to the host at once: a call's answer, or what it gives to a host function. Tried by
    /// `evil/output-bomb`.
    pub output_bytes: usize,
    /// Records that one input may become, over the whole chain. Tried by `evil/output-bomb` and by a chain of splitters.
    pub output_records: usize,
    /// Bytes that a batch may become; when a module is above it, what stands behind comes again in the next transaction.
    /// Tried by a test with a chain of two.
    pub batch_output_bytes: usize,
    /// Lines that one call may log; more are counted. Tried by `evil/log-bomb`.
    pub log_lines: usize,
    /// Bytes of one line; the rest is cut. Tried by `evil/log-bomb`.
    pub log_line_bytes: usize,
    /// Names of metrics that a module may use, for as long as its chain lives. Tried by `evil/log-bomb`.
    pub metric_names: usize,
    /// Bytes of a reject's reason, and of any text that a fault carries; the rest is cut. Tried by `evil/bad-datum`.
    pub reason_bytes: usize,
    /// Keys in one call of `lookup`. Tried by `evil/log-bomb`.
    pub lookup_keys: usize,
    /// Bytes of the values that one call of `lookup` gets. Tried by `evil/lookup-bomb`.
    pub lookup_bytes: usize,
    /// How long one transaction may hunt for poison; then the proven prefix is returned. Tried by `evil/panic`.
    pub hunt: Duration,
    /// Records that may run out of time in one transaction before the breaker trips: what stands before the first of them
    /// is returned, and where nothing does, the chain refuses to judge. Tried by `evil/spin`.
    pub time_outs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes: 8 << 20,
            // A shipped module takes a hundredth of the time and an eighth of the memory.
            compile_cpu: Duration::from_secs(20),
            compile_memory: 512 << 20,
            compile_wall: Duration::from_secs(60),
            compile_file_bytes: 0,
            memory_bytes: 64 << 20,
            table_elements: 10_000,
            instances: 16,
            tables: 8,
            memories: 2,
            stack_bytes: 512 << 10,
            call_base: Duration::from_millis(10),
            call_per_record: Duration::from_millis(1),
            call_max: Duration::from_millis(250),
            start: Duration::from_millis(500),
            wall_factor: 4,
            tick: Duration::from_millis(5),
            call_records: 240,
            call_bytes: 4 << 20,
            output_bytes: 16 << 20,
            output_records: 1_000,
            batch_output_bytes: 32 << 20,
            log_lines: 100,
            log_line_bytes: 1_024,
            metric_names: 32,
            reason_bytes: 512,
            lookup_keys: 1_000,
            lookup_bytes: 4 << 20,
            hunt: Duration::from_secs(3),
            time_outs: 3,
        }
    }
}

impl Limits {
    /// The time of a call with this many records.
    pub(crate) fn call(&self, records: usize) -> Duration {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let each = self.call_per_record.checked_mul(records).unwrap_or(self.call_max);
        self.call_base.saturating_add(each).min(self.call_max)
    }
}
