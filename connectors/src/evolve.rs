//! `connectors evolve`: a field more in `order_placed`, in the order in which nothing is ever written that cannot be
//! stored: table and index, then the schema, then the pipeline, with the module that fills it where one is named. Before
//! anything is touched all that is known to break is refused, and the sinks are tried on the newest records, written by
//! the new schema.
//!
//! Every step may run again, and what is done is left as it is: an evolution that was stopped half way is finished by the
//! same command. The edge and what it writes are not touched: a field that is posted is a matter of its code.

mod checks;
mod draft;
mod edit;
pub mod field;
mod filler;
pub mod report;
mod rules;
mod stages;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemas::registry::Error as RegistryError;

use self::checks::Checks;
use self::draft::Draft;
use self::field::{NewField, Places};
use self::filler::Filler;
use self::report::{Edited, Report, Tried};
use crate::apply::{ApplyError, Target};
use crate::compare;
use crate::connect::ConnectError;
use crate::files::Deployment;
use crate::finding::Finding;
use crate::plan::Plan;
use crate::rehearse::growth::Growth;
use crate::rehearse::{self, RehearseError, Sources};
use crate::retry;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the connector files.
    pub files: PathBuf,
    /// A field to add; without it the files are taken as they were edited by hand.
    pub add: Option<NewField>,
    /// A built module that fills the field.
    pub module: Option<PathBuf>,
    /// Try the sinks first.
    pub rehearsal: Option<rehearse::Options>,
    /// Do it.
    pub yes: bool,
}

/// Why there is no answer. Nothing was changed, but what the message says.
#[derive(Debug, thiserror::Error)]
pub enum EvolveError {
    /// The schema's file is missing.
    #[error(
        "there is no {0}, the schema that is to grow; start it in the checkout, or name its connectors/ with --files"
    )]
    NoSchema(String),
    /// The files are faulty by themselves.
    #[error("the files are not in order, see above; nothing was changed")]
    Findings(Vec<Finding>),
    /// The name is in use.
    #[error(
        "{name} is there already, and is {there} instead of {wanted}; a field keeps its type and its default: take another \
         name"
    )]
    Taken {
        /// The field.
        name: String,
        /// Its type.
        there: String,
        /// The one that was asked for.
        wanted: String,
    },
    /// A file is written in a way that is not known.
    #[error(
        "{file} is not written in a way that this can edit; add `{line}` by hand, and run `connectors evolve` without --add"
    )]
    ByHand {
        /// The file.
        file: String,
        /// What it needs.
        line: String,
    },
    /// A pipeline's file cannot be given the module.
    #[error(
        "{file} is not written in a way that {module} can be put into it; add \"transforms.ALIAS.type\": \"{module}\" by \
         hand, with an ALIAS that nothing else has there, put the ALIAS into \"transforms\" as well, and run the same command \
         again"
    )]
    ModuleByHand {
        /// The file.
        file: String,
        /// The module.
        module: String,
    },
    /// Somebody edited a file while the sinks were tried.
    #[error("{0} was edited or made while this ran, so nothing was changed; run it again")]
    Meddled(String),
    /// Nobody can say where a module belongs.
    #[error(
        "{count} pipelines of the files write {topic}, so {module} was named in none; name it yourself, and leave --module out"
    )]
    Pipelines {
        /// The topic.
        topic: &'static str,
        /// How many.
        count: usize,
        /// The module.
        module: String,
    },
    /// No store can hold it.
    #[error("no column or property can hold {0}")]
    NoPlace(String),
    /// A file cannot be read or written.
    #[error("{file}")]
    File {
        /// The file.
        file: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Nothing was ever deployed.
    #[error("the registry has no subject {0} yet; run `connectors apply` first")]
    Nothing(&'static str),
    /// The registry.
    #[error("the schema registry")]
    Registry(#[from] RegistryError),
    /// `transforms` or Kafka Connect.
    #[error("{0}")]
    Connect(&'static str, #[source] ConnectError),
    /// The rehearsal could not be held.
    #[error("{sink} could not be rehearsed, and nothing was changed; --without-rehearsal goes on without")]
    Rehearse {
        /// The sink.
        sink: String,
        /// The cause.
        source: Box<RehearseError>,
    },
    /// A stage stopped. The files are written, what was done before stays, and the same command goes on from there.
    #[error("it stopped on the way; mend it and run the same again")]
    Apply(#[from] ApplyError),
}

/// Looks, and does it where that is asked for. `stop` ends a rehearsal early; `say` hears how far it is.
///
/// # Errors
/// [`EvolveError`].
pub async fn evolve(
    target: &Target,
    sources: &Sources,
    options: &Options,
    stop: impl Fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    say: &(dyn Fn(String) + Send + Sync),
) -> Result<Report, EvolveError> {
    let mut draft = Draft::new(&options.files, options.add.as_ref())?;
    let tried = match &options.module {
        Some(path) => Some(Filler::tried(target, path).await?),
        None => None,
    };
    let (filler, unfit) = match tried.transpose() {
        Ok(filler) => (filler, None),
        Err(why) => (None, Some(why)),
    };
    if let Some(filler) = &filler {
        draft.fill(filler.key())?;
    }
    let (edits, versions, contract) = (draft.edits.clone(), draft.versions.clone(), draft.contract().clone());
    let sinks: Vec<_> = draft.sinks().cloned().collect();
    let all = draft.folder.deployment().map_err(EvolveError::Findings)?;
    let ask = || target.registry.latest(contract.subject);
    let newest = match retry::until(target.deadline(), "the schema registry", ask).await {
        Err(RegistryError::UnknownSubject(_) | RegistryError::UnknownSchema(_)) => {
            return Err(EvolveError::Nothing(contract.subject));
        }
        newest => newest?,
    };
    let mut report = Report::new(options, &contract.file);
    report.edits = edits.iter().map(Edited::of).collect();
    let mut judged = rules::judge(&newest.schema, &contract.schema);
    report.refused.append(&mut judged.refused);
    // What the registry has is read from its own words; what is asked for may be there already.
    let asked = options.add.iter().map(NewField::json);
    let known = asked.filter(|field| !judged.added.iter().any(|added| rules::name(added) == rules::name(field)));
    let added: Vec<_> = judged.added.iter().cloned().chain(known).collect();
    report.fields = added.iter().map(report::Field::of).collect();

    report.refused.extend(unfit);
    if let Some(filler) = &filler {
        report.module = Some(filler.label.clone());
        let faults = [filler.lacks(&added), filler.wants(&all.pipelines)].concat();
        report.check(faults, &filler.fits(&added));
    }
    let checks = Checks { contract: &contract, added: &added, sinks: &sinks, versions: versions.as_deref() };
    checks.offline(&newest.schema, &mut report)?;
    let found = compare::stages(target, &all).await;
    checks.servers(&found, &mut report);
    report.plan = Plan::new(&found);
    stages::pipelines(target, &all, contract.topic, &mut report).await?;
    if !report.refused.is_empty() || !report.has_work() {
        return Ok(report);
    }
    if let Some(rehearsal) = options.rehearsal.filter(|_| report.plan.exit_code == 2) {
        let growth = growth(&contract.schema, &added);
        for sink in &sinks {
            say(format!("{} is tried with the new schema", sink.name));
            let tried = rehearse::grown(sources, (sink, &growth), rehearsal, stop(), say).await;
            let tried =
                tried.map_err(|source| EvolveError::Rehearse { sink: sink.name.clone(), source: Box::new(source) })?;
            report.take(Tried::of(&tried, &growth.fields));
        }
        if !report.refused.is_empty() {
            return Ok(report);
        }
    }
    if options.yes {
        do_it(target, &all, (&edits, filler.as_ref()), &mut report).await?;
    }
    Ok(report)
}

/// What is new, as the sinks meet it.
fn growth(schema: &str, added: &[serde_json::Value]) -> Growth {
    let mut growth = Growth { schema: schema.to_owned(), properties: BTreeMap::new(), ..Growth::default() };
    for field in added {
        let name = rules::name(field).to_owned();
        if let Some(places) = Places::of(field) {
            growth.columns.push(places.column);
            growth.properties.insert(name.clone(), places.property);
        }
        growth.fields.push(name);
    }
    growth
}

async fn do_it(
    target: &Target,
    all: &Deployment,
    (edits, filler): (&[draft::Edit], Option<&Filler>),
    report: &mut Report,
) -> Result<(), EvolveError> {
    for edit in edits {
        edit.is_as_read()?;
    }
    // Before a file names it.
    if let Some(filler) = filler {
        report.done.push(filler.push(target).await?.to_string());
    }
    for edit in edits {
        edit.write().map_err(|source| EvolveError::File { file: edit.path.display().to_string(), source })?;
    }
    stages::run(target, all, report).await
}
