//! What stands between an upload and its storing. The checks, in order, each cheaper or safer than the next: [`look`] says
//! by the first bytes what it is; [`child`] has it validated, linked, compiled and described in a child process that can
//! neither grow nor last nor open anything; then this process compiles it again, and [`trial`] runs it on sample records
//! ([`samples`]) to see that what comes out fits and does not hang on what came before. [`refused`] is how each says no.

pub mod child;
mod corners;
mod difference;
mod golden;
pub mod look;
pub mod refused;
pub mod samples;
pub mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::contracts::ORDER_PLACED_AVSC;
use transform_host::{Engine, Module, Step};

use child::{Child, Proven};
use refused::{Check, Refused};
use trial::{Report, Trial};

use crate::compile;

/// What an uploader asks for beside the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// It may keep something between records; it then gets a fresh instance for each batch.
    pub stateful: bool,
    /// All checks and no storing.
    pub dry_run: bool,
    /// Parameters for the dry run: a module may need some.
    pub parameters: BTreeMap<String, String>,
}

/// What passed.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Compiled in this process.
    pub module: Arc<Module>,
    /// What became of the sample; `None`: it needs parameters that the upload did not give, and is tried with the
    /// pipeline's own when one is put.
    pub trial: Option<Report>,
}

/// The checks up to a description, all in a child process. Blocks.
///
/// # Errors
/// The first check that says no.
pub fn prove(child: &Child, wasm: &[u8]) -> Result<Proven, Refused> {
    look::check(wasm)?;
    child.prove(wasm)
}

/// The rest, in this process. Blocks.
///
/// The child could hand its compiled code over and save this process the work, but then whoever broke out of the
/// sandbox in the child could hand over any code: `Module::deserialize` believes what it is given. So it is compiled
/// again. That this ends, and within which memory, is what the child has just shown.
///
/// # Errors
/// The first check that says no.
pub fn accept(engine: &Arc<Engine>, wasm: &[u8], wishes: &Wishes) -> Result<Accepted, Refused> {
    let module = compile::load(engine, wasm).map_err(|error| refused::load(&error))?;
    let missing = module
        .description()
        .parameters
        .iter()
        .any(|parameter| parameter.required && !wishes.parameters.contains_key(&parameter.name));
    if missing && wishes.parameters.is_empty() {
        return Ok(Accepted { module, trial: None });
    }
    let schema = module.description().schema.clone().unwrap_or_else(|| ORDER_PLACED_AVSC.to_owned());
    let step = Step::new(module.description().name.clone(), Arc::clone(&module), wishes.parameters.clone());
    let trial = Trial { engine, steps: vec![step], schema: &schema, single_output: false, stateful: wishes.stateful };
    let report = trial.run().map_err(Refused::from)?;
    Ok(Accepted { module, trial: Some(report) })
}

impl From<trial::Finding> for Refused {
    fn from(finding: trial::Finding) -> Self {
        let check = if finding.impure { Check::Purity } else { Check::DryRun };
        let way_out = if finding.impure {
            "keep nothing between records, or upload it with ?stateful=true: it then gets a fresh instance for each batch"
        } else {
            "make it emit data of the schema it was built for, within its limits; `transforms test` shows it record by record"
        };
        Self::new(check, finding.text, way_out).value(finding.record)
    }
}
