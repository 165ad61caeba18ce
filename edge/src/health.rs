//! When the edge is ready: it knows the schema's id, the broker takes orders, and it is not told to stop.

use std::sync::Arc;

use service_kit::{Condition, Readiness, Tasks};

use crate::publish::Publisher;

/// Ready only with a broker that takes orders, asked now, and while nobody told the service to stop.
/// The condition that is given back is for the schema's id.
#[must_use]
pub fn conditions(readiness: &Readiness, publisher: &Arc<Publisher>, tasks: &Tasks) -> Condition {
    let (broker, publisher, tasks) = (Arc::clone(publisher.broker()), Arc::clone(publisher), tasks.clone());
    readiness.detail("durability", move || Some(publisher.durability()?.told(publisher.topic())));
    readiness.evidence("kafka", move || broker.is_up());
    readiness.evidence("serving", move || match tasks.is_stopping() {
        true => Err("the edge was told to stop".to_owned()),
        false => Ok(()),
    });
    readiness.condition("schema")
}
