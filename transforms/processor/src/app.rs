//! The wiring of `serve`: the only place where Kafka, registry, engine and API meet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use schemas::names::topics;
use schemas::registry::Registry;
use service_kit::{Admin, Door, Readiness, Reloads, Tasks, http, signals};
use transform_host::{Engine, Limits};

use crate::config::Config;
use crate::intake::child::Child;
use crate::lookup::Lookups;
use crate::pipeline::lag;
use crate::pipeline::manager::{Manager, Site};
use crate::pipeline::plan::Materials;
use crate::rest::{Api, Memory, Service, Turns};
use crate::state::catalog::Catalog;
use crate::state::{follow, write::Writer};
use crate::{control, logs, metrics};

/// Exit must be certain within ten seconds.
const GRACE: Duration = Duration::from_millis(9_500);
/// A broker that has not answered for so long counts as away; it is asked every three seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// Serves until told to stop.
///
/// # Errors
/// When something that cannot come later is missing: the port, the engine.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    signals::watch(&tasks)?;
    let (hangup, reloads, tokens) = (signals::hangup()?, Reloads::default(), config.tokens.clone());
    reloads.add("tokens", move || tokens.reload());
    tasks.spawn(reloads.at_each(hangup, tasks.clone()));
    start(config, &tasks).await?;
    tasks.stopping().await;
    tasks.drain(GRACE).await;
    match tasks.broken() {
        Some(part) => bail!("{part} hung or ended before its time; whoever started this process should start it again"),
        None => Ok(()),
    }
}

/// Starts everything, as tasks of `tasks`; answers where the REST API listens.
///
/// # Errors
/// When something that cannot come later is missing: the port, the engine.
pub async fn start(config: Config, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let listener = http::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let limits = Limits::default();
    let engine = Engine::new(limits.clone())?;
    let catalog = Arc::new(Catalog::new(Arc::clone(&engine)));
    let registry = Registry::new(&config.registry).context("cannot make a client for the schema registry")?;
    let client_id = format!("transforms-{}", config.instance);
    let site = Site { brokers: config.kafka.clone(), instance: config.instance.clone(), client_id: client_id.clone() };
    let writer = Arc::new(Writer::new(&config.kafka, &client_id).context("cannot make a Kafka producer")?);
    follow::both(&config.kafka, &client_id, &catalog, tasks);

    let (logs, waiting) = logs::channel(&config.instance);
    let (brokers, client, owned) = (config.kafka.clone(), client_id.clone(), tasks.clone());
    tasks.spawn_blocking(move || {
        if let Err(error) = logs::write(&brokers, &format!("{client}-logs"), &waiting, &owned) {
            tracing::warn!(error = %error, lost = waiting.lost(), "modules' last lines may be lost");
        }
    });

    let (measured, metrics) = metrics::registry_with(&logs);
    let runtime = tokio::runtime::Handle::current();
    let lookups = Lookups::new(config.kafka.clone(), client_id, tasks.clone());
    let counted = metrics.modules();
    let materials = Materials { engine, registry, catalog: Arc::clone(&catalog), runtime, counted, logs, lookups };
    let alarm = alarm(tasks);
    tasks.spawn(lag::watch(site.clone(), Arc::clone(&catalog), metrics.lag(), tasks.clone()));
    let manager = Arc::new(Manager::new(site, materials.clone(), metrics, tasks.clone(), alarm, Arc::clone(&writer)));
    tasks.spawn_vital("pipelines' manager", Arc::clone(&manager).run());

    let door = Door::loopback().with_hosts(config.hosts);
    let admin = Admin::new(readiness(&catalog, &manager), measured, door.clone());
    let worker = address.to_string();
    let memory = Memory::default();
    let (tokens, child) = (config.tokens, Child::new(config.program, limits));
    let (turns, owned) = (Turns::default(), tasks.clone());
    let api = Api { admin, door, tokens, child, turns, manager, materials, writer, tasks: owned, worker, memory };
    let serving = http::serve(listener, Service(Arc::new(api)), http::Limits::default(), tasks.clone());
    tasks.spawn_vital("REST port", serving);
    tracing::info!(listen = %address, instance = config.instance, kafka = %config.kafka, "transforms serves");
    Ok(address)
}

/// A client that hangs cannot be got rid of, only the process can.
fn alarm(tasks: &Tasks) -> control::Alarm {
    let tasks = tasks.clone();
    Arc::new(move |what: &str| {
        tracing::error!(what, "process must end");
        tasks.fail("Kafka client");
    })
}

fn readiness(catalog: &Arc<Catalog>, manager: &Arc<Manager>) -> Readiness {
    let readiness = Readiness::new();
    let heard = Arc::clone(catalog);
    readiness.evidence("kafka", move || {
        let silent = match heard.silence() {
            Some(silence) if silence < SILENCE => return Ok(()),
            Some(silence) => format!("the broker has not answered for {} s", silence.as_secs()),
            None => "the broker has not answered yet, or the state topics are not there".to_owned(),
        };
        Err(because(silent, heard.hindrance().of_kafka()))
    });
    let catalog = Arc::clone(catalog);
    readiness.evidence("state", move || {
        if catalog.is_complete() {
            return Ok(());
        }
        let (modules, config) = (topics::TRANSFORMS_MODULES, topics::TRANSFORMS_CONFIG);
        let unread = format!("topics {modules} and {config} have not been read yet");
        Err(because(unread, catalog.hindrance().of_state()))
    });
    let manager = Arc::clone(manager);
    readiness.evidence("pipelines", move || manager.check());
    readiness
}

fn because(what: String, reason: Option<String>) -> String {
    match reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    }
}
