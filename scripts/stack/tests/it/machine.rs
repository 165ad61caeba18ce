//! What may be wrong with the machine: each is one clear fault, and nothing is left half-started.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use stack::{PortChoice, Service, Stack, State, ports::Ports};

use crate::support::{Folder, eventually, processes_of};

/// Ports of the documented set moved away from the user's, with PostgreSQL's on the given one.
fn ports_with_postgres_on(port: u16, folder: &Folder) -> stack::Options {
    let mut options = folder.options([Service::Postgres]);
    options.ports = PortChoice::Fixed(Ports::default());
    options.set_ports(&[format!("postgres={port}")]).unwrap();
    options
}

#[test]
fn a_taken_port_is_named_and_nothing_is_started() {
    let folder = Folder::new("taken");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fault = Stack::start(ports_with_postgres_on(port, &folder)).unwrap_err().to_string();
    assert!(fault.contains(&format!("port {port} (postgres) is taken by pid {}", std::process::id())), "{fault}");
    assert!(fault.contains("--port postgres="), "{fault}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    drop(listener);
    Stack::start(ports_with_postgres_on(port, &folder)).unwrap();
}

#[test]
fn a_server_that_cannot_start_is_shown_with_its_log_and_nothing_is_left() {
    let folder = Folder::new("broken");
    drop(folder.start([Service::Postgres]));
    std::fs::write(folder.path().join("data/postgres/postgresql.conf"), "this_is_no_setting = 1\n").unwrap();
    let fault = Stack::start(folder.options([Service::Postgres])).unwrap_err().to_string();
    assert!(fault.contains("postgres is not ready") && fault.contains("this_is_no_setting"), "{fault}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn a_server_that_keeps_dying_is_given_up_and_status_says_so() {
    let folder = Folder::new("loop");
    let stack = folder.start([Service::Postgres]);
    std::fs::write(folder.path().join("data/postgres/postgresql.conf"), "this_is_no_setting = 1\n").unwrap();
    stack.kill(Service::Postgres).unwrap();
    eventually("given up", || stack.status_of(Service::Postgres).unwrap().state == State::Failed);
    let status = stack.status_of(Service::Postgres).unwrap();
    assert!(status.note.contains("left alone") && status.note.contains("stack restart postgres"), "{status:?}");
    std::fs::write(folder.path().join("data/postgres/postgresql.conf"), "").unwrap();
    stack.restart(Service::Postgres).unwrap();
    stack.wait_ready(Service::Postgres, std::time::Duration::from_secs(30)).unwrap();
}

#[test]
fn a_missing_command_of_ours_is_named_with_the_way_to_build_it() {
    let folder = Folder::new("unbuilt");
    let mut options = folder.options([Service::Postgres]);
    options.binaries = folder.path().join("nowhere");
    let fault = Stack::start(options).unwrap_err().to_string();
    assert!(fault.contains("nowhere/stack is missing") && fault.contains("cargo build"), "{fault}");
}

#[test]
fn missing_server_files_are_named_with_the_way_to_get_them() {
    let folder = Folder::new("unfetched");
    let mut options = folder.options([Service::Kafka]);
    options.servers = folder.path().join("nothing-here");
    let fault = Stack::start(options).unwrap_err().to_string();
    assert!(fault.contains("nothing-here") && fault.contains("stack fetch"), "{fault}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn the_password_is_for_its_owner_alone() {
    let folder = Folder::new("secret");
    let stack = folder.start([Service::Postgres]);
    for file in ["config/postgres-password", "run/endpoints.json", "run/options.json"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    assert_eq!(stack.endpoints().postgres.password.len(), 32);
}
