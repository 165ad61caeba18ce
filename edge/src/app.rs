//! The wiring, and the only place where all parts meet: bind, build, serve, drain.

use std::{
    any::Any,
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use prometheus_client::registry::Registry as MetricsRegistry;
use schemas::{names::topics, registry::Registry};
use service_kit::{Admin, Door, Readiness, Reloads, Tasks, http as kit, open_files, tasks::Drained};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
};

use crate::{
    access::Warnings,
    batch::Batches,
    body::Bodies,
    check::Rules,
    config::Config,
    fast::FastPath,
    health,
    keys::Keys,
    metrics::{Metrics, Outcome},
    openapi::Description,
    orders::{AnswerBody, Orders},
    publish::{self, Publisher},
    refusal::Refusal,
    reload, request_id,
    schema_id::SchemaId,
};

/// Operators that are connected at once. Few, so that they need no more handles than are kept for the service itself.
const ADMIN_CONNECTIONS: usize = 64;
/// After a stop a body that was begun has so long to come, so that its order is still answered within the drain's time.
const LAST_BODIES: Duration = Duration::from_secs(1);
/// Left of the drain's time for records that were handed over while their clients hung up.
const FLUSH: Duration = Duration::from_secs(1);
/// The operator's port stays open while the edge drains, then gets this long.
const ADMIN_DRAIN: Duration = Duration::from_millis(200);

/// A running edge.
pub struct App {
    /// Where orders are posted.
    pub address: SocketAddr,
    /// Where the operator looks.
    pub admin_address: SocketAddr,
    /// What SIGHUP reads anew.
    pub reloads: Reloads,
    publisher: Arc<Publisher>,
    tasks: Tasks,
    admin_tasks: Tasks,
    last_call: CancellationToken,
    drain: Duration,
}

impl App {
    /// Binds the ports, then builds the parts and begins to serve. It is ready later: see `/readyz`.
    ///
    /// # Errors
    /// When a port is taken or a setting cannot be used.
    pub async fn start(config: Config, tasks: Tasks) -> anyhow::Result<Self> {
        let listener = kit::bind(config.listen).await?;
        let admin_listener = kit::bind(config.admin_listen).await?;
        let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);

        let (reloads, readiness, last_call) = (Reloads::default(), Readiness::new(), CancellationToken::new());
        let mut registry = MetricsRegistry::default();
        let metrics = Metrics::new(&mut registry);
        let rules = Rules::compile(&config.order_schema).context("cannot use the order schema")?;
        let publisher = publisher(&config, &metrics, &reloads, &tasks)?;
        let limits = reload::limits(&config, &reloads);
        let orders = Orders {
            keys: keys(&config, &reloads),
            description: Description::new(&config, &rules, limits.clone())?,
            bodies: Bodies::new(limits, last_call.clone()),
            fast: FastPath::new(&config.order_schema, &mut registry),
            schema_id: schema_id(&config, &publisher, &readiness, &tasks)?,
            rules,
            publisher: Arc::clone(&publisher),
            batches: Batches::new(tasks.clone()),
            metrics: metrics.clone(),
            warnings: Warnings::default(),
        };
        let connections = kit::Connections::new(open_files::connections(config.transport.max_connections));
        metrics.watch_connections(&connections);
        metrics.watch_bodies(orders.bodies.memory());
        let (orders, limits, tls) = (service(orders), kit::Limits::default(), certificate(&config, &reloads));
        let port = kit::serve_with(listener, orders, limits, tls, connections, tasks.clone());
        tasks.spawn_vital("orders' port", port);

        // Apart from the rest, so that an operator can watch the drain.
        let admin_tasks = Tasks::new();
        let door = Door::loopback().with_hosts(config.admin_hosts);
        let admin = Admin::new(readiness, Arc::new(registry), door);
        let limits = kit::Limits { connections: ADMIN_CONNECTIONS, ..kit::Limits::default() };
        let ages = publish::give_up_the_old(Arc::clone(&publisher), admin_tasks.clone());
        admin_tasks.spawn_vital("ages of orders", ages);
        admin_tasks.spawn_vital("admin port", kit::serve(admin_listener, admin, limits, admin_tasks.clone()));
        tasks.fail_with(&admin_tasks);
        tracing::info!(listen = %address, admin = %admin_address, instance = config.instance, "edge listens");
        Ok(Self { address, admin_address, reloads, publisher, tasks, admin_tasks, last_call, drain: config.drain })
    }

    /// Takes nothing new, finishes what was begun, and settles what was handed over; never longer than the drain's time.
    pub async fn drain(self) {
        let end = Instant::now() + self.drain;
        let last_call = async {
            tokio::time::sleep(LAST_BODIES).await;
            self.last_call.cancel();
            std::future::pending().await
        };
        let drained = tokio::select! {
            drained = self.tasks.drain(self.drain.saturating_sub(FLUSH)) => drained,
            never = last_call => never,
        };
        let publisher = Arc::clone(&self.publisher);
        let left = end.saturating_duration_since(Instant::now());
        let flushed = self.admin_tasks.spawn_blocking(move || publisher.flush(left)).await;
        match (drained, flushed) {
            (Drained::Clean, Ok(Ok(()))) => tracing::info!("drained, nothing is left"),
            (drained, flushed) => tracing::warn!(?drained, ?flushed, "drained up to the deadline"),
        }
        self.admin_tasks.drain(ADMIN_DRAIN).await;
    }
}

// === the parts that run or are read anew ===

fn publisher(config: &Config, metrics: &Metrics, reloads: &Reloads, tasks: &Tasks) -> anyhow::Result<Arc<Publisher>> {
    let (security, topic) = (config.kafka_security.clone(), topics::ORDERS_RECEIVED);
    let publisher = Publisher::new(&config.kafka, security, &config.instance, topic, metrics.clone());
    let publisher = Arc::new(publisher.context("cannot make the Kafka producer")?);
    publish::security::read_anew(reloads, config.kafka_security_args.clone(), &publisher);
    tasks.spawn_vital("publish supervisor", publish::supervise(Arc::clone(&publisher), tasks.clone()));
    tasks.spawn(publisher.show_statistics(tasks.clone()));
    Ok(publisher)
}

fn schema_id(
    config: &Config,
    publisher: &Arc<Publisher>,
    readiness: &Readiness,
    tasks: &Tasks,
) -> anyhow::Result<SchemaId> {
    let known = health::conditions(readiness, publisher, tasks);
    let schema_id = SchemaId::default();
    tasks.spawn(schema_id.clone().resolve(Registry::new(config.registry.url())?, known, tasks.clone()));
    Ok(schema_id)
}

fn keys(config: &Config, reloads: &Reloads) -> Keys {
    let keys = Keys::new(config.keys.clone());
    if keys.are_asked_for() {
        let keys = keys.clone();
        reloads.add("API keys", move || keys.reload());
    }
    keys
}

fn certificate(config: &Config, reloads: &Reloads) -> Option<Arc<kit::Tls>> {
    let tls = config.transport.tls.clone();
    if let Some(tls) = tls.clone() {
        reloads.add("certificate", move || tls.reload());
    }
    tls
}

// === the orders' port ===

/// The service of the orders' port.
fn service(orders: Orders) -> impl kit::Answers {
    let metrics = orders.metrics.clone();
    let orders = Arc::new(orders);
    around(metrics, move |request| {
        let orders = Arc::clone(&orders);
        async move { orders.answer(request).await }
    })
}

/// What stands around an answer: every answer has a request id, and a fault of ours has an answer too.
fn around<A, R>(metrics: Metrics, answer: A) -> impl kit::Answers
where
    A: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let nosniff =
        SetResponseHeaderLayer::if_not_present(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    ServiceBuilder::new()
        .map_request(request_id::sanitize)
        .layer(SetRequestIdLayer::new(request_id::HEADER, request_id::Make))
        .layer(PropagateRequestIdLayer::new(request_id::HEADER))
        .layer(nosniff)
        .service(service_fn(move |request: Request<Incoming>| {
            let (metrics, answer) = (metrics.clone(), answer.clone());
            // One for each request, because the answer to a panic tells the request's id.
            let id = request.extensions().get::<RequestId>().cloned();
            CatchPanicLayer::custom(move |panic| panicked(&metrics, id.as_ref(), panic))
                .layer(service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                }))
                .call(request)
        }))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(metrics: &Metrics, id: Option<&RequestId>, panic: Box<dyn Any + Send>) -> kit::Response {
    metrics.ended(Outcome::Panicked);
    metrics.refused(Refusal::Panicked.slug());
    // The message of a panic is ours; it goes to the log only.
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    let id = request_id::text(id);
    tracing::error!(request.id = id, panic = message.unwrap_or("no message"), "a request panicked");
    Refusal::Panicked.problem().with("requestId", id).into_response()
}

#[cfg(test)]
mod tests;
