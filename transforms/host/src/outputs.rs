//! Where records may go: the main output and those that the pipeline names. Who may send how many there, and under
//! which key.

use std::{collections::BTreeMap, sync::Arc};

use crate::Record;

/// An output beside the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedOutput {
    /// Its topic: predicates see it once a record is sent there.
    pub topic: Arc<str>,
    /// At most one record comes there out of an input, under the input's key.
    pub single_output: bool,
}

/// The outputs of a chain.
#[derive(Debug)]
pub(crate) struct Outputs {
    single: bool,
    /// `None`: whatever a module names.
    named: Option<BTreeMap<Arc<str>, NamedOutput>>,
}

impl Outputs {
    pub(crate) fn new(single: bool, named: Option<BTreeMap<String, NamedOutput>>) -> Self {
        let shared = |named: BTreeMap<String, NamedOutput>| {
            named.into_iter().map(|(name, output)| (Arc::from(name), output)).collect()
        };
        Self { single, named: named.map(shared) }
    }

    /// The output of this name.
    pub(crate) fn named(&self, name: &str) -> Result<Arc<str>, String> {
        let Some(named) = &self.named else { return Ok(Arc::from(name)) };
        if let Some((known, _)) = named.get_key_value(name) {
            return Ok(Arc::clone(known));
        }
        let known: Vec<&str> = named.keys().map(AsRef::as_ref).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(format!("the pipeline has no output `{name}`; `outputs` names: {known}"))
    }

    /// Whether at most one record of an input comes to this output.
    pub(crate) fn is_single(&self, output: Option<&Arc<str>>) -> bool {
        match (output, &self.named) {
            (None, _) => self.single,
            (Some(name), Some(named)) => named.get(name).is_some_and(|named| named.single_output),
            (Some(_), None) => false,
        }
    }

    /// Where a record stands: the topic that it was read from, or that of the output that it was sent to.
    pub(crate) fn topic_of<'r>(&'r self, record: &'r Record) -> &'r str {
        let routed = record.output.as_ref().map(|name| match self.named.as_ref().and_then(|named| named.get(name)) {
            Some(output) => output.topic.as_ref(),
            None => name.as_ref(),
        });
        routed.or(record.topic.as_deref()).unwrap_or_default()
    }

    /// Checks all records that come out of one input with this key.
    pub(crate) fn check(&self, key: Option<&[u8]>, records: &[Record]) -> Result<(), String> {
        for (index, record) in records.iter().enumerate() {
            if !self.is_single(record.output.as_ref()) {
                continue;
            }
            if record.key.as_deref() != key {
                return Err("another key than the input's".to_owned());
            }
            if records.iter().take(index).any(|other| other.output == record.output) {
                let count = records.iter().filter(|other| other.output == record.output).count();
                let place = record.output.as_ref().map(|name| format!(" to the output `{name}`")).unwrap_or_default();
                return Err(format!("{count} records from one{place}, the limit is 1"));
            }
        }
        Ok(())
    }
}
