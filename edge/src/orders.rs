//! `POST /api/orders`: one order on its way from the request to the receipt. Read this file to know what the edge does.
//!
//! Nothing between a body that is read whole and the record being handed over waits, so a client that hangs up either
//! hung up before its order was anywhere, or changes nothing. The same holds for each order of a batch: see `batch`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header, request};
use http_body::Body;
use http_body_util::Either;
use schemas::{codec, framing, names, order::Timestamp};
use service_kit::http as kit;
use tower_http::request_id::RequestId;

use crate::{
    access::{Access, Warnings},
    batch::{self, Batch, Batches, Begun, Receipts},
    body::{Bodies, Decoded, Posted},
    check::Rules,
    convert,
    fast::FastPath,
    json,
    keys::{Client, Exceeded, Keys},
    metrics::{Metrics, Stage},
    openapi::{self, Description},
    publish::{InFlight, Permit, Placed, Publisher, Record, Unavailable, settings},
    receipt::Receipt,
    refusal::Refusal,
    request_id,
    schema_id::SchemaId,
    timestamp,
};

/// Where orders are posted.
pub const PATH: &str = "/api/orders";
/// With it a client lowers the deadline, in milliseconds.
pub const DEADLINE_HEADER: &str = "x-deadline-ms";
/// The largest record, framed: what the readers of the topic are made for.
pub const MAX_RECORD: usize = 256 * 1024;

/// What taking orders needs.
pub struct Orders {
    /// Who may post.
    pub keys: Keys,
    /// Reads bodies.
    pub bodies: Bodies,
    /// The schema that was given at start.
    pub rules: Rules,
    /// The way around it for most orders.
    pub fast: FastPath,
    /// The id that records carry.
    pub schema_id: SchemaId,
    /// The way to Kafka.
    pub publisher: Arc<Publisher>,
    /// What batches need beside all this.
    pub batches: Batches,
    /// What all this is, for `GET /openapi.json`.
    pub description: Description,
    /// What is counted.
    pub metrics: Metrics,
    /// What the log says of faults that are not the clients'.
    pub warnings: Warnings,
}

/// The body of an answer: whole, or the receipts of a batch as they come.
pub type AnswerBody = Either<kit::Body, Receipts>;

/// An order that is stored.
struct Stored {
    order_id: String,
    placed: Placed,
    schema_id: u32,
}

/// A request that was refused.
struct Refused {
    refusal: Refusal,
    /// More of its body may come, so that its connection cannot be used for another request of HTTP/1.
    is_open: bool,
}

impl From<Refusal> for Refused {
    /// For what is refused when the body was read.
    fn from(refusal: Refusal) -> Self {
        Self { refusal, is_open: false }
    }
}

/// What became of a request that was not refused.
enum Taken {
    Order(Stored),
    Batch(Receipts),
}

impl Orders {
    /// Answers any request.
    pub async fn answer<B>(self: &Arc<Self>, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
    {
        if let Some(description) = self.description.answer(&request) {
            return description.map(Either::Left);
        }
        let id = request.extensions().get::<RequestId>().cloned();
        let id = request_id::text(id.as_ref());
        let access = Access::begin(&self.metrics, &self.warnings, id, &request);
        let mut client = Client::default();
        let version = request.version();
        let mut answer = match self.take(request, id, access.begun(), &mut client).await {
            Ok(Taken::Order(Stored { order_id, placed, schema_id })) => {
                access.accepted();
                Receipt::new(&order_id, self.publisher.topic(), placed, id, schema_id).response().map(Either::Left)
            }
            Ok(Taken::Batch(receipts)) => {
                access.goes_on();
                batch::response(receipts)
            }
            Err(Refused { refusal, is_open }) => {
                access.refused(&refusal);
                let mut problem = refusal.problem().with("requestId", id);
                if is_open && version < Version::HTTP_2 {
                    problem = problem.header(header::CONNECTION, HeaderValue::from_static("close"));
                }
                problem.into_response().map(Either::Left)
            }
        };
        client.describe(answer.headers_mut());
        answer
    }

    /// The way of one order, or to the first order of a batch.
    async fn take<B>(
        self: &Arc<Self>,
        request: Request<B>,
        id: &str,
        begun_at: Instant,
        client: &mut Client,
    ) -> Result<Taken, Refused>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
    {
        let (head, body) = request.into_parts();
        let mut body = Decoded::new(body);
        let mut begun = false;
        let (deadline, posted) = match self.read(&head, &mut body, &mut begun, client).await {
            Ok(read) => read,
            Err(refusal) => {
                let is_whole = match refusal.is_early() {
                    true => self.bodies.forget(&head.headers, &mut body, begun).await,
                    // Of the others this alone is told of a body that has ended.
                    false => matches!(refusal, Refusal::Undecodable(_)),
                };
                return Err(Refused { refusal, is_open: !is_whole });
            }
        };
        let (body, memory) = match posted {
            Posted::Order(body, memory) => (body, memory),
            Posted::Batch(format, first, memory) => {
                let begun = Begun {
                    format,
                    first,
                    memory,
                    deadline,
                    headers: head.headers,
                    id: id.to_owned(),
                    client: client.clone(),
                };
                return self.begin_batch(begun, body, head.version).await.map(Taken::Batch);
            }
        };
        let whole = Instant::now();
        self.metrics.took(Stage::Read, whole.saturating_duration_since(begun_at));
        self.charged(client.charge_bytes(body.len()))?;
        let schema_id = self.schema_id()?;
        let (order_id, value) = self.encode(&body, schema_id)?;
        let in_flight = self.hand_over(&order_id, &value, &head.headers, id, deadline, client)?;
        self.metrics.took(Stage::Check, in_flight.begun().saturating_duration_since(whole));
        drop((body, value, memory)); // librdkafka has its copy; what waits has a budget of its own
        let placed = in_flight.settled(deadline).await.map_err(Refusal::from)?;
        Ok(Taken::Order(Stored { order_id, placed, schema_id }))
    }

    /// What is asked for, and the whole body.
    async fn read<B>(
        &self,
        head: &request::Parts,
        body: &mut Decoded<B>,
        begun: &mut bool,
        client: &mut Client,
    ) -> Result<(Duration, Posted), Refusal>
    where
        B: Body + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match head.uri.path() {
            PATH => {}
            openapi::PATH => return Err(Refusal::ReadOnly(head.method.clone())),
            _ => return Err(Refusal::NotFound),
        }
        if head.method != Method::POST {
            return Err(Refusal::Method(head.method.clone()));
        }
        *client = self.keys.authenticate(&head.headers)?;
        self.charged(client.charge_request())?;
        let deadline = deadline(&head.headers)?;
        Ok((deadline, self.bodies.read(&head.headers, body, begun, client.bodies()).await?))
    }

    /// Counts a quota that was exceeded.
    pub(crate) fn charged(&self, charged: Result<(), Exceeded>) -> Result<(), Refusal> {
        charged.map_err(|exceeded| {
            self.metrics.over_quota(exceeded.limit);
            Refusal::OverQuota(exceeded)
        })
    }

    /// Works on a batch in a task of its own, unless nothing could be taken from it now.
    async fn begin_batch<B>(
        self: &Arc<Self>,
        mut begun: Begun,
        mut body: Decoded<B>,
        version: Version,
    ) -> Result<Receipts, Refused>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
    {
        match self.admit_batch(&begun, version) {
            Ok((schema_id, share)) => {
                let (batch, receipts) = Batch::new(Arc::clone(self), begun, body, schema_id, share);
                self.batches.tasks.spawn(batch.run());
                Ok(receipts)
            }
            Err(refusal) => {
                let headers = std::mem::take(&mut begun.headers);
                drop(begun); // its memory is not for what is thrown away
                let is_whole = self.bodies.forget(&headers, &mut body, true).await;
                Err(Refused { refusal, is_open: !is_whole })
            }
        }
    }

    /// Whether anything can be taken from a batch now: the schema's id, and a share of the memory for receipts.
    fn admit_batch(&self, begun: &Begun, version: Version) -> Result<(u32, Permit), Refusal> {
        if version < Version::HTTP_11 {
            return Err(Refusal::HttpVersion);
        }
        self.publisher.broker().admits().map_err(Unavailable::Broker)?;
        Ok((self.schema_id()?, self.batches.share(&begun.client)?))
    }

    fn schema_id(&self) -> Result<u32, Refusal> {
        self.schema_id.get().ok_or(Refusal::Unavailable(Unavailable::Schema))
    }

    /// From the body to the record's key and value.
    pub(crate) fn encode(&self, body: &[u8], schema_id: u32) -> Result<(String, Vec<u8>), Refusal> {
        let received_at = timestamp::now();
        match self.fast.encode(body, schema_id, received_at) {
            Some(encoded) => Ok(encoded),
            None => encode_in_full(&self.rules, body, schema_id, received_at),
        }
    }

    /// Gives the record to Kafka.
    pub(crate) fn hand_over(
        &self,
        key: &str,
        value: &[u8],
        request: &HeaderMap,
        id: &str,
        deadline: Duration,
        client: &Client,
    ) -> Result<InFlight, Refusal> {
        let mut headers = vec![(names::headers::REQUEST_ID, id.as_bytes())];
        headers.extend(trace(request).map(|trace| (names::headers::TRACEPARENT, trace)));
        let record = Record { key: key.as_bytes(), value, headers: &headers };
        Ok(self.publisher.send(record, deadline, client.queue())?)
    }
}

/// The full way from the body to the record's key and value: it decides, and explains each refusal.
///
/// # Errors
/// What is wrong with the body.
pub fn encode_in_full(
    rules: &Rules,
    body: &[u8],
    schema_id: u32,
    received_at: Timestamp,
) -> Result<(String, Vec<u8>), Refusal> {
    let json = json::parse(body)?;
    rules.check(&json).map_err(Refusal::Invalid)?;
    let order = convert::order(&json, received_at).map_err(Refusal::Invalid)?;
    let mut value = Vec::with_capacity(body.len());
    value.extend_from_slice(&framing::header(schema_id));
    codec::encode(&order, &mut value);
    if MAX_RECORD < value.len() {
        return Err(Refusal::RecordTooLarge { size: value.len(), limit: MAX_RECORD });
    }
    Ok((order.order_id.as_str().to_owned(), value))
}

/// How long the client wants to wait for the broker.
fn deadline(headers: &HeaderMap) -> Result<Duration, Refusal> {
    let mut values = headers.get_all(DEADLINE_HEADER).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(settings::DEADLINE),
        (value, None) => value,
        (Some(_), Some(_)) => None,
    };
    let (min, max) = (settings::MIN_DEADLINE, settings::DEADLINE);
    let text = value.and_then(|value| value.to_str().ok());
    let asked = text.and_then(|text| text.parse().ok()).map(Duration::from_millis);
    asked.filter(|asked| (min..=max).contains(asked)).ok_or(Refusal::Deadline {
        name: DEADLINE_HEADER,
        min: min.as_millis(),
        max: max.as_millis(),
    })
}

/// The client's `traceparent`, if it is one and the only one. None is made: the edge has no spans of its own.
pub(crate) fn trace(headers: &HeaderMap) -> Option<&[u8]> {
    let mut traces = headers.get_all(names::headers::TRACEPARENT).iter();
    let (Some(trace), None) = (traces.next(), traces.next()) else { return None };
    let trace = trace.as_bytes();
    service_kit::traceparent::is_one(trace).then_some(trace)
}

#[cfg(test)]
mod tests;
