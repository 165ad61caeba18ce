//! The supervisor's numbers for Prometheus. Labels are connector names and fixed words.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::probes::Need;
use crate::names::metrics as names;

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
    poison: Family<Connector, Counter>,
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
        registry.register(names::POISON, "records that a sink does not take, now dead letters", self.poison.clone());
    }

    /// Forgets the gauges of a connector that is gone, so that they do not say "all is well" for ever.
    pub fn forget(&self, connector: &str) {
        let label = Connector { connector: connector.to_owned() };
        self.unhealthy.remove(&label);
        self.lag.remove(&label);
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

    /// Records that became dead letters.
    #[must_use]
    pub fn poison(&self, connector: &str) -> Counter {
        self.poison.get_or_create_owned(&Connector { connector: connector.to_owned() })
    }

    /// Whether a target answers.
    #[must_use]
    pub fn target(&self, need: &Need) -> Gauge {
        self.targets.get_or_create_owned(&Target { target: need.to_string() })
    }
}
