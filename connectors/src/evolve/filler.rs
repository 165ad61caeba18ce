//! The module that fills a new field. `transforms` says what it thinks of it before anything is touched; it is uploaded
//! before a file names it, which activates nothing, and runs when the pipeline has the schema.

use std::path::Path;

use serde_json::Value;

use super::{EvolveError, rules};
use crate::apply::{ApplyError, Line, Target, modules};
use crate::connect::ConnectError;
use crate::files::Connector;
use crate::retry;

/// A module that `transforms` would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filler {
    /// `name@version+sha256:<first 12 digits>`.
    pub(super) label: String,
    file: String,
    /// The parameters without which no pipeline starts.
    needed: Vec<String>,
    wasm: Vec<u8>,
}

impl Filler {
    /// Reads the file and asks `transforms`; or why it would not take it.
    pub(super) async fn tried(target: &Target, path: &Path) -> Result<Result<Self, String>, EvolveError> {
        let file = path.display().to_string();
        let wasm = modules::read(path).map_err(|source| EvolveError::File { file: file.clone(), source })?;
        let ask = || target.transforms.try_module(wasm.clone());
        match retry::until(target.deadline(), "transforms", ask).await {
            Ok(module) => {
                let needed = module.parameters.into_iter().filter(|one| one.required).map(|one| one.name).collect();
                Ok(Ok(Self { label: module.label, file, needed, wasm }))
            }
            Err(ConnectError::Refused { message, .. }) => Ok(Err(format!("module {file}: {message}"))),
            Err(source) => Err(EvolveError::Connect("transforms", source)),
        }
    }

    /// `name@version`, as a pipeline's file names it.
    pub(super) fn key(&self) -> &str {
        self.label.split_once('+').map_or(self.label.as_str(), |(key, _)| key)
    }

    /// The new fields that it cannot fill: a module carries the text of its schema, so it holds the names of its fields,
    /// in quotation marks. Without these a field would be found in the name of a longer one.
    pub(super) fn lacks(&self, added: &[Value]) -> Vec<String> {
        let is_unknown = |name: &&str| {
            let quoted = Value::from(*name).to_string();
            !self.wasm.windows(quoted.len()).any(|part| part == quoted.as_bytes())
        };
        let words = |name: &str| {
            format!(
                "module {}: {} was built for a schema without {name}; put the new schema over its own, raise its version and \
                 build it again",
                self.file, self.label
            )
        };
        added.iter().map(rules::name).filter(is_unknown).map(words).collect()
    }

    /// What is known when it lacks nothing. Without a new field there was nothing to be found in it.
    pub(super) fn fits(&self, added: &[Value]) -> String {
        if added.is_empty() {
            return format!("transforms takes {}", self.label);
        }
        format!("{} was built for the new schema, and transforms takes it", self.label)
    }

    /// The parameters that it needs and that no pipeline's file gives it.
    pub(super) fn wants(&self, pipelines: &[Connector]) -> Vec<String> {
        let gives = |pipeline: &Connector, name: &str| {
            let mut named = pipeline.settings.iter().filter(|(_, value)| *value == self.key());
            named.any(|(key, _)| {
                let alias = key.strip_suffix(".type");
                alias.is_some_and(|alias| pipeline.settings.contains_key(&format!("{alias}.{name}")))
            })
        };
        let missing = self.needed.iter().filter(|name| !pipelines.iter().any(|one| gives(one, name)));
        let words = |name: &String| {
            format!(
                "module {}: {} does not start without {name}; push it, and name it in the pipeline's file with its \
                 parameters, before this or instead of --module",
                self.file, self.label
            )
        };
        missing.map(words).collect()
    }

    /// Uploads it; the same again is no change.
    pub(super) async fn push(&self, target: &Target) -> Result<Line, ApplyError> {
        modules::push(target, &self.file, &self.wasm).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_looked_for_by_its_whole_name() {
        let wasm = br#"asm{"fields": [{ "name": "gift_note", "type": "string" }]} note"#.to_vec();
        let (label, file) = ("gift-note@1.0.0+sha256:0123456789ab".to_owned(), "f.wasm".to_owned());
        let filler = Filler { label, file, needed: Vec::new(), wasm };
        assert_eq!(filler.lacks(&[json!({ "name": "gift_note" })]), [""; 0]);
        let lacks = filler.lacks(&[json!({ "name": "note" })]);
        assert!(lacks.len() == 1 && lacks[0].contains("a schema without note"), "{lacks:?}");
        assert!(filler.fits(&[json!({ "name": "gift_note" })]).contains("was built for the new schema"));
        assert_eq!(filler.fits(&[]), "transforms takes gift-note@1.0.0+sha256:0123456789ab");
    }
}
