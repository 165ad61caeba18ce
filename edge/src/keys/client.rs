//! One client: what it may use in a second, and what it holds of what all share.

use std::sync::Arc;

use http::HeaderMap;

use super::quota::{Exceeded, Limits, Quotas};
use crate::{body::Shares, publish::Share};

/// Whose request it is; of nobody in particular when no keys are asked for. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Client(Option<Arc<Account>>);

/// What is known of the client of one key.
#[derive(Debug)]
pub(super) struct Account {
    id: String,
    limits: Limits,
    quotas: Quotas,
    held: Arc<Held>,
}

/// What one client holds of each budget that all share.
#[derive(Debug, Default)]
pub(super) struct Held {
    bodies: Shares,
    batches: Arc<Share>,
    queue: Arc<Share>,
}

impl Account {
    pub(super) fn new(id: &str, limits: Limits, held: Arc<Held>) -> Self {
        Self { id: id.to_owned(), quotas: Quotas::new(&limits), limits, held }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }
}

impl Client {
    pub(super) fn of(account: &Arc<Account>) -> Self {
        Self(Some(Arc::clone(account)))
    }

    /// The id of its key, for the log; empty without a key.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.as_ref().map_or("", |account| &account.id)
    }

    /// One more request, or one more order of a batch.
    ///
    /// # Errors
    /// The quota that it would exceed.
    pub fn charge_request(&self) -> Result<(), Exceeded> {
        self.0.as_ref().map_or(Ok(()), |account| account.quotas.charge_request())
    }

    /// The bytes of one order, as JSON: what it costs us, however it was packed.
    ///
    /// # Errors
    /// The quota that it would exceed.
    pub fn charge_bytes(&self, bytes: usize) -> Result<(), Exceeded> {
        self.0.as_ref().map_or(Ok(()), |account| account.quotas.charge_bytes(bytes))
    }

    /// Tells in the headers of an answer what is left of the quotas.
    pub fn describe(&self, headers: &mut HeaderMap) {
        if let Some(account) = &self.0 {
            account.quotas.describe(headers);
        }
    }

    /// What it holds of the memory for bodies and their decoders.
    #[must_use]
    pub fn bodies(&self) -> Option<&Shares> {
        self.0.as_ref().map(|account| &account.held.bodies)
    }

    /// What it holds of the batches and of the memory for their receipts.
    #[must_use]
    pub fn batches(&self) -> Option<&Arc<Share>> {
        self.0.as_ref().map(|account| &account.held.batches)
    }

    /// What it holds of the queue of orders that wait for the broker.
    #[must_use]
    pub fn queue(&self) -> Option<&Arc<Share>> {
        self.0.as_ref().map(|account| &account.held.queue)
    }
}
