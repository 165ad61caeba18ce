//! The load generator. Open loop: each request has an intended time that does not move when the server is slow, and its
//! latency counts from there, so a server that stalls cannot hide the requests that it kept from being sent (no
//! coordinated omission). Closed loop: each connection sends when it has its answer; for throughput only.
//!
//! Built to need little CPU, because it shares the machine with what it measures: one thread, bytes made before, no
//! HTTP library, one request at a time on each connection. As many requests are under way as there are connections.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    histogram::Histogram,
    orders::{Ids, Request},
};

mod client;
mod noted;
mod pace;

pub use client::{Client, Reply};
pub use noted::Noted;
pub use pace::{Clock, Pace};

/// A client waits so long for an answer; above the edge's own deadline, so that its 504 is heard.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// To whom.
    pub address: SocketAddr,
    /// Connections, and requests under way at once.
    pub connections: usize,
    /// When.
    pub pace: Pace,
    /// For how long.
    pub time: Duration,
    /// Orders in one request.
    pub batch: usize,
    /// Whether a refused client waits as long as it is told and sends its order again.
    pub obey_retry_after: bool,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Tally {
    /// From the intended time to the answer, of requests whose orders were all accepted.
    pub accepted_after: Histogram,
    /// The same from the time of sending. It leaves out what the generator's lack of free connections cost, so it stands
    /// beside the other and never for it.
    pub accepted_since_sent: Histogram,
    /// Between the intended time and the sending: how far the generator was behind.
    pub late: Histogram,
    /// Orders that were accepted.
    pub accepted: AtomicU64,
    /// Requests that were answered in full.
    pub answered: AtomicU64,
    /// Requests that were refused with a time to wait.
    pub refused: AtomicU64,
    /// Requests that were sent again after that time.
    pub second_tries: AtomicU64,
    /// Of those, the ones that were refused again.
    pub refused_again: AtomicU64,
    /// Requests that got no answer.
    pub failed: AtomicU64,
    /// Requests that were due and not sent by the end: each also counts as late as it was then.
    pub unsent: AtomicU64,
    others: Mutex<BTreeMap<u16, u64>>,
}

impl Tally {
    /// Orders accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Answers other than 202 and 207, by status.
    #[must_use]
    pub fn others(&self) -> BTreeMap<u16, u64> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether every request was answered and every order accepted.
    #[must_use]
    pub fn is_clean(&self, batch: usize) -> bool {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        of(&self.failed) == 0 && self.others().is_empty() && self.accepted() == of(&self.answered) * batch as u64
    }

    fn add(&self, try_: Try, reply: &Reply, orders: usize) {
        let Try { intended, sent, is_second } = try_;
        let one = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        one(&self.answered);
        self.late.add(sent.saturating_duration_since(intended));
        self.accepted.fetch_add(reply.accepted as u64, Ordering::Relaxed);
        if reply.accepted == orders {
            self.accepted_after.add(intended.elapsed());
            self.accepted_since_sent.add(sent.elapsed());
        }
        if reply.status != 202 && reply.status != 207 {
            *self.others.lock().unwrap_or_else(PoisonError::into_inner).entry(reply.status).or_default() += 1;
        }
        if reply.is_refused() {
            one(&self.refused);
        }
        if is_second {
            one(&self.second_tries);
            if reply.is_refused() {
                one(&self.refused_again);
            }
        }
    }
}

/// One sending of a request.
#[derive(Clone, Copy, Debug)]
struct Try {
    intended: Instant,
    sent: Instant,
    is_second: bool,
}

/// A load that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Load {
    /// What came back so far.
    pub tally: Arc<Tally>,
    clock: Arc<Clock>,
    workers: JoinSet<()>,
    end: Instant,
}

impl Load {
    /// Begins; must be called on the runtime that is to run it.
    #[must_use]
    pub fn start(plan: &Plan, ids: &Arc<Ids>) -> Self {
        Self::noting(plan, ids, None)
    }

    /// The same, and some of the orders that are accepted are noted.
    #[must_use]
    pub fn noting(plan: &Plan, ids: &Arc<Ids>, noted: Option<&Arc<Noted>>) -> Self {
        let (tally, clock) = (Arc::new(Tally::default()), Clock::start(plan.pace, plan.time));
        let request = Request::new(ids, plan.batch);
        let mut workers = JoinSet::new();
        for _ in 0..plan.connections.max(1) {
            let worker = Worker {
                client: Client::new(plan.address),
                request: request.clone(),
                ids: Arc::clone(ids),
                tally: Arc::clone(&tally),
                noted: noted.cloned(),
                obey_retry_after: plan.obey_retry_after,
            };
            workers.spawn(worker.run(Arc::clone(&clock)));
        }
        Self { tally, clock, workers, end: Instant::now() + plan.time }
    }

    /// Waits for its end, then until what is due is sent and answered, never longer than a client's patience for each: no
    /// request that was sent is forgotten.
    pub async fn finish(mut self) -> Arc<Tally> {
        tokio::time::sleep_until(self.end.into()).await;
        let _ = tokio::time::timeout(PATIENCE, self.workers_end()).await;
        for due in self.clock.close() {
            self.tally.unsent.fetch_add(1, Ordering::Relaxed);
            self.tally.late.add(due.elapsed());
            self.tally.accepted_after.add(due.elapsed());
        }
        self.workers_end().await;
        Arc::clone(&self.tally)
    }

    async fn workers_end(&mut self) {
        while self.workers.join_next().await.is_some() {}
    }

    /// Runs a plan from its beginning to its end.
    pub async fn run(plan: &Plan, ids: &Arc<Ids>) -> Arc<Tally> {
        Self::start(plan, ids).finish().await
    }
}

/// One connection with one client behind it.
struct Worker {
    client: Client,
    request: Request,
    ids: Arc<Ids>,
    tally: Arc<Tally>,
    noted: Option<Arc<Noted>>,
    obey_retry_after: bool,
}

impl Worker {
    async fn run(mut self, clock: Arc<Clock>) {
        while let Some(due) = clock.next().await {
            let first = self.ids.take(self.request.orders());
            let refused = self.send(first, due, false).await;
            // Once: the question is whether the time that a client was told was the right one.
            if let Some(wait) = refused.filter(|_| self.obey_retry_after) {
                tokio::time::sleep(wait).await;
                self.send(first, Instant::now(), true).await;
            }
        }
    }

    /// Sends one request; how long to wait before sending it again, if the server said so.
    async fn send(&mut self, first: u64, intended: Instant, is_second: bool) -> Option<Duration> {
        let (sent, orders) = (Instant::now(), self.request.orders());
        let exchange = self.client.exchange(self.request.numbered(first), orders);
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(reply)) => {
                self.tally.add(Try { intended, sent, is_second }, &reply, orders);
                if let Some(noted) = self.noted.as_ref().filter(|_| reply.accepted == orders) {
                    noted.add(first..first + orders as u64, intended);
                }
                reply.retry_after.filter(|_| reply.is_refused())
            }
            Ok(Err(_)) | Err(_) => {
                self.client.forget();
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                self.tally.late.add(sent.saturating_duration_since(intended));
                // A server that refuses connections must not be asked without a pause.
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
