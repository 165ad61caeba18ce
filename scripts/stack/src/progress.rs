//! Says what is being done and how long it has taken, one line a step, on standard error; and runs long tools with it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::logs;

/// A tool that says nothing is reported this often.
const TICK: Duration = Duration::from_secs(15);

/// The clock of one run.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
}

/// How a tool failed.
#[derive(Debug)]
pub struct ToolFailure {
    /// There is no such program.
    pub not_found: bool,
    /// The end of its output.
    pub output: String,
}

impl ToolFailure {
    /// The line that looks most like the reason, short enough for one line.
    #[must_use]
    pub fn first_error(&self) -> String {
        let lines = || self.output.lines().map(|line| line.trim().trim_start_matches("[ERROR]").trim());
        let telling = ["Could not", "Unknown host", "timed out", "error", "Error", "ERROR", "No space"];
        let line = lines().find(|line| telling.iter().any(|word| line.contains(word))).or_else(|| lines().next_back());
        line.unwrap_or("no output").chars().take(400).collect()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Progress {
    /// One line, with the seconds since the start.
    #[expect(clippy::print_stderr, reason = "progress is for the person at the terminal; data goes to standard output")]
    pub fn say(&self, words: &str) {
        eprintln!("[{:6.1} s] {words}", self.begun.elapsed().as_secs_f32());
    }

    /// Runs a tool with its output in a log, and says from time to time that it still runs.
    ///
    /// # Errors
    /// If it is missing, fails, or takes longer than the deadline; then it is killed.
    pub fn run(&self, mut command: Command, log: &Path, what: &str, deadline: Duration) -> Result<(), ToolFailure> {
        let failed = |output: String| ToolFailure { not_found: false, output };
        if let Some(parent) = log.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
        }
        crate::launch::turn_over(log);
        let out = crate::launch::open_log(log).map_err(|error| failed(error.to_string()))?;
        let err = out.try_clone().map_err(|error| failed(error.to_string()))?;
        let spawned = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let mut child = spawned.map_err(|error| ToolFailure {
            not_found: error.kind() == std::io::ErrorKind::NotFound,
            output: error.to_string(),
        })?;
        let (begun, mut told) = (Instant::now(), Instant::now());
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(failed(format!("{}\n{status}", logs::tail(log, 40)))),
                Ok(None) => {}
                Err(error) => return Err(failed(error.to_string())),
            }
            if begun.elapsed() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("timed out after {} s\n{}", deadline.as_secs(), logs::tail(log, 5))));
            }
            if told.elapsed() >= TICK {
                told = Instant::now();
                self.say(&format!("{what}, {} s so far", begun.elapsed().as_secs()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, arguments: &[&str], deadline: Duration) -> Result<(), ToolFailure> {
        let log = std::env::temp_dir().join(format!("stack-tool-{}-{}", std::process::id(), arguments.join("").len()));
        let mut command = Command::new(program);
        command.args(arguments);
        let result = Progress::default().run(command, &log, "test", deadline);
        std::fs::remove_file(log).ok();
        result
    }

    #[test]
    fn a_tool_that_hangs_is_ended_at_the_deadline() {
        let failure = run("sleep", &["60"], Duration::from_millis(100)).unwrap_err();
        assert!(failure.first_error().contains("timed out"), "{failure:?}");
    }

    #[test]
    fn a_failing_tool_gives_its_telling_line_and_a_missing_one_is_known() {
        let failure = run(
            "sh",
            &["-c", "echo fine; echo '[ERROR] Could not transfer x: Unknown host'; echo later; exit 3"],
            TICK,
        )
        .unwrap_err();
        assert_eq!(failure.first_error(), "Could not transfer x: Unknown host");
        assert!(run("no-such-program-here", &[], TICK).unwrap_err().not_found);
    }
}
