//! What scratch stores are made from: the definitions of the live ones.

use serde_json::Value;

use super::{Part, Report, Stage};
use crate::postgres::scratch::Definition;
use crate::rehearse::growth::Growth;
use crate::rehearse::redirect::Target;
use crate::rehearse::rows::{self, Made};
use crate::rehearse::{RehearseError, Sources};

/// A definition.
#[derive(Debug, Clone)]
pub(super) enum Mould {
    Table(Definition),
    Index(Value),
}

impl Stage<'_> {
    /// The mould of each part. What the file names may not be there yet, where it names another than the live one.
    pub(super) async fn moulds(&self, parts: &[&Part], report: &mut Report) -> Result<Vec<Mould>, RehearseError> {
        let mut moulds = Vec::<Mould>::new();
        for part in parts {
            let (kind, name) = (part.target.kind(), part.target.name());
            let mould = match (Mould::of(self.sources, &part.target).await?, moulds.first()) {
                (Some(mould), _) => mould,
                (None, Some(live)) => {
                    report.notes.push(format!(
                        "there is no {kind} {name} yet; a scratch {kind} like the live one stood in for it"
                    ));
                    live.clone()
                }
                (None, None) => return Err(RehearseError::NoStore { kind, name: name.to_owned() }),
            };
            moulds.push(mould);
        }
        if let (Some(growth), Some(edited)) = (self.growth, moulds.last_mut()) {
            edited.grow(growth);
        }
        for mould in &moulds {
            if let Mould::Table(Definition { name, triggers, .. }) = mould
                && !triggers.is_empty()
            {
                let note = format!("the triggers of {name} do not run on scratch tables: {}", triggers.join(", "));
                if !report.notes.contains(&note) {
                    report.notes.push(note);
                }
            }
        }
        Ok(moulds)
    }
}

impl Mould {
    async fn of(sources: &Sources, target: &Target) -> Result<Option<Self>, RehearseError> {
        match target {
            Target::Table(table) => {
                let found = sources.postgres.definition(table.schema.as_deref(), &table.name).await?;
                Ok(found.map(Self::Table))
            }
            Target::Index { name, .. } => {
                let Some(definition) = sources.elastic.definition(name).await? else { return Ok(None) };
                for key in ["default_pipeline", "final_pipeline"] {
                    let pipeline = definition.pointer(&format!("/settings/index/{key}")).and_then(Value::as_str);
                    if let Some(pipeline) = pipeline.filter(|pipeline| *pipeline != "_none") {
                        let (index, pipeline) = (name.clone(), pipeline.to_owned());
                        return Err(RehearseError::Ingest { index, pipeline });
                    }
                }
                Ok(Some(Self::Index(definition)))
            }
        }
    }

    /// With a place for the new fields.
    fn grow(&mut self, growth: &Growth) {
        match self {
            Self::Table(definition) => definition.added.clone_from(&growth.columns),
            Self::Index(definition) => {
                if let Some(properties) = definition.pointer_mut("/mappings/properties").and_then(Value::as_object_mut)
                {
                    properties.extend(growth.properties.clone());
                }
            }
        }
    }

    /// Makes a scratch store.
    pub(super) async fn cast(&self, sources: &Sources, scratch: &str) -> Result<(), RehearseError> {
        match self {
            Self::Table(like) => Ok(sources.postgres.make_scratch(like, scratch).await?),
            Self::Index(definition) => Ok(sources.elastic.make_scratch(definition, scratch).await?),
        }
    }

    /// What lies in it.
    pub(super) async fn made(&self, sources: &Sources, scratch: &str) -> Result<Made, RehearseError> {
        match self {
            Self::Table(like) => Ok(rows::of_table(&sources.postgres.scratch_rows(&like.schema, scratch).await?)),
            Self::Index(_) => Ok(rows::of_index(&sources.elastic.scratch_documents(scratch).await?)),
        }
    }
}
