//! Start, death, stop: who lives when, and that nobody is left.

use std::time::Duration;

use stack::{Service, Stack, StackError, State};

use crate::support::{Folder, eventually, eventually_gone, listens, processes_of, run, signal, supervisor_pid};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_killed_server_is_started_again_and_status_says_so() {
    let folder = Folder::new("killed");
    let stack = folder.start([Service::Postgres]);
    let first = stack.pid(Service::Postgres).unwrap();
    stack.kill(Service::Postgres).unwrap();
    eventually("another process", || stack.pid(Service::Postgres).is_ok_and(|pid| pid != first));
    stack.wait_ready(Service::Postgres, SOON).unwrap();
    let status = stack.status_of(Service::Postgres).unwrap();
    assert!(status.restarts >= 1, "{status:?}");
}

#[test]
fn a_stopped_server_stays_down_until_it_is_started() {
    let folder = Folder::new("stopped");
    let stack = folder.start([Service::Postgres]);
    stack.stop(Service::Postgres).unwrap();
    let status = stack.status_of(Service::Postgres).unwrap();
    assert_eq!((status.state, status.pid), (State::Stopped, None));
    assert!(!listens(stack.endpoints().postgres.port));
    stack.start_again(Service::Postgres).unwrap();
    stack.wait_ready(Service::Postgres, SOON).unwrap();
    let before = stack.pid(Service::Postgres).unwrap();
    stack.restart(Service::Postgres).unwrap();
    stack.wait_ready(Service::Postgres, SOON).unwrap();
    assert_ne!(stack.pid(Service::Postgres).unwrap(), before);
    assert_eq!(stack.status_of(Service::Postgres).unwrap().restarts, 0, "what was asked for is no death");
}

#[test]
fn a_frozen_server_can_be_stopped() {
    let folder = Folder::new("frozen");
    let stack = folder.start([Service::Postgres]);
    signal(stack.pid(Service::Postgres).unwrap(), "STOP");
    stack.stop(Service::Postgres).unwrap();
    assert_eq!(stack.status_of(Service::Postgres).unwrap().state, State::Stopped);
}

#[test]
fn nothing_is_left_when_the_value_is_dropped() {
    let folder = Folder::new("dropped");
    let stack = folder.start([Service::Postgres]);
    let port = stack.endpoints().postgres.port;
    assert!(listens(port));
    drop(stack);
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    assert!(!listens(port));
}

/// Elasticsearch's launcher and Kafka's JVM would live on: each is tied in its own way.
#[test]
fn a_killed_supervisor_leaves_no_orphan() {
    // As in a container whose first process does not reap: what dies without its parent stays as a zombie.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let folder = Folder::new("orphans");
    let all = [Service::Postgres, Service::Kafka, Service::Elasticsearch];
    let stack = folder.start(all);
    folder.sql("create table kept (n int); insert into kept values (42)");
    assert!(processes_of(folder.path()).len() >= 5, "{:?}", processes_of(folder.path()));
    signal(supervisor_pid(folder.path()), "KILL");
    eventually_gone(folder.path());
    // The folder can be used again at once, with its data.
    drop(stack);
    let again = folder.start(all);
    assert_eq!(folder.sql("select n from kept"), "42");
    for service in all {
        assert_eq!(again.status_of(service).unwrap().restarts, 0, "{service} took a dead process for a living one");
    }
}

/// The greeting is long past, but nothing is ready and nobody has released it.
#[test]
fn a_starter_that_is_killed_takes_what_it_has_begun_with_it() {
    let folder = Folder::new("starter");
    let mut starter = folder.command(&["up", "--free-ports", "--services", "postgres"]).spawn().unwrap();
    eventually("a supervisor", || folder.path().join("run/supervisor.pid").exists());
    starter.kill().unwrap();
    starter.wait().unwrap();
    eventually_gone(folder.path());
}

#[test]
fn a_stack_that_is_stopping_takes_no_orders_and_up_waits_for_it() {
    let folder = Folder::new("stopping");
    let (options, begun) = folder.slow_to_stop();
    let stack = Stack::begin(options).unwrap();
    let attached = Stack::attach(folder.path()).unwrap();
    assert!(!attached.is_stopping().unwrap());
    eventually("the edge", || begun.exists());
    let stopping = std::thread::spawn(move || stack.down());
    eventually("it stops", || attached.is_stopping().unwrap());
    for fault in [attached.start_again(Service::Edge), attached.restart(Service::Edge)] {
        let fault = fault.unwrap_err().to_string();
        assert!(fault.contains("the stack is stopping"), "{fault}");
    }
    let (said, words) = run(&mut folder.command(&["up", "--free-ports", "--services", "postgres"]));
    assert!(said.contains("PostgreSQL") && words.contains("waiting for it"), "{said}{words}");
    stopping.join().unwrap().unwrap();
    let again = Stack::attach(folder.path()).unwrap();
    assert_eq!(again.services(), [Service::Postgres]);
    again.down().unwrap();
}

#[test]
fn the_stack_ends_with_the_process_that_started_it_unless_it_is_released() {
    let folder = Folder::new("owner");
    let mut options = folder.options([Service::Postgres]);
    options.ports = stack::PortChoice::Free;
    let stack = Stack::start(options).unwrap();
    stack.release().unwrap();
    let attached = Stack::attach(folder.path()).unwrap();
    assert_eq!(attached.status_of(Service::Postgres).unwrap().state, State::Ready);
    drop(attached);
    let attached = Stack::attach(folder.path()).unwrap();
    attached.down().unwrap();
    assert!(matches!(Stack::attach(folder.path()), Err(StackError::NotRunning(_))));
}

#[test]
fn a_private_stack_does_not_disturb_another() {
    let (one, other) = (Folder::new("one"), Folder::new("other"));
    let first = one.start([Service::Postgres]);
    let second = other.start([Service::Postgres]);
    assert_ne!(first.endpoints().postgres.port, second.endpoints().postgres.port);
    let pid = first.pid(Service::Postgres).unwrap();
    second.kill(Service::Postgres).unwrap();
    drop(second);
    assert_eq!(first.pid(Service::Postgres).unwrap(), pid);
    assert_eq!(first.status_of(Service::Postgres).unwrap().restarts, 0);
}

#[test]
fn a_folder_has_one_stack_at_a_time() {
    let folder = Folder::new("twice");
    let stack = folder.start([Service::Postgres]);
    let second = Stack::start(folder.options([Service::Postgres]));
    assert!(matches!(second, Err(StackError::AlreadyRunning(_))), "{second:?}");
    assert_eq!(stack.status_of(Service::Postgres).unwrap().restarts, 0);
}

#[test]
fn data_outlives_a_stop_and_ends_with_a_wipe() {
    let folder = Folder::new("data");
    let password = folder.start([Service::Postgres]).endpoints().postgres.password.clone();
    let made = std::fs::metadata(folder.path().join("data/postgres/PG_VERSION")).unwrap().modified().unwrap();
    let stack = folder.start([Service::Postgres]);
    assert_eq!(stack.endpoints().postgres.password, password);
    assert_eq!(std::fs::metadata(folder.path().join("data/postgres/PG_VERSION")).unwrap().modified().unwrap(), made);
    assert!(Stack::wipe(folder.path()).is_err(), "a running stack must not be wiped");
    drop(stack);
    Stack::wipe(folder.path()).unwrap();
    assert!(!folder.path().join("data").exists() && !folder.path().join("config").exists());
}
