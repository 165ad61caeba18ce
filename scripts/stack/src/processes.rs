//! Processes as /proc shows them: whether one lives, its children, and what an earlier run left behind.
//!
//! Ours are known twice: by a mark in their environment, and by the number that was written down when they were started.
//! The second way is for a root that may not look into other users' processes, as in a container without SYS_PTRACE.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{Service, StackError};

/// Every process of a stack carries the stack's folder and its own service in these variables; children inherit them.
pub(crate) const MARK: &str = "ORDERFLOW_STACK_MARK";
/// See [`MARK`].
pub(crate) const SERVICE_MARK: &str = "ORDERFLOW_STACK_SERVICE";

/// What everybody may read of a process.
#[derive(Debug, Clone)]
struct Stat {
    pid: u32,
    name: String,
    lives: bool,
    parent: u32,
    group: u32,
    /// In ticks since the machine started: with the number, it is one process and no other.
    began: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, also brackets; the fields after it are numbered from 3.
        let (head, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            pid,
            name: head.split_once('(')?.1.to_owned(),
            lives: !fields.first()?.starts_with(['Z', 'X']),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            began: fields.get(19)?.parse().ok()?,
        })
    }
}

fn numbers() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// Whether a process is there and not a zombie: in a container nobody may reap.
pub(crate) fn lives(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.lives)
}

/// Whether this is a living PostgreSQL process, of whichever folder.
pub(crate) fn is_postgres(pid: u32) -> bool {
    lives(pid) && is_named_postgres(Path::new(&format!("/proc/{pid}")))
}

fn is_named_postgres(process: &Path) -> bool {
    fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("postgres"))
}

/// Sends a signal to one process; one that is gone is no fault.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The only faults are "gone" and "not ours"; both end the same way.
        let _ = kill_process(pid, signal);
    }
}

/// Sends a signal to a whole process group.
pub(crate) fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// The direct children of a process, whichever of its threads made them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks
        .map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default())
        .flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// The process that does a service's work: Elasticsearch's launcher has the server as its child.
pub(crate) fn worker(service: Service, main: u32) -> u32 {
    match service {
        Service::Elasticsearch => children(main).first().copied().unwrap_or(main),
        _ => main,
    }
}

fn note(dir: &Path, service: Service) -> PathBuf {
    dir.join("run").join(format!("{service}.pid"))
}

/// Writes down which process a service is.
pub(crate) fn remember(dir: &Path, service: Service, pid: u32) -> Result<(), StackError> {
    let (path, began) = (note(dir, service), Stat::of(pid).map_or(0, |stat| stat.began));
    fs::write(&path, format!("{pid} {began}\n")).map_err(StackError::file("write", &path))
}

/// The process that was written down, while it is the same one, with all that it started; of one that is dead, what is
/// left of its group under the service's name: a stranger may have got the dead one's number, and died, too.
fn remembered(dir: &Path, service: Service, all: &[Stat]) -> Vec<u32> {
    let noted = fs::read_to_string(note(dir, service)).unwrap_or_default();
    let mut words = noted.split_whitespace();
    let (Some(Ok(main)), Some(Ok(began))) = (words.next().map(str::parse::<u32>), words.next().map(str::parse::<u64>))
    else {
        return Vec::new();
    };
    match all.iter().find(|stat| stat.pid == main) {
        Some(stat) if stat.began != began => Vec::new(),
        Some(stat) if stat.lives => {
            let mut found = BTreeSet::from([main]);
            // Parents need not come before their children in /proc.
            while let Some(child) = all
                .iter()
                .find(|stat| !found.contains(&stat.pid) && (stat.group == main || found.contains(&stat.parent)))
            {
                found.insert(child.pid);
            }
            found.into_iter().collect()
        }
        Some(_) | None => all
            .iter()
            .filter(|stat| stat.group == main && stat.name == service.process())
            .map(|stat| stat.pid)
            .collect(),
    }
}

/// The living processes of a stack, or of one of its services; never ourselves.
pub(crate) fn of_stack(dir: &Path, service: Option<Service>) -> Vec<u32> {
    let mark = format!("{MARK}={}", dir.display());
    let service_mark = service.map(|service| format!("{SERVICE_MARK}={service}"));
    let database = matches!(service, None | Some(Service::Postgres)).then(|| dir.join("data/postgres"));
    let belongs = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
        // PostgreSQL's children write their title over the environment; they are known by the folder they work in.
        has(&mark) && service_mark.as_deref().is_none_or(has)
            || database.as_ref().is_some_and(|data| {
                fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == *data) && is_named_postgres(process)
            })
    };
    let all: Vec<Stat> = numbers().filter_map(Stat::of).collect();
    let marked = all.iter().map(|stat| stat.pid).filter(|pid| belongs(Path::new(&format!("/proc/{pid}"))));
    let services = service.map_or_else(|| Service::ALL.to_vec(), |service| vec![service]);
    let noted = services.into_iter().flat_map(|service| remembered(dir, service, &all));
    let found: BTreeSet<u32> = marked.chain(noted).filter(|pid| *pid != std::process::id() && lives(*pid)).collect();
    found.into_iter().collect()
}

/// Kills what is left of a stack or service and waits until it is gone; says how many there were, or which would not go.
pub(crate) fn sweep(dir: &Path, service: Option<Service>, deadline: Duration) -> Result<usize, Vec<u32>> {
    let mut left = of_stack(dir, service);
    let found = left.len();
    let end = Instant::now() + deadline;
    while !left.is_empty() {
        if Instant::now() >= end {
            return Err(left);
        }
        left.iter().for_each(|pid| signal(*pid, Signal::KILL));
        std::thread::sleep(Duration::from_millis(10));
        // A child that was made while we looked is found in the next round.
        left = of_stack(dir, service);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
