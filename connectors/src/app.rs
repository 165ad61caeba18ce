//! The only wiring: makes clients of the settings and hands them to the commands.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use prometheus_client::registry::Registry;
use service_kit::{Admin, Door, Readiness, Tasks, http, signals};
use tokio::task::{JoinError, JoinHandle};

use crate::apply::{self, Target};
use crate::config::{Apply, Serve, Servers, Status};
use crate::connect::Connect;
use crate::elastic::Elastic;
use crate::files;
use crate::postgres::Postgres;
use crate::serve::{self, Supervisor, admin::Pages, board::Board, metrics::Metrics, probes::Probes};
use crate::status::{self, Sources};

/// A stop waits for an open request to Connect, not for more.
const GRACE: Duration = Duration::from_secs(10);

/// `connectors apply`: checks all files, then deploys them, and prints a line for each thing.
///
/// # Errors
/// All faults of the files, or the step that could not be done.
pub async fn apply(servers: &Servers, options: &Apply) -> anyhow::Result<()> {
    let all = match files::read(&options.files) {
        Ok(all) => all,
        Err(faults) => {
            for fault in &faults {
                eprintln!("{fault}");
            }
            bail!("{} fault(s) in {}; nothing was applied", faults.len(), options.files.display());
        }
    };
    let target = target(servers, options)?;
    let mut print = |line: apply::Line| {
        // A closed pipe must not stop a deployment half way.
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    apply::apply(&target, &all, options.modules.as_deref(), &mut print).await.context("apply stopped")
}

fn target(servers: &Servers, options: &Apply) -> anyhow::Result<Target> {
    Ok(Target {
        kafka: servers.kafka.clone(),
        registry: schemas::registry::Registry::new(&servers.registry)?,
        postgres: Postgres::new(&servers.postgres),
        elastic: Elastic::new(&servers.elasticsearch)?,
        transforms: transforms(servers)?,
        connect: Connect::new(&servers.connect)?,
        wait: options.wait,
    })
}

/// `connectors status`: prints, and answers the exit code: 0 where all runs, 2 otherwise.
///
/// # Errors
/// Where no client can be made.
pub async fn status(servers: &Servers, options: &Status) -> anyhow::Result<u8> {
    let sources = Sources {
        connect: Connect::new(&servers.connect)?,
        transforms: transforms(servers)?,
        kafka: servers.kafka.clone(),
        supervisor: options.supervisor.clone(),
    };
    let report = status::gather(&sources).await;
    let text = if options.json { serde_json::to_string_pretty(&report)? + "\n" } else { status::table(&report) };
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if report.ok { 0 } else { 2 })
}

/// `connectors serve`: runs until told to stop.
///
/// # Errors
/// Where the listener or a client cannot be made.
pub async fn serve(servers: &Servers, options: &Serve) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    signals::watch(&tasks)?;
    let readiness = Readiness::new();
    let answering = readiness.condition("kafka-connect");
    let metrics = Arc::new(Metrics::default());
    let mut numbers = Registry::default();
    metrics.register(&mut numbers);
    let board = Board::default();

    let door = Door::loopback().with_hosts(options.hosts.iter().cloned());
    let pages = Pages::new(Admin::new(readiness, Arc::new(numbers), door.clone()), door, board.clone());
    let listener = http::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    tasks.spawn(http::serve(listener, pages, http::Limits::default(), tasks.clone()));

    let probes = Probes {
        postgres: Postgres::new(&servers.postgres),
        elastic: Elastic::new(&servers.elasticsearch)?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
    };
    let connect = Connect::new(&servers.connect)?;
    let watcher = tasks.spawn(serve::watch(servers.kafka.clone(), board.clone(), Arc::clone(&metrics), tasks.clone()));
    let supervisor = Supervisor::new(connect, probes, board, metrics, answering);
    let supervisor = tasks.spawn(supervisor.run(tasks.clone()));
    tracing::info!(listen = %options.listen, connect = servers.connect, "watching the sinks");

    let ended = until_stop(&tasks, supervisor, watcher).await;
    tasks.drain(GRACE).await;
    ended
}

/// A part that ends before the stop, as by a panic, would leave `/healthz` saying that all is well while nobody heals:
/// the process ends instead, and whoever runs it starts it again.
async fn until_stop(tasks: &Tasks, supervisor: Part, watcher: Part) -> anyhow::Result<()> {
    tokio::select! {
        // First: a part that ends because of the stop ends after it.
        biased;
        () = tasks.stopping() => Ok(()),
        ended = supervisor => Err(ended_early("the supervisor of the sinks", ended)),
        ended = watcher => Err(ended_early("the watcher of positions", ended)),
    }
}

type Part = JoinHandle<Option<()>>;

fn ended_early(part: &str, ended: Result<Option<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(_) => anyhow!("{part} ended by itself; start `connectors serve` again"),
        Err(fault) => anyhow!("{part} ended by a fault of this program ({fault}); start `connectors serve` again"),
    }
}

fn transforms(servers: &Servers) -> anyhow::Result<Connect> {
    let client = Connect::new(&servers.transforms)?;
    Ok(match servers.transforms_token.reveal() {
        "" => client,
        token => client.with_token(token),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(tasks: &Tasks, watcher: impl Future<Output = ()> + Send + 'static) -> Option<String> {
        let supervisor = tasks.spawn(tasks.clone().stop_token().cancelled_owned());
        let watcher = tasks.spawn(watcher);
        until_stop(tasks, supervisor, watcher).await.err().map(|err| err.to_string())
    }

    #[tokio::test]
    async fn a_part_that_dies_ends_the_process_with_its_name_and_reason() {
        let fault = told(&Tasks::new(), async { panic!("out of bounds") }).await.unwrap();
        assert!(fault.contains("watcher of positions") && fault.contains("out of bounds"), "{fault}");
        let fault = told(&Tasks::new(), async {}).await.unwrap();
        assert!(fault.contains("ended by itself"), "{fault}");
    }

    #[tokio::test]
    async fn a_part_that_ends_with_the_stop_is_no_fault() {
        let tasks = Tasks::new();
        let stop = tasks.clone();
        assert_eq!(told(&tasks, async move { stop.stop() }).await, None);
    }
}
