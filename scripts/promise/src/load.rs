//! Open-loop load: each POST has the time at which it should be sent, and a slow server does not slow the clock.
//!
//! One request of nine is a batch of a few orders, which is due when its last one is. Nothing is sent twice: what a client
//! makes of an unknown end is not this file's business, the ledger knows it.

mod batch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::batch::Request;
use crate::generator::Post;
use crate::ledger::{Answer, Ledger, LedgerError, Outcome, Told};
use crate::row::Version;

/// Of so many requests the last one is a batch, if its order can be a line. Odd: so each of two edges has some.
const BATCH_EVERY: usize = 9;

/// How to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where edges listen, such as `http://127.0.0.1:8080`; they are sent to in turn.
    pub edges: Vec<String>,
    /// Orders a second.
    pub rate: u32,
    /// Most requests under way at once; beyond it the clock does wait, and the ledger shows how late.
    pub in_flight: usize,
    /// Whether there are batches: who stands in the place of an edge may know single orders only.
    pub batches: bool,
    /// When the client gives up; above the edge's own deadline, so that its 504 is heard.
    pub patience: Duration,
}

impl Plan {
    /// `rate` orders a second to `edge`.
    #[must_use]
    pub fn new(edge: &str, rate: u32) -> Self {
        let (edges, patience) = (vec![edge.to_owned()], Duration::from_secs(10));
        Self { edges, rate, in_flight: 4_096, batches: true, patience }
    }
}

/// Why a load could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client")]
    Client(#[source] reqwest::Error),
    /// The ledger cannot be written; a load without it proves nothing.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A request's task is gone.
    #[error("a request ended without an end")]
    Task(#[source] tokio::task::JoinError),
}

/// A load under way, for those who want to strike in the thick of it.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    in_flight: AtomicUsize,
    sent: AtomicUsize,
    taken: AtomicUsize,
}

impl Gauge {
    /// Orders sent and not yet answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Orders sent so far.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.0.sent.load(Ordering::SeqCst)
    }

    /// Orders answered 202 so far.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::SeqCst)
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Sends `posts` at the plan's rate until they end or `stop` is cancelled, and waits for every answer.
///
/// # Errors
/// When the ledger cannot be written. What the edge answers is never an error.
pub async fn run(
    plan: &Plan,
    posts: impl Iterator<Item = Post>,
    ledger: Arc<Ledger>,
    gauge: &Gauge,
    stop: &CancellationToken,
) -> Result<(), LoadError> {
    let builder = reqwest::Client::builder().timeout(plan.patience).no_proxy().pool_max_idle_per_host(256);
    let client = builder.build().map_err(LoadError::Client)?;
    let room = Arc::new(Semaphore::new(plan.in_flight));
    let (start, start_ms) = (Instant::now(), now_ms());
    let mut requests = JoinSet::new();
    let mut posts = posts.enumerate().peekable();
    for (number, edge) in plan.edges.iter().cycle().enumerate() {
        let may_be_batch = plan.batches && (number + 1).is_multiple_of(BATCH_EVERY);
        let Some((last, request)) = Request::next(&mut posts, may_be_batch) else { break };
        let due = Duration::from_secs(1).mul_f64(last as f64 / f64::from(plan.rate.max(1)));
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(start + due) => {}
        }
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let intended = start_ms + i64::try_from(due.as_millis()).unwrap_or_default();
        let (client, url) = (client.clone(), format!("{edge}/api/orders"));
        let (ledger, gauge) = (Arc::clone(&ledger), gauge.clone());
        requests.spawn(async move {
            let end = send(&client, &url, &request, intended, &ledger, &gauge).await;
            drop(permit);
            end
        });
        while let Some(ended) = requests.try_join_next() {
            ended.map_err(LoadError::Task)??;
        }
    }
    while let Some(ended) = requests.join_next().await {
        ended.map_err(LoadError::Task)??;
    }
    Ok(())
}

async fn send(
    client: &reqwest::Client,
    url: &str,
    request: &Request,
    intended_ms: i64,
    ledger: &Ledger,
    gauge: &Gauge,
) -> Result<(), LoadError> {
    let posts = request.posts();
    for post in posts {
        ledger.sending(post, intended_ms, now_ms())?;
    }
    gauge.0.sent.fetch_add(posts.len(), Ordering::SeqCst);
    gauge.0.in_flight.fetch_add(posts.len(), Ordering::SeqCst);
    let sent = client.post(url).header(CONTENT_TYPE, request.content_type()).body(request.body()).send().await;
    let answers = match sent {
        Ok(response) => read(response, request).await,
        Err(error) => vec![unanswered(&error); posts.len()],
    };
    gauge.0.in_flight.fetch_sub(posts.len(), Ordering::SeqCst);
    let taken = answers.iter().filter(|answer| answer.outcome == Outcome::Ok).count();
    gauge.0.taken.fetch_add(taken, Ordering::SeqCst);
    for (post, answer) in posts.iter().zip(&answers) {
        ledger.done(post.seq, now_ms(), answer)?;
    }
    Ok(())
}

/// The parts of a receipt that prove something. One that does not say where the record is makes a promise all the same:
/// then it is found by its content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    partition: i32,
    offset: Option<i64>,
    order_id: Option<String>,
    request_id: Option<String>,
    schema_id: Option<u32>,
}

impl Receipt {
    /// Where the record is, all else, and what is wrong with it in words.
    fn parts(self) -> (Option<Version>, Told, String) {
        let Self { partition, offset, order_id, request_id, schema_id } = self;
        let lacks = offset.is_some() && (order_id.is_none() || request_id.is_none() || schema_id.is_none());
        let note = if lacks { "the receipt has no orderId, no requestId or no schemaId" } else { "" };
        let receipt = offset.map(|offset| Version { partition, offset });
        (receipt, Told { order_id, request_id, schema_id }, note.to_owned())
    }
}

/// The parts of a problem that the ledger needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    persisted: String,
}

async fn read(mut response: reqwest::Response, request: &Request) -> Vec<Answer> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return request.answers(status, &body, None),
            Err(error) => return request.answers(status, &body, Some(unanswered(&error))),
        }
    }
}

/// What an answer says about the order's fate.
fn judge(status: u16, body: &[u8]) -> Answer {
    let unknown = Answer::unknown(Some(status), "");
    if status == 202 {
        let (receipt, told, note) = serde_json::from_slice(body).map_or_else(
            |error| (None, Told::default(), format!("the receipt cannot be read: {error}")),
            Receipt::parts,
        );
        return Answer { outcome: Outcome::Ok, receipt, told, note, ..unknown };
    }
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let outcome = match problem.persisted.as_str() {
        "no" => Outcome::Fail,
        // The checker counts that it does not say so.
        "" if (400..500).contains(&status) => Outcome::Fail,
        _ => Outcome::Info,
    };
    Answer { outcome, persisted: problem.persisted, note: problem.title, ..unknown }
}

/// A connection that never was carried no order; any other end leaves it open.
fn unanswered(error: &reqwest::Error) -> Answer {
    let outcome = if error.is_connect() { Outcome::Fail } else { Outcome::Info };
    let kind = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "connection lost"
    };
    Answer { outcome, ..Answer::unknown(None, kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_end_is_never_a_fail() {
        let receipt =
            br#"{"orderId":"a","topic":"orders.received","partition":4,"offset":9,"requestId":"r","schemaId":7}"#;
        for (status, body, outcome) in [
            (202, receipt.as_slice(), Outcome::Ok),
            (202, b"".as_slice(), Outcome::Ok),
            (202, br#"{"partition":4,"offset":null}"#, Outcome::Ok),
            (422, br#"{"title":"x","persisted":"no"}"#, Outcome::Fail),
            (503, br#"{"title":"x","persisted":"no"}"#, Outcome::Fail),
            (503, b"", Outcome::Info),
            (504, br#"{"title":"x","persisted":"possibly"}"#, Outcome::Info),
            (500, b"<html>", Outcome::Info),
            (400, b"", Outcome::Fail),
        ] {
            assert_eq!(judge(status, body).outcome, outcome, "{status}");
        }
        let answer = judge(202, receipt);
        assert_eq!(answer.receipt, Some(Version { partition: 4, offset: 9 }));
        let (order_id, request_id) = (Some("a".to_owned()), Some("r".to_owned()));
        assert_eq!(answer.told, Told { order_id, request_id, schema_id: Some(7) });
        let lacking = judge(202, br#"{"orderId":"a","partition":4,"offset":9,"requestId":"r"}"#);
        assert_eq!((answer.note.is_empty(), lacking.note.is_empty()), (true, false));
        assert_eq!(judge(503, br#"{"title":"x","persisted":"no"}"#).persisted, "no");
    }
}
