//! The run of a temporary connector through laid out records, one by one, up to the end behind them. What it fails on
//! twice while all that it needs is well is poison; it is passed over, and the run goes on. Trials and rehearsals share it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use service_kit::kafka::Brokers;
use tokio::time::Instant;

use super::reason::Reason;
use super::stretch::{Poison, Seat};
use super::{IsolateError, offset, reason};
use crate::connect::{Connect, RUNNING, Status};
use crate::kafka::blocking;
use crate::names::sink_group;
use crate::retry;
use crate::serve::probes::{Need, Probes};

/// Each request to Connect, with its busy answers, and each wait for a state.
pub(crate) const STEP: Duration = Duration::from_secs(20);
/// Between two looks at the connector.
const LOOK: Duration = Duration::from_millis(50);
/// Kafka takes the offsets of a group only when its members are gone; they are, within this time.
pub(super) const EMPTY: Duration = Duration::from_secs(10);

/// A temporary connector with one task, stopped, and what it is to read.
pub(crate) struct Run<'a> {
    /// Kafka Connect.
    pub(crate) connect: &'a Connect,
    /// The targets.
    pub(crate) probes: &'a Probes,
    /// Kafka's brokers, and who we are to them.
    pub(crate) kafka: &'a Brokers,
    /// The connector.
    pub(crate) connector: &'a str,
    /// What it reads: one partition, with the records side by side and the end behind them.
    pub(crate) topic: &'a str,
    /// How often each record lies there, one behind the other.
    pub(crate) copies: usize,
    /// What must be well for a failure to be the record's.
    pub(crate) needs: BTreeSet<Need>,
    /// At most so many records are found to be poison.
    pub(crate) allowed: usize,
    /// It is cut off after this.
    pub(crate) budget: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Records that were tried, from the first on.
    pub(crate) tried: usize,
    /// Those of them that the connector does not take.
    pub(crate) poison: Vec<Poison>,
    /// Why it ended before its end.
    pub(crate) cut: Option<String>,
    /// What it failed on then, if it did.
    pub(crate) halted: Option<Reason>,
    /// How long its task was seen to run.
    pub(crate) ran: Duration,
}

/// How far it came.
enum Halt {
    /// All records have passed or are known.
    Through,
    /// It failed on this record.
    Failed(usize, String),
    /// The time is over.
    Over(usize),
}

impl Run<'_> {
    /// Runs through `all` records, the first of which lies at `base`; `say` hears how many were tried and are poison.
    ///
    /// # Errors
    /// [`IsolateError`].
    pub(crate) async fn through(
        &self,
        base: i64,
        all: usize,
        say: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<Ended, IsolateError> {
        let (kafka, group, topic) = (self.kafka.clone(), sink_group(self.connector), self.topic.to_owned());
        let seat = Arc::new(blocking(move || Seat::new(&kafka, &group, &topic)).await?);
        set(&seat, base, STEP).await?;
        retry::until(Instant::now() + STEP, "Kafka Connect", || self.connect.resume(self.connector)).await?;
        let until = Instant::now() + self.budget;
        let (mut ended, mut suspected) = (Ended::default(), None);
        loop {
            say(suspected.unwrap_or_default(), ended.poison.len());
            let (index, trace) = match self.halt(&seat, base, all, until, &mut ended.ran).await? {
                Halt::Through => return Ok(Ended { tried: all, ..ended }),
                Halt::Over(index) => {
                    let cut = format!("not more was tried in {:?}", self.budget);
                    return Ok(Ended { tried: index, cut: Some(cut), ..ended });
                }
                Halt::Failed(index, trace) => (index, trace),
            };
            // Nothing that fails then is the record's own fault.
            let elsewhere = reason::elsewhere(&trace);
            let elsewhere = elsewhere.map(|words| format!("the target says \"{words}\", which is no record's fault"));
            if let Some(cut) = elsewhere.or(self.away().await) {
                let halted = Some(reason::of(&trace));
                return Ok(Ended { tried: index, cut: Some(cut), halted, ..ended });
            }
            if suspected == Some(index) {
                if self.allowed <= ended.poison.len() {
                    let cut = format!("{} records that it does not take were allowed", self.allowed);
                    return Ok(Ended { tried: index, cut: Some(cut), ..ended });
                }
                ended.poison.push(Poison { index, reason: reason::of(&trace) });
                set(&seat, base + offset((index + 1) * self.copies), STEP).await?;
            }
            suspected = Some(index);
            self.again().await?;
        }
    }

    /// Waits until it stands still.
    async fn halt(
        &self,
        seat: &Arc<Seat>,
        base: i64,
        all: usize,
        until: Instant,
        ran: &mut Duration,
    ) -> Result<Halt, IsolateError> {
        let (mut asked, mut running) = (Instant::now(), None);
        loop {
            let status = status(self.connect, self.connector).await;
            if status.as_ref().is_some_and(|status| status.tasks.iter().any(|task| task.state == RUNNING)) {
                running.get_or_insert_with(Instant::now);
            }
            let failed = status.filter(|status| 0 < status.failed());
            // While it runs, its position is looked at now and then only: it may pass the end without failing on it.
            if failed.is_some() || Duration::from_secs(1) <= asked.elapsed() {
                asked = Instant::now();
                let index = self.index(position(seat).await? - base);
                if failed.is_some() || all <= index {
                    *ran += running.map_or(Duration::ZERO, |since: Instant| since.elapsed());
                }
                match failed {
                    _ if all <= index => return Ok(Halt::Through),
                    Some(status) => {
                        let trace = status.parts().find_map(|part| part.trace.clone()).unwrap_or_default();
                        return Ok(Halt::Failed(index, trace));
                    }
                    None if until <= Instant::now() => {
                        let stop = || self.connect.stop(self.connector);
                        retry::until(Instant::now() + STEP, "Kafka Connect", stop).await?;
                        let gone = |status: &Status| status.tasks.is_empty();
                        wait(self.connect, self.connector, "the end of the temporary connector", gone).await?;
                        let index = self.index(position(seat).await? - base);
                        return Ok(Halt::Over(index.min(all)));
                    }
                    None => {}
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The record at which it stands, so many offsets behind the first.
    fn index(&self, offsets: i64) -> usize {
        usize::try_from(offsets).unwrap_or(0) / self.copies.max(1)
    }

    /// Starts the failed connector again. What it said before must not be taken for what it says then: so it is seen to
    /// run first, and if that was missed it is started once more.
    async fn again(&self) -> Result<(), IsolateError> {
        let until = Instant::now() + STEP;
        while Instant::now() < until {
            retry::until(until, "Kafka Connect", || self.connect.restart(self.connector, true)).await?;
            let seen = Instant::now() + Duration::from_secs(3);
            while Instant::now() < seen {
                if status(self.connect, self.connector).await.is_some_and(|status| status.failed() == 0) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK / 5).await;
            }
        }
        Err(IsolateError::Late { what: "another run of the temporary connector".to_owned(), limit: STEP })
    }

    /// Which target is away, if one is.
    async fn away(&self) -> Option<String> {
        let health = self.probes.ask(&self.needs).await;
        health.into_iter().find_map(|(need, reason)| Some(format!("{need} is away: {}", reason?)))
    }
}

/// Sets where it reads on; its task has ended, but the broker may not know yet. What takes longer than `limit` is left to
/// its thread, and the client with it, which does not close before.
async fn set(seat: &Arc<Seat>, at: i64, limit: Duration) -> Result<(), IsolateError> {
    let seat = Arc::clone(seat);
    let set = blocking(move || {
        let until = std::time::Instant::now() + EMPTY;
        loop {
            match seat.set(at) {
                Err(_) if std::time::Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
                done => return done,
            }
        }
    });
    let late = |_| IsolateError::Late { what: "the place of the temporary connector in its topic".to_owned(), limit };
    Ok(tokio::time::timeout(limit, set).await.map_err(late)??)
}

async fn position(seat: &Arc<Seat>) -> Result<i64, IsolateError> {
    let seat = Arc::clone(seat);
    Ok(blocking(move || seat.position()).await?)
}

async fn status(connect: &Connect, name: &str) -> Option<Status> {
    connect.status(name).await.ok().flatten()
}

/// Waits until a connector's state is as wanted.
pub(super) async fn wait(
    connect: &Connect,
    name: &str,
    what: &str,
    is: impl Fn(&Status) -> bool,
) -> Result<Status, IsolateError> {
    let until = Instant::now() + STEP;
    while Instant::now() < until {
        if let Some(status) = status(connect, name).await.filter(|status| is(status)) {
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(IsolateError::Late { what: what.to_owned(), limit: STEP })
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[tokio::test]
    async fn a_place_that_no_broker_confirms_is_given_up_and_no_worker_waits_for_its_client() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let seat = Arc::new(Seat::new(&cluster.bootstrap_servers().into(), "g", "t").unwrap());
        // So it knows the way.
        set(&seat, 0, STEP).await.unwrap();
        cluster.broker_round_trip_time(1, Duration::from_secs(3)).unwrap();
        let (client, begun, limit) = (Arc::downgrade(&seat), Instant::now(), Duration::from_millis(500));
        let late = set(&seat, 1, limit).await.unwrap_err();
        assert!(matches!(late, IsolateError::Late { limit: told, .. } if told == limit), "{late}");
        drop(seat);
        assert!(begun.elapsed() < limit * 4, "{:?}", begun.elapsed());
        // It goes with the answer.
        while 0 < client.strong_count() {
            assert!(begun.elapsed() < STEP, "it is there for ever");
            tokio::time::sleep(LOOK).await;
        }
    }
}
