//! What a request may have, which can be set anew while the edge runs: see `Reloads`. A request, or a batch, goes by what
//! holds when it begins.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::config::{Config, Source};

/// The settings that are read anew.
const RELOADED: [&str; 3] = ["max-body-bytes", "max-batch-bytes", "max-batch-orders"];

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

    /// Reads the settings anew and takes the limits from them; the other settings are for the next start.
    ///
    /// # Errors
    /// All that is wrong with the settings; then nothing has changed.
    pub fn reload(&self, source: &Source) -> Result<String, String> {
        let (config, changed) = source.again().map_err(|faults| faults.to_string())?;
        let limits = Limits::from(&config);
        self.set(limits);
        let Limits { body, batch_bytes, batch_orders } = limits;
        let mut now = format!("max-body-bytes {body}, max-batch-bytes {batch_bytes}, max-batch-orders {batch_orders}");
        let rest: Vec<_> = changed.iter().map(String::as_str).filter(|name| !RELOADED.contains(name)).collect();
        if !rest.is_empty() {
            now.push_str(&format!("; these have changed too and need a restart: {}", rest.join(", ")));
        }
        Ok(now)
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self { body: config.max_body_bytes, batch_bytes: config.max_batch_bytes, batch_orders: config.max_batch_orders }
    }
}
