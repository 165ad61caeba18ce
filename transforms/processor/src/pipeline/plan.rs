//! A stored pipeline made ready to run: its topics are there, its modules are loaded, and the id of the output schema is
//! looked up once and pinned. A plan makes the work of each slot. Before it is stored it is tried ([`rehearsal`]), and
//! another module may be compared with one of its own ([`candidate`]).

mod candidate;
mod rehearsal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::registry::Registry;
use transform_host::{Chain, ConfigureError, Engine, Isolation};

pub use self::candidate::Candidate;
pub use self::rehearsal::Unrehearsed;

use super::spec::{self, Fault, Spec};
use super::version;
use crate::logs::GuestLogs;
use crate::lookup::{Followed, Lookups, SlotTables};
use crate::metrics::ModuleMetrics;
use crate::names::key;
use crate::record::divert::Module;
use crate::record::finish::Output;
use crate::record::judge::{Judge, Modules, PassThrough};
use crate::record::worker::{Named, Route, Routes, Worker, options};
use crate::record::writers::{FromRegistry, Writers};
use crate::state::catalog::{Catalog, Pin, Stored};
use crate::work::{Factory, NoWork, Work};

/// A pipeline that can run.
pub struct Plan {
    /// What its config says.
    pub spec: Spec,
    /// The id that outputs are framed with.
    pub pinned: u32,
    steps: Vec<transform_host::Step>,
    /// One of the modules keeps something between records: each batch needs fresh instances.
    pub stateful: bool,
    schema_text: Arc<str>,
    /// Id and schema of each named output.
    named: BTreeMap<String, (u32, Arc<str>)>,
    tables: BTreeMap<String, Arc<Followed>>,
    engine: Arc<Engine>,
    source: Arc<FromRegistry>,
    counted: ModuleMetrics,
    logs: GuestLogs,
    /// The largest record of each topic that is written, where the broker told it.
    pub max_bytes: BTreeMap<String, usize>,
}

/// What plans are made with.
#[derive(Clone)]
pub struct Materials {
    /// Compiles and runs modules.
    pub engine: Arc<Engine>,
    /// Knows the schemas.
    pub registry: Registry,
    /// What has been read of modules and pipelines.
    pub catalog: Arc<Catalog>,
    /// Where the registry's calls run when a slot asks.
    pub runtime: tokio::runtime::Handle,
    /// Where what modules count goes.
    pub counted: ModuleMetrics,
    /// Where what modules log goes.
    pub logs: GuestLogs,
    /// The tables that modules look records up in.
    pub lookups: Arc<Lookups>,
}

/// A pipeline is asked for again and again until its tables are read, so this need not be long.
const TABLE_WAIT: Duration = Duration::from_secs(2);

/// The modules that the steps of a config mean now. Blocks: a module may have to be compiled.
///
/// # Errors
/// A fault for each module that is not there and each parameter that it does not take.
pub fn pins(spec: &Spec, catalog: &Catalog) -> Result<BTreeMap<String, Pin>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut pins = BTreeMap::new();
    for step in &spec.steps {
        let prefix = format!("{}.{}", key::TRANSFORMS, step.alias);
        let Some(module) = catalog.newest(&step.module) else {
            let message = format!("no module {} is here; upload it with `transforms push`", step.module);
            faults.push(Fault::new(format!("{prefix}.type"), message));
            continue;
        };
        if let Some(message) = throw_away(spec, &module) {
            faults.push(Fault::new(format!("{prefix}.type"), message));
        }
        let parameters = &module.description().parameters;
        for name in step.parameters.keys().filter(|name| !parameters.iter().any(|known| known.name == **name)) {
            let known: Vec<&str> = parameters.iter().map(|known| known.name.as_str()).collect();
            let message = format!("{} has no such parameter; it has {}", step.module, known.join(", "));
            faults.push(Fault::new(format!("{prefix}.{name}"), message));
        }
        for missing in parameters.iter().filter(|known| known.required && !step.parameters.contains_key(&known.name)) {
            let message = format!("is missing; {} needs it: {}", step.module, missing.description);
            faults.push(Fault::new(format!("{prefix}.{}", missing.name), message));
        }
        let pin = Pin { module: crate::state::catalog::module_key(&module), digest: module.digest().to_owned() };
        pins.insert(step.alias.clone(), pin);
    }
    if faults.is_empty() { Ok(pins) } else { Err(faults) }
}

/// What is said of a throw-away version in a pipeline that others depend on.
fn throw_away(spec: &Spec, module: &transform_host::Module) -> Option<String> {
    let refused = !spec.local && version::is_throw_away(&module.description().version);
    refused.then(|| {
        format!(
            "{} is a throw-away version (0.0.x, from `transforms push --dev`), and only a pipeline with \"{}\": \"true\" \
             takes one; raise `version` in the module's Cargo.toml, push it without --dev, and name that version",
            crate::state::catalog::module_key(module),
            key::LOCAL,
        )
    })
}

impl Plan {
    /// Makes a stored pipeline ready.
    ///
    /// # Errors
    /// What is still missing; it may come.
    pub async fn prepare(name: &str, stored: &Stored, materials: &Materials) -> Result<Self, String> {
        let spec = spec::parse(name, &stored.config).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect();
            faults.join("; ")
        })?;
        let steps = tokio::task::block_in_place(|| steps(&spec, stored, &materials.catalog))?;
        let subject = format!("{}-value", spec.output);
        let registered = materials.registry.latest(&subject).await.map_err(|error| error.to_string())?;
        let mut named = BTreeMap::new();
        for (name, topic) in &spec.outputs {
            let subject = format!("{topic}-value");
            let registered = materials.registry.latest(&subject).await.map_err(|error| error.to_string())?;
            named.insert(name.clone(), (registered.id, Arc::from(registered.schema.as_str())));
        }
        let tables = tables(&spec, &materials.lookups).await?;
        let source = FromRegistry {
            registry: materials.registry.clone(),
            pinned: registered.id,
            runtime: materials.runtime.clone(),
        };
        Ok(Self {
            spec,
            pinned: registered.id,
            steps,
            stateful: stored.modules.values().any(|pin| materials.catalog.is_stateful(&pin.module)),
            schema_text: Arc::from(registered.schema),
            named,
            tables,
            engine: Arc::clone(&materials.engine),
            source: Arc::new(source),
            counted: materials.counted.clone(),
            logs: materials.logs.clone(),
            max_bytes: BTreeMap::new(),
        })
    }

    /// The stores keep the record with the higher offset, and offsets of different topics do not compare.
    fn one_version(&self, output: &Output, named: &BTreeMap<String, Named>) -> Result<(), Fault> {
        let versioned = output.is_versioned().then_some(&*self.spec.output);
        let versioned = versioned.or_else(|| {
            named.values().find(|named| named.output.is_versioned()).map(|named| named.route.topic.as_ref())
        });
        match (self.spec.topics.len(), versioned) {
            (topics, Some(output)) if topics > 1 => {
                let message = format!(
                    "{topics} topics into {output}, whose records carry received_offset as their version: offsets of \
                     different topics do not compare; read one topic, or write to a topic whose schema has no \
                     received_offset"
                );
                Err(Fault::new(key::TOPICS, message))
            }
            _ => Ok(()),
        }
    }

    /// The outputs beside the main one: what modules send there is resolved to their schemas.
    fn named(&self) -> Result<BTreeMap<String, Named>, Fault> {
        let mut outputs = BTreeMap::new();
        for (name, (id, schema)) in &self.named {
            let topic = self.spec.outputs.get(name).map(String::as_str).unwrap_or_default();
            let fault = |why: String| Fault::new(format!("{}.{name}.topic", key::OUTPUTS), format!("{topic}: {why}"));
            let main = (self.spec.output.as_str(), &*self.schema_text);
            outputs.insert(name.clone(), Named::new(self.route(topic), (*id, &**schema), main).map_err(fault)?);
        }
        Ok(outputs)
    }

    fn route(&self, topic: &str) -> Route {
        Route::new(topic, self.max_bytes.get(topic).copied())
    }

    /// Whether `other` can follow on this plan in running slots: it reads and writes the same topics with as many.
    #[must_use]
    pub fn moves_like(&self, other: &Self) -> bool {
        let transport = |plan: &Self| (plan.spec.tasks, plan.spec.topics.clone());
        transport(self) == transport(other)
    }

    /// The text of the output's schema.
    #[must_use]
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    fn chain(
        &self,
        steps: Vec<transform_host::Step>,
        output: &Output,
        named: &BTreeMap<String, Named>,
    ) -> Result<(Chain, Arc<SlotTables>), ConfigureError> {
        let tables = SlotTables::new(self.tables.clone());
        let options = options(output, named, Arc::clone(&tables) as _);
        Ok((Chain::with_options(&self.engine, steps, &self.schema_text, options)?, tables))
    }

    fn judge(&self, output: &Output, named: &BTreeMap<String, Named>) -> Result<Box<dyn Judge>, NoWork> {
        if self.steps.is_empty() {
            return Ok(Box::new(PassThrough));
        }
        let chain = self.chain(self.steps.clone(), output, named);
        let (chain, tables) = chain.map_err(|error| match error {
            // The same module described itself in time once, so a machine that is less busy may start it.
            ConfigureError::Start { .. } => NoWork::Again(error.to_string()),
            _ => NoWork::Never(error.to_string()),
        })?;
        let (counted, logs, pipeline) = (self.counted.clone(), self.logs.clone(), self.spec.name.clone());
        Ok(Box::new(Modules { chain, counted, logs, pipeline, tables, unfit: None }))
    }

    /// The work of one slot; `around` puts the judge under guard.
    ///
    /// # Errors
    /// When the pipeline cannot run.
    pub fn work(&self, around: impl FnOnce(Box<dyn Judge>) -> Box<dyn Judge>) -> Result<Box<dyn Work>, NoWork> {
        let never = |fault: Fault| NoWork::Never(format!("{}: {}", fault.key, fault.message));
        let output = Output::new(self.pinned, &self.schema_text).map_err(NoWork::Never)?;
        let named = self.named().map_err(never)?;
        self.one_version(&output, &named).map_err(never)?;
        let json = |step: &transform_host::Step| serde_json::to_string(&step.parameters).unwrap_or_default();
        let maker = |step: &transform_host::Step| Module {
            label: step.module.label(),
            parameters: json(step),
            lookups: "[]".to_owned(),
        };
        let routes = Routes {
            output: self.route(&self.spec.output),
            dead_letters: self.spec.dead_letters.as_deref().map(|topic| self.route(topic)),
            dropped: self.route(&self.spec.dropped),
        };
        Ok(Box::new(Worker {
            pipeline: self.spec.name.clone(),
            commit_interval: self.spec.commit_interval,
            routes,
            judge: around(self.judge(&output, &named)?),
            output,
            named,
            writers: Writers::new(Arc::clone(&self.source) as _, Arc::clone(&self.schema_text)),
            parameters: self.steps.iter().map(|step| (step.alias.clone(), json(step))).collect(),
            makers: self.steps.iter().map(maker).collect(),
        }))
    }
}

impl Factory for Plan {
    fn make(&self) -> Result<Box<dyn Work>, NoWork> {
        self.work(|judge| judge)
    }
}

/// The tables of a pipeline, read to the end.
async fn tables(spec: &Spec, lookups: &Arc<Lookups>) -> Result<BTreeMap<String, Arc<Followed>>, String> {
    let mut tables = BTreeMap::new();
    for (name, lookup) in &spec.lookups {
        tables.insert(name.clone(), lookups.open(lookup)?);
    }
    // All are being read by now.
    for (name, table) in &tables {
        table.ready(TABLE_WAIT).await.map_err(|reason| format!("lookup {name}: {reason}"))?;
    }
    Ok(tables)
}

/// A pinned module, compiled. Blocks.
///
/// # Errors
/// Why it is not here, not as it was pinned, or of no use.
pub fn loaded(pin: &Pin, catalog: &Catalog) -> Result<Arc<transform_host::Module>, String> {
    match catalog.module(&pin.module) {
        Some(Ok(module)) if module.digest() == pin.digest => Ok(module),
        Some(Ok(_)) => Err(format!("module {} is here with another digest than {}", pin.module, pin.digest)),
        Some(Err(reason)) => Err(format!("module {} cannot be loaded: {reason}", pin.module)),
        None => Err(format!("module {} is not here", pin.module)),
    }
}

fn steps(spec: &Spec, stored: &Stored, catalog: &Catalog) -> Result<Vec<transform_host::Step>, String> {
    let step = |step: &spec::Step| {
        let pin = stored.modules.get(&step.alias).ok_or_else(|| format!("no module is pinned for {}", step.alias))?;
        let module = loaded(pin, catalog)?;
        let (alias, parameters, when) = (step.alias.clone(), step.parameters.clone(), step.when.clone());
        let isolation = if catalog.is_stateful(&pin.module) { Isolation::Batch } else { spec.isolation };
        Ok(transform_host::Step { alias, module, parameters, when, isolation })
    };
    spec.steps.iter().map(step).collect()
}
