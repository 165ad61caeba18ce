//! The command and the scripts around it, as a person runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stack::{Service, Stack};

use crate::support::{Folder, eventually, eventually_gone, listens, processes_of, run, signal, supervisor_pid};

const UP: [&str; 4] = ["up", "--free-ports", "--services", "postgres"];

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name))
}

/// A folder with stand-ins for programs, and with links to the real ones that a script needs beside them.
fn programs(folder: &Folder, stand_ins: &[(&str, &str)], real: &[&str]) -> PathBuf {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let path = folder.path().join("programs");
    std::fs::create_dir_all(&path).unwrap();
    for (name, text) in stand_ins {
        std::fs::write(path.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in real {
        symlink(Path::new("/usr/bin").join(name), path.join(name)).unwrap();
    }
    path
}

#[test]
fn a_strict_umask_locks_no_server_out_and_other_settings_are_not_dropped_in_silence() {
    let folder = Folder::new("umask");
    let mut command = folder.command(&UP);
    let mut strict = Command::new("sh");
    strict.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    let (said, words) = run(&mut strict);
    assert!(said.contains("PostgreSQL"), "{words}");

    let (said, words) = run(&mut command);
    assert!(said.contains("PostgreSQL") && words.contains("already running"), "{words}");
    let (_, words) = run(&mut folder.command(&["up", "--free-ports", "--services", "postgres,kafka"]));
    assert!(
        words.contains("other settings (services); scripts/down first") && words.contains("exit status: 1"),
        "{words}"
    );
    Stack::attach(folder.path()).unwrap().down().unwrap();
}

#[test]
fn a_start_that_fails_says_why_before_it_stops_what_it_started() {
    let folder = Folder::new("why");
    drop(folder.start([Service::Postgres]));
    std::fs::write(folder.path().join("data/postgres/postgresql.conf"), "this_is_no_setting = 1\n").unwrap();
    let (_, words) = run(&mut folder.command(&UP));
    let at = |what: &str| words.find(what).unwrap_or_else(|| panic!("{what:?} is not in {words}"));
    assert!(at("FAILED: postgres is not ready") < at("this_is_no_setting"), "{words}");
    assert!(at("this_is_no_setting") < at("stopping what was started"), "{words}");
    assert!(words.contains("exit status: 1"), "{words}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn a_port_that_a_leftover_of_ours_holds_is_free() {
    let folder = Folder::new("leftover");
    drop(folder.start([Service::Postgres]));
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let listen = format!(
        "import socket, time\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\ns.bind(('127.0.0.1', {port}))\ns.listen()\ntime.sleep(600)"
    );
    let mut leftover = Command::new("python3");
    let dir = std::fs::canonicalize(folder.path()).unwrap();
    let mut leftover = leftover.args(["-c", &listen]).env("ORDERFLOW_STACK_MARK", dir).spawn().unwrap();
    eventually("it listens", || listens(port));
    let setting = format!("postgres={port}");
    let (said, words) = run(&mut folder.command(&["up", "--services", "postgres", "--port", &setting]));
    assert!(said.contains("PostgreSQL") && words.contains("left behind (processes: 1)"), "{words}");
    leftover.wait().unwrap();
    Stack::attach(folder.path()).unwrap().down().unwrap();
}

#[test]
fn down_stops_a_stack_whose_command_is_gone_and_says_what_it_cannot_do() {
    let folder = Folder::new("unbuilt-down");
    let down = || {
        let mut command = script("down");
        command.env("CARGO_TARGET_DIR", "/nonexistent").env("ORDERFLOW_STACK_DIR", folder.path());
        command
    };
    let (_, words) = run(&mut down());
    assert!(words.ends_with(&format!("nothing is running in {}", folder.path().display())), "{words}");
    folder.start([Service::Postgres]).release().unwrap();
    let (_, words) = run(&mut down());
    assert!(words.ends_with("stopped; the data is kept"), "{words}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());

    let (_, words) = run(down().arg("--wipe"));
    assert!(words.contains("`--wipe`") && words.contains("cargo build") && words.contains("exit status: 1"), "{words}");
    let stack = folder.start([Service::Postgres]);
    signal(supervisor_pid(folder.path()), "KILL");
    eventually_gone(folder.path());
    let (_, words) = run(&mut down());
    assert!(words.contains("was killed") && words.contains("exit status: 1"), "{words}");
    drop(stack);
}

#[test]
fn a_first_build_on_a_full_disk_is_refused_with_both_numbers() {
    let folder = Folder::new("full");
    let df =
        "echo 'Filesystem 1048576-blocks Used Available Capacity Mounted on'\necho '/dev/x 100000 99000 1234 99% /'";
    let programs = programs(&folder, &[("df", df)], &["dirname", "awk"]);
    let (_, words) = run(script("up").env("PATH", programs).env("CARGO_TARGET_DIR", "/nonexistent"));
    assert!(words.contains("1234 MB are free, 6000 MB are needed") && words.contains("exit status: 1"), "{words}");
}

#[test]
fn a_rust_that_is_too_old_is_refused_in_one_line() {
    let folder = Folder::new("old-rust");
    let old = [("rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'"), ("cargo", "exit 1")];
    let programs = programs(&folder, &old, &["dirname", "sed", "cut", "sort", "head"]);
    let mut install = script("stack/install");
    let (_, words) = run(install.env("PATH", programs).stdout(Stdio::null()));
    assert!(words.starts_with("install: Rust 1.63.0 is too old") && words.lines().count() == 2, "{words}");
}
