//! How far it is, for a person who waits: one line on standard error that replaces itself, if that is a terminal.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(300);

/// The line.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    next: Cell<Instant>,
    dirty: Cell<bool>,
}

impl Progress {
    /// Silent, unless a person looks.
    #[must_use]
    pub fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal(), next: Cell::new(Instant::now()), dirty: Cell::new(false) }
    }

    /// Silent.
    #[must_use]
    pub fn silent() -> Self {
        Self { shown: false, ..Self::new() }
    }

    /// A partition is read up to here.
    pub fn at(&self, partition: i32, offset: i64, range: &Range<i64>) {
        if self.shown && self.next.get() <= Instant::now() {
            let (done, all) = (offset - range.start, range.end - range.start);
            self.say(&format!("reading order_placed/{partition}: {done} of {all}"));
        }
    }

    /// What is done now.
    pub fn say(&self, what: &str) {
        if self.shown {
            eprint!("\r\x1b[K{what}");
            let _ = std::io::stderr().flush();
            self.next.set(Instant::now() + EVERY);
            self.dirty.set(true);
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.dirty.replace(false) {
            eprint!("\r\x1b[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
