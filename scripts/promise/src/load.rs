//! Open-loop load: each POST has the time at which it should be sent, and a slow server does not slow the clock.
//!
//! Nothing is sent twice: what a client makes of an unknown end is not this file's business, the ledger knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::generator::Post;
use crate::ledger::{Answer, Ledger, LedgerError, Outcome};
use crate::row::Version;

/// How to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where edges listen, such as `http://127.0.0.1:8080`; they are sent to in turn.
    pub edges: Vec<String>,
    /// Orders a second.
    pub rate: u32,
    /// Most requests under way at once; beyond it the clock does wait, and the ledger shows how late.
    pub in_flight: usize,
    /// When the client gives up; above the edge's own deadline, so that its 504 is heard.
    pub patience: Duration,
}

impl Plan {
    /// `rate` orders a second to `edge`.
    #[must_use]
    pub fn new(edge: &str, rate: u32) -> Self {
        Self { edges: vec![edge.to_owned()], rate, in_flight: 4_096, patience: Duration::from_secs(10) }
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
    /// Requests sent and not yet answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Requests sent so far.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.0.sent.load(Ordering::SeqCst)
    }

    /// Requests answered 202 so far.
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
    for ((at, post), edge) in posts.enumerate().zip(plan.edges.iter().cycle()) {
        let due = Duration::from_secs(1).mul_f64(at as f64 / f64::from(plan.rate.max(1)));
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
            let end = send(&client, &url, &post, intended, &ledger, &gauge).await;
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
    post: &Post,
    intended_ms: i64,
    ledger: &Ledger,
    gauge: &Gauge,
) -> Result<(), LoadError> {
    ledger.sending(post, intended_ms, now_ms())?;
    gauge.0.sent.fetch_add(1, Ordering::SeqCst);
    gauge.0.in_flight.fetch_add(1, Ordering::SeqCst);
    let request = client.post(url).header(CONTENT_TYPE, post.content_type).body(post.body.clone());
    let answer = match request.send().await {
        Ok(response) => read(response).await,
        Err(error) => unanswered(&error),
    };
    gauge.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    if answer.outcome == Outcome::Ok {
        gauge.0.taken.fetch_add(1, Ordering::SeqCst);
    }
    ledger.done(post.seq, now_ms(), &answer)?;
    Ok(())
}

/// The parts of a receipt that prove something. One that does not say where the record is makes a promise all the same:
/// then it is found by its content.
#[derive(Debug, Deserialize)]
struct Receipt {
    partition: i32,
    offset: Option<i64>,
}

/// The parts of a problem that the ledger needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    persisted: String,
}

async fn read(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap_or_default();
    judge(status, &body)
}

/// What an answer says about the order's fate.
fn judge(status: u16, body: &[u8]) -> Answer {
    let unknown = Answer::unknown(Some(status), "");
    if status == 202 {
        let (receipt, note) = match serde_json::from_slice::<Receipt>(body) {
            Ok(Receipt { partition, offset }) => (offset.map(|offset| Version { partition, offset }), String::new()),
            Err(error) => (None, format!("the receipt cannot be read: {error}")),
        };
        return Answer { outcome: Outcome::Ok, receipt, note, ..unknown };
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
        let receipt = br#"{"orderId":"a","topic":"orders.received","partition":4,"offset":9}"#;
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
        assert_eq!(judge(202, receipt).receipt, Some(Version { partition: 4, offset: 9 }));
        assert_eq!(judge(503, br#"{"title":"x","persisted":"no"}"#).persisted, "no");
    }
}
