//! What a request may have, which can be set anew while the edge runs: see `reload`. A request, or a batch, goes by what
//! holds when it begins.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::config::Config;

/// What holds at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest body of an order, in bytes.
    pub body: usize,
    /// The largest body of a batch, in bytes.
    pub batch_bytes: usize,
    /// The most orders in one batch.
    pub batch_orders: usize,
}

/// What holds now. Cheap to clone and to ask: three loads and no lock.
#[derive(Clone, Debug)]
pub struct Current(Arc<[AtomicUsize; 3]>);

impl Current {
    /// These, until others are set.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let current = Self(Arc::default());
        current.set(limits);
        current
    }

    /// What holds now. While others are being set it may be some of these and some of those; each is a limit all the same.
    #[must_use]
    pub fn get(&self) -> Limits {
        let [body, batch_bytes, batch_orders] = &*self.0;
        let of = |limit: &AtomicUsize| limit.load(Ordering::Relaxed);
        Limits { body: of(body), batch_bytes: of(batch_bytes), batch_orders: of(batch_orders) }
    }

    /// From now on these hold.
    pub fn set(&self, limits: Limits) {
        let [body, batch_bytes, batch_orders] = &*self.0;
        body.store(limits.body, Ordering::Relaxed);
        batch_bytes.store(limits.batch_bytes, Ordering::Relaxed);
        batch_orders.store(limits.batch_orders, Ordering::Relaxed);
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self { body: config.max_body_bytes, batch_bytes: config.max_batch_bytes, batch_orders: config.max_batch_orders }
    }
}
