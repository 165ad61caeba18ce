//! Whether a sink is still the one that its trial began with. Whoever gives it other settings, pauses, resumes or deletes
//! it meanwhile wants something that the trial knows nothing of: a record that the old settings did not take may be fine
//! by the new ones, and what was stored in the old table is not in the new one.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::IsolateError;
use crate::connect::{Connect, ConnectError, FAILED, RUNNING, Settings, Status};
use crate::retry;

/// So long a look may take; well within the time of a transaction, which is open during the last one.
const LIMIT: Duration = Duration::from_secs(5);

/// What somebody did to a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Gave it other settings.
    Edited,
    /// Paused it.
    Paused,
    /// Stopped it. While a healer holds it that cannot be told from what the healer did itself.
    Stopped,
    /// Let it run, or made it anew.
    Resumed,
    /// Deleted it.
    Deleted,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edited => "given other settings",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Resumed => "resumed",
            Self::Deleted => "deleted",
        })
    }
}

/// Who holds a sink, if all is as the trial left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody yet.
    Nobody,
    /// The healer, which stopped it.
    Healer,
    /// The healer, which has asked for the stop; Connect may be at it still.
    Stopping,
}

/// A sink as its trial began with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun<'a> {
    pub(super) connect: &'a Connect,
    pub(super) sink: &'a str,
    pub(super) settings: &'a Settings,
}

impl Begun<'_> {
    /// That it is still the same.
    ///
    /// # Errors
    /// [`IsolateError::GivenUp`] where it is not; others where Connect does not say.
    pub(super) async fn is_same(&self, hold: Hold) -> Result<(), IsolateError> {
        let Ok(found) = tokio::time::timeout(LIMIT, self.found()).await else {
            return Err(IsolateError::Late { what: format!("a look at {}", self.sink), limit: LIMIT });
        };
        let (settings, status) = found?;
        match change(self.settings, settings.as_ref(), status.as_ref(), hold) {
            None => Ok(()),
            Some(change) => Err(IsolateError::GivenUp { sink: self.sink.to_owned(), change }),
        }
    }

    async fn found(&self) -> Result<(Option<Settings>, Option<Status>), ConnectError> {
        let (connect, sink, until) = (self.connect, self.sink, Instant::now() + LIMIT);
        let settings = retry::until(until, "Kafka Connect", || connect.settings(sink)).await?;
        let status = retry::until(until, "Kafka Connect", || connect.status(sink)).await?;
        Ok((settings, status))
    }
}

fn change(begun: &Settings, now: Option<&Settings>, status: Option<&Status>, hold: Hold) -> Option<Change> {
    // Settings without a state are those of one that was just made.
    let (Some(now), Some(status)) = (now, status) else { return Some(Change::Deleted) };
    if now != begun {
        return Some(Change::Edited);
    }
    if status.is_paused() {
        return Some(Change::Paused);
    }
    match hold {
        Hold::Stopping => None,
        Hold::Nobody => status.is_held().then_some(Change::Stopped),
        // In any other state it may be on its way from one worker to another, and stay stopped.
        Hold::Healer => {
            let runs = [RUNNING, FAILED].contains(&status.connector.state.as_str()) || !status.tasks.is_empty();
            runs.then_some(Change::Resumed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Part;

    fn status(state: &str, tasks: usize) -> Status {
        let part = |state: &str| Part { state: state.to_owned(), ..Part::default() };
        Status { connector: part(state), tasks: vec![part(FAILED); tasks], ..Status::default() }
    }

    #[test]
    fn what_somebody_did_is_told_from_what_the_healer_and_connect_do() {
        let begun = Settings::from([("topics".to_owned(), "t".to_owned())]);
        for (state, tasks, before, held) in [
            ("RUNNING", 2, None, Some(Change::Resumed)),
            ("FAILED", 0, None, Some(Change::Resumed)),
            ("UNASSIGNED", 2, None, Some(Change::Resumed)),
            // A rebalance.
            ("UNASSIGNED", 0, None, None),
            ("RESTARTING", 0, None, None),
            ("PAUSED", 2, Some(Change::Paused), Some(Change::Paused)),
            ("STOPPED", 0, Some(Change::Stopped), None),
        ] {
            let seen = |hold| change(&begun, Some(&begun), Some(&status(state, tasks)), hold);
            assert_eq!((seen(Hold::Nobody), seen(Hold::Healer)), (before, held), "{state} with {tasks} tasks");
        }
        for (state, tasks, expected) in
            [("RUNNING", 2, None), ("STOPPED", 2, None), ("STOPPED", 0, None), ("PAUSED", 2, Some(Change::Paused))]
        {
            let seen = change(&begun, Some(&begun), Some(&status(state, tasks)), Hold::Stopping);
            assert_eq!(seen, expected, "{state} with {tasks} tasks");
        }
        assert_eq!(change(&begun, None, None, Hold::Stopping), Some(Change::Deleted));
        let stopped = status("STOPPED", 0);
        let seen = |now, status| change(&begun, now, status, Hold::Healer);
        let edited = Settings::from([("topics".to_owned(), "u".to_owned())]);
        assert_eq!(seen(Some(&edited), Some(&stopped)), Some(Change::Edited));
        assert_eq!(seen(None, Some(&stopped)), Some(Change::Deleted));
        assert_eq!(seen(Some(&begun), None), Some(Change::Deleted));
    }
}
