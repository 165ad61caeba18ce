//! One run: a record through a worker of its own, so that it is read, judged, finished and measured by what a slot does it
//! with; only the judge goes step by step ([`super::stepwise`]). A dead letter ([`super::rerun`]) and a record that a
//! pipeline wrote ([`super::stored`]) take the same way.

use std::collections::BTreeMap;
use std::mem;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use transform_host::{Engine, Tables};

use super::Fetched;
use super::stepwise::{Course, Stepwise};
use super::topics::Topics;
use crate::author::fields::Change;
use crate::author::orders::Shape;
use crate::kafka::{Input, Outgoing};
use crate::pipeline::spec::Spec;
use crate::record::finish::Output;
use crate::record::judge::Judge;
use crate::record::worker::{Named, Worker, options};
use crate::record::writers::Writers;
use crate::state::catalog::Catalog;
use crate::work::{Hold, Tally, Work as _};

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `name@version+sha256:<first 12 digits>`.
    pub module: String,
    /// What it used; 0 where that is not counted.
    pub fuel: u64,
    /// What is different in what came out, where exactly one record did.
    pub changes: Vec<Change>,
}

/// What runs are made with.
pub(super) struct Ground {
    pub(super) engine: Arc<Engine>,
    /// Its modules are of this engine.
    pub(super) catalog: Arc<Catalog>,
    pub(super) topics: Topics,
}

/// A record that is run.
pub(super) struct Run {
    input: Input,
    /// The id of the main output's schema.
    schema: u32,
    shape: Arc<Shape>,
    schemas: Arc<Fetched>,
}

/// What a run came to.
pub(super) struct Ran {
    /// The modules that it came to, in order.
    pub(super) steps: Vec<Shown>,
    pub(super) tally: Tally,
    pub(super) out: Vec<Outgoing>,
}

impl Run {
    /// Of a record of a pipeline whose main output has the schema with this id.
    ///
    /// # Errors
    /// When that was not found, or is none.
    pub(super) fn new(input: Input, schema: u32, schemas: Fetched) -> anyhow::Result<Self> {
        let text = schemas.0.get(&schema);
        let text = text.with_context(|| format!("the schema registry has no schema {schema} any more"))?;
        let shape = Arc::new(Shape::parse(text)?);
        Ok(Self { input, schema, shape, schemas: Arc::new(schemas) })
    }

    /// What becomes of it on this course, with these tables. `spec` is what is known of the pipeline's config.
    ///
    /// # Errors
    /// When that cannot be had any more: a module, a table, an output's schema.
    pub(super) fn within(
        &self,
        ground: &Ground,
        spec: Option<&Spec>,
        tables: Arc<dyn Tables>,
        course: Course,
    ) -> anyhow::Result<Ran> {
        let (output, named) = (self.output()?, ground.topics.named(spec, &self.shape.text)?);
        let shown: Arc<Mutex<Vec<Shown>>> = Arc::default();
        let judge = Stepwise {
            engine: Arc::clone(&ground.engine),
            catalog: Arc::clone(&ground.catalog),
            shape: Arc::clone(&self.shape),
            options: options(&output, &named, tables),
            course,
            shown: Arc::clone(&shown),
            last: None,
        };
        let judged = self.judged(Box::new(judge), (output, named), (&ground.topics, spec));
        let (tally, out) = judged.map_err(|hold| anyhow!("{hold}"))?;
        let steps = mem::take(&mut *shown.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Ran { steps, tally, out })
    }

    /// What a worker makes of the record with this judge, which knows this of its topics.
    pub(super) fn judged(
        &self,
        judge: Box<dyn Judge>,
        (output, named): (Output, BTreeMap<String, Named>),
        (topics, spec): (&Topics, Option<&Spec>),
    ) -> Result<(Tally, Vec<Outgoing>), Hold> {
        let mut worker = Worker {
            pipeline: String::new(),
            commit_interval: Duration::ZERO,
            routes: topics.routes(spec),
            output,
            named,
            writers: Writers::new(Arc::clone(&self.schemas) as _, Arc::from(self.shape.text.as_str())),
            judge,
            // Whose fault it is stands in the letter already, or it is nobody's.
            parameters: BTreeMap::new(),
            makers: Vec::new(),
        };
        let mut out = Vec::new();
        let tally = worker.apply(slice::from_ref(&self.input), &mut out)?;
        Ok((tally, out))
    }

    /// The main output.
    pub(super) fn output(&self) -> anyhow::Result<Output> {
        Output::new(self.schema, &self.shape.text).map_err(anyhow::Error::msg)
    }
}

/// The first of these tries that came to what is known, or else the first that came to anything; where none did, why.
pub(super) fn likeliest<T, E>(
    tries: impl Iterator<Item = Result<T, E>>,
    is_it: impl Fn(&T) -> bool,
) -> Option<Result<T, E>> {
    let mut otherwise: Option<Result<T, E>> = None;
    for tried in tries {
        otherwise = Some(match (otherwise, tried) {
            (_, Ok(tried)) if is_it(&tried) => return Some(Ok(tried)),
            (Some(Ok(first)), _) => Ok(first),
            (Some(Err(first)), tried) => tried.or(Err(first)),
            (None, tried) => tried,
        });
    }
    otherwise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_to_what_is_known_goes_before_what_came_first_and_that_before_a_failure() {
        let found = |tries: &[Result<u8, u8>]| likeliest(tries.iter().copied(), |tried| *tried > 9);
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[Ok(1), Ok(10), Ok(11)]), Some(Ok(10)));
        assert_eq!(found(&[Err(1), Ok(10)]), Some(Ok(10)));
        assert_eq!(found(&[Ok(1), Err(2), Ok(3)]), Some(Ok(1)));
        assert_eq!(found(&[Err(1), Ok(2), Ok(3)]), Some(Ok(2)));
        assert_eq!(found(&[Err(1), Err(2)]), Some(Err(1)));
    }
}
