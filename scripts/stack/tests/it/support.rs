//! Private stacks in folders that go away, and waiting for conditions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use stack::{Options, Service, Stack, StackError};

/// A folder of its own for each test, readable by the servers' users; removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stack-it-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn options<const N: usize>(&self, services: [Service; N]) -> Options {
        let mut options = Options::private(&self.0, services);
        options.binaries = Path::new(env!("CARGO_BIN_EXE_stack")).parent().unwrap().to_owned();
        options
    }

    /// Options with a stand-in for the edge, which takes its time to stop and is never ready; and the file that tells that
    /// it has begun.
    pub(crate) fn slow_to_stop(&self) -> (Options, PathBuf) {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let mut options = self.options([Service::Edge]);
        let binaries = self.0.join("binaries");
        std::fs::create_dir_all(&binaries).unwrap();
        symlink(options.binaries.join("stack"), binaries.join("stack")).unwrap();
        let edge = binaries.join("edge");
        std::fs::write(&edge, "#!/bin/sh\ntrap 'sleep 3; exit 0' TERM\n: >\"$0.begun\"\nwhile :; do sleep 0.1; done\n")
            .unwrap();
        std::fs::set_permissions(&edge, std::fs::Permissions::from_mode(0o755)).unwrap();
        options.binaries = binaries;
        (options, edge.with_extension("begun"))
    }

    /// The command `stack` on this folder, without what the caller's environment says about stacks.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
        let ours =
            std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("ORDERFLOW_"));
        ours.for_each(|name| _ = command.env_remove(name));
        command.arg("--dir").arg(&self.0).args(arguments);
        command
    }

    /// What a statement gives in the running stack's database.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let (output, said) = run(&mut self.command(&["psql", "-qAtc", statement]));
        assert!(said.is_empty(), "{statement}: {said}");
        output
    }

    pub(crate) fn start<const N: usize>(&self, services: [Service; N]) -> Stack {
        Stack::start(self.options(services)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let left = processes_of(&self.0);
        // A test that failed may have released it before.
        if let Ok(stack) = Stack::attach(&self.0) {
            stack.down().ok();
        }
        std::fs::remove_dir_all(&self.0).ok();
        assert!(left.is_empty() || std::thread::panicking(), "left behind: {left:?}");
    }
}

/// What a command writes: data, and words; which of them it ends with is the caller's to know.
pub(crate) fn run(command: &mut Command) -> (String, String) {
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    let words = text(output.stderr);
    (text(output.stdout), if output.status.success() { words } else { format!("{words}\n{}", output.status) })
}

/// Every process with the folder in its environment, arguments or working folder, found without the crate's help.
pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let text =
            |name| String::from_utf8_lossy(&std::fs::read(process.path().join(name)).unwrap_or_default()).into_owned();
        let cwd = std::fs::read_link(process.path().join("cwd")).unwrap_or_default().display().to_string();
        let ours = text("environ").contains(&folder) || text("cmdline").contains(&folder) || cwd.starts_with(&folder);
        if ours && pid != std::process::id() && !text("stat").contains(") Z ") {
            found.push(format!("{pid} {}", text("cmdline").replace('\0', " ").chars().take(120).collect::<String>()));
        }
    }
    found
}

/// Waits for a condition, with a deadline that fails the test.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until nobody is left of a folder's stack. A process that ends loses its memory, by which it is found, and for a
/// moment still holds its files: so the lock must be free, too.
pub(crate) fn eventually_gone(folder: &Path) {
    eventually("all processes gone", || processes_of(folder).is_empty());
    eventually("the lock is free", || matches!(Stack::attach(folder), Err(StackError::NotRunning(_))));
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

pub(crate) fn supervisor_pid(folder: &Path) -> u32 {
    std::fs::read_to_string(folder.join("run/supervisor.pid")).unwrap().trim().parse().unwrap()
}

pub(crate) fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}
