//! What the bench runs on: a private Kafka, a stub registry, the built modules.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use schemas::{contracts, names::subjects};
use serde_json::json;
use service_kit::{
    Tasks,
    http::{self as kit, Limits},
};
use stack::{Service, Stack, deploy, progress::Progress};

use super::Options;
use crate::{kafka::SCHEMA_ID, machine::as_shipped};

/// The id under which the stub registry knows `order_placed`.
pub(super) const PLACED_ID: u32 = 78;
const PATIENCE: Duration = Duration::from_secs(20);

/// What the bench runs on.
pub(super) struct Servers {
    /// The broker's address.
    pub(super) kafka: String,
    /// The registry's.
    pub(super) registry: String,
    /// The folder of the built modules.
    pub(super) modules: PathBuf,
    /// None where somebody else holds it.
    _stack: Option<Stack>,
}

impl Servers {
    pub(super) async fn start(options: &Options, tasks: &Tasks) -> anyhow::Result<Self> {
        let dir = options.dir.clone();
        let (stack, modules) = tokio::task::spawn_blocking(move || started(&dir)).await??;
        let kafka = stack.endpoints().kafka.clone();
        let listed = contracts::topics()?;
        let wanted: Vec<NewTopic<'_>> = listed
            .iter()
            .map(|topic| {
                let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(1));
                topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        make_topics(&kafka, &wanted).await?;
        Ok(Self { kafka, registry: stub_registry(tasks).await?, modules, _stack: Some(stack) })
    }

    /// On servers that run already.
    pub(super) fn beside(kafka: String, registry: String, modules: PathBuf) -> Self {
        Self { kafka, registry, modules, _stack: None }
    }

    /// A topic of one run.
    pub(super) async fn topic(&self, name: &str, partitions: i32) -> anyhow::Result<()> {
        make_topics(&self.kafka, &[NewTopic::new(name, partitions, TopicReplication::Fixed(1))]).await
    }
}

fn started(dir: &Path) -> anyhow::Result<(Stack, PathBuf)> {
    Stack::wipe(&dir.join("stack"))?;
    fs::create_dir_all(dir)?;
    let options = as_shipped(&dir.join("stack"), [Service::Kafka]);
    let stack = Stack::begin(options.clone())?;
    // Beside the server's start.
    let modules = dir.join("modules");
    deploy::build_modules(&options, &modules, &Progress::default())?;
    stack.wait_ready(Service::Kafka, Service::Kafka.start_deadline())?;
    Ok((stack, modules))
}

async fn make_topics(kafka: &str, topics: &[NewTopic<'_>]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", kafka).create()?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let made = admin.create_topics(topics, &options).await.with_context(|| format!("cannot reach {kafka}"))?;
    match made.into_iter().find_map(Result::err) {
        Some((topic, code)) => bail!("{kafka} does not make topic {topic}: {code}"),
        None => Ok(()),
    }
}

/// Knows the two schemas by subject and by id.
async fn stub_registry(tasks: &Tasks) -> anyhow::Result<String> {
    let listener = kit::bind("127.0.0.1:0".parse()?).await?;
    let address = listener.local_addr()?;
    let service = tower::service_fn(|request: Request<Incoming>| {
        let path = request.uri().path().to_owned();
        let known = [
            (subjects::ORDERS_RECEIVED_VALUE, SCHEMA_ID, contracts::ORDERS_RECEIVED_AVSC),
            (subjects::ORDER_PLACED_VALUE, PLACED_ID, contracts::ORDER_PLACED_AVSC),
        ];
        let asked = |subject: &str, id: u32| path.contains(subject) || path.ends_with(&format!("/{id}"));
        let answer = match known.into_iter().find(|(subject, id, _)| asked(subject, *id)) {
            Some((subject, id, schema)) => {
                kit::json(StatusCode::OK, &json!({ "subject": subject, "version": 1, "id": id, "schema": schema }))
            }
            None => kit::json(StatusCode::NOT_FOUND, &json!({ "error_code": 40403, "message": "Schema not found" })),
        };
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    tasks.spawn(kit::serve(listener, service, Limits::default(), tasks.clone()));
    Ok(format!("http://{address}"))
}
