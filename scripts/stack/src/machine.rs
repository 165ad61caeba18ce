//! Where a bench or a fault run was made, and of what: without it a figure says nothing.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    process::Command,
};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A machine, and what ran on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// When, UTC.
    pub date: String,
    /// The processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
    /// Processes that wanted a core when the bench began: above 1, others were at work.
    pub load: String,
    /// The commit, with `+` when files were changed after it.
    pub commit: String,
    /// The compiler.
    pub rustc: String,
}

impl Machine {
    /// This one, now. What cannot be told is `unknown`.
    #[must_use]
    pub fn now() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = field(&meminfo, "MemTotal").and_then(|value| value.strip_suffix(" kB")?.parse::<u64>().ok());
        let changed =
            run("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
        let commit = run("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_else(|_| unknown()),
            cpu: field(&cpuinfo, "model name").map_or_else(unknown, str::to_owned),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib.unwrap_or_default() / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().into()),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            commit: if changed { commit + "+" } else { commit },
            rustc: run("rustc", &["--version"]).unwrap_or_else(unknown),
        }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { date, cpu, cores, memory_mib, kernel, load, commit, rustc } = self;
        writeln!(f, "machine: {cores} x {cpu}, {memory_mib} MiB, Linux {kernel}, load {load} at the beginning")?;
        write!(f, "versions: commit {commit}, {rustc}; {date}")
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The value of `name : value` in a file of `/proc`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim()))
}

fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_knows_what_it_is() {
        let machine = Machine::now();
        assert!(0 < machine.cores && 0 < machine.memory_mib, "{machine:?}");
        assert!(machine.rustc.starts_with("rustc 1.") && machine.date.starts_with("20"), "{machine:?}");
        assert_eq!(field("a: 1\nmodel name\t: X Y\n", "model name"), Some("X Y"));
    }
}
