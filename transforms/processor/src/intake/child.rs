//! Has an upload checked in a child process: this program again, with a hidden subcommand that bounds itself before it
//! reads a byte (`command/check_upload.rs`). The child has no environment, so it knows no passwords. It is killed when
//! this process dies, and when it takes too long. One at a time is a caller's business.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use transform_host::Limits;

use super::refused::{Check, Refused};

/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);
/// What is read of its answer and of its last words. Both fit into a pipe, so it never waits for a reader.
const ANSWER_BYTES: u64 = 48 * 1024;

/// Starts such processes.
#[derive(Debug, Clone)]
pub struct Child {
    program: PathBuf,
    limits: Limits,
}

/// What the child found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The module's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub digest: String,
}

/// The child's one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It compiles within the bounds and describes itself.
    Proven(Proven),
    /// It does not.
    Refused(No),
}

/// A refusal on its way between the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct No {
    check: String,
    text: String,
    value: Value,
    limit: Value,
    way_out: String,
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        let Refused { check, text, value, limit, way_out, .. } = refused;
        Self { check: check.name().to_owned(), text, value: *value, limit: *limit, way_out }
    }
}

impl From<No> for Refused {
    fn from(no: No) -> Self {
        // Only what `refused::load` says comes from there.
        const NAMES: [&str; 7] = ["size", "validation", "imports", "exports", "world", "describe", "parameters"];
        let check = NAMES.into_iter().find(|name| *name == no.check).unwrap_or("validation");
        Self::new(Check::Load(check), no.text, no.way_out).value(no.value).limit(no.limit)
    }
}

impl Child {
    /// Checks run `program`, which is this one: only tests name another file of it. Of the limits, those of compiling hold.
    #[must_use]
    pub fn new(program: PathBuf, limits: Limits) -> Self {
        Self { program, limits }
    }

    /// Checks an upload in a process of its own. Blocks; must be called from a thread that stays until it returns, since
    /// the system kills the child with the thread that started it.
    ///
    /// # Errors
    /// What the child refuses, which bound it broke, or that it cannot be started.
    pub fn prove(&self, wasm: &[u8]) -> Result<Proven, Refused> {
        let failed = |what: &str, error: &dyn std::fmt::Display| self.trouble(format!("{what}: {error}"));
        let mut process = self.start().map_err(|error| failed("cannot start the checking process", &error))?;
        let input = process.stdin.take();
        let ended = std::thread::scope(|scope| {
            // A child that does not read, or dies while it does, must not hold this thread.
            scope.spawn(move || input.map(|mut input| input.write_all(wasm)));
            let ended = self.wait(&mut process);
            if !matches!(ended, Ok(Some(_))) {
                let _ = process.kill();
                let _ = process.wait();
            }
            ended
        });
        let answer = read(process.stdout.take());
        let words = read(process.stderr.take());
        match ended.map_err(|error| failed("cannot watch the checking process", &error))? {
            None => Err(self.broke(
                format!("checking it took longer than {} s", self.limits.compile_wall.as_secs()),
                self.limits.compile_wall.as_secs().into(),
            )),
            Some(status) if status.success() => match serde_json::from_str::<Said>(&answer) {
                Ok(Said::Proven(proven)) => Ok(proven),
                Ok(Said::Refused(no)) => Err(no.into()),
                Err(error) => Err(failed("the checking process gave no answer", &error)),
            },
            Some(status) => Err(self.died(status, &words)),
        }
    }

    fn start(&self) -> std::io::Result<Process> {
        Command::new(&self.program)
            .arg("check-upload")
            .args(["--parent", &std::process::id().to_string()])
            .args(["--cpu", &self.limits.compile_cpu.as_secs().max(1).to_string()])
            .args(["--memory", &self.limits.compile_memory.to_string()])
            .args(["--file-bytes", &self.limits.compile_file_bytes.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    fn wait(&self, process: &mut Process) -> std::io::Result<Option<ExitStatus>> {
        let until = Instant::now() + self.limits.compile_wall;
        loop {
            match process.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if until <= Instant::now() => return Ok(None),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// By how it died: which bound it broke.
    fn died(&self, status: ExitStatus, words: &str) -> Refused {
        const KILL: i32 = 9;
        const XCPU: i32 = 24;
        let (cpu, memory) = (self.limits.compile_cpu.as_secs(), self.limits.compile_memory);
        let out_of_memory = ["memory allocation of", "annot allocate memory", "WouldBlock"];
        if matches!(status.signal(), Some(XCPU | KILL)) {
            return self.broke(format!("compiling it takes more than {cpu} s of processor time"), cpu.into());
        }
        if out_of_memory.iter().any(|sign| words.contains(sign)) {
            return self.broke(format!("compiling it takes more than {memory} bytes of memory"), memory.into());
        }
        let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
        let last: String = last.chars().take(300).collect();
        self.broke(format!("the process that compiled it ended early ({status}): {last}"), Value::Null)
    }

    fn broke(&self, text: String, limit: Value) -> Refused {
        let way_out = "split its largest function, or leave out code that it does not need";
        Refused::new(Check::Compile, text, way_out).limit(limit)
    }

    /// Not the upload's fault.
    fn trouble(&self, text: String) -> Refused {
        tracing::error!(program = %self.program.display(), text, "uploads cannot be checked");
        let refused =
            Refused::new(Check::Compile, text, "the log of this service says more; try again when it is mended");
        Refused { status: StatusCode::SERVICE_UNAVAILABLE, ..refused }
    }
}

fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What cannot be read was not said.
        let _ = pipe.take(ANSWER_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
