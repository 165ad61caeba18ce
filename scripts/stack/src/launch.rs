//! One process to start: program, arguments, environment, user, log; and how it is tied to the supervisor's life.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::processes::{MARK, SERVICE_MARK};
use crate::user::User;
use crate::{Service, StackError, user};

/// A log that is longer than this is turned over.
pub(crate) const MAX_LOG: u64 = 64 << 20;

/// A process to start.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) folder: PathBuf,
    pub(crate) user: Option<User>,
}

impl Launch {
    pub(crate) fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.into(),
            user: None,
        }
    }

    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn run_as(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// The command, through `setpriv`, which changes the user first and sets the parent-death signal then: a change
    /// of user afterwards would clear it. It counts for the *thread* that spawns, so that one must live on.
    /// The environment is ours alone: what the caller happens to have set must not reach a server.
    fn command(&self, mark: &Path) -> std::process::Command {
        let mut command = std::process::Command::new("setpriv");
        if let Some(user) = &self.user {
            command.args([
                format!("--reuid={}", user.uid),
                format!("--regid={}", user.gid),
                "--clear-groups".to_owned(),
            ]);
        }
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program).args(&self.arguments);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env(MARK, mark);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(&self.folder);
        command
    }

    /// Starts it in a process group of its own, its output in `log`.
    pub(crate) fn spawn(&self, mark: &Path, service: Service, log: &Path) -> Result<tokio::process::Child, StackError> {
        use std::os::unix::process::CommandExt;
        let out = open_log(log)?;
        let err = out.try_clone().map_err(StackError::file("open", log))?;
        let mut command = self.command(mark);
        command.env(SERVICE_MARK, service.name()).process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
        let mut command = tokio::process::Command::from(command);
        command.spawn().map_err(|error| StackError::Tool {
            program: self.program.display().to_string(),
            output: error.to_string(),
        })
    }

    /// Starts it for as long as the calling thread lives, its output in `log`.
    pub(crate) fn spawn_here(&self, mark: &Path, log: &Path) -> Result<std::process::Child, StackError> {
        let out = open_log(log)?;
        let err = out.try_clone().map_err(StackError::file("open", log))?;
        let mut command = self.command(mark);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        command.spawn().map_err(StackError::file("start", &self.program))
    }

    /// Runs it to its end; the fault holds the end of its output.
    pub(crate) fn run(&self, mark: &Path) -> Result<(), StackError> {
        let failed = |output: String| StackError::Tool { program: self.program.display().to_string(), output };
        let output = self.command(mark).stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let last: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        Err(failed(format!("{} ({})", last.into_iter().rev().collect::<Vec<_>>().join(" | "), output.status)))
    }
}

pub(crate) fn open_log(path: &Path) -> Result<File, StackError> {
    File::options().create(true).append(true).open(path).map_err(StackError::file("open", path))
}

/// Puts a log aside, as NAME.log.1, so that a new run starts with an empty one; one old log is kept.
pub(crate) fn turn_over(log: &Path) {
    if fs::metadata(log).is_ok_and(|meta| meta.len() > 0) {
        // Without the old log we can live.
        let _ = fs::rename(log, log.with_extension("log.1"));
    }
}

/// Bounds the log of a process that runs: its open file stays, so the content is copied and cut.
pub(crate) fn bound(log: &Path) {
    if fs::metadata(log).is_ok_and(|meta| meta.len() > MAX_LOG) && fs::copy(log, log.with_extension("log.1")).is_ok() {
        let _ = File::options().write(true).open(log).and_then(|file| file.set_len(0));
    }
}

/// `setpriv` comes with every Debian, but not with every small image.
pub(crate) fn check_tools() -> Result<(), StackError> {
    let found = std::process::Command::new("setpriv").arg("--version").output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(StackError::Missing { what: "`setpriv`".to_owned(), remedy: "apt-get install util-linux".to_owned() }),
    }
}

/// The user for a server that is not PostgreSQL.
pub(crate) fn unprivileged() -> Result<Option<User>, StackError> {
    user::run_as(user::UNPRIVILEGED)
}
