//! Names that users and other commands depend on: keys of a pipeline's file, media types. Topics and headers stand in
//! `schemas::names`, metrics in [`crate::metrics`].

/// What `connector.class` says of a pipeline.
pub const CLASS: &str = "orderflow.WasmPipeline";
/// What Connect's tools are told it is: it reads topics as a sink does.
pub const KIND: &str = "sink";
/// The media type of a module.
pub const WASM: &str = "application/wasm";

/// Keys of a pipeline's config.
pub mod key {
    /// The pipeline's name; the consumer group's too.
    pub const NAME: &str = "name";
    /// The mark of `connectors apply`: whose the pipeline is, and what it was given last. It changes nothing here.
    pub const APPLIED: &str = schemas::mark::APPLIED;
    /// Must be [`super::CLASS`].
    pub const CLASS: &str = "connector.class";
    /// Slots in each process.
    pub const TASKS: &str = "tasks.max";
    /// A batch that is not full waits until so many milliseconds after the last transaction began.
    pub const COMMIT_INTERVAL: &str = "commit.interval.ms";
    /// What it reads, separated by commas.
    pub const TOPICS: &str = "topics";
    /// Where it writes.
    pub const OUTPUT: &str = "output.topic";
    /// The modules' aliases in order, separated by commas.
    pub const TRANSFORMS: &str = "transforms";
    /// Names of the outputs beside the main one; `outputs.<name>.topic`.
    pub const OUTPUTS: &str = "outputs";
    /// Connect's predicates by alias; `predicates.<alias>.type`, `transforms.<alias>.predicate`, `.negate`.
    pub const PREDICATES: &str = "predicates";
    /// Names of the tables that modules look records up in; `lookups.<name>.topic`, `.max.bytes`, `.max.entries`.
    pub const LOOKUPS: &str = "lookups";
    /// `instance` or `batch`: how long an instance of a module lives.
    pub const ISOLATION: &str = "isolation";
    /// `none` or `all`.
    pub const TOLERANCE: &str = "errors.tolerance";
    /// Where bad records go.
    pub const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";
    /// `true`: a pipeline of a developer's own, which takes throw-away versions too.
    pub const LOCAL: &str = "local";
    /// Where the markers of dropped records go.
    pub const DROPPED: &str = "dropped.topic.name";
    /// A new version is watched for so many records.
    pub const WATCH: &str = "swap.watch.records";
    /// So many of them may fail in a module.
    pub const WATCH_ERRORS: &str = "swap.max.errors";
    /// So many of them may be rejected on purpose.
    pub const WATCH_REJECTS: &str = "swap.max.rejects";
    /// What a watched record may take in the modules, in microseconds.
    pub const WATCH_TIME: &str = "swap.max.time.per.record.us";
    /// `rollback`, `park` or `stop`.
    pub const BREAKER: &str = "breaker.policy";
    /// The breaker trips at so many failed records
    pub const BREAKER_ERRORS: &str = "breaker.max.errors";
    /// of the last so many.
    pub const BREAKER_WINDOW: &str = "breaker.window.records";
    /// After so many tries records that run out of time are judged one by one.
    pub const BREAKER_RETRIES: &str = "breaker.max.retries";
}
