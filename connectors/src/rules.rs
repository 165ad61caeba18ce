//! The rules that connector files are held to: id, weight, and why. What breaks them is looked for in [`crate::check`]
//! and [`crate::files`]; `connectors/LINT.md` tells them to users, and a test holds the two together.

use crate::finding::{Rule, Weight};

macro_rules! rules {
    ($($name:ident $id:literal $weight:ident $why:literal)*) => {
        $(#[doc = $why] pub static $name: Rule = Rule { id: $id, weight: Weight::$weight, why: $why };)*
        /// All of them, in the order of `LINT.md`.
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    // the file
    UNREADABLE "unreadable" Error
        "what cannot be read is neither checked nor deployed"
    JSON_SYNTAX "json-syntax" Error
        "no part of a file that is not JSON can be read"
    FILE_SHAPE "file-shape" Error
        "a connector file is an object of `name` and `config`, as Kafka Connect's REST API takes it; anything else is read by nobody"
    DUPLICATE_KEY "duplicate-key" Error
        "JSON's readers keep one of the two values and do not say which"
    NOT_TEXT "not-text" Error
        "Kafka Connect keeps every setting as text; a number would differ from itself at each comparison"
    // names
    NAME "name" Error
        "the name stands in URLs, consumer groups and metrics"
    FILE_NAME "file-name" Warning
        "whoever looks for a connector looks for the file of its name"
    NAME_CLASH "name-clash" Error
        "two that share a name, a group or a target undo each other's work in turn"
    UNKNOWN_TOPIC "unknown-topic" Warning
        "a sink of a topic that does not exist waits for ever and looks healthy"
    UNNAMED_TOPIC "unnamed-topic" Error
        "lag, standstill, poison and traces go by the names in `topics`; of what a pattern or a placeholder stands for they see nothing"
    // keys and values
    UNKNOWN_CLASS "unknown-class" Error
        "Kafka Connect refuses a class that no plugin has, and what is not known here cannot be checked"
    PLUGIN_VERSION "plugin-version" Warning
        "keys come and go between versions, and these were checked against another one"
    UNKNOWN_KEY "unknown-key" Error
        "Kafka Connect passes over keys that a plugin does not know, so the default holds and nobody says so"
    RETIRED_KEY "retired-key" Warning
        "the plugin takes it for old files' sake or not at all; the next version may stop at it"
    MISSING_KEY "missing-key" Error
        "the connector cannot start without it"
    BAD_VALUE "bad-value" Error
        "the plugin refuses the value when it is deployed, or stops at the first record"
    CONFLICT "conflict" Error
        "the plugin refuses the two together, or one of them has no effect"
    POLL_INTERVAL "poll-interval" Error
        "a task that tries again for longer than max.poll.interval.ms is put out of its group, and another begins the same batch while it is still writing"
    IDLE_TASKS "idle-tasks" Warning
        "a partition is read by one task, so more tasks than partitions only cost memory"
    // transforms
    TRANSFORM_CHAIN "transform-chain" Error
        "a chain that lacks a part stops the sink at its first record, or lets through what it was made to change"
    UNKNOWN_TRANSFORM "unknown-transform" Error
        "Kafka Connect refuses a connector whose transform no plugin has"
    // secrets
    INLINE_SECRET "inline-secret" Error
        "configurations lie readable in a topic and in Connect's REST API, and this file in a repository"
    SECRET_IN_URL "secret-in-url" Error
        "addresses are logged and shown, with all that stands in them"
    MOVED_SECRET "moved-secret" Error
        "outside of a field for secrets its value is logged, shown and stored like any other text"
    VALUES_IN_LOG "values-in-log" Warning
        "records hold what belongs to customers, and logs are kept and copied by other rules"
    DRIVER_OPTION "driver-option" Error
        "a driver takes some options of its address for classes to load, scripts to run or files to open on the worker"
    // what is delivered
    TOLERANCE "tolerance" ByTopic
        "a tolerant sink passes over every record that its converter or a transform fails on, good ones too while the registry is away"
    DEAD_LETTER_UNUSED "dead-letter-unused" ByTopic
        "a strict sink writes no dead letters, whatever is set for them"
    SILENT_DROP "silent-drop" ByTopic
        "the record is acknowledged and stored nowhere"
    READ_COMMITTED "read-committed" ByTopic
        "Kafka's consumers read records of transactions that were aborted unless they are told not to, and the worker's own setting may be another one tomorrow"
    OFFSET_RESET "offset-reset" ByTopic
        "a sink that starts at the end passes over what was written before it first ran, or while its position was lost"
    GROUP_OVERRIDE "group-override" Error
        "lag, healing and dead letters go by Kafka Connect's own group, connect-NAME"
    OVERRIDE_POLICY "override-policy" Warning
        "the workers of this stack let a connector set consumer.override.max.poll.records and consumer.override.isolation.level, and refuse the rest"
    RETENTION "retention" Error
        "an outage of any length is promised to lose nothing, and a topic that forgets loses what waited too long"
    TOMBSTONE "tombstone" ByTopic
        "a record without a value stops the sink"
    // which row
    NO_KEY "no-key" ByTopic
        "records are delivered at least once: without the order's id as the key, one that comes again is stored again, or stops the sink"
    STALE_WRITE "stale-write" Warning
        "a worker that wakes up with an old batch puts an older record over a newer one"
    REPLAY_STOPS "replay-stops" ByTopic
        "after each restart some records come again, and the sink stops at the first of them"
    NO_PROVENANCE "no-provenance" Warning
        "each stored order names the modules that made it, and this sink would leave that out"
    // Camel's sink
    INJECTED_HEADERS "injected-headers" ByTopic
        "Camel takes orders from record headers: a producer could send a record to another index, or have it acknowledged and not stored"
    CAMEL_AGGREGATION "camel-aggregation" ByTopic
        "Camel's aggregation acknowledges a record when it is put aside, before the batch is delivered; what is put aside when a worker dies is lost"
    CAMEL_ERROR_HANDLER "camel-error-handler" ByTopic
        "Camel's default error handler is built for another line of Camel than this plugin's and breaks at the first failure"
    CAMEL_COMPONENT "camel-component" Warning
        "only the addresses of Camel's elasticsearch and http components are known here, so nothing of this one is checked"
    CAMEL_BULK "camel-bulk" Error
        "Elasticsearch answers 200 to a bulk with failed items in it, so Camel acknowledges what was not stored"
    URL_OPTION "url-option" Error
        "Camel reads the options of an address at the first record, so a wrong one stops a sink that started well"
    DOCUMENT_FORM "document-form" ByTopic
        "the component sends what it gets: only plain JSON with decimals as numbers is a document that fits the mapping"
    // the JDBC sinks
    UNNEST_BUFFER "unnest-buffer" Error
        "PostgreSQL refuses a statement that changes one row twice, so two records of one key in a batch stop the sink"
    // the stores
    TABLE_FIT "table-fit" Error
        "the database refuses the first row that does not fit, and the sink stops"
    MAPPING_FIT "mapping-fit" Error
        "Elasticsearch refuses the first document that does not fit, and the sink stops"
    NO_STORE "no-store" Warning
        "a table or index that no file makes has the form that somebody or something guessed"
    STORE_GROWS "store-grows" Warning
        "a table that the sink alters is not the one in stores/, and two tasks that alter it at once stop each other"
}
