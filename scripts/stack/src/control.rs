//! What is said between the supervisor and those who ask it: one line of JSON each way, over a socket in the stack's folder.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::{Endpoints, Service, StackError};

/// The longest line that either side reads.
pub(crate) const MAX_LINE: u64 = 256 << 10;

/// Asked of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// How every service is.
    Status,
    /// Start a service that is stopped or was given up.
    Start(Service),
    /// Stop a service, and leave it stopped.
    Stop(Service),
    /// Stop and start it.
    Restart(Service),
    /// kill -9 of the process that does the work; the supervisor starts it again.
    Kill(Service),
    /// Outlive the process that started the stack.
    Release,
    /// Stop everything and end.
    Down,
    /// The same for a start that failed: no server gets the time to write its class archive.
    Abandon,
    /// Whether it takes no orders any more.
    Stopping,
}

/// Answered by the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    /// Done, with a few words for people.
    Done(String),
    /// See [`Request::Status`].
    Status(Vec<ServiceStatus>),
    /// See [`Request::Stopping`].
    Stopping(bool),
    /// Not done, and why.
    Fault(String),
}

/// The supervisor's first words, to the process that started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Greeting {
    /// The services are being started; this is where they will listen.
    Started(Box<Endpoints>),
    /// Nothing was started.
    Fault(String),
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// What it needs is not ready yet.
    Waiting,
    /// The process runs and does not answer yet.
    Starting,
    /// It answered.
    Ready,
    /// It died and will be started again after a pause.
    Pausing,
    /// It was stopped on request.
    Stopped,
    /// It died too often and was given up.
    Failed,
}

impl State {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Pausing => "pausing",
            Self::Stopped => "stopped",
            Self::Failed => "FAILED",
        }
    }
}

/// How one service is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Which one.
    pub service: Service,
    /// What it is doing.
    pub state: State,
    /// The process that does the work, while there is one.
    pub pid: Option<u32>,
    /// Where it listens, or will.
    pub ports: Vec<u16>,
    /// Seconds in this state.
    pub seconds: u64,
    /// How often the supervisor started it again because it had died.
    pub restarts: u32,
    /// Why it is in this state, if there is something to say.
    pub note: String,
    /// Its log.
    pub log: PathBuf,
}

impl ServiceStatus {
    /// Whether the program that it runs was replaced on disk since, as a build does.
    #[must_use]
    pub fn runs_an_old_build(&self) -> bool {
        let program = self.pid.filter(|_| self.service.is_ours()).map(|pid| format!("/proc/{pid}/exe"));
        program
            .and_then(|link| std::fs::read_link(link).ok())
            .is_some_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
    }
}

/// The socket's address. A path to a socket may have 108 bytes and a stack's folder may be deep:
/// so it is named through an open handle of the folder.
struct Address {
    _run: File,
    path: PathBuf,
}

impl Address {
    fn of(layout: &Layout) -> Result<Self, StackError> {
        let run = layout.run();
        let handle = File::open(&run).map_err(StackError::file("open", &run))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", handle.as_raw_fd()));
        Ok(Self { _run: handle, path })
    }
}

/// Listens in the folder; a socket that an earlier supervisor left is replaced.
pub(crate) fn listen(layout: &Layout) -> Result<UnixListener, StackError> {
    let address = Address::of(layout)?;
    let named = layout.run().join("control.sock");
    let _ = std::fs::remove_file(&named);
    UnixListener::bind(&address.path).map_err(StackError::file("listen on", &named))
}

/// Asks the supervisor of a stack.
pub(crate) fn ask(layout: &Layout, request: &Request, timeout: Duration) -> Result<Response, StackError> {
    let address = Address::of(layout).map_err(|_| StackError::NotRunning(layout.dir().to_owned()))?;
    let stream = UnixStream::connect(&address.path).map_err(|_| StackError::NotRunning(layout.dir().to_owned()))?;
    exchange(stream, request, timeout).map_err(|error| {
        StackError::Supervisor(format!("the supervisor of {} does not answer: {error}", layout.dir().display()))
    })
}

fn exchange(mut stream: UnixStream, request: &Request, timeout: Duration) -> std::io::Result<Response> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Reads what the supervisor wrote down about itself.
pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, StackError> {
    let text = std::fs::read_to_string(path).map_err(StackError::file("read", path))?;
    serde_json::from_str(&text)
        .map_err(|error| StackError::Setting(format!("cannot understand {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_in_a_deep_folder_can_be_asked() {
        let dir = std::env::temp_dir().join(format!("stack-deep-{}", std::process::id())).join("d".repeat(120));
        let layout = Layout::prepare(&dir).unwrap();
        let listener = listen(&layout).unwrap();
        let answer = std::thread::spawn(move || ask(&layout, &Request::Status, Duration::from_secs(5)));
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "\"status\"");
        (&stream).write_all(b"{\"status\":[]}\n").unwrap();
        assert!(matches!(answer.join().unwrap().unwrap(), Response::Status(all) if all.is_empty()));
        std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    }
}
