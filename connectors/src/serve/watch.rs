//! Reads the positions of all sinks again and again and puts lag and standstill on the board. Asks Kafka only; it runs
//! beside the supervisor, since a broker that is away answers slowly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::board::{Board, Entry};
use super::metrics::Metrics;
use super::progress::Progress;
use crate::kafka::KafkaError;
use crate::kafka::lag::{Place, Reader};
use crate::names::sink_group;
use crate::retry::Transient as _;

const EVERY: Duration = Duration::from_secs(2);

/// One group's reader with what it remembers.
struct Watched {
    reader: Reader,
    progress: Progress,
    restarts: u64,
}

/// By connector.
type All = BTreeMap<String, Watched>;

/// What was said last of a connector whose positions cannot be read.
type Told = BTreeMap<String, String>;

/// Watches until told to stop.
pub async fn watch(brokers: Brokers, board: Board, metrics: Arc<Metrics>, tasks: Tasks) {
    let mut watched = (All::new(), Told::new());
    loop {
        let (brokers, board, metrics) = (brokers.clone(), board.clone(), Arc::clone(&metrics));
        // Kafka's client blocks, each call up to its time limit.
        let round = tasks.spawn_blocking(move || {
            round(&brokers, &board, &metrics, &mut watched);
            watched
        });
        watched = match round.await {
            Ok(back) => back,
            // A fault of ours is no reason to watch no more in silence: whoever holds this task sees it.
            Err(fault) if fault.is_panic() => std::panic::resume_unwind(fault.into_panic()),
            Err(_) => return,
        };
        if tasks.until_stop(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

fn round(brokers: &Brokers, board: &Board, metrics: &Metrics, (watched, told): &mut (All, Told)) {
    let entries = board.entries();
    watched.retain(|name, _| entries.contains_key(name));
    told.retain(|name, _| entries.contains_key(name));
    for (name, entry) in &entries {
        match one(brokers, name, entry, watched) {
            Ok(Some(seen)) => {
                told.remove(name);
                metrics.lag(name).set(seen.lag);
                board.set_progress(name, entry.restarts, seen.lag, seen.stuck, seen.waits);
            }
            Ok(None) => {
                told.remove(name);
                metrics.forget_lag(name);
                board.no_progress(name);
            }
            Err(err) => {
                let words = err.to_string();
                // Whether it moves is not known then, and only somebody can change that.
                if !err.is_transient() && told.get(name) != Some(&words) {
                    warn!(connector = name, error = words, "cannot read positions");
                    told.insert(name.clone(), words);
                } else {
                    debug!(connector = name, error = words, "cannot read positions");
                }
                metrics.forget_lag(name);
                board.no_progress(name);
            }
        }
    }
}

struct Seen {
    lag: i64,
    stuck: bool,
    waits: Vec<Place>,
}

/// Nothing where no partition is known to be read: of topics that are not there, or named by a pattern only.
fn one(
    brokers: &Brokers,
    name: &str,
    entry: &Entry,
    watched: &mut BTreeMap<String, Watched>,
) -> Result<Option<Seen>, KafkaError> {
    if entry.topics.is_empty() {
        return Ok(None);
    }
    if !watched.contains_key(name) {
        let reader = Reader::new(brokers, &sink_group(name))?;
        watched.insert(name.to_owned(), Watched { reader, progress: Progress::default(), restarts: entry.restarts });
    }
    let Some(Watched { reader, progress, restarts }) = watched.get_mut(name) else { return Err(KafkaError::Cut) };
    // What does not run need not move; after a restart the time counts anew.
    if !entry.running || *restarts != entry.restarts {
        progress.restarted(*restarts != entry.restarts && entry.for_standstill);
        *restarts = entry.restarts;
    }
    let places = reader.places(&entry.topics)?;
    if places.is_empty() {
        return Ok(None);
    }
    let owners = if places.iter().any(|place| 0 < place.lag()) { reader.owners()? } else { BTreeMap::new() };
    let now = Instant::now();
    let verdict = progress.observe(now, &places, &owners);
    if !verdict.look.is_empty() {
        let looked = reader.unread(&verdict.look)?;
        progress.looked(now, &verdict.look, &looked);
    }
    let stuck = entry.running && !verdict.stuck.is_empty();
    let lag = progress.lag(&places);
    let waits = if stuck { verdict.stuck } else { progress.waiting(&places) };
    Ok(Some(Seen { lag, stuck, waits }))
}
