//! What each process takes: CPU time as the kernel counts it, and memory, looked at from a thread of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::anyhow;
use stack::Service;

use crate::process::{Table, cpu_of_self};

/// Between two looks at memory.
const LOOK: Duration = Duration::from_millis(500);

/// What a process is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// It takes, checks and transforms orders, or heals: ours, or a peer of one.
    Program,
    /// It writes the stores: Kafka Connect, or a peer in its place.
    Writer,
    /// The broker, the registry and the stores.
    Server,
}

/// A process of the pipeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) pid: u32,
}

impl Part {
    pub(super) fn of_service(service: Service, pid: u32) -> Self {
        let role = match service {
            Service::Edge | Service::Transforms | Service::Connectors => Role::Program,
            Service::Connect => Role::Writer,
            Service::Kafka | Service::Postgres | Service::Elasticsearch | Service::Registry => Role::Server,
        };
        Self { name: service.name(), role, pid }
    }
}

/// CPU time so far.
#[derive(Clone, Debug)]
pub(super) struct Cpu {
    parts: Vec<Duration>,
    /// Of this program, which sends the orders and asks the stores.
    own: Duration,
}

/// CPU-seconds of something, in the order of the parts.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub(super) parts: Vec<f64>,
    pub(super) own: f64,
}

impl Used {
    /// What all parts of this role used.
    pub(super) fn of(&self, parts: &[Part], role: Role) -> f64 {
        parts.iter().zip(&self.parts).filter(|(part, _)| part.role == role).map(|(_, used)| used).sum()
    }
}

impl Cpu {
    pub(super) async fn now(parts: &[Part]) -> anyhow::Result<Self> {
        let pids: Vec<u32> = parts.iter().map(|part| part.pid).collect();
        // To read the kernel's table takes milliseconds, which no order is to wait for.
        let read = tokio::task::spawn_blocking(move || {
            let table = Table::now()?;
            pids.into_iter().map(|pid| table.cpu(pid)).collect::<anyhow::Result<_>>()
        });
        Ok(Self { parts: read.await??, own: cpu_of_self()? })
    }

    /// What was used since then, for each of so many.
    pub(super) fn since(&self, before: &Self, each: f64) -> Used {
        let used = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / each;
        let parts = self.parts.iter().zip(&before.parts).map(|(now, before)| used(*now, *before)).collect();
        Used { parts, own: used(self.own, before.own) }
    }
}

/// CPU-seconds in a second in which nothing flows.
pub(super) async fn idle(parts: &[Part], time: Duration) -> anyhow::Result<Used> {
    let before = Cpu::now(parts).await?;
    tokio::time::sleep(time).await;
    Ok(Cpu::now(parts).await?.since(&before, time.as_secs_f64()))
}

/// The most memory, in MiB.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Most {
    /// Of each part.
    pub(super) parts: Vec<f64>,
    /// Of the programs at one moment.
    pub(super) programs: f64,
    /// The same with what writes the stores.
    pub(super) with_writers: f64,
    /// Of all at one moment.
    pub(super) all: f64,
}

impl Most {
    fn of(parts: &[Part]) -> Self {
        Self { parts: vec![0.0; parts.len()], programs: 0.0, with_writers: 0.0, all: 0.0 }
    }

    /// Takes in one look.
    fn look(&mut self, parts: &[Part], mib: &[f64]) {
        for (most, now) in self.parts.iter_mut().zip(mib) {
            *most = most.max(*now);
        }
        let sum = |roles: &[Role]| -> f64 {
            parts.iter().zip(mib).filter(|(part, _)| roles.contains(&part.role)).map(|(_, mib)| mib).sum()
        };
        self.programs = self.programs.max(sum(&[Role::Program]));
        self.with_writers = self.with_writers.max(sum(&[Role::Program, Role::Writer]));
        self.all = self.all.max(mib.iter().sum());
    }
}

/// Looks at memory until it is asked what it saw.
pub(super) struct Memory {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Most>>,
}

impl Memory {
    pub(super) fn watch(parts: &[Part]) -> Self {
        let (ends, parts) = (Arc::new(AtomicBool::new(false)), parts.to_vec());
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut most = Most::of(&parts);
            while !told.load(Ordering::Relaxed) {
                let table = Table::now()?;
                let mib = |part: &Part| Ok(table.memory(part.pid)? as f64 / 1024.0);
                most.look(&parts, &parts.iter().map(mib).collect::<anyhow::Result<Vec<_>>>()?);
                thread::sleep(LOOK);
            }
            Ok(most)
        });
        Self { ends, thread }
    }

    pub(super) fn end(self) -> anyhow::Result<Most> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the watch over memory broke"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_memory_are_those_of_one_moment() {
        let parts = [Service::Kafka, Service::Edge, Service::Transforms, Service::Connect]
            .map(|service| Part::of_service(service, 1));
        let mut most = Most::of(&parts);
        most.look(&parts, &[500.0, 20.0, 60.0, 100.0]);
        most.look(&parts, &[510.0, 30.0, 40.0, 90.0]);
        let of_each = vec![510.0, 30.0, 60.0, 100.0];
        assert_eq!(most, Most { parts: of_each, programs: 80.0, with_writers: 180.0, all: 680.0 });
    }

    #[test]
    fn what_was_used_is_told_for_each() {
        let cpu = |edge, connect, own| Cpu {
            parts: [edge, connect].map(Duration::from_secs).to_vec(),
            own: Duration::from_secs(own),
        };
        let used = cpu(7, 9, 3).since(&cpu(4, 8, 1), 10.0);
        assert_eq!((&used.parts, used.own), (&vec![0.3, 0.1], 0.2));
        let parts = [Service::Edge, Service::Connect].map(|service| Part::of_service(service, 1));
        let of = |role| used.of(&parts, role);
        assert_eq!((of(Role::Program), of(Role::Writer), of(Role::Server)), (0.3, 0.1, 0.0));
    }
}
