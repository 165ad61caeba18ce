//! User-space instructions, counted by valgrind's callgrind: a virtual machine seldom has the processor's counters, and what
//! else runs on it changes nothing in this figure.
//!
//! Threads run one at a time there and some fifty times slower, so queues and batches are others than at full speed: a figure
//! for what code costs, not for how fast it is. The kernel's part is not in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::{process::Process, report::Found};

/// Callgrind sums up what all threads ran before it ends.
const END: Duration = Duration::from_secs(60);

/// A program under callgrind.
#[derive(Debug)]
pub(crate) struct Counting {
    program: PathBuf,
    log: PathBuf,
}

/// What is told where there is none.
pub(crate) fn missing() -> Option<Found> {
    let found = Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    let note =
        "instructions were not counted: valgrind is missing, which counts them; `scripts/stack/install race` brings it";
    (!found).then(|| Found { notes: vec![note.to_owned()], ..Found::default() })
}

impl Counting {
    /// What callgrind says itself goes to a file in `dir`.
    pub(crate) fn new(program: &Path, dir: &Path, name: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self {
            program: program.to_owned(),
            log: dir.join(format!("callgrind-{}.log", name.replace([' ', ','], "-"))),
        })
    }

    /// The command that runs it; its arguments follow.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--fair-sched=yes"]);
        command.arg(format!("--log-file={}", self.log.display())).arg(&self.program);
        command
    }

    /// Instructions for one of what it is told to do so many times, in a short run and in a long one.
    pub(crate) fn each(&self, counts: [u64; 2], args: impl Fn(u64) -> Vec<String>) -> anyhow::Result<f64> {
        let [short, long] = counts;
        let of = |count| anyhow::Ok((self.run(&args(count))?, count));
        of_each(of(short)?, of(long)?).context("the longer run took less")
    }

    /// Runs it to its end; the instructions that it took.
    fn run(&self, args: &[String]) -> anyhow::Result<u64> {
        let output = self.command().args(args).output().context("cannot start valgrind")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} failed under callgrind: {}", self.program.display(), said.trim());
        self.collected()
    }

    /// Ends it; the instructions that it took.
    pub(crate) fn end(&self, mut process: Process) -> anyhow::Result<u64> {
        process.signal("TERM")?;
        let begun = Instant::now();
        while process.ensure_runs().is_ok() {
            ensure!(begun.elapsed() < END, "{} does not end in {END:?}", self.program.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.collected()
    }

    fn collected(&self) -> anyhow::Result<u64> {
        let log = fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        collected(&log).with_context(|| format!("callgrind has not said what it counted: {}", self.log.display()))
    }
}

/// From callgrind's last lines.
fn collected(log: &str) -> Option<u64> {
    let (_, after) = log.rsplit_once("Collected : ")?;
    after.split_whitespace().next()?.parse().ok()
}

/// Of one, from two runs of different length: what a start costs is in both.
pub(crate) fn of_each(short: (u64, u64), long: (u64, u64)) -> Option<f64> {
    let (instructions, count) = (long.0.checked_sub(short.0)?, long.1.checked_sub(short.1)?);
    (0 < count).then(|| instructions as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callgrind_collected_is_read_and_a_start_is_left_out() {
        let log = "==7== Callgrind, a call-graph generating cache profiler\n==7== \n==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(log), Some(1_234_567));
        assert_eq!(collected("==7== Callgrind\n"), None, "one that was killed says nothing");
        assert_eq!(of_each((1_000, 10), (4_000, 40)), Some(100.0));
        assert_eq!((of_each((1_000, 10), (4_000, 10)), of_each((4_000, 10), (1_000, 40))), (None, None));
    }
}
