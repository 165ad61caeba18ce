//! All processes of a moment, to ask for what a tree of them has used. PostgreSQL has a process for each connection.

use std::{fs, time::Duration};

use anyhow::{Context, ensure};

use super::{TICKS_PER_SECOND, kib};

/// The processes as the kernel had them.
#[derive(Debug)]
pub struct Table(Vec<(u32, Member)>);

/// A process as one of a tree.
#[derive(Debug, Eq, PartialEq)]
struct Member {
    parent: u32,
    /// Its own time and that of its children that have ended and were waited for.
    cpu: Duration,
}

impl Table {
    /// Those of now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn now() -> anyhow::Result<Self> {
        let entries = fs::read_dir("/proc").context("cannot read /proc")?.flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // What ends meanwhile is in its parent's time.
        let read = |pid: u32| member(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|it| (pid, it));
        Ok(Self(pids.filter_map(read).collect()))
    }

    /// User and system time of a process and of all below it so far, with those that have ended.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu(&self, root: u32) -> anyhow::Result<Duration> {
        Ok(self.tree(root)?.iter().map(|(_, member)| member.cpu).sum())
    }

    /// Memory that a process and all below it hold, in KiB. What one shares with others (the program's file, PostgreSQL's
    /// buffers) is counted once, as the most that one of them has of it.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn memory(&self, root: u32) -> anyhow::Result<u64> {
        let (mut own, mut shared) = (0, 0);
        for (pid, _) in self.tree(root)? {
            // One that has ended since the moment holds nothing.
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let of = |name| kib(&status, name).unwrap_or_default();
            own += of("RssAnon:");
            shared = shared.max(of("RssFile:") + of("RssShmem:"));
        }
        Ok(own + shared)
    }

    fn tree(&self, root: u32) -> anyhow::Result<Vec<&(u32, Member)>> {
        let mut tree: Vec<_> = self.0.iter().filter(|(pid, _)| *pid == root).collect();
        ensure!(!tree.is_empty(), "process {root} has ended");
        let mut looked = 0;
        while let Some((parent, _)) = tree.get(looked) {
            tree.extend(self.0.iter().filter(|(_, member)| member.parent == *parent));
            looked += 1;
        }
        Ok(tree)
    }
}

/// From `/proc/PID/stat`: fields 4 and 14 to 17.
fn member(stat: &str) -> Option<Member> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(1);
    let parent = fields.next()?.parse().ok()?;
    let ticks = fields.skip(9).take(4).map(|field| field.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    let cpu = Duration::from_secs_f64(ticks.iter().sum::<u64>() as f64 / TICKS_PER_SECOND);
    (ticks.len() == 4).then_some(Member { parent, cpu })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Instant};

    use super::*;
    use crate::process::Process;

    #[test]
    fn a_member_has_a_parent_and_the_time_of_its_children() {
        let stat = "42 (a ) (b) S 7 2 3 4 5 6 7 8 9 10 250 50 100 25 20 0 1 0 99";
        assert_eq!(member(stat), Some(Member { parent: 7, cpu: Duration::from_millis(4_250) }));
        assert_eq!((member("42 (a) S 1"), member("42 (a) S 1 2 3 4 5 6 7 8 9 10 1 2")), (None, None));
    }

    #[test]
    fn a_tree_has_the_time_and_the_memory_of_all_its_processes() {
        // A child that has ended, one that runs, and the shell itself.
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let args = vec!["-c".to_owned(), format!("({script}); ({script}; sleep 60) & sleep 60")];
        let process = Process::start(Path::new("sh"), &args).unwrap();
        let (pid, own) = (process.child.id(), || process.cpu().unwrap());
        let (begun, all) = (Instant::now(), || process.cpu_of_tree().unwrap());
        while all() < own() + Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(own() + Duration::from_millis(100) <= all(), "{:?} of all, {:?} of its own", all(), own());
        let table = Table::now().unwrap();
        let children: Vec<u32> =
            table.0.iter().filter(|(_, member)| member.parent == pid).map(|(child, _)| *child).collect();
        let (memory, alone) = (table.memory(pid).unwrap(), process.memory().unwrap().0);
        let largest = children.iter().map(|child| table.memory(*child).unwrap()).max().unwrap();
        assert!(alone.max(largest) < memory, "{memory} KiB of all, {alone} of the shell, {largest} of a child");
        // What the shell leaves behind ends with it or a minute later.
        drop(process);
        assert!(Table::now().unwrap().cpu(pid).is_err());
    }
}
