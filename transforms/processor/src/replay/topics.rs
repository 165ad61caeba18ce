//! What a replay must know of topics before anything runs: the schemas of the outputs beside the main one, what each topic
//! takes, and the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use schemas::names::topics::ORDERS_DROPPED;
use schemas::registry::Registry;
use transform_host::Tables;

use super::letter::Letter;
use super::setting::Setting;
use super::{CLIENT, PATIENCE, Site};
use crate::kafka::client;
use crate::lookup::{Lookups, Reader, SlotTables, Then};
use crate::pipeline::spec::Spec;
use crate::pipeline::topics;
use crate::record::worker::{Named, Route, Routes};

/// A table that was larger was not looked up in.
const TABLE: (usize, usize) = (256 << 20, 10_000_000);
/// What the main output is called where nobody knows its topic.
const UNKNOWN: &str = "its topic";

/// What is known of the topics that a pipeline writes.
pub(super) struct Topics {
    /// The newest id and schema, or why they are not known.
    schemas: BTreeMap<String, Result<(u32, String), String>>,
    limits: BTreeMap<String, usize>,
}

impl Topics {
    /// Asks the registry and the broker.
    pub(super) async fn of(site: &Site, registry: &Registry, settings: &[Setting]) -> Self {
        let written: BTreeSet<String> = specs(settings).flat_map(topics::written).collect();
        let written: Vec<String> = written.into_iter().collect();
        let limits = topics::limits(&client::base(&site.kafka, CLIENT), &written).await;
        Self { limits, ..Self::of_written(registry, settings).await }
    }

    /// The same for a record that its topic took: so its size is none too large, and only the registry is asked.
    pub(super) async fn of_written(registry: &Registry, settings: &[Setting]) -> Self {
        let named: BTreeSet<&String> = specs(settings).flat_map(|spec| spec.outputs.values()).collect();
        let mut schemas = BTreeMap::new();
        for topic in named {
            let latest = registry.latest(&format!("{topic}-value")).await;
            let latest = latest.map(|found| (found.id, found.schema)).map_err(|error| error.to_string());
            schemas.insert(topic.clone(), latest);
        }
        Self { schemas, limits: BTreeMap::new() }
    }

    /// Where things go, by this config.
    pub(super) fn routes(&self, spec: Option<&Spec>) -> Routes {
        let topics = |spec: &Spec| (spec.output.clone(), spec.dropped.clone());
        let (output, dropped) = spec.map_or_else(|| (UNKNOWN.to_owned(), ORDERS_DROPPED.to_owned()), topics);
        // It is read at once, whatever its size.
        let letters = Route { topic: Arc::from("replay"), max_bytes: usize::MAX };
        Routes { output: self.route(&output), dead_letters: Some(letters), dropped: self.route(&dropped) }
    }

    /// The outputs beside the main one, whose schema is this.
    pub(super) fn named(&self, spec: Option<&Spec>, schema: &str) -> anyhow::Result<BTreeMap<String, Named>> {
        let Some(spec) = spec else { return Ok(BTreeMap::new()) };
        let named = |(name, topic): (&String, &String)| -> anyhow::Result<(String, Named)> {
            let latest = self.schemas.get(topic).context("it was not asked for")?;
            let (id, text) = latest.as_ref().map_err(|why| anyhow!("the schema of {topic} is not known: {why}"))?;
            let named = Named::new(self.route(topic), (*id, text.as_str()), (spec.output.as_str(), schema));
            Ok((name.clone(), named.map_err(|why| anyhow!("{topic}: {why}"))?))
        };
        spec.outputs.iter().map(named).collect()
    }

    /// The largest record that a topic gets, where the broker told what it takes.
    pub(super) fn most(&self, topic: &str) -> Option<usize> {
        self.limits.contains_key(topic).then(|| self.route(topic).max_bytes)
    }

    fn route(&self, topic: &str) -> Route {
        Route::new(topic, self.limits.get(topic).copied())
    }
}

fn specs(settings: &[Setting]) -> impl Iterator<Item = &Spec> {
    settings.iter().filter_map(|setting| setting.spec.as_ref())
}

/// The tables that the letter names, as they were.
pub(super) async fn tables_then(site: &Site, letter: &Letter) -> anyhow::Result<Arc<Then>> {
    let (brokers, told) = (site.kafka.clone(), letter.lookups.clone());
    let reader = Reader { brokers, client_id: CLIENT.to_owned(), most: TABLE, time: PATIENCE };
    let read = tokio::task::spawn_blocking(move || Then::read(reader, &told));
    let then = read.await.context("the replay broke")?.map_err(anyhow::Error::msg)?;
    Ok(Arc::new(then))
}

/// The tables of a pipeline, as they are. Each must be read within `time`.
pub(super) async fn tables_now(
    lookups: &Arc<Lookups>,
    spec: Option<&Spec>,
    time: Duration,
) -> anyhow::Result<Arc<dyn Tables>> {
    let mut tables = BTreeMap::new();
    for (name, lookup) in spec.into_iter().flat_map(|spec| &spec.lookups) {
        let table = lookups.open(lookup).map_err(anyhow::Error::msg)?;
        table.ready(time).await.map_err(|why| anyhow!("lookup {name}: {why}"))?;
        tables.insert(name.clone(), table);
    }
    let tables = SlotTables::new(tables);
    // From here on they are as they are now.
    tables.begin().map_err(anyhow::Error::msg)?;
    Ok(tables)
}
