//! Where a partition starts: at its committed offset. A partition that was never read starts at the beginning, and
//! that is committed at once, so that "no committed offset" never has to be guessed about again. A committed offset
//! that is not in the log is a gap: the partition stays stopped and is named, until an operator accepts the gap.

use std::fmt;
use std::sync::Arc;

use super::Fault;
use super::seam::{Member, Offsets};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// A committed offset that the log does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which partition is stopped.
    pub place: Place,
    /// What was committed.
    pub committed: i64,
    /// What the log has, the end exclusive.
    pub log: (i64, i64),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: Place { topic, partition }, committed, log: (low, high) } = self;
        write!(
            f,
            "partition {partition} of {topic} is stopped: offset {committed} is committed, but the log has {low} to {high}; \
             POST /connectors/{{name}}/offsets/accept goes on at {}",
            if committed < low { low } else { high }
        )
    }
}

/// Where to start, and where not.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) next: Offsets,
    pub(super) gaps: Vec<Gap>,
}

/// What is known of one partition's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Go(i64),
    First(i64),
    Stop { committed: i64, log: (i64, i64) },
}

fn decide(committed: Option<i64>, (low, high): (i64, i64), accept: bool) -> Decision {
    match committed {
        None => Decision::First(low),
        Some(at) if (low..=high).contains(&at) => Decision::Go(at),
        Some(at) if accept => Decision::First(if at < low { low } else { high }),
        Some(at) => Decision::Stop { committed: at, log: (low, high) },
    }
}

/// Asks the broker where each of these partitions starts; commits what is decided for the first time.
pub(super) fn resolve(member: &dyn Member, places: &[Place], accepted: &[Gap]) -> Result<Start, Fault> {
    let mut start = Start::default();
    let mut first = Offsets::new();
    for (place, committed) in member.committed(places)? {
        let log = member.log(&place)?;
        let accept = accepted.iter().any(|gap| gap.place == place && Some(gap.committed) == committed);
        match decide(committed, log, accept) {
            Decision::Go(at) => {
                start.next.insert(place, at);
            }
            Decision::First(at) => {
                tracing::info!(
                    kafka.topic = &*place.topic,
                    kafka.partition = place.partition,
                    kafka.offset = at,
                    "partition starts here"
                );
                first.insert(place.clone(), at);
                start.next.insert(place, at);
            }
            Decision::Stop { committed, log } => start.gaps.push(Gap { place, committed, log }),
        }
    }
    if !first.is_empty() {
        member.commit(&first)?;
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_goes_on_starts_or_stops() {
        for (committed, log, accept, expected) in [
            (None, (0, 10), false, Decision::First(0)),
            (None, (7, 10), false, Decision::First(7)),
            (Some(0), (0, 0), false, Decision::Go(0)),
            (Some(10), (0, 10), false, Decision::Go(10)),
            (Some(5), (5, 10), false, Decision::Go(5)),
            (Some(4), (5, 10), false, Decision::Stop { committed: 4, log: (5, 10) }),
            (Some(11), (0, 10), false, Decision::Stop { committed: 11, log: (0, 10) }),
            (Some(4), (5, 10), true, Decision::First(5)),
            (Some(11), (0, 10), true, Decision::First(10)),
            (Some(6), (5, 10), true, Decision::Go(6)),
        ] {
            assert_eq!(decide(committed, log, accept), expected, "{committed:?} in {log:?}, accept {accept}");
        }
    }
}
