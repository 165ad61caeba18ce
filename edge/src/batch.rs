//! Many orders in one POST: each is checked, encoded and handed over as its line comes, and has a receipt of its own, in
//! the order of the lines (207, RFC 4918). One bad line costs one line. Both ways are streamed: what a batch holds in
//! memory is bounded by one order that is not whole, the orders in flight, and receipts that wait for their client.
//!
//! It runs in a task of its own, because hyper does not ask for more of an answer whose client does not read. A client
//! that hangs up ends the reading and changes nothing for the orders that were handed over.

use std::{collections::VecDeque, io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use serde_json::Value;
use service_kit::Tasks;
use tokio::time::Instant;

use crate::{
    access,
    body::Decoded,
    json::{self, Json},
    keys::Client,
    limits::Limits,
    metrics::{self, Outcome, Stage},
    orders::Orders,
    publish::{InFlight, Permit, Permits, Placed, PublishError},
    receipt::{LineReceipt, Receipt},
    refusal::{Measured, Refusal, Unit},
};

mod end;
mod events;
mod input;
mod receipts;
mod split;

use input::{End, Input, WAITING};
use receipts::Writer;
pub use receipts::{Receipts, response};
pub use split::{Form, Format, is_white};
use split::{Found, Splitter, Text};

/// Orders of one batch that wait for the broker at once, and their bytes together. More are not taken from the body
/// meanwhile, so that one batch cannot fill the queue of all.
const IN_FLIGHT: usize = 512;
const IN_FLIGHT_BYTES: usize = 4 * 1024 * 1024;
/// Receipts of one batch that wait for their client: enough for some 15,000 orders, so that a client may write the whole
/// of an ordinary batch before it reads. When there is no more room, no more is taken from the body.
const WAITING_RECEIPTS: usize = 4 * 1024 * 1024;
/// Batches at once, and what their receipts may take together. A budget of its own: batches must not take from single
/// orders the memory for their bodies.
const BATCHES: usize = 1024;
const ALL_WAITING_RECEIPTS: usize = 64 * 1024 * 1024;

/// What all batches share.
#[derive(Clone, Debug)]
pub struct Batches {
    permits: Permits,
    /// Where batches run, so that a drain waits for them.
    pub(crate) tasks: Tasks,
}

impl Batches {
    /// Batches that run as tasks of these.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        Self { permits: Permits::new(BATCHES, ALL_WAITING_RECEIPTS), tasks }
    }

    /// A place for one batch.
    pub(crate) fn share(&self, client: &Client) -> Result<Permit, Refusal> {
        Ok(self.permits.take_for(client.batches(), 0)?)
    }
}

/// A batch of which the beginning has come.
pub(crate) struct Begun {
    pub(crate) format: Format,
    pub(crate) first: Bytes,
    /// For what is kept of the body.
    pub(crate) memory: Permit,
    /// Each order's.
    pub(crate) deadline: Duration,
    pub(crate) headers: HeaderMap,
    /// The request's.
    pub(crate) id: String,
    pub(crate) client: Client,
}

/// A batch that is being worked on.
pub(crate) struct Batch<B> {
    orders: Arc<Orders>,
    begun: Begun,
    schema_id: u32,
    /// What held when it began.
    limits: Limits,
    input: Input<Decoded<B>>,
    /// Orders that were taken.
    taken: usize,
    /// Lines beyond the limit, which are only counted; the first of them.
    beyond: (usize, usize),
    /// In the order of the lines; what is settled behind one that is not waits for it.
    lines: VecDeque<Line>,
    /// Bytes in flight, and bytes of refusals that wait in `lines`.
    in_flight: usize,
    refused: usize,
    out: Vec<u8>,
    /// With the share of the memory for receipts and refusals that wait.
    receipts: Writer,
    counted: metrics::Batch,
}

/// A line that was taken and has no receipt yet.
struct Line {
    line: usize,
    fate: Fate,
}

enum Fate {
    HandedOver {
        order_id: String,
        size: usize,
        in_flight: InFlight,
        end: Instant,
    },
    /// The receipt, as it will be sent.
    Refused(Vec<u8>),
}

impl<B> Batch<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
{
    pub(crate) fn new(
        orders: Arc<Orders>,
        mut begun: Begun,
        body: Decoded<B>,
        schema_id: u32,
        share: Permit,
    ) -> (Self, Receipts) {
        let (receipts, answer) = receipts::channel(share, WAITING);
        let limits = orders.bodies.limits();
        let splitter = Splitter::new(begun.format, limits.body);
        let mut input = Input::new(body, splitter);
        input.push(std::mem::take(&mut begun.first), &mut begun.memory, limits.batch_bytes);
        let counted = orders.metrics.batch();
        let batch = Self {
            orders,
            begun,
            schema_id,
            limits,
            input,
            taken: 0,
            beyond: (0, 0),
            lines: VecDeque::new(),
            in_flight: 0,
            refused: 0,
            out: Vec::new(),
            receipts,
            counted,
        };
        (batch, answer)
    }

    /// Works on the batch to its end.
    pub(crate) async fn run(mut self) {
        while !self.receipts.is_gone() {
            self.answer_settled();
            self.take_lines();
            self.answer_settled(); // what was refused at once does not wait for the next event
            self.send();
            if self.lines.is_empty() && self.input.ended.is_some() {
                return self.finish().await.read().await;
            }
            let event = self.next_event().await;
            self.on(event);
        }
        self.hung_up();
    }

    // === taking orders ===

    /// Whether one more line may be taken: as many are in flight as may be, or their receipts would find no room.
    fn may_take(&self) -> bool {
        let waiting = self.receipts.waiting() + self.out.len() + self.refused;
        self.input.ended.is_none()
            && self.lines.len() < IN_FLIGHT
            && self.in_flight < IN_FLIGHT_BYTES
            && waiting < WAITING_RECEIPTS
            && self.receipts.cover(waiting)
    }

    /// Takes what has come, up to what may be in flight.
    fn take_lines(&mut self) {
        while self.may_take() {
            match self.input.splitter.next() {
                Ok(Some(found)) => self.take(found),
                Ok(None) => return self.end_at_limit(),
                Err(form) => self.input.end(End::Refused(form.into())),
            }
        }
    }

    /// The lines that lie within the limit of bytes were taken; nothing beyond is read.
    fn end_at_limit(&mut self) {
        let (limit, size) = (self.limits.batch_bytes, self.input.bytes as u64);
        if (limit as u64) < size {
            let too_large = Refusal::BatchTooLarge { unit: Unit::Bytes(Measured::Wire), limit, size, is_whole: false };
            self.input.end(End::Refused(too_large));
        }
    }

    fn take(&mut self, found: Found) {
        if self.taken == self.limits.batch_orders {
            let (count, first) = self.beyond;
            self.beyond = (count + 1, if count == 0 { found.line } else { first });
            return;
        }
        self.taken += 1;
        let Found { line, text } = found;
        let fate = match self.hand_over(text) {
            Ok(handed_over) => handed_over,
            Err((refusal, order_id)) => Fate::Refused(self.refuse(line, order_id.as_deref(), &refusal)),
        };
        match &fate {
            Fate::HandedOver { size, .. } => self.in_flight += size,
            Fate::Refused(text) => self.refused += text.len(),
        }
        self.lines.push_back(Line { line, fate });
    }

    /// The way of one order up to Kafka. With a refusal comes the order's id, if it can be read.
    fn hand_over(&self, text: Text) -> Result<Fate, (Refusal, Option<String>)> {
        let limit = self.limits.body;
        let client = &self.begun.client;
        // The first was charged as the request.
        if 1 < self.taken {
            self.orders.charged(client.charge_request()).map_err(|refusal| (refusal, id_of(&text)))?;
        }
        let text = match text {
            Text::Whole(text) => text,
            Text::TooLong(size) => {
                return Err((Refusal::DecodedTooLarge { limit, size: Some(size as u64) }, None));
            }
            Text::GivenUp => return Err((Refusal::Crowded, None)),
        };
        let begun = Instant::now();
        self.orders.charged(client.charge_bytes(text.len())).map_err(|refusal| (refusal, order_id(&text)))?;
        let (order_id, value) =
            self.orders.encode(&text, self.schema_id).map_err(|refusal| (refusal, order_id(&text)))?;
        let Begun { headers, id, deadline, .. } = &self.begun;
        match self.orders.hand_over(&order_id, &value, headers, id, *deadline, client) {
            Ok(in_flight) => {
                self.orders.metrics.took(Stage::Check, in_flight.begun().saturating_duration_since(begun.into()));
                let end = in_flight.begun() + *deadline;
                Ok(Fate::HandedOver { order_id, size: value.len(), in_flight, end: end.into() })
            }
            Err(refusal) => Err((refusal, Some(order_id))),
        }
    }

    // === receipts ===

    /// Whether the client has read enough for one more. That those of lines already taken have room in the budget of all
    /// was seen to when they were taken.
    fn may_answer(&self) -> bool {
        self.receipts.waiting() + self.out.len() < WAITING_RECEIPTS
    }

    /// Writes the receipts of all lines up to the first that is not settled.
    fn answer_settled(&mut self) {
        while self.may_answer()
            && let Some(line) = self.lines.front_mut()
        {
            let settled = match &mut line.fate {
                Fate::Refused(_) => None,
                Fate::HandedOver { in_flight, .. } => match in_flight.settled_now() {
                    None => return,
                    settled => settled,
                },
            };
            self.answer_first(settled);
        }
    }

    /// Writes the receipt of the first line, which is settled so unless it was refused.
    fn answer_first(&mut self, settled: Option<Result<Placed, PublishError>>) {
        let Some(Line { line, fate }) = self.lines.pop_front() else { return };
        match (fate, settled) {
            (Fate::HandedOver { order_id, size, .. }, Some(settled)) => {
                self.in_flight -= size;
                match settled {
                    Ok(placed) => self.accept(line, &order_id, placed),
                    Err(error) => {
                        let text = self.refuse(line, Some(&order_id), &error.into());
                        self.out.extend_from_slice(&text);
                    }
                }
            }
            (Fate::Refused(text), _) => {
                self.refused -= text.len();
                self.out.extend_from_slice(&text);
            }
            (fate @ Fate::HandedOver { .. }, None) => self.lines.push_front(Line { line, fate }),
        }
    }

    fn accept(&mut self, line: usize, order_id: &str, placed: Placed) {
        self.orders.metrics.ended(Outcome::Accepted);
        let topic = self.orders.publisher.topic();
        let receipt = Receipt::new(order_id, topic, placed, &self.begun.id, self.schema_id);
        // Strings and numbers always serialize, and nothing that is written to memory fails.
        let _ = serde_json::to_writer(&mut self.out, &LineReceipt::new(line, receipt));
        let _ = self.out.write_all(b"\n");
    }

    /// Counts a refusal, and gives its receipt.
    fn refuse(&self, line: usize, order_id: Option<&str>, refusal: &Refusal) -> Vec<u8> {
        self.orders.metrics.ended(refusal.outcome());
        access::line_refused(&self.orders.metrics, &self.orders.warnings, &self.begun.id, line, refusal);
        let mut problem = refusal.problem().with("requestId", self.begun.id.as_str()).with("line", line);
        if let Some(order_id) = order_id {
            problem = problem.with("orderId", order_id);
        }
        let mut text = Value::Object(problem.into_members()).to_string().into_bytes();
        text.push(b'\n');
        text
    }

    fn send(&mut self) {
        if !self.out.is_empty() {
            self.receipts.write(&self.out);
            self.out.clear();
        }
    }
}

fn id_of(text: &Text) -> Option<String> {
    if let Text::Whole(text) = text { order_id(text) } else { None }
}

/// The order's id in a body that was refused, if it is one.
fn order_id(text: &[u8]) -> Option<String> {
    let json = json::parse(text).ok()?;
    let Some(Json::String(id)) = json.get("orderId") else { return None };
    id.parse::<schemas::OrderId>().ok().map(|id| id.as_str().to_owned())
}
