//! Names that others depend on: connector classes, groups, metrics. A name stands here once.

use schemas::names::topics;

/// The value of `connector.class` that makes a file a pipeline of WASM modules.
pub const PIPELINE_CLASS: &str = "orderflow.WasmPipeline";
/// Debezium's JDBC sink.
pub const JDBC_CLASS: &str = "io.debezium.connector.jdbc.JdbcSinkConnector";
/// Camel's sink, which carries the Elasticsearch component.
pub const CAMEL_CLASS: &str = "org.apache.camel.kafkaconnector.CamelSinkConnector";

/// The consumer group of a sink, as Kafka Connect names it.
#[must_use]
pub fn sink_group(connector: &str) -> String {
    format!("connect-{connector}")
}

/// Where the dead letters of one of the house's sinks lie, and where they are sent again so that only it reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The sink's name.
    pub sink: &'static str,
    /// Its dead letters.
    pub letters: &'static str,
    /// What was sent again.
    pub retry: &'static str,
}

/// The sinks' stages.
pub const STAGES: [Stage; 2] = [
    Stage { sink: "orders-postgres", letters: topics::POSTGRES_DEAD_LETTER, retry: topics::POSTGRES_RETRY },
    Stage {
        sink: "orders-elasticsearch",
        letters: topics::ELASTICSEARCH_DEAD_LETTER,
        retry: topics::ELASTICSEARCH_RETRY,
    },
];

/// Metrics of `connectors serve`; the counters get `_total` from the exposition format.
pub mod metrics {
    /// 1 for the state that a connector is in, 0 for the others, by connector and state.
    pub const STATE: &str = "orderflow_connectors_state";
    /// How many tasks of a connector are in a state, by connector and state.
    pub const TASKS: &str = "orderflow_connectors_tasks";
    /// Trials of a sink's records, by connector and outcome.
    pub const TRIALS: &str = "orderflow_connectors_trials";
    /// How long trials took.
    pub const TRIAL_SECONDS: &str = "orderflow_connectors_trial_seconds";
    /// Records that became dead letters of a sink, by connector.
    pub const POISON: &str = "orderflow_connectors_poison_records";
    /// Dead letters with which nothing was done yet, by topic; absent while they cannot be counted. It is the least that
    /// there is where a topic holds more than is read or remembered (10,000 open ones). Every healer tells the same.
    pub const DEAD_LETTERS: &str = "orderflow_connectors_dead_letters";
    /// Connectors and tasks that are not RUNNING, by connector.
    pub const UNHEALTHY_TASKS: &str = "orderflow_connectors_unhealthy_tasks";
    /// Restarts that the supervisor asked for, by connector and reason.
    pub const RESTARTS: &str = "orderflow_connectors_restarts";
    /// Restarts that Connect did not take.
    pub const RESTARTS_REFUSED: &str = "orderflow_connectors_restarts_refused";
    /// Records between the committed and the last stable offset, by connector.
    pub const LAG: &str = "orderflow_connectors_lag_records";
    /// 1 while this healer is the one that acts, else 0.
    pub const ON_DUTY: &str = "orderflow_connectors_on_duty";
    /// 1 while a target answers, else 0.
    pub const TARGET_UP: &str = "orderflow_connectors_target_up";
    /// When table and index were compared last.
    pub const PARITY_CHECKED: &str = "orderflow_connectors_parity_last_check_timestamp_seconds";
    /// Comparisons of table and index, by outcome: equal, different, in-flight, failed.
    pub const PARITY_CHECKS: &str = "orderflow_connectors_parity_checks";
    /// Orders of the slices that are compared, by store.
    pub const PARITY_ORDERS: &str = "orderflow_connectors_parity_orders";
    /// Table minus index, in slices that stay different.
    pub const PARITY_DIFFERENCE: &str = "orderflow_connectors_parity_difference";
    /// Slices that stay different.
    pub const PARITY_SLICES: &str = "orderflow_connectors_parity_different_slices";
    /// 1 while Connect's REST API answers, else 0.
    pub const CONNECT_UP: &str = "orderflow_connectors_connect_up";
}
