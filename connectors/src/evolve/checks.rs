//! What must hold before anything is touched. Each is told, whether it holds or not.

use std::path::Path;

use serde_json::Value;

use super::field::Places;
use super::report::Report;
use super::{EvolveError, rules};
use crate::check::flow;
use crate::compare::Comparison;
use crate::contracts::Contract;
use crate::files::Connector;

/// What is checked.
pub(super) struct Checks<'a> {
    pub(super) contract: &'a Contract,
    pub(super) added: &'a [Value],
    pub(super) sinks: &'a [Connector],
    pub(super) versions: Option<&'a Path>,
}

impl Checks<'_> {
    /// Without any server.
    pub(super) fn offline(&self, before: &str, report: &mut Report) -> Result<(), EvolveError> {
        for field in self.added.iter().filter(|field| Places::of(field).is_none()) {
            report.refused.push(format!("{}: no column or property can hold it", rules::name(field)));
        }
        if let Some(folder) = self.versions {
            let failed = |source| EvolveError::File { file: folder.display().to_string(), source };
            let unread = rules::unread(folder, &self.contract.schema).map_err(failed)?;
            let count = rules::versions(folder).map_err(failed)?.len();
            report.check(unread, &format!("all {count} versions of {} are read by it", folder.display()));
        }
        for sink in self.sinks {
            let faults = self.through(sink, before);
            report.check(faults, &format!("{} lets it through", sink.name));
        }
        Ok(())
    }

    /// What a sink's transforms make of the new fields.
    fn through(&self, sink: &Connector, before: &str) -> Vec<String> {
        let behind = |schema: &str| flow::through(sink, flow::schema::fields(schema)?);
        let (Some(old), Some(new)) = (behind(before), behind(&self.contract.schema)) else {
            return vec![format!(
                "{}: {} has a transform that is not known here, so nobody can say what it makes of a new field; rehearse it \
                 by hand, or use one of those in connectors/LINT.md",
                sink.file, sink.name
            )];
        };
        let mut faults = Vec::new();
        for name in self.added.iter().map(rules::name) {
            let count = new.iter().filter(|field| field.name == name).count();
            // A field that is registered already is in both.
            let own = old.iter().any(|field| field.name == name)
                && !rules::fields(before).unwrap_or_default().iter().any(|field| rules::name(field) == name);
            if own || 1 < count {
                faults.push(format!(
                    "{}: {} makes a field {name} itself, out of a header or another field; take another name",
                    sink.file, sink.name
                ));
            } else if count == 0 {
                faults.push(format!(
                    "{}: {} drops or renames {name}, so it would never arrive; take it out of `exclude` or `renames`, or put \
                     it into `include`",
                    sink.file, sink.name
                ));
            }
        }
        faults
    }

    /// What stores and registry say.
    pub(super) fn servers(&self, found: &Comparison, report: &mut Report) {
        report.check(found.unknown.clone(), "registry, table and index were asked");
        for thing in &found.things {
            let (kind, name) = (thing.kind, &thing.name);
            let words = |key: &str| if key.is_empty() { String::new() } else { format!("{key}: ") };
            let refused = thing.refused.iter().map(|one| format!("{kind} {name}: {}{}", words(&one.key), one.message));
            let holds = match kind {
                "subject" => format!("{name}: BACKWARD holds, as the registry says"),
                _ => format!("{kind} {name} has nothing of another type under these names"),
            };
            report.check(refused.collect(), &holds);
        }
    }
}
