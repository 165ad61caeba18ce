//! The process that owns a stack's processes: it starts them, starts again what dies, and stops them in order.
//!
//! It runs on one thread, and spawns from it: children are bound to the life of the *thread* that made them.
//! How one service lives: `supervisor/runner.rs`. What others may ask: `supervisor/desk.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::control::{Greeting, ServiceStatus, State, read_json};
use crate::layout::{Layout, write_private};
use crate::ports::{self, Block};
use crate::servers::Context;
use crate::{Endpoints, Options, PortChoice, Service, StackError, install, launch, processes};

mod desk;
mod runner;

/// How long leftovers may take to go after a kill -9.
const SWEEP_DEADLINE: Duration = Duration::from_secs(10);
/// How long each service of a start that failed may take to stop.
const HURRIED: Duration = Duration::from_secs(10);
/// How often the size of the logs is looked at.
const LOG_CHECK: Duration = Duration::from_secs(10);

/// What a runner is asked to do; the answer says what was done.
pub(super) enum Order {
    Start(oneshot::Sender<String>),
    Stop(oneshot::Sender<String>),
    Restart(oneshot::Sender<String>),
    Kill(oneshot::Sender<String>),
}

/// One service as the others see it.
pub(super) struct Slot {
    pub(super) status: watch::Sender<Snapshot>,
    pub(super) orders: mpsc::Sender<Order>,
}

/// What a runner tells about itself.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) state: State,
    pub(super) main_pid: Option<u32>,
    pub(super) since: Instant,
    pub(super) restarts: u32,
    pub(super) note: String,
}

/// What runners and desk share.
pub(super) struct Shared {
    pub(super) context: Context,
    pub(super) slots: BTreeMap<Service, Slot>,
    /// Set before anything is stopped: from then on nothing is started any more, neither on request nor after a death.
    pub(super) ending: AtomicBool,
    /// Nobody waits for what a clean stop would save.
    pub(super) hurried: AtomicBool,
}

impl Shared {
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// How long a service may take to stop.
    pub(super) fn stop_deadline(&self, service: Service) -> Duration {
        let deadline = service.stop_deadline(self.context.writes_archive(service));
        if self.hurried.load(Ordering::SeqCst) { deadline.min(HURRIED) } else { deadline }
    }

    pub(super) fn status(&self) -> Vec<ServiceStatus> {
        let one = |(service, slot): (&Service, &Slot)| {
            let snapshot = slot.status.borrow().clone();
            ServiceStatus {
                service: *service,
                state: snapshot.state,
                pid: snapshot.main_pid.map(|pid| processes::worker(*service, pid)),
                ports: self.context.ports.of(*service),
                seconds: snapshot.since.elapsed().as_secs(),
                restarts: snapshot.restarts,
                note: snapshot.note,
                log: self.context.layout.log(*service),
            }
        };
        self.slots.iter().map(one).collect()
    }
}

/// Why the supervisor ends.
pub(super) enum End {
    Asked(oneshot::Sender<()>),
    /// Asked after a start that failed.
    Abandoned(oneshot::Sender<()>),
    OwnerGone,
    Signal,
}

/// Runs a stack until it is told to stop, or until the process that started it is gone and has not released it.
/// The options are those that the starter wrote into the folder; the first line on standard output is the greeting.
///
/// # Errors
/// If it could not be started; the greeting has said so, too.
pub fn supervise(dir: &Path) -> Result<(), StackError> {
    // Fails only for a leader of a group, which is detached already.
    let _ = rustix::process::setsid();
    // The servers' users must be able to read what we write; what they must not is written with a mode of its own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match prepare(dir) {
        Ok(prepared) => run(prepared),
        Err(error) => {
            greet(&Greeting::Fault(error.to_string()));
            Err(error)
        }
    }
}

/// A stack that may be started: the lock is ours, leftovers are gone, ports are free.
struct Prepared {
    context: Context,
    owned: fs::File,
    _servers: Option<fs::File>,
    _block: Option<Block>,
}

fn prepare(dir: &Path) -> Result<Prepared, StackError> {
    let layout = Layout::open(dir)?;
    let owned = layout.own()?.ok_or_else(|| StackError::AlreadyRunning(layout.dir().to_owned()))?;
    let options: Options = read_json(&layout.options())?;
    launch::check_tools()?;
    match processes::sweep(layout.dir(), None, SWEEP_DEADLINE) {
        Ok(0) => {}
        Ok(count) => warn!(count, "killed what an earlier run had left behind"),
        Err(pids) => {
            return Err(StackError::Supervisor(format!(
                "processes of an earlier run do not end: {pids:?}; end them by hand"
            )));
        }
    }
    let (java_home, servers) = if options.services.iter().any(|service| service.is_java()) {
        install::check_installed(&options)?;
        (Some(install::jdk::find(&options)?), Some(install::hold(&options)?))
    } else {
        (None, None)
    };
    let (ports, block) = match &options.ports {
        PortChoice::Fixed(ports) => {
            ports.check_distinct()?;
            ports.check_free(&options.services)?;
            (ports.clone(), None)
        }
        PortChoice::Free => {
            let block = ports::take_free_block()?;
            (block.ports.clone(), Some(block))
        }
    };
    let mut endpoints = Endpoints::new(&ports, layout.password()?);
    if let Some(elsewhere) = &options.kafka {
        endpoints.kafka.clone_from(elsewhere);
    }
    endpoints.open_doors(options.kafka_doors.len(), block.as_ref().map_or(&[], |block| &block.spare))?;
    let text = serde_json::to_string(&endpoints).map_err(|error| StackError::Setting(error.to_string()))?;
    write_private(&layout.endpoints(), &text)?;
    write_private(&layout.supervisor_pid(), &std::process::id().to_string())?;
    let context = Context { options, layout, ports, endpoints, java_home };
    Ok(Prepared { context, owned, _servers: servers, _block: block })
}

fn run(prepared: Prepared) -> Result<(), StackError> {
    let Prepared { context, owned, _servers, _block } = prepared;
    let endpoints = context.endpoints.clone();
    let layout = context.layout.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StackError::Supervisor(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(live(context, &endpoints));
    // A probe may hang in a connect; nothing waits for it.
    runtime.shutdown_background();
    for path in [layout.run().join("control.sock"), layout.supervisor_pid()] {
        let _ = fs::remove_file(path);
    }
    // Whoever gets the lock may say that nothing is left: so it ends with this process, and not before it.
    std::mem::forget(owned);
    ended
}

async fn live(context: Context, endpoints: &Endpoints) -> Result<(), StackError> {
    let (shared, inboxes) = share(context);
    let listener = crate::control::listen(&shared.context.layout)?;
    let (ends, mut ended) = mpsc::channel(4);
    let mut runners = JoinSet::new();
    for (service, inbox) in inboxes {
        runners.spawn(runner::run(Arc::clone(&shared), service, inbox));
    }
    let mut helpers = JoinSet::new();
    helpers.spawn(signals(ends.clone()));
    helpers.spawn(bound_logs(shared.context.layout.logs()));
    let released = watch_owner(&ends);
    let desk = desk::Desk::new(Arc::clone(&shared), ends, released);
    let mut answering = JoinSet::new();
    answering.spawn(desk.serve(listener));
    greet(&Greeting::Started(Box::new(endpoints.clone())));
    let end = ended.recv().await;
    info!(because = end.as_ref().map_or("nobody can ask", End::words), "stopping");
    shared.hurried.store(matches!(end, Some(End::Abandoned(_) | End::OwnerGone)), Ordering::SeqCst);
    shared.ending.store(true, Ordering::SeqCst);
    stop_all(&shared).await;
    runners.abort_all();
    if let Err(pids) = processes::sweep(shared.context.layout.dir(), None, SWEEP_DEADLINE) {
        warn!(?pids, "processes that do not end");
    }
    info!("stopped");
    if let Some(End::Asked(reply) | End::Abandoned(reply)) = end {
        // The desk hands the answer on; give it the time to.
        let _ = reply.send(());
        let _ = tokio::time::timeout(Duration::from_secs(1), answering.join_next()).await;
    }
    Ok(())
}

impl End {
    const fn words(&self) -> &'static str {
        match self {
            Self::Asked(_) => "it was asked for",
            Self::Abandoned(_) => "the start failed",
            Self::OwnerGone => "the process that started the stack is gone",
            Self::Signal => "of a signal",
        }
    }
}

type Inboxes = Vec<(Service, mpsc::Receiver<Order>)>;

fn share(context: Context) -> (Arc<Shared>, Inboxes) {
    let mut slots = BTreeMap::new();
    let mut inboxes = Vec::new();
    for service in &context.options.services {
        let (orders, inbox) = mpsc::channel(16);
        let snapshot =
            Snapshot { state: State::Waiting, main_pid: None, since: Instant::now(), restarts: 0, note: String::new() };
        slots.insert(*service, Slot { status: watch::Sender::new(snapshot), orders });
        inboxes.push((*service, inbox));
        launch::turn_over(&context.layout.log(*service));
    }
    let (ending, hurried) = (AtomicBool::new(false), AtomicBool::new(false));
    (Arc::new(Shared { context, slots, ending, hurried }), inboxes)
}

/// Stops wave after wave; each runner keeps its own deadline.
async fn stop_all(shared: &Shared) {
    for wave in 0..=Service::Kafka.stop_wave() {
        let mut answers = Vec::new();
        for (_, slot) in shared.slots.iter().filter(|(service, _)| service.stop_wave() == wave) {
            let (reply, answer) = oneshot::channel();
            if slot.orders.send(Order::Stop(reply)).await.is_ok() {
                answers.push(answer);
            }
        }
        for answer in answers {
            let _ = answer.await;
        }
    }
}

async fn signals(ends: mpsc::Sender<End>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    let _ = ends.send(End::Signal).await;
}

/// Standard input is a pipe from the starter: its end means that the starter is gone, however it went.
fn watch_owner(ends: &mpsc::Sender<End>) -> Arc<AtomicBool> {
    let released = Arc::new(AtomicBool::new(false));
    let (flag, ends) = (Arc::clone(&released), ends.clone());
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().take(1 << 10).read_to_end(&mut rest);
        if !flag.load(Ordering::SeqCst) {
            let _ = ends.blocking_send(End::OwnerGone);
        }
    });
    released
}

async fn bound_logs(logs: PathBuf) {
    loop {
        tokio::time::sleep(LOG_CHECK).await;
        for entry in fs::read_dir(&logs).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                launch::bound(&path);
            }
        }
    }
}

/// A starter that is gone already will be noticed by its pipe.
fn greet(greeting: &Greeting) {
    let mut line = serde_json::to_vec(greeting).unwrap_or_default();
    line.push(b'\n');
    let _ = std::io::stdout().write_all(&line).and_then(|()| std::io::stdout().flush());
}
