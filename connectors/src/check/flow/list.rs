//! The list by which a JDBC sink itself writes only some of a record's fields, behind its transforms. Facts from
//! `FieldFilterFactory` of `debezium-sink` and `FieldsMetadata` of Confluent's and Aiven's sinks.

use super::super::plugins::{self, Rows, Store};
use super::super::{has_placeholder, split};
use crate::files::Connector;

/// A sink's list.
pub(super) struct List<'a> {
    /// Its setting.
    pub(super) key: &'static str,
    sink: &'a Connector,
    words: &'static Rows,
}

impl<'a> List<'a> {
    /// The one that a sink has. Of two the lint has told, and the plugin refuses them.
    pub(super) fn of(sink: &'a Connector) -> Option<Self> {
        let Store::Rows(words) = plugins::of(sink.setting("connector.class"))?.store else { return None };
        let key = [words.exclude, words.include].into_iter().find(|key| !sink.setting(key).trim().is_empty())?;
        Some(Self { key, sink, words })
    }

    /// What it names is not in the file.
    pub(super) fn is_provided(&self) -> bool {
        has_placeholder(self.sink.setting(self.key))
    }

    /// A field of a topic is written. Those of the key are, whatever it names.
    pub(super) fn takes(&self, topic: &str, field: &str) -> bool {
        let of_key = split(self.sink.setting(self.words.key_fields)).any(|name| name == field);
        of_key || self.names(topic, field) == self.includes()
    }

    /// What to do about a field that it leaves out.
    pub(super) fn way_out(&self, field: &str) -> String {
        if self.includes() {
            format!("add {field} to {}", self.key)
        } else {
            format!("take {field} out of {}", self.key)
        }
    }

    /// It names what is written, else what is not.
    fn includes(&self) -> bool {
        self.key == self.words.include
    }

    fn names(&self, topic: &str, field: &str) -> bool {
        let by_topic = !self.words.exclude.is_empty();
        split(self.sink.setting(self.key)).any(|entry| match entry.split_once(':') {
            Some((of, name)) if by_topic => of.trim() == topic && name.trim() == field,
            _ => entry == field,
        })
    }
}
