//! The only wiring: makes clients of the settings and hands them to the commands.

pub mod evolve;
pub mod plan;
pub mod rehearsal;
pub mod search;
pub mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use service_kit::{Admin, Door, Readiness, Tasks, host, http, signals};

use crate::apply::{self, Target};
use crate::config::{self, Apply, Format, Lint, Serve, Servers, Status, Watch};
use crate::connect::Connect;
use crate::elastic::Elastic;
use crate::files;
use crate::finding::{Finding, Severity};
use crate::http::{Access, Http};
use crate::lint;
use crate::postgres::Postgres;
use crate::serve::duty::Duty;
use crate::serve::{
    self, Supervisor,
    admin::Pages,
    board::Board,
    isolate::Isolator,
    letters,
    metrics::Metrics,
    parity::{self, Parity},
    probes::Probes,
    trials::Trials,
};
use crate::status::{self, Sources};
use crate::verify::stores::Stores;
use crate::watch::{self, Form};

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
    let all = read(&options.files.files, "nothing was applied")?;
    let target = Target { force: options.force, ..target(servers, &options.files.owner, options.wait)? };
    let mut print = |line: apply::Line| {
        // A closed pipe must not stop a deployment half way.
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    apply::apply(&target, &all, options.modules.as_deref(), &mut print).await.context("apply stopped")
}

/// The files of a folder; what is found in them goes to standard error.
fn read(folder: &Path, then: &str) -> anyhow::Result<files::Deployment> {
    match files::read(folder) {
        Ok(all) => {
            eprint!("{}", lint::human(&all.warnings));
            Ok(all)
        }
        Err(found) => {
            eprint!("{}", lint::human(&found));
            bail!("{} in {}; {then}", lint::counted(&found), folder.display());
        }
    }
}

fn target(servers: &Servers, owner: &str, wait: Duration) -> anyhow::Result<Target> {
    Ok(Target {
        kafka: servers.kafka.brokers()?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
        postgres: Postgres::new(&servers.postgres),
        elastic: elastic(servers)?,
        transforms: transforms(servers)?,
        connect: connect(servers)?,
        wait,
        force: false,
        owner: owner.to_owned(),
    })
}

/// `connectors status`: prints, and answers the exit code: 0 where all runs, 2 otherwise.
///
/// # Errors
/// Where no client can be made.
pub async fn status(servers: &Servers, options: &Status) -> anyhow::Result<u8> {
    let report = status::gather(&sources(servers, &options.supervisor)?).await;
    let text = if options.json || options.format == config::search::Format::Json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        status::table(&report)
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if report.ok { 0 } else { 2 })
}

/// `connectors watch`: draws or prints the status again and again, until it is interrupted or nobody reads it.
///
/// # Errors
/// Where no client can be made.
pub async fn watch(servers: &Servers, options: &Watch) -> anyhow::Result<()> {
    let sources = sources(servers, &options.supervisor)?;
    let form = match options.format {
        config::search::Format::Json => Form::Json,
        config::search::Format::Text if std::io::stdout().is_terminal() => Form::Screen,
        config::search::Format::Text => Form::Lines,
    };
    watch::run(&sources, options.every, options.looks, form).await;
    Ok(())
}

fn sources(servers: &Servers, supervisor: &str) -> anyhow::Result<Sources> {
    let rest = |base: &str, access: &Access| Http::new(base, status::BESIDE_TIMEOUT, access);
    let transforms_rest = rest(&servers.transforms, &Access::default())?;
    Ok(Sources {
        connect: connect(servers)?,
        connect_rest: rest(&servers.connect, &servers.connect_access.access()?)?,
        transforms: transforms(servers)?,
        transforms_rest: match servers.transforms_token.reveal() {
            "" => transforms_rest,
            token => transforms_rest.with_token(token),
        },
        kafka: servers.kafka.brokers()?,
        supervisor: supervisor.to_owned(),
    })
}

/// `connectors serve`: runs until told to stop.
///
/// # Errors
/// Where the listener or a client cannot be made.
pub async fn serve(servers: &Servers, options: &Serve) -> anyhow::Result<()> {
    let kafka = servers.kafka.brokers()?;
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
        elastic: elastic(servers)?,
        registry: schemas::registry::Registry::new(&servers.registry)?,
    };
    let connect = connect(servers)?;
    let connect_at = connect.base().to_owned();
    // Without either of them `/healthz` would say that all is well while nobody heals.
    let watcher = serve::watch(kafka.clone(), board.clone(), Arc::clone(&metrics), tasks.clone());
    tasks.spawn_vital("watcher of positions", watcher);
    let healer = options.instance.clone().or_else(host::name).unwrap_or_else(|| "localhost".to_owned());
    let duty = Duty::default();
    let shifts = duty.clone().run(kafka.clone(), healer.clone(), tasks.clone());
    tasks.spawn_vital("group of healers", shifts);
    let isolator = Isolator { connect: connect.clone(), probes: probes.clone(), kafka: kafka.clone(), healer };
    let limit = options.poison_per_minute;
    let trials = Trials::new(isolator, limit, board.clone(), Arc::clone(&metrics), tasks.clone());
    // They only tell: should one of them break, the healing goes on.
    let (transforms, numbers) = (transforms(servers)?, Arc::clone(&metrics));
    tasks.spawn(letters::watch(kafka.clone(), transforms, numbers, letters::EVERY, tasks.clone()));
    if 0 < options.parity_every {
        let stores = Stores { postgres: probes.postgres.clone(), elastic: probes.elastic.clone() };
        let (registry, metrics) = (probes.registry.clone(), Arc::clone(&metrics));
        let parity = Parity { kafka, registry, stores, metrics, pause: parity::PAUSE };
        tasks.spawn(parity::watch(parity, Duration::from_secs(options.parity_every), tasks.clone()));
    }
    let supervisor = Supervisor::new(connect, probes, board, metrics, answering, trials, duty);
    tasks.spawn_vital("supervisor of the sinks", supervisor.run(tasks.clone()));
    tracing::info!(listen = %options.listen, connect = connect_at, "watching the sinks");

    tasks.stopping().await;
    tasks.drain(GRACE).await;
    match tasks.broken() {
        Some(part) => bail!("the {part} ended before its time; whoever started this process should start it again"),
        None => Ok(()),
    }
}

fn connect(servers: &Servers) -> anyhow::Result<Connect> {
    Ok(Connect::with(&servers.connect, &servers.connect_access.access()?)?)
}

fn elastic(servers: &Servers) -> anyhow::Result<Elastic> {
    Ok(Elastic::with(&servers.elasticsearch, &servers.elasticsearch_access.access()?)?)
}

fn transforms(servers: &Servers) -> anyhow::Result<Connect> {
    let client = Connect::new(&servers.transforms)?;
    Ok(match servers.transforms_token.reveal() {
        "" => client,
        token => client.with_token(token),
    })
}
