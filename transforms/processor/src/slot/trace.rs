//! A line for each record of a committed transaction that carries a trace: with the edge's line of the same request it
//! tells the record's way. The context itself goes on unchanged; there are no spans of our own.

use schemas::names::headers;
use service_kit::traceparent;

use crate::kafka::{Headers, Input, Outgoing};

/// Says what was committed, at debug.
pub(super) fn committed(done: &[Input], out: &[Outgoing]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for (input, trace) in done.iter().filter_map(|input| Some((input, context(&input.headers)?))) {
        let (topic, partition, offset) = (&*input.topic, input.partition, input.offset);
        tracing::debug!(
            trace.parent = trace,
            kafka.topic = topic,
            kafka.partition = partition,
            kafka.offset = offset,
            "record is committed"
        );
    }
    for (output, trace) in out.iter().filter_map(|output| Some((output, context(&output.headers)?))) {
        let modules = value(&output.headers, headers::MODULES).or_else(|| value(&output.headers, headers::MODULE));
        tracing::debug!(trace.parent = trace, kafka.topic = &*output.topic, modules, "record is written");
    }
}

/// The trace context of a record; anybody may write headers, so only what is one counts.
fn context(headers: &Headers) -> Option<&str> {
    value(headers, headers::TRACEPARENT).filter(|trace| traceparent::is_one(trace.as_bytes()))
}

fn value<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    let (_, value) = headers.iter().rfind(|(found, _)| found == name.as_bytes())?;
    std::str::from_utf8(value.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    /// Keeps what is said, up to a level.
    struct Ear(Level, Arc<Mutex<Vec<String>>>);

    impl Subscriber for Ear {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= self.0
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.1.lock().unwrap().push(line.0);
        }
    }

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.push_str(&format!("{}={value:?} ", field.name()));
        }
    }

    fn header(name: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    fn outgoing(headers: Headers) -> Outgoing {
        Outgoing { topic: Arc::from("out"), key: Some(b"secret".to_vec()), value: None, timestamp_ms: None, headers }
    }

    fn said(level: Level, traces: &[&str]) -> Vec<String> {
        let input = |(offset, trace): (i64, &&str)| Input {
            topic: Arc::from("in"),
            partition: 3,
            offset,
            timestamp_ms: None,
            key: Some(b"secret".to_vec()),
            value: None,
            headers: vec![header(headers::TRACEPARENT, trace)],
        };
        let output =
            |trace: &&str| outgoing(vec![header(headers::TRACEPARENT, trace), header(headers::MODULES, "clean@1.0.0")]);
        let done: Vec<Input> = (41..).zip(traces).map(input).collect();
        let out: Vec<Outgoing> = traces.iter().map(output).collect();
        heard(level, &done, &out)
    }

    fn heard(level: Level, done: &[Input], out: &[Outgoing]) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Ear(level, Arc::clone(&lines)), || committed(done, out));
        Arc::try_unwrap(lines).unwrap().into_inner().unwrap()
    }

    #[test]
    fn a_record_with_a_trace_is_told_where_it_was_and_what_made_it_and_nothing_else_of_it() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let lines = said(Level::DEBUG, &["forged\ntrace", trace]);
        let [read, written] = &lines[..] else { panic!("{lines:?}") };
        for part in [&format!("{trace:?}")[..], "kafka.topic=\"in\"", "kafka.partition=3", "kafka.offset=42"] {
            assert!(read.contains(part), "{read}");
        }
        for part in [&format!("{trace:?}")[..], "kafka.topic=\"out\"", "clean@1.0.0"] {
            assert!(written.contains(part), "{written}");
        }
        assert!(!lines.concat().contains("secret"), "{lines:?}");
        assert!(said(Level::INFO, &[trace]).is_empty());
    }
    #[test]
    fn a_dead_letter_is_told_with_its_module_and_of_two_traces_the_last_counts() {
        let trace = |end: &str| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{end}");
        let letter = outgoing(vec![
            header(headers::TRACEPARENT, &trace("00")),
            header(headers::MODULE, "enrich@1.0.0"),
            header(headers::TRACEPARENT, &trace("01")),
        ]);
        let lines = heard(Level::DEBUG, &[], &[letter]);
        let [written] = &lines[..] else { panic!("{lines:?}") };
        assert!(written.contains("enrich@1.0.0") && written.contains(&trace("01")), "{written}");
    }
}
