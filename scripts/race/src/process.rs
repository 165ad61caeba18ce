//! A measured process: started, asked for its CPU time and memory as the kernel has them, and ended.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

mod table;

pub use table::Table;

/// What `/proc` counts CPU time in, `USER_HZ`: the same on every Linux, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process of ours, which does not outlive this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    /// When it was started.
    pub started: Instant,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a program. What it writes to standard error is shown.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, args: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::piped());
        Self::spawn(command)
    }

    /// Starts what a command says, with no input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let name = command.get_program().display().to_string();
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name, started })
    }

    /// User and system time of all its threads and of all processes below it so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_of_tree(&self) -> anyhow::Result<Duration> {
        cpu_of_tree(self.child.id())
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by the signal's name: STOP holds it, CONT lets it go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        ensure!(done.success(), "{} took no signal {name} ({done})", self.name);
        Ok(())
    }

    /// Its standard output.
    pub fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// User and system time of all its threads so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.read("stat")?;
        cpu(&stat).with_context(|| format!("cannot read {stat:?}"))
    }

    /// Memory that it holds now, and the most that it held, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = self.read("status")?;
        let of = |name: &str| kib(&status, name).with_context(|| format!("{} has no {name}", self.name));
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended, with how.
    pub fn ensure_runs(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{} ended ({})", self.name, ended.unwrap_or_default());
        Ok(())
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path} of {}", self.name))
    }
}

/// User and system time of this process so far.
///
/// # Errors
/// When the kernel does not tell.
pub fn cpu_of_self() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    cpu(&stat).with_context(|| format!("cannot read {stat:?}"))
}

/// User and system time of a process of somebody else's and of all below it so far, with those that have ended.
///
/// # Errors
/// When the process has ended, or the kernel does not tell.
pub fn cpu_of_tree(root: u32) -> anyhow::Result<Duration> {
    Table::now()?.cpu(root)
}

/// The most memory that a process of somebody else's held, in KiB.
///
/// # Errors
/// When it has ended.
pub fn most_memory(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    kib(&status, "VmHWM:").with_context(|| format!("{path} has no VmHWM"))
}

/// An address on loopback that is free now.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr()?)
}

/// From `/proc/PID/stat`: fields 14 and 15. The name in brackets may hold anything, so they are counted from its end.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()? + ticks()?;
    Some(Duration::from_secs_f64(total as f64 / TICKS_PER_SECOND))
}

/// From `/proc/PID/status`.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_that_of_user_and_system_whatever_the_process_is_called() {
        let stat = "42 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 250 50 7 8 20 0 1 0 99";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("42 (a) S 1"), None);
    }

    #[test]
    fn a_process_is_read_while_it_runs_and_ends_with_its_value() {
        let mut process = Process::start(Path::new("sleep"), &["60".to_owned()]).unwrap();
        let (now, most) = process.memory().unwrap();
        assert!(0 < now && now <= most);
        assert!(process.cpu().unwrap() < Duration::from_secs(5));
        process.ensure_runs().unwrap();
        let stat = format!("/proc/{}", process.child.id());
        let begun = Instant::now();
        drop(process);
        assert!(!Path::new(&stat).exists() && begun.elapsed() < Duration::from_secs(30), "ended, not waited for");
        assert!(Process::start(Path::new("/nowhere/x"), &[]).unwrap_err().to_string().contains("/nowhere/x"));
    }
}
