//! What each service takes: CPU time as the kernel counts it, and memory, looked at from a thread of its own.

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

/// Services with their processes.
pub(super) type Services = [(Service, u32)];

/// CPU time so far.
#[derive(Clone, Debug)]
pub(super) struct Cpu {
    services: Vec<Duration>,
    /// Of this program, which sends the orders and asks the stores.
    own: Duration,
}

/// CPU-seconds of something, in the order of the services.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub(super) services: Vec<f64>,
    pub(super) own: f64,
}

impl Cpu {
    pub(super) async fn now(services: &Services) -> anyhow::Result<Self> {
        let pids: Vec<u32> = services.iter().map(|(_, pid)| *pid).collect();
        // To read the kernel's table takes milliseconds, which no order is to wait for.
        let read = tokio::task::spawn_blocking(move || {
            let table = Table::now()?;
            pids.into_iter().map(|pid| table.cpu(pid)).collect::<anyhow::Result<_>>()
        });
        Ok(Self { services: read.await??, own: cpu_of_self()? })
    }

    /// What was used since then, for each of so many.
    pub(super) fn since(&self, before: &Self, each: f64) -> Used {
        let used = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / each;
        let services = self.services.iter().zip(&before.services).map(|(now, before)| used(*now, *before)).collect();
        Used { services, own: used(self.own, before.own) }
    }
}

/// CPU-seconds in a second in which nothing flows.
pub(super) async fn idle(services: &Services, time: Duration) -> anyhow::Result<Used> {
    let before = Cpu::now(services).await?;
    tokio::time::sleep(time).await;
    Ok(Cpu::now(services).await?.since(&before, time.as_secs_f64()))
}

/// The most memory, in MiB.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Most {
    /// Of each service.
    pub(super) services: Vec<f64>,
    /// Of our three commands at one moment.
    pub(super) ours: f64,
    /// Of all at one moment.
    pub(super) all: f64,
}

impl Most {
    fn of(services: &Services) -> Self {
        Self { services: vec![0.0; services.len()], ours: 0.0, all: 0.0 }
    }

    /// Takes in one look.
    fn look(&mut self, services: &Services, mib: &[f64]) {
        for (most, now) in self.services.iter_mut().zip(mib) {
            *most = most.max(*now);
        }
        let ours = services.iter().zip(mib).filter(|((service, _), _)| service.is_ours()).map(|(_, mib)| mib);
        self.ours = self.ours.max(ours.sum());
        self.all = self.all.max(mib.iter().sum());
    }
}

/// Looks at memory until it is asked what it saw.
pub(super) struct Memory {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Most>>,
}

impl Memory {
    pub(super) fn watch(services: &Services) -> Self {
        let (ends, services) = (Arc::new(AtomicBool::new(false)), services.to_vec());
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut most = Most::of(&services);
            while !told.load(Ordering::Relaxed) {
                let table = Table::now()?;
                let mib = |(_, pid): &(Service, u32)| Ok(table.memory(*pid)? as f64 / 1024.0);
                most.look(&services, &services.iter().map(mib).collect::<anyhow::Result<Vec<_>>>()?);
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
        let services = [(Service::Kafka, 1), (Service::Edge, 2), (Service::Transforms, 3)];
        let mut most = Most::of(&services);
        most.look(&services, &[500.0, 20.0, 60.0]);
        most.look(&services, &[510.0, 30.0, 40.0]);
        assert_eq!(most, Most { services: vec![510.0, 30.0, 60.0], ours: 80.0, all: 580.0 });
    }

    #[test]
    fn what_was_used_is_told_for_each() {
        let cpu = |kafka, own| Cpu { services: vec![Duration::from_secs(kafka)], own: Duration::from_secs(own) };
        let used = cpu(7, 3).since(&cpu(4, 1), 10.0);
        assert_eq!((used.services, used.own), (vec![0.3], 0.2));
    }
}
