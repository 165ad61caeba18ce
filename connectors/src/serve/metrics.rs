//! The supervisor's numbers for Prometheus. Labels are connector names, our own topics and fixed words.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::probes::Need;
use crate::connect::Status;
use crate::dead_letters::count::Counts;
use crate::names::metrics as names;
use crate::verify::stores::Store;

/// The states that Connect knows. All are shown, so that none is left over from before.
const STATES: [&str; 7] = ["RUNNING", "FAILED", "PAUSED", "STOPPED", "UNASSIGNED", "RESTARTING", UNKNOWN];
/// Any other: a label takes no text of a server.
const UNKNOWN: &str = "UNKNOWN";

/// All of them.
#[derive(Debug, Default)]
pub struct Metrics {
    /// 1 while Connect answers.
    pub connect_up: Gauge,
    /// 1 while this healer is the one that acts.
    pub on_duty: Gauge,
    states: Family<InState, Gauge>,
    tasks: Family<InState, Gauge>,
    unhealthy: Family<Connector, Gauge>,
    lag: Family<Connector, Gauge>,
    refused: Family<Connector, Counter>,
    restarts: Family<Restart, Counter>,
    targets: Family<Target, Gauge>,
    trials: Family<Trial, Counter>,
    trial_seconds: Family<Connector, Counter<f64, AtomicU64>>,
    poison: Family<Connector, Counter>,
    dead_letters: Family<Topic, Gauge>,
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
struct Topic {
    topic: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    connector: String,
    state: &'static str,
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
        registry.register(names::STATE, "1 for the state that a connector is in", self.states.clone());
        registry.register(names::TASKS, "tasks by state", self.tasks.clone());
        registry.register(names::UNHEALTHY_TASKS, "connectors and tasks that do not run", self.unhealthy.clone());
        registry.register(names::LAG, "offsets between committed and last stable", self.lag.clone());
        registry.register(names::RESTARTS, "restarts that the supervisor asked for", self.restarts.clone());
        registry.register(names::RESTARTS_REFUSED, "restarts that Kafka Connect did not take", self.refused.clone());
        registry.register(names::TRIALS, "trials of a sink's records, one by one", self.trials.clone());
        registry.register(names::TRIAL_SECONDS, "how long trials took", self.trial_seconds.clone());
        registry.register(names::POISON, "records that a sink does not take, now dead letters", self.poison.clone());
        let letters = "dead letters with which nothing was done yet; absent while they cannot be counted";
        registry.register(names::DEAD_LETTERS, letters, self.dead_letters.clone());
        let checked = "when table and index were compared last, in seconds since 1970";
        registry.register(names::PARITY_CHECKED, checked, self.parity_checked.clone());
        let difference = "rows of the table minus documents of the index, in slices that stay different";
        registry.register(names::PARITY_DIFFERENCE, difference, self.parity_difference.clone());
        registry.register(names::PARITY_SLICES, "slices that stay different", self.parity_slices.clone());
        registry.register(names::PARITY_ORDERS, "orders of the slices compared", self.parity_orders.clone());
        registry.register(names::PARITY_CHECKS, "comparisons of table and index", self.parity_checks.clone());
    }

    /// Forgets the gauges of a connector that is gone, so that they do not say "all is well" for ever. What its
    /// counters counted did happen.
    pub fn forget(&self, connector: &str) {
        let label = Connector { connector: connector.to_owned() };
        self.unhealthy.remove(&label);
        self.lag.remove(&label);
        for state in STATES {
            let label = InState { connector: connector.to_owned(), state };
            self.states.remove(&label);
            self.tasks.remove(&label);
        }
    }

    /// How a connector and its tasks stand.
    pub fn stands(&self, connector: &str, status: &Status) {
        let own = known(&status.connector.state);
        for state in STATES {
            let label = InState { connector: connector.to_owned(), state };
            self.states.get_or_create_owned(&label).set(i64::from(own == state));
            let tasks = status.tasks.iter().filter(|task| known(&task.state) == state).count();
            self.tasks.get_or_create_owned(&label).set(i64::try_from(tasks).unwrap_or(i64::MAX));
        }
    }

    /// Shows no states rather than old ones: Connect does not answer.
    pub fn forget_states(&self) {
        self.states.clear();
        self.tasks.clear();
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

    /// How many dead letters wait, by topic.
    pub fn letters_wait(&self, counts: &Counts) {
        for (topic, one) in counts {
            let of = Topic { topic: topic.clone() };
            // There may be some, and nobody knows of any.
            if one.at_least && one.open == 0 {
                self.dead_letters.remove(&of);
            } else {
                self.dead_letters.get_or_create_owned(&of).set(i64::try_from(one.open).unwrap_or(i64::MAX));
            }
        }
    }

    /// Shows no number of dead letters rather than an old one.
    pub fn forget_letters(&self) {
        self.dead_letters.clear();
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

fn known(state: &str) -> &'static str {
    STATES.into_iter().find(|known| *known == state).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use service_kit::listing;

    use super::*;
    use crate::connect::Part;
    use crate::dead_letters::count::Open;
    use crate::names::metrics::{STATE, TASKS};

    fn shown(metrics: &Metrics) -> Vec<String> {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| line.contains("connector=")).map(str::to_owned).collect()
    }

    fn status(connector: &str, tasks: &[&str]) -> Status {
        let part = |state: &str| Part { state: state.to_owned(), ..Part::default() };
        let tasks = tasks.iter().map(|state| part(state)).collect();
        Status { connector: part(connector), tasks, ..Status::default() }
    }

    #[test]
    fn the_page_has_each_metric_and_no_other() {
        let (metrics, mut registry, mut text) = (Metrics::default(), Registry::default(), String::new());
        metrics.register(&mut registry);
        // A family is shown once it has a member.
        metrics.stands("s", &status("RUNNING", &["RUNNING"]));
        let _ = (metrics.unhealthy("s"), metrics.lag("s"), metrics.refused("s"), metrics.restarts("s", "failed"));
        let _ = (metrics.trials("s", "made"), metrics.trial_seconds("s"), metrics.poison("s"));
        metrics.letters_wait(&Counts::from([("t".to_owned(), Open { open: 1, at_least: false })]));
        let _ = (metrics.parity_orders(Store::PostgreSql), metrics.parity_checks("equal"));
        let _ = metrics.target(&Need::Registry);
        encode(&mut text, &registry).unwrap();
        let page = listing::of_page(include_str!("../../METRICS.md"));
        assert_eq!(page, listing::of_scrape(&text), "left: METRICS.md, right: the code");
    }

    #[test]
    fn each_state_has_its_number_of_tasks_and_none_is_left_over_from_before() {
        let metrics = Metrics::default();
        let value = |series: &str| {
            let found = shown(&metrics).into_iter().find_map(|line| line.strip_prefix(series).map(str::to_owned));
            found.unwrap().trim().parse::<i64>().unwrap()
        };
        let tasks = |state: &str| value(&format!("{TASKS}{{connector=\"s\",state=\"{state}\"}}"));
        let own = |state: &str| value(&format!("{STATE}{{connector=\"s\",state=\"{state}\"}}"));
        metrics.stands("s", &status("RUNNING", &["RUNNING", "FAILED", "RUNNING", "ODD"]));
        assert_eq!(["RUNNING", "FAILED", UNKNOWN, "PAUSED"].map(tasks), [2, 1, 1, 0]);
        assert_eq!(["RUNNING", "FAILED", UNKNOWN, "PAUSED"].map(own), [1, 0, 0, 0]);
        metrics.stands("s", &status("PAUSED", &["PAUSED"]));
        assert_eq!(["RUNNING", "FAILED", UNKNOWN, "PAUSED"].map(tasks), [0, 0, 0, 1]);
        assert_eq!(["RUNNING", "FAILED", UNKNOWN, "PAUSED"].map(own), [0, 0, 0, 1]);
    }

    #[test]
    fn a_connector_that_is_forgotten_has_no_gauge_any_more_and_the_others_have_theirs() {
        let metrics = Metrics::default();
        for name in ["s", "t"] {
            metrics.stands(name, &status("RUNNING", &["FAILED"]));
            metrics.unhealthy(name).set(1);
            metrics.lag(name).set(5);
        }
        let both = shown(&metrics).len();
        metrics.forget("s");
        let left = shown(&metrics);
        assert_eq!(2 * left.len(), both, "{left:#?}");
        assert!(left.iter().all(|line| line.contains("connector=\"t\"")), "{left:#?}");
        metrics.forget_states();
        assert_eq!(shown(&metrics).len(), 2, "the lag and the unhealthy tasks of t");
    }
}
