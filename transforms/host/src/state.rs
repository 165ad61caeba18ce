//! What an instance holds on the host's side, and the three functions it may call. Everything here is bounded.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::{Level, Limits, Tables, bindings};

/// The host's side of one instance.
pub(crate) struct State {
    limits: Arc<Limits>,
    tables: Arc<dyn Tables>,
    deadline: Deadline,
    /// What the guest wanted and did not get.
    pub(crate) refused: Option<String>,
    /// The largest memory so far.
    pub(crate) memory_bytes: usize,
    table_elements: usize,
    pub(crate) spoken: Spoken,
}

/// What a guest said since the last call.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    pub(crate) lines: Vec<(Level, String)>,
    /// Lines above the limit.
    pub(crate) lost_lines: u64,
    pub(crate) counters: BTreeMap<String, u64>,
    /// The last line of level error: a panic's text. Kept even when the lines are full.
    pub(crate) last_words: Option<String>,
}

impl State {
    pub(crate) fn new(limits: Arc<Limits>, tables: Arc<dyn Tables>) -> Self {
        Self {
            limits,
            tables,
            deadline: Deadline::new(Duration::ZERO, 1),
            refused: None,
            memory_bytes: 0,
            table_elements: 0,
            spoken: Spoken::default(),
        }
    }

    /// Begins a call that may take this long.
    pub(crate) fn begin(&mut self, time: Duration) {
        self.deadline = Deadline::new(time, self.limits.wall_factor);
    }

    /// Called at each tick while guest code runs.
    pub(crate) fn tick(&mut self) -> UpdateDeadline {
        if self.deadline.is_over() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }

    /// How many a module may have of what is counted.
    pub(crate) fn counts(&self) -> String {
        let Limits { instances, tables, memories, .. } = *self.limits;
        format!("{instances} instances, {tables} tables and {memories} memories")
    }
}

/// The time of one call: processor time of this thread, and a bound on wall-clock time.
#[derive(Debug)]
struct Deadline {
    time: Duration,
    wall: Duration,
    started: Instant,
    /// The thread's processor time at the first tick: a call that is over before it is not worth asking for.
    base: Option<Duration>,
}

impl Deadline {
    fn new(time: Duration, wall_factor: u32) -> Self {
        Self { time, wall: time.saturating_mul(wall_factor.max(1)), started: Instant::now(), base: None }
    }

    fn is_over(&mut self) -> bool {
        let elapsed = self.started.elapsed();
        if elapsed >= self.wall {
            return true;
        }
        match (processor_time(), self.base) {
            (Some(now), Some(base)) => now.saturating_sub(base) >= self.time,
            (Some(now), None) => {
                self.base = Some(now);
                false
            }
            // No such clock here: wall-clock time counts.
            (None, _) => elapsed >= self.time,
        }
    }
}

/// Processor time of this thread, where Linux tells it. (A system call would need `unsafe` or another dependency; this
/// is read only when a tick meets guest code.)
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if total > self.limits.memory_bytes {
            let text = format!("it wanted {total} bytes of memory, the limit is {}", self.limits.memory_bytes);
            self.refused = Some(text.clone());
            return Err(wasmtime::Error::msg(text));
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_sub(current).saturating_add(desired);
        if total > self.limits.table_elements {
            let text = format!("it wanted {total} table elements, the limit is {}", self.limits.table_elements);
            self.refused = Some(text.clone());
            return Err(wasmtime::Error::msg(text));
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}

impl bindings::TransformImports for State {
    fn log(&mut self, level: bindings::Level, text: String) {
        let level = match level {
            bindings::Level::Debug => Level::Debug,
            bindings::Level::Info => Level::Info,
            bindings::Level::Warn => Level::Warn,
            bindings::Level::Error => Level::Error,
        };
        let text = cut(text, self.limits.log_line_bytes);
        if level == Level::Error {
            self.spoken.last_words = Some(text.clone());
        }
        if self.spoken.lines.len() < self.limits.log_lines {
            self.spoken.lines.push((level, text));
        } else {
            self.spoken.lost_lines = self.spoken.lost_lines.saturating_add(1);
        }
    }

    fn metric(&mut self, name: String, by: u64) {
        let room = self.spoken.counters.len() < self.limits.metric_names;
        if let Some(counter) = self.spoken.counters.get_mut(&name) {
            *counter = counter.saturating_add(by);
        } else if room && metric_name(&name) {
            self.spoken.counters.insert(name, by);
        }
    }

    fn lookup(&mut self, table: String, keys: Vec<Vec<u8>>) -> wasmtime::Result<Answer> {
        if keys.len() > self.limits.lookup_keys {
            let limit = u32::try_from(self.limits.lookup_keys).unwrap_or(u32::MAX);
            return Ok(Err(bindings::LookupError::TooManyKeys(limit)));
        }
        if !self.tables.contains(&table) {
            return Ok(Err(bindings::LookupError::NoSuchTable));
        }
        let (mut found, mut bytes) = (Vec::with_capacity(keys.len()), 0_usize);
        for key in &keys {
            let value = self.tables.get(&table, key);
            bytes = bytes.saturating_add(value.as_ref().map_or(0, Vec::len));
            // The guest's own limit would see it only when the host has paid for it already.
            if bytes > self.limits.lookup_bytes {
                let limit = self.limits.lookup_bytes;
                let text =
                    format!("it looked up more than {limit} bytes at once; let it ask for fewer keys in one call");
                self.refused = Some(text.clone());
                return Err(wasmtime::Error::msg(text));
            }
            found.push(value);
        }
        Ok(Ok(found))
    }
}

/// One answer a key, or why there is none.
type Answer = Result<Vec<Option<Vec<u8>>>, bindings::LookupError>;

fn metric_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The text, at most so many bytes of it.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_gets_no_processor_ends_all_the_same() {
        // A thread that sleeps uses no processor time, so only the wall-clock bound can end it.
        let mut deadline = Deadline::new(Duration::from_millis(50), 1);
        deadline.base = processor_time();
        std::thread::sleep(Duration::from_millis(51));
        assert!(deadline.is_over());
        let mut patient = Deadline::new(Duration::from_secs(60), 4);
        assert!(!patient.is_over());
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (limit, expected) in [(0, ""), (1, ""), (2, "\u{fc}"), (3, "\u{fc}"), (9, "\u{fc}\u{fc}")] {
            assert_eq!(cut("\u{fc}\u{fc}".to_owned(), limit), expected, "{limit}");
        }
    }
}
