//! The only wiring: makes clients of the settings and hands them to the commands.

pub mod rehearsal;
pub mod search;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use service_kit::{Admin, Door, Readiness, Tasks, host, http, signals};

use crate::apply::{self, Target};
use crate::config::{Apply, Format, Lint, Serve, Servers, Status};
use crate::connect::Connect;
use crate::elastic::Elastic;
use crate::files;
use crate::finding::{Finding, Severity};
use crate::lint;
use crate::postgres::Postgres;
use crate::serve::duty::Duty;
use crate::serve::{
    self, Supervisor, admin::Pages, board::Board, isolate::Isolator, metrics::Metrics, probes::Probes, trials::Trials,
};
use crate::status::{self, Sources};

/// A stop waits for an open request to Connect, not for more.
const GRACE: Duration = Duration::from_secs(10);

/// `connectors lint`: prints what was found, and answers the exit code: 0 where nothing is wrong, 1 otherwise.
///
/// # Errors
/// Where the findings cannot be written as JSON.
pub fn lint(options: &Lint) -> anyhow::Result<u8> {
    let found = lint::findings(&options.paths);
    let text = match options.format {
        Format::Human => lint::human(&found),
        Format::Json => lint::json(&found)? + "\n",
        Format::Github => lint::github(&found),
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    if options.format == Format::Human {
        eprintln!("{}", lint::counted(&found));
    }
    let wrong = |finding: &Finding| options.deny_warnings || finding.severity == Severity::Error;
    Ok(u8::from(found.iter().any(wrong)))
}

/// `connectors apply`: checks all files, then deploys them, and prints a line for each thing.
///
/// # Errors
/// All faults of the files, or the step that could not be done.
pub async fn apply(servers: &Servers, options: &Apply) -> anyhow::Result<()> {
    let all = match files::read(&options.files) {
        Ok(all) => all,
        Err(found) => {
            eprint!("{}", lint::human(&found));
            bail!("{} in {}; nothing was applied", lint::counted(&found), options.files.display());
        }
    };
    eprint!("{}", lint::human(&all.warnings));
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
        force: options.force,
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
    tasks.spawn_vital("port", http::serve(listener, pages, http::Limits::default(), tasks.clone()));

    tasks.spawn(rehearsal::sources(servers)?.traces().watch(tasks.clone()));
    let probes = Probes {
        postgres: Postgres::new(&servers.postgres),
        elastic: Elastic::new(&servers.elasticsearch)?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
    };
    let connect = Connect::new(&servers.connect)?;
    // Without either of them `/healthz` would say that all is well while nobody heals.
    let watcher = serve::watch(servers.kafka.clone(), board.clone(), Arc::clone(&metrics), tasks.clone());
    tasks.spawn_vital("watcher of positions", watcher);
    let healer = options.instance.clone().or_else(host::name).unwrap_or_else(|| "localhost".to_owned());
    let duty = Duty::default();
    let shifts = duty.clone().run(servers.kafka.clone(), healer.clone(), tasks.clone());
    tasks.spawn_vital("group of healers", shifts);
    let isolator = Isolator { connect: connect.clone(), probes: probes.clone(), kafka: servers.kafka.clone(), healer };
    let limit = options.poison_per_minute;
    let trials = Trials::new(isolator, limit, board.clone(), Arc::clone(&metrics), tasks.clone());
    let supervisor = Supervisor::new(connect, probes, board, metrics, answering, trials, duty);
    tasks.spawn_vital("supervisor of the sinks", supervisor.run(tasks.clone()));
    tracing::info!(listen = %options.listen, connect = servers.connect, "watching the sinks");

    tasks.stopping().await;
    tasks.drain(GRACE).await;
    match tasks.broken() {
        Some(part) => bail!("the {part} ended before its time; whoever started this process should start it again"),
        None => Ok(()),
    }
}

fn transforms(servers: &Servers) -> anyhow::Result<Connect> {
    let client = Connect::new(&servers.transforms)?;
    Ok(match servers.transforms_token.reveal() {
        "" => client,
        token => client.with_token(token),
    })
}
