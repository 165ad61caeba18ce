//! The end of a trial: its dead letters and the sink's place behind what was tried, if the sink is still the one that the
//! trial began with.

use std::sync::Arc;

use tokio::time::Instant;

use super::look::Hold;
use super::run::EMPTY;
use super::stretch::{self, Poison, Stretch};
use super::{AGAIN, Case, IsolateError};
use crate::kafka::sender::Sender;
use crate::kafka::{KafkaError, blocking};
use crate::names::sink_group;

impl Case<'_> {
    /// Writes the dead letters and moves the sink on, if it is still the same.
    pub(super) async fn settle(
        &self,
        sender: &Arc<Sender>,
        stretch: &Arc<Stretch>,
        judged: usize,
        poison: Vec<Poison>,
    ) -> Result<(), IsolateError> {
        let (until, poison) = (Instant::now() + EMPTY, Arc::new(poison));
        loop {
            self.begun().is_same(Hold::Healer).await?;
            match self.open(sender, stretch, judged, &poison).await {
                Ok(true) => break,
                Ok(false) => return Ok(()),
                Err(KafkaError::Members) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
                Err(err) => return Err(err.into()),
            }
        }
        // Connect's settings and Kafka's transactions have no lock in common, so an edit may still fall between this look
        // and the commit. What can be done is done: everything slow is behind us, and only the commit itself is left. Kafka
        // would take the offsets of a sink that runs again by then: `open` has seen its group empty, and this look sees
        // whether Connect lets it run.
        let same = self.begun().is_same(Hold::Healer).await;
        let (sender, keeps) = (Arc::clone(sender), same.is_ok());
        let ended = blocking(move || stretch::end(&sender, keeps)).await;
        same?;
        Ok(ended?)
    }

    async fn open(
        &self,
        sender: &Arc<Sender>,
        stretch: &Arc<Stretch>,
        judged: usize,
        poison: &Arc<Vec<Poison>>,
    ) -> Result<bool, KafkaError> {
        let (kafka, group, letters) = (self.isolator.kafka.clone(), sink_group(self.sink), self.letters);
        let (sender, stretch, poison) = (Arc::clone(sender), Arc::clone(stretch), Arc::clone(poison));
        blocking(move || stretch::open(&sender, &kafka, &group, letters, (&stretch, judged), &poison)).await
    }
}
