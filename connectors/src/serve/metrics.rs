//! The supervisor's numbers for Prometheus. Labels are connector names and fixed words.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::probes::Need;
use crate::names::metrics as names;
use crate::verify::stores::Store;

/// All of them.
#[derive(Debug, Default)]
pub struct Metrics {
    /// 1 while Connect answers.
    pub connect_up: Gauge,
    /// 1 while this healer is the one that acts.
    pub on_duty: Gauge,
    unhealthy: Family<Connector, Gauge>,
    lag: Family<Connector, Gauge>,
    refused: Family<Connector, Counter>,
    restarts: Family<Restart, Counter>,
    targets: Family<Target, Gauge>,
    trials: Family<Trial, Counter>,
    trial_seconds: Family<Connector, Counter<f64, AtomicU64>>,
    poison: Family<Connector, Counter>,
    /// When table and index were compared last, in seconds since 1970.
    pub parity_checked: Gauge,
    /// Rows minus documents of what differs.
    pub parity_difference: Gauge,
    /// Slices that differ.
    pub parity_slices: Gauge,
    parity_orders: Family<StoreName, Gauge>,
    parity_checks: Family<Check, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Connector {
    connector: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Restart {
    connector: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Trial {
    connector: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Target {
    target: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreName {
    store: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Check {
    outcome: &'static str,
}

impl Metrics {
    /// Shows them in a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(names::CONNECT_UP, "1 while Kafka Connect's REST API answers", self.connect_up.clone());
        registry.register(names::ON_DUTY, "1 while this healer is the one that acts", self.on_duty.clone());
        registry.register(names::TARGET_UP, "1 while the target answers", self.targets.clone());
        registry.register(names::UNHEALTHY_TASKS, "connectors and tasks that do not run", self.unhealthy.clone());
        registry.register(names::LAG, "offsets between committed and last stable", self.lag.clone());
        registry.register(names::RESTARTS, "restarts that the supervisor asked for", self.restarts.clone());
        registry.register(names::RESTARTS_REFUSED, "restarts that Kafka Connect did not take", self.refused.clone());
        registry.register(names::TRIALS, "trials of a sink's records, one by one", self.trials.clone());
        registry.register(names::TRIAL_SECONDS, "how long trials took", self.trial_seconds.clone());
        registry.register(names::POISON, "records that a sink does not take, now dead letters", self.poison.clone());
        let checked = "when table and index were compared last, in seconds since 1970";
        registry.register(names::PARITY_CHECKED, checked, self.parity_checked.clone());
        let difference = "rows of the table minus documents of the index, in slices that stay different";
        registry.register(names::PARITY_DIFFERENCE, difference, self.parity_difference.clone());
        registry.register(names::PARITY_SLICES, "slices that stay different", self.parity_slices.clone());
        registry.register(names::PARITY_ORDERS, "orders of the slices compared", self.parity_orders.clone());
        registry.register(names::PARITY_CHECKS, "comparisons of table and index", self.parity_checks.clone());
    }

    /// Forgets the gauges of a connector that is gone, so that they do not say "all is well" for ever.
    pub fn forget(&self, connector: &str) {
        let label = Connector { connector: connector.to_owned() };
        self.unhealthy.remove(&label);
        self.lag.remove(&label);
    }

    /// Shows no lag rather than an old one.
    pub fn forget_lag(&self, connector: &str) {
        self.lag.remove(&Connector { connector: connector.to_owned() });
    }

    /// Parts of a connector that do not run.
    #[must_use]
    pub fn unhealthy(&self, connector: &str) -> Gauge {
        self.unhealthy.get_or_create_owned(&Connector { connector: connector.to_owned() })
    }

    /// A connector's lag.
    #[must_use]
    pub fn lag(&self, connector: &str) -> Gauge {
        self.lag.get_or_create_owned(&Connector { connector: connector.to_owned() })
    }

    /// Restarts that were not taken.
    #[must_use]
    pub fn refused(&self, connector: &str) -> Counter {
        self.refused.get_or_create_owned(&Connector { connector: connector.to_owned() })
    }

    /// Restarts by reason.
    #[must_use]
    pub fn restarts(&self, connector: &str, reason: &'static str) -> Counter {
        self.restarts.get_or_create_owned(&Restart { connector: connector.to_owned(), reason })
    }

    /// Trials by outcome.
    #[must_use]
    pub fn trials(&self, connector: &str, outcome: &'static str) -> Counter {
        self.trials.get_or_create_owned(&Trial { connector: connector.to_owned(), outcome })
    }

    /// How long trials took, in seconds.
    #[must_use]
    pub fn trial_seconds(&self, connector: &str) -> Counter<f64, AtomicU64> {
        self.trial_seconds.get_or_create_owned(&Connector { connector: connector.to_owned() })
    }

    /// Records that became dead letters.
    #[must_use]
    pub fn poison(&self, connector: &str) -> Counter {
        self.poison.get_or_create_owned(&Connector { connector: connector.to_owned() })
    }

    /// Orders that a store holds of the slices that are compared.
    #[must_use]
    pub fn parity_orders(&self, store: Store) -> Gauge {
        let store = match store {
            Store::PostgreSql => "postgres",
            Store::Elasticsearch => "elasticsearch",
        };
        self.parity_orders.get_or_create_owned(&StoreName { store })
    }

    /// Comparisons by outcome.
    #[must_use]
    pub fn parity_checks(&self, outcome: &'static str) -> Counter {
        self.parity_checks.get_or_create_owned(&Check { outcome })
    }

    /// Whether a target answers.
    #[must_use]
    pub fn target(&self, need: &Need) -> Gauge {
        self.targets.get_or_create_owned(&Target { target: need.to_string() })
    }
}
