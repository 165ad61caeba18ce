//! The life of one service: wait for what it needs, start, ask until it answers, watch, start again.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::{Order, SWEEP_DEADLINE, Shared, Snapshot};
use crate::control::State;
use crate::launch::Launch;
use crate::restart::{Deaths, MAX_DEATHS, WINDOW};
use crate::{Service, StackError, probe, processes};

/// Between two questions to a server that starts.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A server that starts and answers 500 without a break for so long does not recover: Apicurio does that for ever when
/// its first look at a Kafka that has just started fails.
const STUCK: Duration = Duration::from_secs(20);

/// What asking a server that starts came to.
enum Answers {
    /// As it should.
    Ready,
    /// It answers, and will never be ready.
    Stuck(String),
}

/// How a process came to its end.
enum Ended {
    /// On request; what follows was decided by the order.
    Asked,
    /// By itself.
    Died(String),
}

/// What an order did to a running process.
enum After {
    Runs,
    Killed,
    Ended,
}

struct Runner {
    shared: Arc<Shared>,
    service: Service,
    inbox: mpsc::Receiver<Order>,
    deaths: Deaths,
    /// Whether it shall run.
    wanted: bool,
}

/// Lives until the supervisor drops its orders.
pub(super) async fn run(shared: Arc<Shared>, service: Service, inbox: mpsc::Receiver<Order>) {
    let mut runner = Runner { shared, service, inbox, deaths: Deaths::default(), wanted: true };
    runner.wait_for_needs().await;
    loop {
        if runner.wanted && !runner.shared.is_ending() {
            runner.run_once().await;
        } else {
            match runner.inbox.recv().await {
                Some(order) => runner.obey_at_rest(order),
                None => return,
            }
        }
    }
}

impl Runner {
    fn show(&self, change: impl FnOnce(&mut Snapshot)) {
        if let Some(slot) = self.shared.slots.get(&self.service) {
            slot.status.send_modify(change);
        }
    }

    fn enter(&self, state: State, pid: Option<u32>, note: impl Into<String>) {
        let note = note.into();
        self.show(|snapshot| {
            snapshot.state = state;
            snapshot.main_pid = pid;
            snapshot.since = Instant::now();
            snapshot.note = note;
        });
    }

    /// Only before the first start: later, services come back in any order.
    async fn wait_for_needs(&mut self) {
        let shared = Arc::clone(&self.shared);
        let needs = self.service.starts_after().iter().filter_map(|need| Some((need, shared.slots.get(need)?)));
        for (need, slot) in needs {
            self.enter(State::Waiting, None, format!("for {need}"));
            let mut status = slot.status.subscribe();
            tokio::select! {
                _ = status.wait_for(|snapshot| snapshot.state == State::Ready) => {}
                Some(order) = self.inbox.recv() => return self.obey_at_rest(order),
            }
        }
    }

    /// One process from start to end, and the pause after it.
    async fn run_once(&mut self) {
        let ended = match self.start().await {
            Ok(child) => self.watch(child).await,
            Err(fault) => Ended::Died(fault.to_string()),
        };
        if let Ended::Died(how) = ended {
            self.pause(how).await;
        }
    }

    async fn start(&self) -> Result<Child, StackError> {
        self.enter(State::Starting, None, "prepares");
        let launch = self.prepare().await?;
        let layout = &self.shared.context.layout;
        let child = launch.spawn(layout.dir(), self.service, &layout.log(self.service))?;
        if let Some(pid) = child.id()
            && let Err(fault) = processes::remember(layout.dir(), self.service, pid)
        {
            // It only matters to the run after this one, and there the mark is the first way.
            warn!(service = %self.service, %fault, "cannot write its number down");
        }
        info!(service = %self.service, pid = child.id(), "started");
        self.enter(State::Starting, child.id(), "");
        Ok(child)
    }

    /// Off the thread: the first start of a database takes seconds. The spawn itself stays on it.
    async fn prepare(&self) -> Result<Launch, StackError> {
        let (shared, service) = (Arc::clone(&self.shared), self.service);
        let prepared = tokio::task::spawn_blocking(move || shared.context.launch(service)).await;
        prepared.unwrap_or_else(|error| Err(StackError::Supervisor(format!("preparing {service} failed: {error}"))))
    }

    async fn watch(&mut self, mut child: Child) -> Ended {
        let begun = Instant::now();
        let Some(pid) = child.id() else { return Ended::Died("ended at once".to_owned()) };
        let answers = until_ready(Arc::clone(&self.shared), self.service);
        tokio::pin!(answers);
        let mut ready = false;
        loop {
            tokio::select! {
                status = child.wait() => {
                    let how = words(&status);
                    self.clear_away(pid, status.is_ok_and(clean)).await;
                    return Ended::Died(how);
                }
                answer = &mut answers, if !ready => {
                    ready = true;
                    match answer {
                        Answers::Ready => {
                            info!(service = %self.service, seconds = begun.elapsed().as_secs_f32(), "ready");
                            self.enter(State::Ready, Some(pid), "");
                        }
                        Answers::Stuck(how) => {
                            warn!(service = %self.service, how, "does not recover, killed");
                            processes::signal_group(pid, Signal::KILL);
                        }
                    }
                }
                order = self.inbox.recv() => match self.obey_running(order, &mut child, pid).await {
                    After::Ended => return Ended::Asked,
                    // What it may still answer is no sign of life.
                    After::Killed => ready = true,
                    After::Runs => {}
                },
            }
        }
    }

    async fn obey_running(&mut self, order: Option<Order>, child: &mut Child, pid: u32) -> After {
        match order {
            Some(Order::Start(reply)) => answer(reply, format!("{} runs already", self.service)),
            Some(Order::Kill(reply)) => {
                let worker = processes::worker(self.service, pid);
                processes::signal(worker, Signal::KILL);
                // Before the answer: whoever waits for it to be ready again must not see that it was.
                self.enter(State::Pausing, Some(pid), "killed on request");
                answer(reply, format!("{} killed (pid {worker}); it is started again", self.service));
                return After::Killed;
            }
            Some(Order::Stop(reply)) => {
                self.wanted = false;
                let how = self.end(child, pid).await;
                self.enter(State::Stopped, None, "on request");
                answer(reply, format!("{} stopped ({how})", self.service));
                return After::Ended;
            }
            Some(Order::Restart(reply)) => {
                self.deaths.forget();
                let how = self.end(child, pid).await;
                answer(reply, format!("{} stopped ({how}); it is started again", self.service));
                return After::Ended;
            }
            None => {
                self.wanted = false;
                self.end(child, pid).await;
                return After::Ended;
            }
        }
        After::Runs
    }

    fn obey_at_rest(&mut self, order: Order) {
        match order {
            Order::Start(reply) | Order::Restart(reply) => {
                self.deaths.forget();
                self.wanted = true;
                answer(reply, format!("{} is started", self.service));
            }
            Order::Stop(reply) => {
                self.wanted = false;
                self.enter(State::Stopped, None, "on request");
                answer(reply, format!("{} does not run", self.service));
            }
            Order::Kill(reply) => answer(reply, format!("{} does not run", self.service)),
        }
    }

    /// Asks for a clean stop, and kills when the deadline is over. A stopped (SIGSTOP) process must be woken to hear.
    async fn end(&self, child: &mut Child, pid: u32) -> String {
        processes::signal_group(pid, Signal::CONT);
        processes::signal(pid, self.service.stop_signal());
        let deadline = self.shared.stop_deadline(self.service);
        let (how, is_clean) = match tokio::time::timeout(deadline, child.wait()).await {
            Ok(status) => (words(&status), status.is_ok_and(clean)),
            Err(_) => {
                warn!(service = %self.service, pid, "did not stop in {} s, killed", deadline.as_secs());
                processes::signal_group(pid, Signal::KILL);
                let _ = child.wait().await;
                (format!("killed, as it did not stop in {} s", deadline.as_secs()), false)
            }
        };
        self.clear_away(pid, is_clean).await;
        how
    }

    /// What the dead process left: children in its group and elsewhere, and its class archive.
    async fn clear_away(&self, pid: u32, clean: bool) {
        processes::signal_group(pid, Signal::KILL);
        let (shared, service) = (Arc::clone(&self.shared), self.service);
        let cleared = tokio::task::spawn_blocking(move || {
            shared.context.keep_class_archive(service, clean);
            processes::sweep(shared.context.layout.dir(), Some(service), SWEEP_DEADLINE)
        });
        if let Ok(Err(pids)) = cleared.await {
            warn!(%service, ?pids, "children that do not end");
        }
    }

    async fn pause(&mut self, how: String) {
        let Some(pause) = self.deaths.pause_after(Instant::now()) else {
            let window = WINDOW.as_secs();
            let note = format!(
                "died {MAX_DEATHS} times in {window} s and is left alone (last: {how}); `stack restart {}` tries again",
                self.service
            );
            error!(service = %self.service, "{note}");
            self.wanted = false;
            self.enter(State::Failed, None, note);
            return;
        };
        warn!(service = %self.service, how, pause_ms = pause.as_millis(), "died, will be started again");
        self.enter(State::Pausing, None, how);
        self.show(|snapshot| snapshot.restarts += 1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(order) = self.inbox.recv() => self.obey_at_rest(order),
        }
    }
}

/// Asks until the server answers as it should, or only ever answers that it cannot; what it lacks is shown meanwhile.
async fn until_ready(shared: Arc<Shared>, service: Service) -> Answers {
    let mut refusing_since: Option<Instant> = None;
    loop {
        let asked = Arc::clone(&shared);
        let answer = tokio::task::spawn_blocking(move || probe::ready(service, &asked.context.endpoints)).await;
        match answer {
            Ok(Ok(())) => return Answers::Ready,
            Ok(Err(lacks)) => {
                refusing_since =
                    lacks.starts_with(probe::SERVER_ERROR).then(|| refusing_since.unwrap_or_else(Instant::now));
                if refusing_since.is_some_and(|since| since.elapsed() > STUCK) {
                    return Answers::Stuck(format!("{lacks} for {} s", STUCK.as_secs()));
                }
                if let Some(slot) = shared.slots.get(&service) {
                    slot.status.send_modify(|snapshot| snapshot.note = lacks);
                }
            }
            Err(error) => warn!(%service, %error, "a probe failed"),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn answer(reply: oneshot::Sender<String>, words: String) {
    // Who asked may be gone by now.
    let _ = reply.send(words);
}

/// Whether a process ended as it was asked to: by itself, or with a JVM's code for SIGTERM.
fn clean(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 143))
}

fn words(status: &std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("lost sight of it: {error}"),
    }
}
