//! Dead letters once more, each to the stage that refused it and no other: what a transform refused into its input topic,
//! what a sink refused into the topic that only this sink reads beside its own. Its first version stays; what was posted
//! again since is left where it is.
//!
//! A letter and the mark that it was sent are one transaction, and a run shuts out an earlier one on the same topic. So a
//! run that was cut off is simply started again: nothing is sent twice.

use std::time::{Duration, Instant};

use schemas::names::{headers as names, topics};
use serde::Serialize;
use tokio::runtime::Handle;

use super::guard::{Guard, Wanted};
use super::letter::Letter;
use super::marks::{self, Did, Mark};
use super::{Sources, writer};
use crate::decode::{self, Decoder};
use crate::kafka::KafkaError;
use crate::kafka::record::{Address, Headers};
use crate::kafka::sender::{Outgoing, Sender};
use crate::names::STAGES;

/// What becomes of one letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Where the letter lies.
    pub letter: Address,
    /// Where its record came from.
    pub of: Address,
    /// The order.
    pub order: Option<String>,
    /// What.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What becomes of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It would be sent, discarded.
    Would {
        /// What would be done.
        what: String,
    },
    /// It was.
    Did {
        /// What was done.
        what: String,
    },
    /// It is left where it is.
    Left {
        /// Why.
        why: String,
    },
}

/// How to send.
#[derive(Debug, Clone)]
pub struct Rules {
    /// A letter that was sent so often already is left.
    pub max_replays: u32,
    /// At most so many a second.
    pub rate: u32,
    /// Who does it.
    pub by: String,
}

/// A letter's way back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    outgoing: Outgoing,
    wanted: Wanted,
    /// The sink whose store cannot keep the newer by itself.
    unguarded: bool,
}

/// Replays letters, one after the other.
pub(super) struct Replay<'a> {
    pub(super) sources: &'a Sources,
    pub(super) rules: &'a Rules,
    pub(super) decoder: &'a Decoder,
    pub(super) guard: Guard,
    pub(super) runtime: Handle,
    /// Topics that only pipelines name for their dead letters.
    pub(super) pipelines: &'a [String],
}

impl Replay<'_> {
    /// What a search for later POSTs must look for.
    pub(super) fn wanted(&self, letters: &[Letter]) -> Vec<Wanted> {
        letters.iter().filter_map(|letter| Some(self.route(letter).ok()?.wanted)).collect()
    }

    /// What would be done with a letter.
    pub(super) fn would(&self, letter: &Letter) -> Line {
        let outcome = match self.judged(letter) {
            Ok(route) => {
                let Outgoing { topic, partition, .. } = route.outgoing;
                Outcome::Would { what: format!("send to {topic}/{partition}") }
            }
            Err(why) => Outcome::Left { why },
        };
        line(letter, outcome)
    }

    /// Does it.
    ///
    /// # Errors
    /// [`KafkaError`]; whether this letter was sent is told by its mark, and the next run looks.
    pub(super) fn send(&mut self, letter: &Letter, sender: &Sender) -> Result<Line, KafkaError> {
        let started = Instant::now();
        let route = match self.judged(letter) {
            Ok(route) => route,
            Err(why) => return Ok(line(letter, Outcome::Left { why })),
        };
        sender.begin()?;
        let sent = self.written(letter, &route, sender);
        let line = match sent {
            Ok(Ok(to)) => {
                sender.commit()?;
                line(letter, Outcome::Did { what: format!("sent as {to}") })
            }
            Ok(Err(why)) => {
                sender.abort()?;
                line(letter, Outcome::Left { why })
            }
            Err(err) => {
                // The cause is what is told; an abort that fails, too, is made up for by the next run.
                let _ = sender.abort();
                return Err(err);
            }
        };
        let pace = Duration::from_secs(1) / self.rules.rate.max(1);
        std::thread::sleep(pace.saturating_sub(started.elapsed()));
        Ok(line)
    }

    /// Within the open transaction; or why it must not be committed.
    fn written(
        &mut self,
        letter: &Letter,
        route: &Route,
        sender: &Sender,
    ) -> Result<Result<Address, String>, KafkaError> {
        let outgoing = &route.outgoing;
        let offset = sender.send(outgoing)?;
        let to = Address::new(&outgoing.topic, outgoing.partition, offset);
        let same_lane = (&outgoing.topic, outgoing.partition) == (&route.wanted.lane.0, route.wanted.lane.1);
        self.guard.catch_up(&route.wanted.lane, same_lane.then_some(offset))?;
        if let Some(why) = self.superseded(&route.wanted) {
            return Ok(Err(why));
        }
        let mark = writer::new_mark(letter, Did::Replayed, &self.rules.by);
        sender.send(&writer::mark(letter, &Mark { to: Some(to.to_string()), ..mark }))?;
        Ok(Ok(to))
    }

    /// The way back, or why there is none now.
    fn judged(&self, letter: &Letter) -> Result<Route, String> {
        if self.rules.max_replays <= letter.replays {
            return Err(format!(
                "it was sent again {} times already and came back each time, the limit is {}; see what is wrong with it \
                 first, or raise --max-replays",
                letter.replays, self.rules.max_replays
            ));
        }
        let route = self.route(letter)?;
        if let Some(why) = self.superseded(&route.wanted) {
            return Err(why);
        }
        let (topic, partition) = &route.wanted.lane;
        if let Some(copy) = self.guard.copy(&route.wanted, letter.of.offset).filter(|_| letter.of.topic == *topic) {
            return Err(format!("it was sent again already, as {topic}/{partition}/{copy}"));
        }
        if route.unguarded { self.stored(letter, &route).map(|()| route) } else { Ok(route) }
    }

    fn superseded(&self, wanted: &Wanted) -> Option<String> {
        let (topic, partition) = &wanted.lane;
        match self.guard.newer(wanted) {
            Ok(None) => None,
            Ok(Some(newer)) => {
                Some(format!("the order was posted again, {topic}/{partition}/{newer} replaces it; discard the letter"))
            }
            Err(why) => Some(why),
        }
    }

    /// Elasticsearch takes whatever comes, so what it holds is looked at first.
    fn stored(&self, letter: &Letter, route: &Route) -> Result<(), String> {
        let id = letter.key().and_then(|key| key.parse().ok()).ok_or("its key is no order's id")?;
        let document = self.runtime.block_on(self.sources.elastic.document(topics::ORDER_PLACED, &id));
        let document = document.map_err(|err| format!("what the index holds of it is not known: {err}"))?;
        let number = |name: &str| document.as_ref()?.get(name)?.as_i64();
        let held = number("received_partition").zip(number("received_offset"));
        match held {
            Some((partition, offset))
                if partition == i64::from(route.wanted.lane.1) && route.wanted.version < offset =>
            {
                Err(format!("the index holds the newer version {partition}/{offset}; discard the letter"))
            }
            _ => Ok(()),
        }
    }

    fn route(&self, letter: &Letter) -> Result<Route, String> {
        let key = letter.record.key.clone().ok_or("it has no key, so nobody knows which order it is")?;
        let of_pipeline = letter.at.topic == topics::ORDERS_DEAD_LETTER || self.pipelines.contains(&letter.at.topic);
        let (topic, lane, version) = if of_pipeline {
            let (partition, offset) = letter.received();
            (letter.of.topic.clone(), (letter.of.topic.clone(), partition), offset)
        } else {
            let stage = STAGES.iter().find(|stage| stage.letters == letter.at.topic);
            let stage = stage.ok_or_else(|| {
                format!("{} is no dead-letter topic of this house or of a pipeline that runs", letter.at.topic)
            })?;
            let fields = self.decoder.fields(letter.record.value.as_deref());
            let fields = fields.map_err(|why| format!("its value cannot be read, by the sink neither: {why}"))?;
            let (partition, offset) =
                decode::version(&fields).ok_or("it says no version, so it may be older than what is stored")?;
            (stage.retry.to_owned(), (topics::ORDERS_RECEIVED.to_owned(), partition), offset)
        };
        if letter.record.headers.iter().any(|(name, _)| std::str::from_utf8(name).is_err()) {
            return Err("the name of a header is no text, and would not be written as it was".to_owned());
        }
        let outgoing = Outgoing {
            topic,
            partition: letter.of.partition,
            key: Some(key.clone()),
            value: letter.record.value.clone(),
            timestamp_ms: letter.record.timestamp_ms,
            headers: headers(letter, &lane, version),
        };
        let unguarded = letter.at.topic == topics::ELASTICSEARCH_DEAD_LETTER;
        Ok(Route { outgoing, wanted: Wanted { lane, key, version }, unguarded })
    }
}

/// Those that the record had, with its first version and one replay more.
fn headers(letter: &Letter, lane: &(String, i32), version: i64) -> Headers {
    let own = [names::REPLAY_OF, names::REPLAYS].map(str::as_bytes);
    let kept = letter.record.headers.iter().filter(|(name, _)| !own.contains(&name.as_slice()));
    let mut headers: Headers = kept.cloned().collect();
    let mut add = |name: &str, value: String| headers.push((name.as_bytes().to_vec(), Some(value.into_bytes())));
    add(names::REPLAY_OF, format!("{}/{version}", lane.1));
    add(names::REPLAYS, (letter.replays + 1).to_string());
    headers
}

/// A letter with what becomes of it.
pub(super) fn line(letter: &Letter, outcome: Outcome) -> Line {
    Line { letter: letter.at.clone(), of: letter.of.clone(), order: letter.key().map(decode::plain), outcome }
}

/// With the words of a mark.
pub(super) fn dealt_with(letter: &Letter, mark: &Mark) -> Line {
    line(letter, Outcome::Left { why: crate::trace::show::done(mark) })
}

/// The name under which a run sends, by which a later one shuts it out.
pub(super) fn sender_name(letters: &str) -> String {
    schemas::dealt::sender(letters)
}

/// The key of a letter's mark.
pub(super) fn key(letter: &Letter) -> String {
    marks::key(&letter.at.topic, &letter.of)
}
