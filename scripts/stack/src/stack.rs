//! A stack as a value: start it, ask it, break it, and it is gone when the value is. Calls block; each has a deadline.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::control::{self, Greeting, Request, Response, ServiceStatus, State, ask, read_json};
use crate::install::disk;
use crate::layout::{Layout, write_private};
use crate::{Endpoints, Options, Service, StackError, logs, processes};

/// How long a simple question may take.
const ANSWER: Duration = Duration::from_secs(15);
/// How long an order to one service may take: its deadline for a clean stop, and some.
const ORDER: Duration = Duration::from_secs(150);
/// How long everything may take to stop: the waves' deadlines, and some.
pub const DOWN: Duration = Duration::from_secs(480);
/// Between two looks at a status.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a supervisor that has let go of its lock may take to be gone.
const EXIT: Duration = Duration::from_secs(2);
/// Lines of a log in an error.
const TAIL: usize = 12;

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    layout: Layout,
    endpoints: Endpoints,
    options: Options,
    owned: Option<Owned>,
}

/// The supervisor, and the pipe that tells it that we live.
#[derive(Debug)]
struct Owned {
    supervisor: Child,
    _alive: Option<ChildStdin>,
}

impl Stack {
    /// Starts a stack and waits until every service is ready. On a fault nothing is left running.
    ///
    /// # Errors
    /// If something is missing or taken, or a service does not become ready in its time.
    pub fn start(options: Options) -> Result<Self, StackError> {
        let stack = Self::begin(options)?;
        stack.wait_all_ready(|_| {})?;
        Ok(stack)
    }

    /// Starts a stack and comes back while its services are still starting.
    ///
    /// # Errors
    /// If something is missing or taken.
    pub fn begin(mut options: Options) -> Result<Self, StackError> {
        let layout = Layout::prepare(&options.dir)?;
        if layout.own()?.is_none() {
            return Err(StackError::AlreadyRunning(layout.dir().to_owned()));
        }
        disk::check(layout.dir(), disk::RUNNING_MB)?;
        options.dir = layout.dir().to_owned();
        options.resolve()?;
        let program = options.binaries.join("stack");
        if !program.is_file() {
            let remedy = "build it: cargo build --release -p stack".to_owned();
            return Err(StackError::Missing { what: format!("the command {}", program.display()), remedy });
        }
        let text = serde_json::to_string(&options).map_err(|error| StackError::Setting(error.to_string()))?;
        write_private(&layout.options(), &text)?;
        crate::launch::turn_over(&layout.supervisor_log());
        // Appends: whoever bounds a log that is being written to cuts it, and the next line must not leave a hole.
        let log = crate::launch::open_log(&layout.supervisor_log())?;
        let mut command = Command::new(&program);
        command.arg("supervise").arg("--dir").arg(layout.dir()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut supervisor = command.spawn().map_err(StackError::file("start", &program))?;
        let alive = supervisor.stdin.take();
        let mut owned = Owned { supervisor, _alive: alive };
        match greeting(&mut owned.supervisor) {
            Some(Greeting::Started(endpoints)) => {
                Ok(Self { layout, endpoints: *endpoints, options, owned: Some(owned) })
            }
            Some(Greeting::Fault(fault)) => {
                let _ = owned.supervisor.wait();
                Err(StackError::Supervisor(fault))
            }
            None => {
                let _ = owned.supervisor.wait();
                let tail = logs::tail(&layout.supervisor_log(), TAIL);
                Err(StackError::Supervisor(format!("the supervisor ended before it said anything: {tail}")))
            }
        }
    }

    /// The stack that runs in a folder; dropping this value leaves it running.
    ///
    /// # Errors
    /// If none is running there.
    pub fn attach(dir: &Path) -> Result<Self, StackError> {
        let layout = Layout::open(dir)?;
        if layout.try_own()?.is_some() {
            return Err(StackError::NotRunning(layout.dir().to_owned()));
        }
        let options: Options = read_json(&layout.options())?;
        let endpoints = read_json(&layout.endpoints())?;
        Ok(Self { layout, endpoints, options, owned: None })
    }

    /// Where its services listen.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Its folder.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The services that it runs.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.options.services
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether it can be asked no more: it stops, or has not begun to listen.
    ///
    /// # Errors
    /// If the supervisor answers something else.
    pub fn is_stopping(&self) -> Result<bool, StackError> {
        match ask(&self.layout, &Request::Stopping, ANSWER) {
            Ok(Response::Stopping(stopping)) => Ok(stopping),
            // A supervisor that was built before this question was there.
            Ok(Response::Fault(_)) => Ok(false),
            Ok(Response::Done(_) | Response::Status(_)) => Err(unexpected()),
            Err(StackError::NotRunning(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// How every service is.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub fn status(&self) -> Result<Vec<ServiceStatus>, StackError> {
        match ask(&self.layout, &Request::Status, ANSWER)? {
            Response::Status(all) => Ok(all),
            Response::Fault(fault) => Err(StackError::Supervisor(fault)),
            Response::Done(_) | Response::Stopping(_) => Err(unexpected()),
        }
    }

    /// How one service is.
    ///
    /// # Errors
    /// If the supervisor does not answer, or does not run it.
    pub fn status_of(&self, service: Service) -> Result<ServiceStatus, StackError> {
        let found = self.status()?.into_iter().find(|status| status.service == service);
        found.ok_or_else(|| StackError::Supervisor(format!("this stack does not run {service}")))
    }

    /// The process that does a service's work; for Elasticsearch the server, not its launcher.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self, service: Service) -> Result<u32, StackError> {
        let pid = self.status_of(service)?.pid;
        pid.ok_or_else(|| StackError::Supervisor(format!("{service} does not run at the moment")))
    }

    /// kill -9 of the process that does the work. The supervisor starts it again.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub fn kill(&self, service: Service) -> Result<String, StackError> {
        self.order(&Request::Kill(service))
    }

    /// A clean stop; it stays down until `start_again`.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub fn stop(&self, service: Service) -> Result<String, StackError> {
        self.order(&Request::Stop(service))
    }

    /// Starts a service that was stopped or given up.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub fn start_again(&self, service: Service) -> Result<String, StackError> {
        self.order(&Request::Start(service))
    }

    /// A clean stop and a start.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub fn restart(&self, service: Service) -> Result<String, StackError> {
        self.order(&Request::Restart(service))
    }

    fn order(&self, request: &Request) -> Result<String, StackError> {
        match ask(&self.layout, request, ORDER)? {
            Response::Done(words) => Ok(words),
            Response::Fault(fault) => Err(StackError::Supervisor(fault)),
            Response::Status(_) | Response::Stopping(_) => Err(unexpected()),
        }
    }

    /// Waits until a service answers as it should.
    ///
    /// # Errors
    /// If it does not in time; the end of its log is in the error.
    pub fn wait_ready(&self, service: Service, within: Duration) -> Result<(), StackError> {
        let end = Instant::now() + within;
        loop {
            let status = self.status_of(service)?;
            if status.state == State::Ready {
                return Ok(());
            }
            if status.state == State::Failed || Instant::now() >= end {
                return Err(not_ready(&status, within));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until every service is ready, each in its own time, and tells of every change.
    ///
    /// # Errors
    /// If one does not become ready, or keeps dying.
    pub fn wait_all_ready(&self, mut changed: impl FnMut(&ServiceStatus)) -> Result<(), StackError> {
        let begun = Instant::now();
        let before = self.status()?;
        let mut shown: Vec<(Service, State, u32)> = Vec::new();
        loop {
            let all = self.status()?;
            for status in &all {
                let now = (status.service, status.state, status.restarts);
                if !shown.contains(&now) {
                    shown.push(now);
                    changed(status);
                }
            }
            if all.iter().all(|status| status.state == State::Ready) {
                return Ok(());
            }
            if let Some((stuck, _)) = all.iter().zip(&before).find(|(now, before)| is_stuck(now, before.restarts)) {
                return Err(not_ready(stuck, begun.elapsed()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Lets the stack outlive this process.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub fn release(mut self) -> Result<(), StackError> {
        self.order(&Request::Release)?;
        self.owned = None;
        Ok(())
    }

    /// Ends what a stack left behind whose supervisor was killed, and says how many processes that were.
    ///
    /// # Errors
    /// If something does not end.
    pub fn clear_leftovers(dir: &Path) -> Result<usize, StackError> {
        let Ok(layout) = Layout::open(dir) else { return Ok(0) };
        // Held meanwhile: what another start has just begun is no leftover.
        let _held = match layout.own() {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(StackError::AlreadyRunning(layout.dir().to_owned())),
            Err(StackError::NotRunning(_)) => None,
            Err(error) => return Err(error),
        };
        sweep(&layout)
    }

    /// Removes the data, logs and settings of a stack that does not run. What was fetched and built stays.
    ///
    /// # Errors
    /// If it runs, or something cannot be removed.
    pub fn wipe(dir: &Path) -> Result<(), StackError> {
        let Ok(layout) = Layout::open(dir) else { return Ok(()) };
        match layout.try_own() {
            Ok(None) => Err(StackError::AlreadyRunning(layout.dir().to_owned())),
            Ok(Some(_)) | Err(StackError::NotRunning(_)) => layout.wipe(),
            Err(error) => Err(error),
        }
    }

    /// Stops everything and waits until nothing is left.
    ///
    /// # Errors
    /// If something does not end.
    pub fn down(self) -> Result<(), StackError> {
        self.end(&Request::Down)
    }

    /// The same for a start that failed: quickly, and without what a clean stop would save for the next start.
    ///
    /// # Errors
    /// If something does not end.
    pub fn abandon(self) -> Result<(), StackError> {
        self.end(&Request::Abandon)
    }

    fn end(mut self, how: &Request) -> Result<(), StackError> {
        let owned = self.owned.take();
        let ended = down(&self.layout, how);
        if let (Ok(()), Some(mut owned)) = (&ended, owned) {
            let _ = owned.supervisor.wait();
        }
        ended
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(mut owned) = self.owned.take() {
            // If the supervisor does not hear us, its end of the pipe tells it.
            let _ = down(&self.layout, &Request::Down);
            drop(owned._alive.take());
            let _ = owned.supervisor.wait();
        }
    }
}

/// Stops the stack in a folder, or what is left of one whose supervisor is gone.
///
/// # Errors
/// If something does not end.
fn down(layout: &Layout, how: &Request) -> Result<(), StackError> {
    let end = Instant::now() + DOWN;
    let supervisor = || std::fs::read_to_string(layout.supervisor_pid()).unwrap_or_default();
    let pid = supervisor();
    let asked = ask(layout, how, DOWN);
    loop {
        // Whoever answered or not: it is down when the lock is free and no process is left. Held until then: what another
        // start has just begun is none of ours.
        if let Some(_held) = layout.try_own()? {
            return sweep(layout).map(|_| wait_for_end(&pid));
        }
        // An `up` that waited for this end has the lock already, and swept before it started anything.
        let now = supervisor();
        if !pid.is_empty() && !now.is_empty() && now != pid {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(StackError::Supervisor(format!(
                "the supervisor (pid {pid}) did not end in {} s ({}); kill -9 it and run `stack down` again",
                DOWN.as_secs(),
                asked.err().map_or_else(|| "it answered".to_owned(), |error| error.to_string())
            )));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The kernel frees the lock of a process that ends a little before it takes the process away.
fn wait_for_end(supervisor: &str) {
    let end = Instant::now() + EXIT;
    // The number in the file may be an old one that another process has by now: so this wait is short, and no failure.
    while supervisor.parse().is_ok_and(processes::lives) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn unexpected() -> StackError {
    StackError::Supervisor("the supervisor gave an answer to another question; is it of another build?".to_owned())
}

fn sweep(layout: &Layout) -> Result<usize, StackError> {
    processes::sweep(layout.dir(), None, Duration::from_secs(10)).map_err(|pids| {
        StackError::Supervisor(format!("processes of the stack do not end: {pids:?}; end them by hand"))
    })
}

/// Was given up or stopped, dies again and again, or takes longer than its deadline. What waits for another does not:
/// the other has its own deadline.
fn is_stuck(status: &ServiceStatus, restarts_before: u32) -> bool {
    match status.state {
        State::Failed | State::Stopped => true,
        State::Starting | State::Pausing => {
            status.restarts >= restarts_before + 3 || status.seconds >= status.service.start_deadline().as_secs()
        }
        State::Ready | State::Waiting => false,
    }
}

fn not_ready(status: &ServiceStatus, waited: Duration) -> StackError {
    let note = if status.note.is_empty() {
        status.state.word().to_owned()
    } else {
        format!("{}: {}", status.state.word(), status.note)
    };
    StackError::NotReady {
        service: status.service,
        seconds: waited.as_secs(),
        state: note,
        log: status.log.clone(),
        tail: logs::tail(&status.log, TAIL).lines().map(shortened).collect::<Vec<_>>().join("\n"),
    }
}

/// A server may print all its settings on one line.
fn shortened(line: &str) -> String {
    line.chars().take(300).collect()
}

/// The first line of a supervisor; it comes after the checks, which are quick, and the end of leftovers.
fn greeting(supervisor: &mut Child) -> Option<Greeting> {
    let stdout = supervisor.stdout.take()?;
    let mut line = String::new();
    let mut reader = BufReader::new(std::io::Read::take(stdout, control::MAX_LINE));
    reader.read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}
