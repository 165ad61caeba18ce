//! The dead letters of a status. They are counted beside the looks and in a slower rhythm, since a look of `watch` must
//! not wait for them; how old a count is stands in it.

use std::time::{Duration, Instant};

use serde::Serialize;
use service_kit::kafka::Brokers;
use tokio::task::{JoinError, JoinHandle};

use super::Found;
use crate::dead_letters::count::{Counter, Counts};
use crate::dead_letters::select::of_pipelines;
use crate::kafka::KafkaError;

/// `watch` counts anew after so long.
const EVERY: Duration = Duration::from_secs(10);
/// A single look waits for its count: for the bounds of the house's topics and of the marks, and a little.
pub(super) const WHOLE: Duration = Duration::from_secs(10);
/// One of many waits no longer than for its other questions.
pub(super) const SHORT: Duration = Duration::from_millis(500);

/// The dead letters that wait to be dealt with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    /// How many, by topic; none where nobody could count yet.
    pub topics: Counts,
    /// How old this count is.
    pub age_seconds: Option<u64>,
    /// Why there is no count, or none that is newer.
    pub unknown: Option<String>,
}

type Done = (Option<Counter>, Result<(Instant, Counts), KafkaError>);

/// Counts for whoever looks again and again.
#[derive(Default)]
pub(super) struct Counting {
    /// Nothing while it is at work, or where it could not be made.
    counter: Option<Counter>,
    work: Option<JoinHandle<Done>>,
    begun: Option<Instant>,
    last: Option<(Instant, Counts)>,
    unknown: Option<String>,
    /// The topics that only pipelines name, as `transforms` told them last.
    pipelines: Vec<String>,
}

impl Counting {
    /// Counts the letters of these pipelines as well. While `transforms` does not answer, those of before.
    pub(super) fn hear(&mut self, pipelines: &Result<Found, String>) {
        if let Ok(found) = pipelines {
            self.pipelines = of_pipelines(found.iter().map(|(_, settings)| settings));
        }
    }

    /// Begins a count where one is due, and takes over one that is done.
    pub(super) async fn look(&mut self, servers: &Brokers, patience: Duration) {
        if self.work.is_none() && self.begun.is_none_or(|begun| EVERY <= begun.elapsed()) {
            self.begin(servers.clone());
        }
        let is_first = self.last.is_none() && self.unknown.is_none();
        let Some(work) = &mut self.work else { return };
        let done = tokio::time::timeout(patience, work).await;
        match done {
            Ok(done) => self.take(done),
            Err(_) if is_first => self.unknown = Some(format!("they were not counted within {patience:?}")),
            Err(_) => {}
        }
    }

    /// What is known now.
    pub(super) fn told(&self) -> DeadLetters {
        let last = self.last.as_ref();
        DeadLetters {
            topics: last.map(|(_, counts)| counts.clone()).unwrap_or_default(),
            age_seconds: last.map(|(at, _)| at.elapsed().as_secs()),
            unknown: self.unknown.clone(),
        }
    }

    fn begin(&mut self, servers: Brokers) {
        let (known, pipelines) = (self.counter.take(), self.pipelines.clone());
        self.begun = Some(Instant::now());
        self.work = Some(tokio::task::spawn_blocking(move || {
            let (counter, counted) = Counter::go_on(known, &servers, &pipelines);
            (counter, counted.map(|counts| (Instant::now(), counts)))
        }));
    }

    /// What was counted before stays where there is nothing newer.
    fn take(&mut self, done: Result<Done, JoinError>) {
        self.work = None;
        let (counter, counted) = done.unwrap_or((None, Err(KafkaError::Cut)));
        self.counter = counter;
        match counted {
            Ok(counted) => (self.last, self.unknown) = (Some(counted), None),
            Err(err) => self.unknown = Some(err.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dead_letters::count::Open;

    #[test]
    fn what_was_counted_stays_with_its_age_while_nothing_newer_is_known() {
        let mut counting = Counting::default();
        assert_eq!(counting.told(), DeadLetters::default());
        counting.take(Ok((None, Err(KafkaError::Cut))));
        let why = Some(KafkaError::Cut.to_string());
        assert_eq!(counting.told(), DeadLetters { unknown: why.clone(), ..DeadLetters::default() });

        let counts = BTreeMap::from([("t".to_owned(), Open { open: 3, at_least: false })]);
        let at = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        counting.take(Ok((None, Ok((at, counts.clone())))));
        let told = DeadLetters { topics: counts, age_seconds: Some(7), unknown: None };
        assert_eq!(counting.told(), told);
        counting.take(Ok((None, Err(KafkaError::Cut))));
        assert_eq!(counting.told(), DeadLetters { unknown: why, ..told });
    }

    #[tokio::test]
    async fn a_later_look_does_not_wait_for_its_count_and_takes_it_over_when_it_is_done() {
        let (end, ended) = std::sync::mpsc::channel::<Done>();
        let work = tokio::task::spawn_blocking(move || ended.recv().unwrap());
        let (begun, before) = (Instant::now(), Some("before".to_owned()));
        let mut counting =
            Counting { work: Some(work), begun: Some(begun), unknown: before.clone(), ..Counting::default() };
        counting.look(&"nobody is asked".into(), SHORT).await;
        assert_eq!(counting.told().unknown, before);

        end.send((None, Ok((Instant::now(), Counts::new())))).unwrap();
        counting.look(&"nobody is asked".into(), SHORT).await;
        let told = counting.told();
        assert_eq!((told.unknown, told.age_seconds.is_some()), (None, true));
        assert!(counting.work.is_none() && counting.begun == Some(begun), "the next one is not due yet");
    }
}
