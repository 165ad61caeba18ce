//! What was done with a letter already, by [`super::send`] or by `connectors dead-letters`.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use rdkafka::message::Message;
use schemas::dealt::{Did, Mark};
use schemas::names::topics::DEAD_LETTER_MARKS;
use service_kit::kafka::Brokers;

use super::records::{Reading, Untold, each};
use crate::author::show::plain;
use crate::state::facts::time_text;

/// All marks are read within this; there are as many as letters were dealt with.
const TIME: Duration = Duration::from_secs(60);
/// The topic has one.
pub(super) const PARTITION: i32 = 0;

/// The newest mark under this key. Blocks.
///
/// # Errors
/// When the marks cannot be read, or not all of them: a letter whose mark was not seen could be sent twice.
pub(super) fn of(kafka: &Brokers, key: &str) -> anyhow::Result<Option<Mark>> {
    let opened = Reading::by_command(kafka).open(DEAD_LETTER_MARKS, PARTITION);
    let (consumer, there) = opened.map_err(|untold| match untold {
        Untold::Gone(_) => anyhow!(
            "there is no topic {DEAD_LETTER_MARKS}, where it is noted what was done; `connectors apply` makes it"
        ),
        Untold::Later(_) => untold.into(),
    })?;
    let (mut found, end) = (None, there.end);
    let came = each(&consumer, (DEAD_LETTER_MARKS, PARTITION), there, TIME, |message| {
        if message.key() == Some(key.as_bytes()) {
            let mark = message.payload().and_then(|value| serde_json::from_slice(value).ok());
            // Whatever else somebody wrote there is no mark.
            found = mark.or(found.take());
        }
        ControlFlow::Continue(())
    })?;
    ensure!(
        end <= came,
        "{DEAD_LETTER_MARKS} was read up to offset {came} of {end} in {} s; try again",
        TIME.as_secs()
    );
    Ok(found)
}

/// A mark in words.
pub(super) fn words(mark: &Mark) -> String {
    let (time, by) = (time_text(mark.at_ms), &mark.by);
    let words = match (mark.did, &mark.to) {
        (Did::Replayed, Some(to)) => format!("it was sent again already, as {to}, {time} by {by}"),
        (Did::Replayed, None) => format!("it was sent again already, {time} by {by}"),
        (Did::Discarded, _) => {
            format!("it was discarded {time} by {by}: {}", mark.because.as_deref().unwrap_or_default())
        }
    };
    plain(&words)
}
