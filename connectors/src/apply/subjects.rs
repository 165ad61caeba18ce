//! Subjects of the registry: BACKWARD first, then the schema, so that the rule holds for this very registration.

use schemas::registry::{Error, Registry};

use super::{ApplyError, Change, Line, Out, Target};
use crate::contracts::{Contract, Contracts};
use crate::retry;

pub(crate) const COMPATIBILITY: &str = "BACKWARD";

pub(super) async fn apply(target: &Target, contracts: &Contracts, out: Out<'_>) -> Result<(), ApplyError> {
    for contract in contracts.all() {
        register(target, contract, out).await?;
    }
    Ok(())
}

/// Registers one, and answers its id.
pub(crate) async fn register(target: &Target, contract: &Contract, out: Out<'_>) -> Result<u32, ApplyError> {
    let (subject, schema) = (contract.subject, contract.schema.as_str());
    let (change, id) =
        retry::until(target.deadline(), "the schema registry", || one(&target.registry, subject, schema))
            .await
            .map_err(|source| ApplyError::Registry { subject, source })?;
    out(Line::new("subject", subject, change, format!("id {id}, {COMPATIBILITY}")));
    Ok(id)
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
