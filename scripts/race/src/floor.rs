//! The floor under the edge: a bare hyper server that reads the same body, parses it as JSON and answers 202. It checks
//! nothing, encodes nothing and knows no Kafka; nobody who uses hyper can be much faster.
//!
//! With a broker it is a second floor: it also produces the body as it is, with the edge's settings, and answers after the
//! acknowledgement. What lies between the two is the price of Kafka, what lies between it and the edge is ours.

use std::{
    convert::Infallible,
    hint::black_box,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::Context;
use bytes::Bytes;
use edge::publish::settings;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use rdkafka::{
    ClientContext,
    config::FromClientConfigAndContext,
    producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer},
};
use schemas::names::topics;
use serde::Deserialize;
use tokio::{net::TcpListener, sync::oneshot};

use crate::process::Process;

/// The largest body.
const MAX_BODY: usize = 64 * 1024;
/// Bytes of an order up to the end of its id.
const KEY: usize = 38;

/// How a floor parses and runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Into what it parses
    #[arg(long, value_enum, default_value_t = Parse::Value)]
    pub parse: Parse,
    /// Threads; 0 for as many as tokio takes, as the edge does
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Also produces to this broker, and answers after its acknowledgement
    #[arg(long)]
    pub kafka: Option<String>,
}

/// Into what a floor parses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Parse {
    /// `serde_json::Value`: any JSON.
    Value,
    /// A struct that borrows from the body: orders only.
    Typed,
}

/// Parses an order as any server would that knows its fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Order<'a> {
    order_id: &'a str,
    amount: f64,
    customer: &'a str,
    currency: Option<&'a str>,
    #[serde(borrow, default)]
    items: Vec<Item<'a>>,
    email: Option<&'a str>,
    country: Option<&'a str>,
    channel: Option<&'a str>,
    created_at: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Item<'a> {
    sku: &'a str,
    quantity: u32,
    unit_price: f64,
}

impl Parse {
    fn takes(self, body: &[u8]) -> bool {
        match self {
            Self::Value => serde_json::from_slice::<serde_json::Value>(body).map(black_box).is_ok(),
            Self::Typed => serde_json::from_slice::<Order<'_>>(body).map(black_box).is_ok(),
        }
    }
}

/// Starts a floor as a process of its own, because CPU time is counted by process.
///
/// # Errors
/// When it does not start.
pub fn start(args: &Args) -> anyhow::Result<(Process, std::net::SocketAddr)> {
    start_as(Command::new(std::env::current_exe().context("cannot find this program's own file")?), args)
}

/// The same by a command to which the floor's arguments are added.
pub(crate) fn start_as(mut command: Command, args: &Args) -> anyhow::Result<(Process, std::net::SocketAddr)> {
    let parse = match args.parse {
        Parse::Value => "value",
        Parse::Typed => "typed",
    };
    command.args(["floor".to_owned(), format!("--parse={parse}"), format!("--threads={}", args.threads)]);
    command.args(args.kafka.as_ref().map(|servers| format!("--kafka={servers}"))).stdout(Stdio::piped());
    let mut process = Process::spawn(command)?;
    let output = process.output().context("the floor has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).context("the floor did not tell its address")?;
    let address = line.trim().parse().with_context(|| format!("the floor told {line:?} as its address"))?;
    Ok((process, address))
}

/// Is a floor: tells its address on standard output, then serves until it is ended.
///
/// # Errors
/// When it cannot listen.
pub fn serve(args: &Args) -> anyhow::Result<()> {
    let mut runtime = match args.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if 1 < args.threads {
        runtime.worker_threads(args.threads);
    }
    runtime.enable_all().build()?.block_on(accept(args))
}

#[expect(clippy::disallowed_methods, reason = "bare: there is nothing to drain")]
async fn accept(args: &Args) -> anyhow::Result<()> {
    let kafka = args.kafka.as_deref().map(Kafka::connect).transpose()?.map(Arc::new);
    let floor = Floor { parse: args.parse, kafka };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let floor = floor.clone();
        let service = hyper::service::service_fn(move |request| floor.clone().answer(request));
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// What answers.
#[derive(Clone)]
struct Floor {
    parse: Parse,
    kafka: Option<Arc<Kafka>>,
}

impl Floor {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let status = match Limited::new(request.into_body(), MAX_BODY).collect().await {
            Ok(body) => self.take(&body.to_bytes()).await,
            Err(_) => StatusCode::BAD_REQUEST,
        };
        let mut response = Response::new(Full::new(Bytes::from_static(br#"{"persisted":"no"}"#)));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn take(&self, body: &[u8]) -> StatusCode {
        if !self.parse.takes(body) {
            return StatusCode::BAD_REQUEST;
        }
        match &self.kafka {
            Some(kafka) if !kafka.produce(body).await => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::ACCEPTED,
        }
    }
}

/// The shortest way to an acknowledgement.
struct Kafka(ThreadedProducer<Reports>);

struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<bool>>;

    fn delivery(&self, result: &DeliveryResult<'_>, reply: Self::DeliveryOpaque) {
        let _ = reply.send(result.is_ok());
    }
}

impl Kafka {
    fn connect(servers: &str) -> anyhow::Result<Self> {
        let config = settings::config(servers, "race-floor");
        Ok(Self(ThreadedProducer::from_config_and_context(&config, Reports)?))
    }

    /// Whether the broker acknowledged it. The order's id lies in the first bytes, so they spread as ids do.
    async fn produce(&self, body: &[u8]) -> bool {
        let (reply, report) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(topics::ORDERS_RECEIVED, Box::new(reply));
        let key = body.get(..body.len().min(KEY)).unwrap_or(body);
        self.0.send(record.key(key).payload(body)).is_ok() && report.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::Ids;

    #[test]
    fn both_floors_take_the_order_that_is_sent_and_no_half_of_it() {
        let order = Ids::default().order(1);
        let (half, _) = order.split_at(order.len() / 2);
        for parse in [Parse::Value, Parse::Typed] {
            assert!(parse.takes(order.as_bytes()) && !parse.takes(half.as_bytes()), "{parse:?}");
        }
    }
}
