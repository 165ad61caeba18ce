//! How the places are made where things go: what a topic takes, an output beside the main one, and what a chain must know
//! of them. It decides for a slot and for a replay of its dead letters alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use transform_host::{NamedOutput, Options, Tables};

use super::{Named, Route};
use crate::kafka::client::MAX_RECORD_BYTES;
use crate::record::finish::Output;
use crate::record::writers;

impl Route {
    /// To a topic that takes so much, where the broker told it.
    #[must_use]
    pub fn new(topic: &str, told: Option<usize>) -> Self {
        // Our producer takes no more than its own limit, whatever the topic does.
        let max_bytes = told.unwrap_or(MAX_RECORD_BYTES).min(MAX_RECORD_BYTES);
        Self { topic: Arc::from(topic), max_bytes }
    }
}

impl Named {
    /// An output with this id and schema, beside the main one with its topic and schema.
    ///
    /// # Errors
    /// When the schema cannot be written, or what modules write cannot be read as it.
    pub fn new(route: Route, (id, schema): (u32, &str), (topic, main): (&str, &str)) -> Result<Self, String> {
        let output = Output::new(id, schema)?;
        let reader = if schema == main {
            None
        } else {
            let reader = writers::kept(main, schema)?;
            Some(reader.map_err(|why| format!("what {topic} has cannot be read as its schema: {why}"))?)
        };
        Ok(Self { route, output, reader })
    }
}

/// What a chain that writes to these outputs may do.
pub(crate) fn options(output: &Output, named: &BTreeMap<String, Named>, tables: Arc<dyn Tables>) -> Options {
    let outputs = named.iter().map(|(name, named)| {
        let (topic, single_output) = (Arc::clone(&named.route.topic), named.output.is_versioned());
        (name.clone(), NamedOutput { topic, single_output })
    });
    // The stores compare rows by the input's offset: two outputs of one input would be the same version.
    Options { single_output: output.is_versioned(), outputs: Some(outputs.collect()), tables: Some(tables) }
}
