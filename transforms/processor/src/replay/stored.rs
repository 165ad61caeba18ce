//! A record that a pipeline wrote, once more: what each module made of what was received. It runs in the service, on its
//! engine and with its modules, and with the tables as they are now. Which version of the pipeline wrote it is not said
//! anywhere: it shows in the modules that the record's header names, and in what comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::framing;
use schemas::names::headers as names;
use schemas::registry::Error;
use service_kit::Tasks;
use service_kit::kafka::Brokers;
use tokio::sync::OwnedSemaphorePermit;
use transform_host::Tables;

use super::Fetched;
use super::letter::{Address, Said};
use super::records::{Reading, Untold};
use super::run::{Ground, Ran, Run, Shown, likeliest};
use super::setting::{self, Setting};
use super::stepwise::{Course, IsOver};
use super::topics::{self, Topics};
use crate::author::fields::{Field, Reader};
use crate::kafka::{Input, Outgoing};
use crate::pipeline::plan::Materials;
use crate::pipeline::spec::Spec;
use crate::record::worker::DEADLINE;

/// Kafka answers within this, and a table is read within it, or it is to be asked again.
const PATIENCE: Duration = Duration::from_secs(3);

/// The running service, as far as one question needs it.
pub struct Service {
    /// Modules, schemas, tables, state.
    pub materials: Materials,
    /// The brokers, and who we are to them.
    pub brokers: Brokers,
    /// What its Kafka clients are called.
    pub client_id: String,
    /// Runs what blocks.
    pub tasks: Tasks,
    /// Held until the last of what blocks has ended, whether somebody waits for the answer still or not.
    pub turn: Arc<OwnedSemaphorePermit>,
    /// Then nobody waits any more.
    pub until: Instant,
}

impl Service {
    /// The modules that the header of the record names, in order, each with what it changed.
    ///
    /// # Errors
    /// When that cannot be told, now or any more.
    pub async fn steps(&self, pipeline: &str, at: &Address) -> Result<Vec<Shown>, Untold> {
        let mut settings = setting::writing(&self.materials.catalog, pipeline, &at.topic);
        if settings.is_empty() {
            let words = format!("{pipeline} does not write to {}, and no version of it that is known did", at.topic);
            return Err(Untold::Gone(words));
        }
        let record = self.read(at.clone()).await?;
        let header = record.header(names::MODULES).map(str::to_owned);
        let header = header.ok_or_else(|| Untold::Gone(format!("{at} has no header {}", names::MODULES)))?;
        if header.is_empty() {
            return Ok(Vec::new());
        }
        settings.retain(|setting| setting.has(&header.split(',').collect::<Vec<&str>>()));
        let Some(spec) = settings.first().and_then(|setting| setting.spec.clone()) else {
            let words = format!("no version of {pipeline} that is known has the modules of {at}, which are {header}");
            return Err(Untold::Gone(words));
        };
        // They are of one record and one schema; another version may read and write elsewhere.
        let flow = |spec: &Spec| (spec.topics.clone(), spec.output.clone());
        settings.retain(|setting| setting.spec.as_ref().is_some_and(|other| flow(other) == flow(&spec)));
        let input = self.received(&record, at, &spec).await?;
        let run = self.run(&record, input, &spec).await?;
        let topics = Topics::of_written(&self.materials.registry, &settings).await;
        let (engine, catalog) = (Arc::clone(&self.materials.engine), Arc::clone(&self.materials.catalog));
        let ground = Ground { engine, catalog, topics };
        let again = Again { record, header, run, ground, is_over: self.is_over() };
        let ready = self.with_tables(settings).await;
        self.blocking(move || again.through(ready)).await?
    }

    /// The record that this one was made of.
    async fn received(&self, record: &Input, at: &Address, spec: &Spec) -> Result<Input, Untold> {
        let [topic] = spec.topics.as_slice() else {
            let words =
                format!("{} reads {} topics, and {at} does not say which it came from", spec.name, spec.topics.len());
            return Err(Untold::Gone(words));
        };
        let unreadable = |why: String| Untold::Gone(format!("the value of {at} cannot be read: {why}"));
        let value = record.value.as_deref().ok_or_else(|| unreadable("it is null".to_owned()))?;
        let (id, datum) = framing::split(value).map_err(|error| unreadable(error.to_string()))?;
        let schema = self.materials.registry.by_id(id).await.map_err(|error| unregistered(&error))?;
        let reader = Reader::new(&schema.schema).map_err(|error| unreadable(error.to_string()))?;
        let fields = reader.read(datum).map_err(|error| unreadable(error.to_string()))?;
        let Some((partition, offset)) = version(&fields) else {
            return Err(Untold::Gone(format!("{at} does not say where it was received")));
        };
        let from = Address { topic: topic.clone(), partition, offset };
        let input = self.read(from.clone()).await?;
        if input.key != record.key {
            return Err(Untold::Gone(format!("{at} was made of {from}, and another record lies there now")));
        }
        Ok(input)
    }

    /// A run of the input with the schemas that it needs, fetched before anything runs.
    async fn run(&self, record: &Input, input: Input, spec: &Spec) -> Result<Run, Untold> {
        let registry = &self.materials.registry;
        let framed = |record: &Input| framing::split(record.value.as_deref()?).ok().map(|(id, _)| id);
        let own = framed(record).filter(|_| *record.topic == *spec.output);
        let schema = match own {
            Some(id) => id,
            // It went to an output beside the main one, whose schema is what the modules read and wrote.
            None => {
                let latest = registry.latest(&format!("{}-value", spec.output)).await;
                latest.map_err(|error| unregistered(&error))?.id
            }
        };
        let schemas = Fetched::get(registry, framed(&input).into_iter().chain([schema])).await;
        let schemas = schemas.map_err(|error| Untold::Later(format!("{error:#}")))?;
        Run::new(input, schema, schemas).map_err(|error| Untold::Gone(format!("{error:#}")))
    }

    /// Each setting with its tables, or why they are not there.
    async fn with_tables(&self, settings: Vec<Setting>) -> Vec<Ready> {
        let mut ready = Vec::with_capacity(settings.len());
        for setting in settings {
            let tables = topics::tables_now(&self.materials.lookups, setting.spec.as_ref(), PATIENCE).await;
            ready.push((setting, tables.map_err(|error| format!("{error:#}"))));
        }
        ready
    }

    async fn read(&self, at: Address) -> Result<Input, Untold> {
        let (kafka, client_id, is_over) = (self.brokers.clone(), self.client_id.clone(), self.is_over());
        let read =
            move || Reading { kafka: &kafka, client_id: &client_id, time: PATIENCE, is_over: &*is_over }.one(&at);
        self.blocking(read).await?
    }

    fn is_over(&self) -> IsOver {
        let (tasks, until) = (self.tasks.clone(), self.until);
        Arc::new(move || tasks.is_stopping() || until <= Instant::now())
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Untold> {
        let turn = Arc::clone(&self.turn);
        let worked = self.tasks.spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        worked.await.map_err(|error| Untold::Later(format!("it ended early: {error}")))
    }
}

/// A setting with its tables, or why they are not there.
type Ready = (Setting, Result<Arc<dyn Tables>, String>);

/// What is run, and what it should come to.
struct Again {
    /// As it lies in its topic.
    record: Input,
    /// The modules that made it.
    header: String,
    run: Run,
    ground: Ground,
    is_over: IsOver,
}

impl Again {
    /// In the first setting in which the same record comes out, or else in the first in which one of the same modules does:
    /// tables and schemas may be others now.
    fn through(&self, ready: Vec<Ready>) -> Result<Vec<Shown>, Untold> {
        let tries = ready.into_iter().map(|(setting, tables)| self.within(setting, tables));
        match likeliest(tries, |(_, is_same)| *is_same) {
            Some(made) => made.map(|(steps, _)| steps),
            None => Err(Untold::Gone("nothing is known of its pipeline".to_owned())),
        }
    }

    /// The steps, and whether the very same record came out.
    fn within(&self, setting: Setting, tables: Result<Arc<dyn Tables>, String>) -> Result<(Vec<Shown>, bool), Untold> {
        let tables = tables.map_err(Untold::Later)?;
        let Setting { spec, steps, .. } = setting;
        let towards = spec.as_ref().map(|spec| towards(spec, &self.record.topic)).unwrap_or_default();
        let course = Course { towards, is_over: Arc::clone(&self.is_over), ..Course::of(steps) };
        let ran = self.run.within(&self.ground, spec.as_ref(), tables, course);
        self.made(ran.map_err(|error| match (self.is_over)() {
            true => Untold::Later("its time was up before the modules were through".to_owned()),
            false => Untold::Gone(format!("{error:#}")),
        })?)
    }

    fn made(&self, ran: Ran) -> Result<(Vec<Shown>, bool), Untold> {
        let Ran { steps, tally, out } = ran;
        if tally.dead > 0 {
            return Err(refused(out));
        }
        let is_alike = |one: &&Outgoing| *one.topic == *self.record.topic && is_by(one, &self.header);
        let mut alike = out.iter().filter(is_alike).peekable();
        let named = steps.iter().map(|step| step.module.as_str()).eq(self.header.split(','));
        if alike.peek().is_none() || !named {
            let words = format!("what was received does not become a record of {} any more", self.header);
            return Err(Untold::Gone(words));
        }
        let is_same = alike.any(|one| (&one.key, &one.value) == (&self.record.key, &self.record.value));
        Ok((steps, is_same))
    }
}

/// Of a record that is a dead letter now. On a busy machine a module may have run out of time.
fn refused(letter: Vec<Outgoing>) -> Untold {
    match letter.into_iter().next().map(Said::of) {
        Some(Ok(said)) if said.class == DEADLINE => Untold::Later(said.to_string()),
        Some(Ok(said)) => Untold::Gone(format!("the modules refuse it now: {said}")),
        Some(Err(_)) | None => Untold::Gone("the modules refuse it now".to_owned()),
    }
}

/// Whether these modules made it.
fn is_by(one: &Outgoing, modules: &str) -> bool {
    let header = one.headers.iter().rfind(|(name, _)| name == names::MODULES.as_bytes());
    header.is_some_and(|(_, value)| value.as_deref() == Some(modules.as_bytes()))
}

/// The outputs that write to a topic, as modules call them; the main one has no name.
fn towards(spec: &Spec, topic: &str) -> Vec<Option<String>> {
    let named = spec.outputs.iter().filter(|(_, output)| *output == topic).map(|(name, _)| Some(name.clone()));
    (spec.output == topic).then_some(None).into_iter().chain(named).collect()
}

/// Where a record was received, if it says so: -1 says that it does not.
fn version(fields: &[Field]) -> Option<(i32, i64)> {
    let number = |path: &str| fields.iter().find(|field| field.path == path)?.json.parse::<i64>().ok();
    let (partition, offset) = (number("received_partition")?, number("received_offset")?);
    (0 <= offset).then_some((i32::try_from(partition).ok().filter(|partition| 0 <= *partition)?, offset))
}

fn unregistered(error: &Error) -> Untold {
    if error.is_transient() { Untold::Later(error.to_string()) } else { Untold::Gone(error.to_string()) }
}
