//! Subjects of the registry: BACKWARD first, then the schema, so that the rule holds for this very registration.

use schemas::contracts::{ORDER_PLACED_AVSC, ORDERS_RECEIVED_AVSC};
use schemas::names::subjects::{ORDER_PLACED_VALUE, ORDERS_RECEIVED_VALUE};
use schemas::registry::{Error, Registry};

use super::{ApplyError, Change, Line, Out, Target};
use crate::retry;

pub(crate) const COMPATIBILITY: &str = "BACKWARD";
/// Each with its schema and the file that it is of. What reads comes before what writes.
pub(crate) const SUBJECTS: [(&str, &str, &str); 2] = [
    (ORDER_PLACED_VALUE, ORDER_PLACED_AVSC, "schemas/order_placed.avsc"),
    (ORDERS_RECEIVED_VALUE, ORDERS_RECEIVED_AVSC, "schemas/orders.received.avsc"),
];

pub(super) async fn apply(target: &Target, out: Out<'_>) -> Result<(), ApplyError> {
    for (subject, schema, _) in SUBJECTS {
        let (change, id) =
            retry::until(target.deadline(), "the schema registry", || one(&target.registry, subject, schema))
                .await
                .map_err(|source| ApplyError::Registry { subject, source })?;
        let note = format!("id {id}, {COMPATIBILITY}");
        out(Line::new("subject", subject, change, note));
    }
    Ok(())
}

async fn one(registry: &Registry, subject: &str, schema: &str) -> Result<(Change, u32), Error> {
    let before = match registry.latest(subject).await {
        Ok(registered) => Some(registered.id),
        Err(Error::UnknownSubject(_) | Error::UnknownSchema(_)) => None,
        Err(err) => return Err(err),
    };
    // A subject that is not there yet takes no rule, and its first version needs none.
    if before.is_some() {
        registry.set_compatibility(subject, COMPATIBILITY).await?;
    }
    let id = registry.register(subject, schema).await?;
    if before.is_none() {
        registry.set_compatibility(subject, COMPATIBILITY).await?;
    }
    let change = match before {
        None => Change::Created,
        Some(before) if before == id => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    Ok((change, id))
}
