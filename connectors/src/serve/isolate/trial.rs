//! The trial: the same sink under another name, with one task, which reads its suspects one by one. It writes into the
//! same table or index, so what passes is stored, early and once more, and nothing else than the record's place and the
//! pace differ. What makes a sink depend on the record's place makes a trial worthless, and is refused here.

use crate::check::target;
use crate::connect::{self, Settings};
use crate::names::{CAMEL_CLASS, JDBC_CLASS};

/// On the trial: the sink that it stands for. Whoever finds it knows that the sink is held by a healer.
pub const HEALS: &str = "orderflow.heals";
/// On the trial: which healer made it.
pub const HEALER: &str = "orderflow.healer";

/// How Connect's settings of dead letters begin.
const LETTERS: &str = "errors.deadletterqueue.";

/// What the trial of a sink is called.
#[must_use]
pub fn name(sink: &str) -> String {
    format!("{sink}-trial")
}

/// How often each suspect is read. A sink of Debezium's JDBC tells of a record's failure at the next put: where the next
/// record cannot even be converted, that one's failure would be taken for this one's.
#[must_use]
pub fn copies(settings: &Settings) -> usize {
    if settings.get("connector.class").is_some_and(|class| class == JDBC_CLASS) { 2 } else { 1 }
}

/// The topic that it reads, with one partition.
#[must_use]
pub fn topic(sink: &str) -> String {
    format!("{sink}.suspects")
}

/// Why records of a sink cannot be tried on their own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untriable {
    /// Nobody has looked at what this plugin does.
    #[error("{0} is no sink whose records can be tried one by one")]
    Class(String),
    /// What waits before it cannot be found.
    #[error(
        "its topics are not named, only a pattern or a placeholder of them, so nobody knows what it reads; name them in \
         `topics`"
    )]
    Topics,
    /// Where the record lies decides what is written.
    #[error("{key} makes what is written depend on the record's topic, partition or offset; {way_out}")]
    Place {
        /// The setting.
        key: String,
        /// What would help.
        way_out: &'static str,
    },
}

/// The settings of a sink's trial.
///
/// # Errors
/// [`Untriable`].
pub fn settings(sink: &str, settings: &Settings, healer: &str) -> Result<Settings, Untriable> {
    let mut trial = alone(settings, &topic(sink))?;
    let topics = connect::topics(settings);
    if topics.is_empty() || topics.iter().any(|topic| topic.contains("${")) {
        return Err(Untriable::Topics);
    }
    trial.extend([(HEALS, sink), (HEALER, healer)].map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(trial)
}

/// The same settings for one task that reads one record after the other from this topic, in which no record lies where
/// it was. It stops at what it cannot take, and writes no dead letters.
///
/// # Errors
/// [`Untriable`].
pub(crate) fn alone(settings: &Settings, topic: &str) -> Result<Settings, Untriable> {
    target(settings)?;
    chain(settings)?;
    let mut alone = settings.clone();
    // Connect writes into the topic of dead letters whatever the tolerance is.
    alone.retain(|key, _| !["name", "topics.regex"].contains(&key.as_str()) && !key.starts_with(LETTERS));
    let own = [
        ("topics", topic),
        ("tasks.max", "1"),
        ("consumer.override.max.poll.records", "1"),
        ("errors.tolerance", "none"),
    ];
    alone.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(alone)
}

/// Table or index is named, and does not follow the topic.
fn target(settings: &Settings) -> Result<(), Untriable> {
    let setting = |key: &str| settings.get(key).map_or("", String::as_str);
    let place = |key: &str, way_out| Err(Untriable::Place { key: key.to_owned(), way_out });
    match setting("connector.class") {
        JDBC_CLASS => {
            let (key, table) = ("collection.name.format", setting("collection.name.format"));
            if table.is_empty() || table.contains("${") {
                return place(key, "name the table there");
            }
            if matches!(setting("primary.key.mode"), "kafka") {
                return place("primary.key.mode", "take the key from the record");
            }
            Ok(())
        }
        CAMEL_CLASS => {
            let (key, url) = ("camel.sink.url", setting("camel.sink.url"));
            if target::index(url).is_some() { Ok(()) } else { place(key, "name the index there") }
        }
        class => Err(Untriable::Class(class.to_owned())),
    }
}

/// No transform or predicate looks at where the record lies.
fn chain(settings: &Settings) -> Result<(), Untriable> {
    let aliased = |key: &str| key.starts_with("transforms.") || key.starts_with("predicates.");
    for (key, value) in settings.iter().filter(|(key, _)| aliased(key)) {
        let by_topic = key.ends_with(".type") && (value.ends_with("TopicNameMatches") || value.ends_with("Router"));
        let inserts = ["topic.field", "partition.field", "offset.field"].iter().any(|last| key.ends_with(last));
        if by_topic || inserts {
            return Err(Untriable::Place { key: key.clone(), way_out: "take it out, or skip the record by hand" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    const JDBC: [(&str, &str); 4] = [
        ("connector.class", JDBC_CLASS),
        ("collection.name.format", "order_placed"),
        ("topics", "order_placed"),
        ("tasks.max", "2"),
    ];

    #[test]
    fn a_trial_is_the_sink_with_one_task_that_reads_one_record_at_a_time() {
        let sink = given(&[&JDBC[..], &[("name", "s"), ("insert.mode", "upsert")]].concat());
        let trial = settings("s", &sink, "here").unwrap();
        let expected = given(&[
            ("connector.class", JDBC_CLASS),
            ("collection.name.format", "order_placed"),
            ("topics", "s.suspects"),
            ("tasks.max", "1"),
            ("insert.mode", "upsert"),
            ("consumer.override.max.poll.records", "1"),
            ("errors.tolerance", "none"),
            (HEALS, "s"),
            (HEALER, "here"),
        ]);
        assert_eq!(trial, expected);
    }

    #[test]
    fn what_depends_on_the_records_place_is_not_tried() {
        let refused = |more: &[(&str, &str)]| settings("s", &given(&[&JDBC[..], more].concat()), "h").unwrap_err();
        let predicate = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
        let router = "org.apache.kafka.connect.transforms.RegexRouter";
        for (key, value) in [
            ("collection.name.format", "${topic}"),
            ("collection.name.format", ""),
            ("primary.key.mode", "kafka"),
            ("predicates.p.type", predicate),
            ("transforms.r.type", router),
            ("transforms.i.offset.field", "at"),
        ] {
            let Untriable::Place { key: named, .. } = refused(&[(key, value)]) else { panic!("{key}") };
            assert_eq!(named, key);
        }
        let camel = |url| {
            let pairs = [("connector.class", CAMEL_CLASS), ("camel.sink.url", url), ("topics", "order_placed")];
            settings("s", &given(&pairs), "h")
        };
        assert!(camel("elasticsearch:o?operation=Index&indexName=i").is_ok());
        assert!(camel("elasticsearch:o?operation=Index").is_err());
        assert!(camel("http://h/i/_doc/${header.docId}?httpMethod=PUT").is_ok());
        assert!(camel("http://h/${header.i}/_doc/${header.docId}?httpMethod=PUT").is_err());
        assert_eq!(refused(&[("connector.class", "x.Y")]), Untriable::Class("x.Y".to_owned()));
    }

    #[test]
    fn a_sink_whose_topics_nobody_can_name_is_not_tried() {
        for topics in [("topics.regex", "order.*"), ("topics", "order_placed,${env:MORE}"), ("topics", " ")] {
            let sink = given(&[JDBC[0], JDBC[1], topics]);
            assert_eq!(settings("s", &sink, "h"), Err(Untriable::Topics), "{topics:?}");
        }
    }
}
