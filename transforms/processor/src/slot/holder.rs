//! Two processes under one identity: the one that lost it says so and stands by. How the other holder is found is
//! [`crate::kafka::Identity`]'s.

use std::sync::Arc;
use std::time::Duration;

use super::Slot;
use crate::kafka::Fault;

/// How often a slot that stands by looks whether the other holder of its identity is gone.
const STAND_BY_PAUSE: Duration = Duration::from_secs(2);
/// After so many looks without an answer of the broker it tries anyhow.
const STAND_BY_TRIES: u32 = 10;

impl Slot {
    /// Somebody else took the identity. Taking it back would only start a fight, so wait until nobody has it.
    pub(super) fn stand_by(&self, fault: &Fault, own: Option<&str>) {
        self.restarting(&fault.to_string());
        for unanswered in 0..STAND_BY_TRIES {
            self.wait(STAND_BY_PAUSE);
            if self.control.is_stopped() {
                return;
            }
            loop {
                match self.other_holder(own) {
                    Ok(None) => return,
                    Err(_) => break,
                    Ok(Some(other)) => {
                        let trace = format!(
                            "{fault}; member {other} has this identity too: stop one of them or give it another --instance"
                        );
                        self.status.update(|report| report.trace = Some(trace));
                        self.wait(STAND_BY_PAUSE);
                    }
                }
                if self.control.is_stopped() {
                    return;
                }
            }
            tracing::debug!(unanswered, "cannot ask who holds the identity");
        }
    }

    /// Looks once, beside the start and not before it: a restart in place must not wait for this.
    pub(super) fn name_other_holder(&self) {
        let (kafka, identity) = (Arc::clone(&self.kafka), self.identity.clone());
        self.kafka.beside(Box::new(move || {
            let members = kafka.members(&identity).unwrap_or_default();
            if let Some(other) = identity.other_holder(members, None) {
                tracing::warn!(
                    slot = identity.slot(),
                    other,
                    "a member with this identity is in the group: it ended just now, or a second process runs with the \
                     same --instance; taking over, a second process will stand by"
                );
            }
        }));
    }

    fn other_holder(&self, own: Option<&str>) -> Result<Option<String>, Fault> {
        Ok(self.identity.other_holder(self.kafka.members(&self.identity)?, own))
    }
}
