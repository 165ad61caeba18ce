//! What a failed task's stack trace says, in the terms of a dead letter's headers.

/// Why a sink would not take a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Where it happened, in Connect's words.
    pub stage: &'static str,
    /// The class of the deepest cause.
    pub class: String,
    /// Its words.
    pub message: String,
}

/// Where a value could not be read.
pub const VALUE_CONVERTER: &str = "VALUE_CONVERTER";

/// What targets and servers say of themselves, not of a record, in lower case. Any record would have failed.
const ELSEWHERE: [&str; 50] = [
    // PostgreSQL
    "no space left",
    "could not extend file",
    "could not write",
    "disk full",
    "read-only transaction",
    "deadlock detected",
    "canceling statement",
    "terminating connection",
    "too many connections",
    "too many clients",
    "out of memory",
    "out of shared memory",
    "lock timeout",
    // With the quote that ends a name: of a table or a column. A schema id that does not exist is the record's.
    "\" does not exist",
    "permission denied",
    "password authentication",
    "could not find table",
    // Elasticsearch
    "cluster_block_exception",
    "index_closed_exception",
    "index_not_found_exception",
    "circuit_breaking_exception",
    "es_rejected_execution_exception",
    "too_many_requests",
    "unavailable_shards_exception",
    "no_shard_available_action_exception",
    "security_exception",
    // The way to either: broken, closed, or garbled on it. The healer's own may be well.
    "jdbcconnectionexception",
    "an i/o error occurred",
    "connection has been closed",
    "unable to rollback against jdbc",
    "invalid frontend message type",
    "unexpected packet type",
    "org.apache.http.protocolexception",
    "unknownhostexception",
    "no route to host",
    "network is unreachable",
    "sslhandshakeexception",
    "sslexception",
    "pkix path",
    "broken pipe",
    "connection is closed",
    "failed to respond",
    // Both, and the registry
    "connection refused",
    "connection reset",
    "timed out",
    "timeout",
    "unauthorized",
    "too many requests",
    "bad gateway",
    "service unavailable",
];

/// The frame of a task that starts: it has not seen a record yet. With Hibernate a database that cannot be reached ends it
/// with words about a dialect.
const START: &str = "WorkerSinkTask.initializeAndStart";

/// Where a failure is not the record's but the target's own, or of the way to it: what says so.
#[must_use]
pub fn elsewhere(trace: &str) -> Option<&'static str> {
    if trace.contains(START) {
        return Some("the task's start");
    }
    let own = own_words(trace).to_lowercase();
    ELSEWHERE.into_iter().find(|words| own.contains(words))
}

/// A trace without its frames and without what it quotes of records: that may be a customer's, and would say "timeout"
/// where a record is at fault.
fn own_words(trace: &str) -> String {
    // The statement of a failed batch holds values, over several lines where they do.
    let mut parts = trace.split("Batch entry ");
    let head = parts.next().unwrap_or_default().to_owned();
    let told = parts.fold(head, |told, part| told + part.rsplit_once("was aborted: ").map_or(part, |(_, why)| why));
    // PostgreSQL tells the failing row in its details.
    let is_own = |line: &&str| !["at ", "Detail: "].iter().any(|start| line.trim_start().starts_with(start));
    // The body of an answer of Elasticsearch; one about a document comes in words.
    let own = |line: &str| if line.starts_with('{') { line.to_owned() } else { unquoted(line) };
    told.lines().filter(is_own).map(own).collect()
}

/// A line without what stands in quotation marks: from the first to the last, since what is quoted may hold some as well.
fn unquoted(line: &str) -> String {
    let line = between(line, |_, mark| mark == '"');
    // No apostrophe, as in "the field's value".
    between(&line, |before, mark| mark == '\'' && !before.is_some_and(char::is_alphanumeric))
}

/// Drops what stands between the first mark that opens and the last of its kind, or all behind the only one.
fn between(line: &str, opens: impl Fn(Option<char>, char) -> bool) -> String {
    let before = std::iter::once(None).chain(line.chars().map(Some));
    let first = line.char_indices().zip(before).find(|((_, mark), before)| opens(*before, *mark));
    let Some(((first, mark), _)) = first else { return line.to_owned() };
    let (head, quoted) = line.split_at(first);
    let tail = quoted.rfind(mark).filter(|last| 0 < *last).and_then(|last| quoted.get(last..)).unwrap_or_default();
    format!("{head}{tail}")
}

/// The longest reason in a log, in characters.
const LOGGED: usize = 300;

/// A trace for a log, in which no customer's record has a place: what failed and its deepest cause, each with its class
/// and without what it quotes.
#[must_use]
pub fn logged(trace: &str) -> String {
    let mut parts = trace.split("Batch entry ");
    let head = parts.next().unwrap_or_default().to_owned();
    // Of a batch without its end nothing tells where the values stop.
    let told = parts.fold(head, |told, part| told + part.rsplit_once("was aborted: ").map_or("", |(_, why)| why));
    let first = told.lines().next().unwrap_or("no reason given");
    // What is quoted may have lines as well, but none that names a class.
    let is_class = |name: &str| name.contains('.') && !name.contains(' ');
    let named = |line: &&str| is_class(line.split_once(':').map_or(*line, |(class, _)| class).trim());
    let deepest = told.lines().filter_map(|line| line.strip_prefix("Caused by: ")).rfind(named);
    let told: Vec<String> =
        std::iter::once(first).chain(deepest).map(|line| unquoted(&unbraced(line.trim()))).collect();
    told.join(" <- ").chars().take(LOGGED).collect()
}

/// A line without what stands in braces, as a record does that Connect shows.
fn unbraced(line: &str) -> String {
    let Some((head, rest)) = line.split_once('{') else { return line.to_owned() };
    format!("{head}{{}}{}", rest.rsplit_once('}').map_or("", |(_, tail)| tail))
}

/// The longest message of a dead letter, in characters.
const MESSAGE: usize = 2_000;

/// From a trace as Connect's status has it.
#[must_use]
pub fn of(trace: &str) -> Reason {
    let mut causes = trace.lines().filter_map(|line| line.trim_end().strip_prefix("Caused by: "));
    let line = causes.next_back().or_else(|| trace.lines().next()).unwrap_or("no reason given").trim();
    let (class, message) = line.split_once(": ").unwrap_or((line, ""));
    // A first line that is no exception has no class.
    let (class, message) = if class.contains(' ') { ("unknown", line) } else { (class, message) };
    Reason { stage: stage(trace), class: class.to_owned(), message: message.chars().take(MESSAGE).collect() }
}

/// The first of our frames that says it: the trace of a tolerated operation names the operation's method.
fn stage(trace: &str) -> &'static str {
    let stages = [
        // By their methods, as workers before Kafka 4.2 have them, and by their place in the one that took theirs.
        ("convertKey", "KEY_CONVERTER"),
        ("convertValue", VALUE_CONVERTER),
        ("convertHeaders", "HEADER_CONVERTER"),
        ("lambda$convertAndTransformRecord$0", "KEY_CONVERTER"),
        ("lambda$convertAndTransformRecord$1", VALUE_CONVERTER),
        ("lambda$convertAndTransformRecord$2", "HEADER_CONVERTER"),
        ("TransformationChain", "TRANSFORMATION"),
        ("TransformationStage", "TRANSFORMATION"),
    ];
    let named = |frame: &str| stages.iter().find(|(part, _)| frame.contains(part)).map(|(_, stage)| *stage);
    trace.lines().filter(|line| line.trim_start().starts_with("at ")).find_map(named).unwrap_or("TASK_PUT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_says_of_itself_is_no_records_fault() {
        let failed = |cause: &str| {
            format!(
                "org.apache.kafka.connect.errors.ConnectException: put\n\tat a.B.timeout(B.java:1)\nCaused by: {cause}\n"
            )
        };
        for (cause, words) in [
            (
                "org.postgresql.util.PSQLException: ERROR: cannot execute INSERT in a read-only transaction",
                "read-only transaction",
            ),
            (
                "org.postgresql.util.PSQLException: ERROR: could not extend file \"base/1/2\": No space left on device",
                "no space left",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/index] failed: [index_closed_exception] closed",
                "index_closed_exception",
            ),
            (
                "org.hibernate.exception.JDBCConnectionException: Error executing work [FATAL: x] [n/a]",
                "jdbcconnectionexception",
            ),
            ("org.postgresql.util.PSQLException: This connection has been closed.", "connection has been closed"),
            (
                "org.apache.http.ProtocolException: Not a valid protocol version: xHTTP/1.1",
                "org.apache.http.protocolexception",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/bulk] failed: [security_exception] unable to authenticate",
                "security_exception",
            ),
            ("java.net.UnknownHostException: elasticsearch: Name or service not known", "unknownhostexception"),
            ("org.apache.http.NoHttpResponseException: 127.0.0.1:9200 failed to respond", "failed to respond"),
            ("java.net.SocketTimeoutException: 10,000 milliseconds timeout on connection http-outgoing-1", "timeout"),
        ] {
            assert_eq!(elsewhere(&failed(cause)), Some(words), "{cause}");
        }
        for cause in [
            "org.postgresql.util.PSQLException: ERROR: invalid byte sequence for encoding \"UTF8\": 0x00",
            "co.elastic.clients.ElasticsearchException: [es/index] failed: [document_parsing_exception] failed to parse",
            "org.apache.avro.AvroRuntimeException: Malformed data. Length is negative: -2",
        ] {
            assert_eq!(elsewhere(&failed(cause)), None, "{cause}");
        }
    }

    #[test]
    fn what_is_quoted_of_a_record_is_none_of_the_targets_words() {
        for line in [
            "[es/bulk] failed: [document_parsing_exception] failed to parse field [amount] of type [double] in document with \
             id 'timeout'. Preview of field's value: 'it's timed out, \"permission denied\"'",
            "Batch entry 0 INSERT INTO \"public\".\"t\" VALUES (('connection refused'),('disk full')) was aborted: ERROR: \
             invalid byte sequence for encoding \"UTF8\": 0x00",
            "ERROR: invalid input syntax for type json: \"timed out",
            "Batch entry 0 INSERT INTO \"t\" VALUES (('a line\nthis timed out'::varchar)) was aborted: ERROR: bad byte",
            "ERROR: null value in column \"amount\" violates not-null constraint\n  Detail: Failing row contains (o-1, \
             null, connection refused).",
        ] {
            assert_eq!(elsewhere(line), None, "{line}");
        }
        for (line, words) in [
            ("ERROR: relation \"orders\" does not exist", "\" does not exist"),
            ("FATAL: password authentication failed for user \"orders\"", "password authentication"),
            ("the sink's connection timed out after 'PT5S'", "timed out"),
            (
                "org.elasticsearch.client.ResponseException: method [PUT], host [http://es:9200], URI [/t/_doc/1], status \
                 line [HTTP/1.1 500 Internal Server Error]\n{\"error\":{\"type\":\"i_o_exception\",\"reason\":\"No \
                 space left on device\"},\"status\":500}",
                "no space left",
            ),
            ("Batch entry 0 INSERT INTO \"t\" VALUES ('x') was aborted: ERROR: deadlock detected", "deadlock detected"),
        ] {
            assert_eq!(elsewhere(line), Some(words), "{line}");
        }
    }

    #[test]
    fn a_log_has_the_classes_and_the_words_of_a_failure_and_nothing_of_a_record() {
        let preview = "co.elastic.clients.ElasticsearchException: [es/bulk] failed: [document_parsing_exception] failed to \
                       parse field [amount] in document with id 'o-1'. Preview of field's value: 'Ada's secret'";
        let batch = "org.postgresql.util.PSQLException: Batch entry 0 INSERT INTO \"t\" VALUES (('Ada\nCaused by: her \
                     secret'::varchar)) was aborted: ERROR: invalid byte sequence for encoding \"UTF8\": 0x00";
        for (cause, told) in [
            (
                preview,
                "co.elastic.clients.ElasticsearchException: [es/bulk] failed: [document_parsing_exception] failed to \
                 parse field [amount] in document with id '",
            ),
            (batch, "org.postgresql.util.PSQLException: ERROR: invalid byte sequence for encoding \": 0x00"),
            ("a.B: Batch entry 0 INSERT INTO t VALUES ('Ada: her secret", "a.B:"),
            ("a.B: ERROR: invalid input syntax for type json: \"Ada\nCaused by: a secret", "a.B: ERROR: invalid input"),
            (
                "a.B: ERROR: null value in column x\n  Detail: Failing row contains (Ada, secret).",
                "a.B: ERROR: null value",
            ),
            ("a.B: not taken: Struct{customer=Ada,note={secret}} of t", "a.B: not taken: Struct{} of t"),
        ] {
            let logged =
                logged(&format!("org.apache.kafka.connect.errors.ConnectException: put\n\tat a.B\nCaused by: {cause}"));
            assert!(logged.starts_with("org.apache.kafka.connect.errors.ConnectException: put <- "), "{logged}");
            assert!(logged.contains(told), "{told} is not in {logged}");
            assert!(!logged.contains("Ada"), "{logged}");
        }
        assert_eq!(logged(""), "no reason given");
    }

    #[test]
    fn a_task_that_does_not_start_has_seen_no_record() {
        let dialect = "org.hibernate.service.spi.ServiceException: Unable to create requested service\n\
                       \tat io.debezium.connector.jdbc.JdbcSinkConnectorTask.start(JdbcSinkConnectorTask.java:128)\n\
                       \tat org.apache.kafka.connect.runtime.WorkerSinkTask.initializeAndStart(WorkerSinkTask.java:338)\n\
                       Caused by: org.hibernate.HibernateException: Unable to determine Dialect without JDBC metadata\n";
        assert_eq!(elsewhere(dialect), Some("the task's start"));
    }

    #[test]
    fn the_deepest_cause_and_the_stage_are_found() {
        let put = "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\
                   \tat org.apache.kafka.connect.runtime.WorkerSinkTask.deliverMessages(WorkerSinkTask.java:635)\n\
                   Caused by: org.apache.kafka.connect.errors.ConnectException: Failed to process a sink record\n\
                   \tat io.debezium.connector.jdbc.JdbcChangeEventSink.execute(JdbcChangeEventSink.java:1)\n\
                   Caused by: org.postgresql.util.PSQLException: ERROR: invalid byte sequence: 0x00\n\t... 10 more\n";
        let found = of(put);
        assert_eq!((found.stage, found.class.as_str()), ("TASK_PUT", "org.postgresql.util.PSQLException"));
        assert_eq!(found.message, "ERROR: invalid byte sequence: 0x00");
        let convert = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
                       \tat org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator.execAndHandleError(R.java:1)\n\
                       \tat org.apache.kafka.connect.runtime.WorkerSinkTask.convertValue(WorkerSinkTask.java:1)\n\
                       Caused by: java.lang.IllegalStateException\n";
        let found = of(convert);
        assert_eq!(
            (found.stage, found.class.as_str(), found.message.as_str()),
            ("VALUE_CONVERTER", "java.lang.IllegalStateException", "")
        );
        let convert = convert.replace(
            "WorkerSinkTask.convertValue(WorkerSinkTask.java:1)",
            "WorkerSinkTask.poll(WorkerSinkTask.java:358)",
        ) + "\tat org.apache.kafka.connect.runtime.WorkerSinkTask.lambda$convertAndTransformRecord$1(WorkerSinkTask.java:560)\n";
        assert_eq!(of(&convert).stage, "VALUE_CONVERTER", "as Kafka 4.2.2 has it");
        assert_eq!(of("").message, "no reason given");
        assert_eq!(of("").class, "unknown");
    }
}
