//! Private stacks in folders that go away, and waiting for conditions.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stack::{Options, Service, Stack};

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

    pub(crate) fn start<const N: usize>(&self, services: [Service; N]) -> Stack {
        Stack::start(self.options(services)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let left = processes_of(&self.0);
        std::fs::remove_dir_all(&self.0).ok();
        assert!(left.is_empty() || std::thread::panicking(), "left behind: {left:?}");
    }
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

pub(crate) fn signal(pid: u32, name: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

pub(crate) fn supervisor_pid(folder: &Path) -> u32 {
    std::fs::read_to_string(folder.join("run/supervisor.pid")).unwrap().trim().parse().unwrap()
}

pub(crate) fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}
