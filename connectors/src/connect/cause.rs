//! Why a task failed, out of the stack trace that Connect keeps: a sentence of ours with the way out for what happens
//! most, and Java's own words beside it, which are what a search finds.

/// The longest of Java's words, in characters.
const MOST: usize = 300;

/// What a trace says, in lower case, and what that means. The first that fits is told, so a server that is away stands
/// before what could not be done without it. A `*` stands for what lies between: a name, mostly.
const MEANINGS: [(&[&str], &str); 16] = [
    (
        &["permission denied", "is unauthorized for"],
        "the sink's user may not do this there; grant it what the sink needs: to read and to write",
    ),
    (
        &["password authentication failed", "no password was provided", "unable to authenticate", "unauthorized"],
        "the target does not take the sink's user and password; mend them, in the worker's environment where the file says \
         ${env:...}",
    ),
    (
        &[
            "no space left",
            "could not extend file",
            "disk full",
            "flood-stage",
            "flood stage",
            "read-only-allow-delete",
        ],
        "the target's disk is full; make room there",
    ),
    (
        &["read-only transaction"],
        "the database takes no writes, as a standby or one that was set read-only; end that, or name the primary",
    ),
    (&["index_closed_exception"], "the index is closed; open it with POST /<index>/_open"),
    (
        &[
            "es_rejected_execution",
            "circuit_breaking",
            "too many requests",
            "too_many_requests",
            "status line [http/1.1 429",
        ],
        "Elasticsearch has more to do than it can and refuses writes for now; give it time, or more memory and processors",
    ),
    (
        &[
            "connection refused",
            "connection to * refused",
            "unknownhostexception",
            "no route to host",
            "network is unreachable",
        ],
        "nothing answers at the address of the target or of the schema registry; start it, or mend the address",
    ),
    (
        &["unable to determine dialect", "unable to open jdbc", "jdbcconnectionexception"],
        "the database could not be reached, or did not let the sink in; see that it runs, then user and password",
    ),
    (
        &["org.apache.kafka.common.errors.timeoutexception"],
        "Kafka did not answer to the end; see whether its brokers run, and whether enough replicas are in sync",
    ),
    (
        &[
            "timed out",
            "timeout",
            "connection has been closed",
            "connection is closed",
            "connection reset",
            "failed to respond",
        ],
        "the target or the schema registry did not answer to the end; see whether it is busy, or a lock is held there",
    ),
    (
        &["column * does not exist"],
        "the table has no such column; `connectors plan` shows what it lacks, `connectors apply` adds it",
    ),
    (
        &["relation * does not exist", "could not find table", "index_not_found", "no such index"],
        "the table or index is not there; `connectors apply` makes it, `connectors verify --repair` fills it again",
    ),
    (
        &["document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping"],
        "the index cannot hold a field of a record as its mapping is; `connectors plan` compares the mapping with its file",
    ),
    (
        &["unknown magic byte"],
        "a record was not written with the schema registry's framing; find who else writes to the topic",
    ),
    (
        &["schema not found", "subject not found", "error code: 40403", "error code: 40401"],
        "the schema registry does not have the schema that a record names; see that it is the one the record was written by",
    ),
    (
        &["serializationexception", "dataexception", "avroruntimeexception", "malformed data", "invalid byte sequence"],
        "a record cannot be read or stored as it is; `connectors serve` makes it a dead letter where the sink is one of the \
         two that come with it, and another waits until the record is skipped",
    ),
];

/// A trace in one line: what it means, where that is known, and its own words.
pub(super) fn told(trace: &str) -> String {
    let own = cause(trace);
    match meaning(trace) {
        Some(meaning) => format!("{meaning} ({own})"),
        None => own,
    }
}

/// The first line of a trace and its deepest cause.
fn cause(trace: &str) -> String {
    let first = trace.lines().next().unwrap_or("no reason given").trim();
    let deepest = trace.lines().rev().find_map(|line| line.trim().strip_prefix("Caused by: "));
    let whole = match deepest {
        Some(deepest) => format!("{} <- {}", short(first), short(deepest)),
        None => short(first).to_owned(),
    };
    whole.chars().take(MOST).collect()
}

fn meaning(trace: &str) -> Option<&'static str> {
    // What `transforms` says of its pipelines is plain already.
    if !is_exception(trace.lines().next()?) {
        return None;
    }
    let own = headlines(trace).to_lowercase();
    let says = |words: &&str| match words.split_once('*') {
        Some((head, tail)) => {
            own.lines().any(|line| line.split_once(head).is_some_and(|(_, rest)| rest.contains(tail)))
        }
        None => own.contains(*words),
    };
    MEANINGS.iter().find(|(signs, _)| signs.iter().any(&says)).map(|(_, meaning)| *meaning)
}

fn is_exception(line: &str) -> bool {
    let class = line.split_once(':').map_or(line, |(class, _)| class).trim();
    class.contains('.') && !class.contains(' ') && (class.ends_with("Exception") || class.ends_with("Error"))
}

/// The lines that name an exception, and the body of an answer of Elasticsearch; not what they quote, which may be a
/// customer's own words.
fn headlines(trace: &str) -> String {
    let mut lines = trace.lines().enumerate().filter_map(|(at, line)| match line.trim().strip_prefix("Caused by: ") {
        Some(cause) => Some(unquoted(cause)),
        None if at == 0 => Some(unquoted(line)),
        None => line.starts_with('{').then(|| line.to_owned()),
    });
    let first = lines.next().unwrap_or_default();
    lines.fold(first, |all, line| all + "\n" + &line)
}

/// Without what stands between the first and the last quotation mark, since what is quoted may hold some as well. An
/// apostrophe opens nothing.
fn unquoted(line: &str) -> String {
    let between = |line: &str, mark: char| {
        let is_in_word = |at: usize| line.get(..at).is_some_and(|head| head.ends_with(char::is_alphanumeric));
        let first = line.match_indices(mark).map(|(at, _)| at).find(|at| mark == '"' || !is_in_word(*at));
        match (first, line.rfind(mark)) {
            (Some(first), Some(last)) => {
                format!("{}{}", line.get(..first).unwrap_or_default(), line.get(last..).unwrap_or_default())
            }
            _ => line.to_owned(),
        }
    };
    between(&between(line, '\''), '"')
}

/// Without the package of the exception's class.
fn short(line: &str) -> &str {
    let (class, _) = line.split_once(':').unwrap_or((line, ""));
    match class.rfind('.') {
        Some(dot) if !class.contains(' ') => line.get(dot + 1..).unwrap_or(line),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: &str) -> String {
        format!(
            "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\
             \tat a.B.timeout(B.java:1)\nCaused by: {cause}\n\tat a.B.c(B.java:2)\n"
        )
    }

    #[test]
    fn a_failure_is_told_by_its_first_line_and_its_deepest_cause() {
        let trace = "org.apache.kafka.connect.errors.ConnectException: JDBC sink connector failure\n\tat x\n\
                     Caused by: a.b.FlushException: Failed to flush\n\tat y\n\
                     Caused by: java.net.ConnectException: Connection refused\n\tat z\n";
        let own = "ConnectException: JDBC sink connector failure <- ConnectException: Connection refused";
        assert_eq!(cause(trace), own);
        assert!(told(trace).starts_with("nothing answers at the address"), "{}", told(trace));
        assert!(told(trace).ends_with(&format!(" ({own})")), "Java's own words stay: {}", told(trace));
        assert_eq!(told(""), "no reason given");
    }

    #[test]
    fn what_happens_most_has_a_sentence_with_its_way_out() {
        for (cause, meaning) in [
            ("java.net.ConnectException: Connection refused", "nothing answers"),
            (
                "org.postgresql.util.PSQLException: Connection to 127.0.0.1:5432 refused. Check that it runs.",
                "nothing answers",
            ),
            (
                "org.postgresql.util.PSQLException: FATAL: password authentication failed for user \"orders\"",
                "user and password",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/bulk] failed: [security_exception] unable to authenticate",
                "user and password",
            ),
            (
                "org.postgresql.util.PSQLException: ERROR: relation \"order_placed\" does not exist",
                "`connectors apply` makes it",
            ),
            (
                "org.postgresql.util.PSQLException: ERROR: column \"gift\" of relation \"order_placed\" does not exist",
                "no such column",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/index] failed: [index_not_found_exception] no such index [x]",
                "`connectors apply` makes it",
            ),
            ("org.postgresql.util.PSQLException: ERROR: permission denied for table order_placed", "grant it"),
            (
                "org.postgresql.util.PSQLException: ERROR: cannot execute INSERT in a read-only transaction",
                "takes no writes",
            ),
            (
                "org.postgresql.util.PSQLException: ERROR: could not extend file \"base/1/2\": No space left on device",
                "disk is full",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/index] failed: [cluster_block_exception] index [order_placed] \
                 blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has \
                 read-only-allow-delete block];",
                "disk is full",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/index] failed: [document_parsing_exception] failed to parse",
                "as its mapping is",
            ),
            (
                "co.elastic.clients.ElasticsearchException: [es/index] failed: [index_closed_exception] closed",
                "POST /<index>/_open",
            ),
            (
                "org.elasticsearch.client.ResponseException: method [PUT], host [http://es:9200], URI [/t/_doc/1], status line \
                 [HTTP/1.1 429 Too Many Requests]\n{\"error\":{\"type\":\"es_rejected_execution_exception\"},\"status\":429}",
                "refuses writes for now",
            ),
            ("org.apache.kafka.common.errors.SerializationException: Unknown magic byte!", "framing"),
            (
                "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: Schema not found; error code: \
                 40403",
                "does not have the schema",
            ),
            ("org.apache.avro.AvroRuntimeException: Malformed data. Length is negative: -2", "makes it a dead letter"),
            (
                "java.net.SocketTimeoutException: 10,000 milliseconds timeout on connection http-outgoing-1",
                "did not answer",
            ),
            ("a.b.SinkException: the sink's connection timed out after 'PT5S'", "the target or the schema registry"),
            (
                "org.apache.kafka.common.errors.TimeoutException: Timeout of 60000ms expired before the position was found",
                "Kafka did not answer",
            ),
            (
                "org.hibernate.HibernateException: Unable to determine Dialect without JDBC metadata",
                "could not be reached",
            ),
        ] {
            let told = told(&failed(cause));
            let (class, words) = cause.split_once(": ").unwrap();
            let own = format!("{}: {}", short(class), words.lines().next().unwrap());
            assert!(told.contains(meaning), "{cause}: {told}");
            assert!(told.contains(own.get(..40).unwrap_or(&own)), "{cause}: {told}");
        }
    }

    #[test]
    fn what_a_record_says_and_what_is_not_known_have_none() {
        for cause in [
            "a.FlushException: Batch entry 0 INSERT INTO \"t\" VALUES (('connection refused'),('disk full')) was aborted",
            "co.elastic.clients.ElasticsearchException: bad field. Preview of field's value: 'it's timed out'",
            "java.lang.IllegalStateException",
        ] {
            assert_eq!(meaning(&failed(cause)), None, "{cause}");
        }
        for pipeline in ["orders.received: the registry timed out", "permission denied"] {
            assert_eq!(told(pipeline), cause(pipeline), "transforms speaks plainly itself");
        }
    }
}
