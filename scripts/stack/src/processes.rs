//! Processes as /proc shows them: whether one lives, its children, and what an earlier run left behind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::Service;

/// Every process of a stack carries the stack's folder and its own service in these variables; children inherit them.
pub(crate) const MARK: &str = "ORDERFLOW_STACK_MARK";
/// See [`MARK`].
pub(crate) const SERVICE_MARK: &str = "ORDERFLOW_STACK_SERVICE";

/// Whether a process is there and not a zombie: in a container nobody may reap.
pub(crate) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with(['Z', 'X'])))
        .unwrap_or(false)
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
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid != std::process::id() && belongs(&process.path()) && lives(pid) {
            found.push(pid);
        }
    }
    found
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
