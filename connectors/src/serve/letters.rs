//! How many dead letters wait, for the metrics: counted now and then by the counter that `connectors status` has, which
//! reads only what is new. In a task of its own with time limits of its own, so that healing never waits for it.

use std::sync::Arc;
use std::time::Duration;

use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tokio::task::{JoinError, JoinHandle};
use tracing::{debug, warn};

use super::metrics::Metrics;
use crate::connect::Connect;
use crate::dead_letters::count::{Counter, Counts};
use crate::dead_letters::select::of_pipelines;
use crate::kafka::KafkaError;
use crate::retry::Transient as _;
use crate::status;

/// A person is to deal with them, who does not do so within seconds.
pub const EVERY: Duration = Duration::from_secs(30);
/// When a count takes longer, what was counted before it is old.
const LIMIT: Duration = Duration::from_secs(20);

/// The counter, for the next time, and what it counted.
type Done = (Option<Counter>, Result<Counts, KafkaError>);

/// Counts until told to stop. `transforms` knows which topics pipelines name; while it does not answer, those of before
/// are counted.
pub async fn watch(brokers: Brokers, transforms: Connect, metrics: Arc<Metrics>, every: Duration, tasks: Tasks) {
    let (mut counter, mut told, mut pipelines) = (None, None, Vec::new());
    loop {
        let asked = status::limited("transforms", status::pipelines(&transforms));
        let Some(asked) = tasks.until_stop(asked).await else { return };
        match asked {
            Ok(found) => pipelines = of_pipelines(found.iter().map(|(_, settings)| settings)),
            Err(reason) => debug!(error = reason, "cannot ask for the dead-letter topics of pipelines"),
        }
        let (known, servers, own) = (counter, brokers.clone(), pipelines.clone());
        // Kafka's client blocks, each call up to its time limit.
        // It keeps nothing that must be finished, so a stop does not wait for it.
        let work = tokio::task::spawn_blocking(move || Counter::go_on(known, &servers, &own));
        let Some(done) = end(work, LIMIT, &metrics, &tasks).await else { return };
        counter = take(&metrics, done, &mut told);
        if tasks.until_stop(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

/// What a count came to; nothing once told to stop. It cannot be cut, so one that is late is waited for all the same.
async fn end(
    mut work: JoinHandle<Done>,
    limit: Duration,
    metrics: &Metrics,
    tasks: &Tasks,
) -> Option<Result<Done, JoinError>> {
    if let Ok(done) = tasks.until_stop(tokio::time::timeout(limit, &mut work)).await? {
        return Some(done);
    }
    metrics.forget_letters();
    tasks.until_stop(work).await
}

/// Shows what was counted, or nothing; answers the counter for the next time. After a fault of ours it begins anew.
fn take(metrics: &Metrics, done: Result<Done, JoinError>, told: &mut Option<String>) -> Option<Counter> {
    let (counter, counted) = done.unwrap_or((None, Err(KafkaError::Cut)));
    match counted {
        Ok(counts) => {
            metrics.letters_wait(&counts);
            *told = None;
        }
        Err(err) => {
            metrics.forget_letters();
            let words = err.to_string();
            // Only somebody can change that, and need not be told each time.
            if !err.is_transient() && told.as_ref() != Some(&words) {
                warn!(error = words, "cannot count dead letters");
                *told = Some(words);
            } else {
                debug!(error = words, "cannot count dead letters");
            }
        }
    }
    counter
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::dead_letters::count::Open;

    fn counts(open: u64) -> Counts {
        Counts::from([("t".to_owned(), Open { open, at_least: false })])
    }

    fn shown(metrics: &Metrics) -> Vec<String> {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| line.contains("topic=")).map(str::to_owned).collect()
    }

    #[test]
    fn what_cannot_be_counted_has_no_number_and_is_told_until_it_can() {
        let (metrics, mut told) = (Metrics::default(), None);
        assert!(take(&metrics, Ok((None, Ok(counts(3)))), &mut told).is_none());
        assert_eq!(shown(&metrics), [r#"orderflow_connectors_dead_letters{topic="t"} 3"#]);
        take(&metrics, Ok((None, Err(KafkaError::Cut))), &mut told);
        assert_eq!((shown(&metrics), &told), (Vec::new(), &Some(KafkaError::Cut.to_string())));
        take(&metrics, Ok((None, Ok(counts(0)))), &mut told);
        assert_eq!(shown(&metrics), [r#"orderflow_connectors_dead_letters{topic="t"} 0"#]);
        assert_eq!(told, None);
        let unread = Counts::from([("t".to_owned(), Open { open: 0, at_least: true })]);
        take(&metrics, Ok((None, Ok(unread))), &mut told);
        assert_eq!(shown(&metrics), Vec::<String>::new(), "that there is none is not known");
    }

    #[tokio::test]
    async fn while_a_count_takes_too_long_there_is_no_old_number_and_then_the_new_one() {
        let (metrics, tasks) = (Metrics::default(), Tasks::new());
        metrics.letters_wait(&counts(3));
        let (send, ended) = std::sync::mpsc::channel::<Done>();
        let work = tokio::task::spawn_blocking(move || ended.recv().unwrap());
        let late = async {
            while !shown(&metrics).is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            send.send((None, Ok(counts(4)))).unwrap();
        };
        let both = async { tokio::join!(end(work, Duration::from_millis(1), &metrics, &tasks), late) };
        let (done, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
        let (_, counted) = done.unwrap().unwrap();
        assert_eq!(counted.unwrap(), counts(4));
    }
}
