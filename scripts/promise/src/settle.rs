//! Waits until everything has come to rest: the transforms have read all of the input, both sinks all of the output.
//!
//! On conditions, with a deadline, and never by touching anything: what heals must heal by itself.

use std::time::{Duration, Instant};

use crate::read::{Kafka, Places, ReadError, path};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Up to so many offsets are looked at one by one: only then can "nothing but the markers of transactions" be told.
const LOOK_AT: usize = 2_000;

/// What is still under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lag {
    /// By group: the transforms, and each sink. While it is large it counts offsets, then records.
    pub groups: Vec<(String, usize)>,
}

impl Lag {
    /// True when nothing is under way.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.groups.iter().all(|(_, lag)| *lag == 0)
    }
}

/// Why it did not come to rest.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Too slow, or stuck.
    #[error("not at rest after {limit:?}: {lag:?}")]
    Deadline {
        /// The limit.
        limit: Duration,
        /// What was still under way.
        lag: Lag,
    },
    /// Kafka could not be asked until the end.
    #[error("cannot see whether all is at rest")]
    Read(#[from] ReadError),
}

/// What is under way now.
///
/// # Errors
/// When Kafka cannot be asked.
pub fn lag(places: &Places) -> Result<Lag, ReadError> {
    let path = path(&Kafka::new(&places.kafka))?;
    let groups = path.iter().map(|group| Ok((group.group().to_owned(), group.lag(LOOK_AT)?)));
    Ok(Lag { groups: groups.collect::<Result<_, ReadError>>()? })
}

/// Waits until nothing is under way, and says how long it took.
///
/// # Errors
/// When `limit` passes first.
pub fn wait(places: &Places, limit: Duration) -> Result<Duration, SettleError> {
    let start = Instant::now();
    loop {
        let now = lag(places);
        let over = start.elapsed() > limit;
        match now {
            Ok(lag) if lag.is_zero() => return Ok(start.elapsed()),
            Ok(lag) if over => return Err(SettleError::Deadline { limit, lag }),
            Err(error) if over => return Err(error.into()),
            Ok(_) | Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
