//! What can go wrong with a stack, each as one line that names the value and the way out.

use std::io;
use std::path::{Path, PathBuf};

use crate::Service;
use crate::install::disk;

/// Why a stack could not be fetched, started, asked or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file or folder could not be used.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// What was tried, as a verb: "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is too little room, before or while writing.
    #[error(
        "the disk of {path} is full: {free_mb} MB are free, {needed_mb} MB are needed; free some space, or choose another place with {elsewhere}",
        path = path.display()
    )]
    DiskFull {
        /// The folder of the stack.
        path: PathBuf,
        /// What is free there.
        free_mb: u64,
        /// What the next step needs.
        needed_mb: u64,
        /// The setting that says where it lies.
        elsewhere: &'static str,
    },
    /// Somebody else listens on a port that a server of ours needs.
    #[error(
        "port {port} ({name}) is taken by {owner}; stop that, or choose another port: scripts/up --port {name}={alternative} (or ORDERFLOW_PORTS={name}={alternative})"
    )]
    PortTaken {
        /// The port's name, as `--port` takes it.
        name: &'static str,
        /// The number.
        port: u16,
        /// The process, if the system tells.
        owner: String,
        /// A number that is free right now.
        alternative: u16,
    },
    /// A program that is not ours to bring is missing.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What was looked for.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// Maven or pip could not fetch.
    #[error("cannot fetch {what} ({reason}); is a package registry reachable from here? A mirror or a proxy for Maven goes into ~/.m2/settings.xml, for pip into pip.conf. Run it again to go on. Details: {log}", log = log.display())]
    Fetch {
        /// What was to be fetched.
        what: &'static str,
        /// The tool's own words, one line.
        reason: String,
        /// The tool's whole output.
        log: PathBuf,
    },
    /// A fetched file is not the one that the lock names.
    #[error("{0}")]
    Lock(String),
    /// A program that prepares something (unpack, initdb, format) failed.
    #[error("{program} failed: {output}")]
    Tool {
        /// The program.
        program: String,
        /// The end of its output, on one line.
        output: String,
    },
    /// A server did not become ready.
    #[error("{service} is not ready after {seconds} s ({state}); its log {log} ends with:\n{tail}", log = log.display())]
    NotReady {
        /// The server.
        service: Service,
        /// How long was waited.
        seconds: u64,
        /// What it was doing last.
        state: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A stack is already running in this folder.
    #[error("a stack is already running in {path}; `stack down` stops it", path = .0.display())]
    AlreadyRunning(PathBuf),
    /// Nothing is running in this folder.
    #[error("no stack is running in {path}; `scripts/up` starts it", path = .0.display())]
    NotRunning(PathBuf),
    /// The supervisor answered with a fault, or not at all.
    #[error("{0}")]
    Supervisor(String),
    /// A setting cannot be understood.
    #[error("{0}")]
    Setting(String),
    /// The deploy step failed.
    #[error("{0}")]
    Deploy(String),
}

impl StackError {
    /// Names the path in an I/O fault, and knows a full disk when it sees one.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if source.kind() == io::ErrorKind::StorageFull {
                return disk::full(&path, disk::RUNNING_MB, disk::STACK_DIR);
            }
            Self::File { action, path, source }
        }
    }
}
