//! What each setting of a pipeline is, as Connect's tools draw their forms from: type, default, importance, group and
//! words. What is right and wrong is decided in [`crate::pipeline::spec`]; this only describes.

use serde_json::{Value, json};
use transform_host::{Module, ParameterKind};

use crate::names::{CLASS, key};

/// The groups, in the order in which forms show them.
pub(super) const COMMON: &str = "Common";
pub(super) const TRANSFORMS: &str = "Transforms";
pub(super) const ERRORS: &str = "Error Handling";

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) required: bool,
    pub(super) default: Option<String>,
    pub(super) importance: &'static str,
    pub(super) documentation: String,
    pub(super) group: String,
}

impl Definition {
    fn new(name: &str, kind: &'static str, group: &str, documentation: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: false,
            default: None,
            importance: "MEDIUM",
            documentation: documentation.to_owned(),
            group: group.to_owned(),
        }
    }

    fn required(self) -> Self {
        Self { required: true, importance: "HIGH", ..self }
    }

    fn or(self, default: &str) -> Self {
        Self { default: Some(default.to_owned()), ..self }
    }

    /// As Connect writes it; `order` counts within the group.
    pub(super) fn json(&self, order: usize) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "required": self.required,
            "default_value": self.default,
            "importance": self.importance,
            "documentation": self.documentation,
            "group": self.group,
            "order_in_group": order,
            "width": if self.kind == "INT" { "SHORT" } else { "MEDIUM" },
            "display_name": self.name,
            "dependents": [],
        })
    }
}

/// The settings that every pipeline may have.
pub(super) fn of_pipelines() -> Vec<Definition> {
    vec![
        Definition::new(
            key::NAME,
            "STRING",
            COMMON,
            "Globally unique name of this pipeline: its consumer group, and part of its transactional ids.",
        )
        .required(),
        Definition::new(key::CLASS, "STRING", COMMON, &format!("What this is: {CLASS}.")).required(),
        Definition::new(
            key::TASKS,
            "INT",
            COMMON,
            "Slots in each process: threads with a consumer and a transactional producer each.",
        )
        .or("1"),
        Definition::new(key::TOPICS, "LIST", COMMON, "The topics to read, separated by commas.").required(),
        Definition::new(
            key::OUTPUT,
            "STRING",
            COMMON,
            "The topic to write to; the newest schema of its subject is what outputs must fit.",
        )
        .required(),
        Definition::new(key::DROPPED, "STRING", COMMON, "Where a record that a module drops leaves a marker.")
            .or(schemas::names::topics::ORDERS_DROPPED),
        Definition::new(
            key::TRANSFORMS,
            "LIST",
            TRANSFORMS,
            "The aliases of the modules, in order, separated by commas. Without any, records are copied.",
        )
        .or(""),
        Definition::new(
            key::TOLERANCE,
            "STRING",
            ERRORS,
            "What a bad record does: none stops the slot, all sends it to the dead letters.",
        )
        .or("none"),
        Definition::new(
            key::DEAD_LETTERS,
            "STRING",
            ERRORS,
            "Where bad records go; needed where errors.tolerance is all.",
        )
        .or(""),
    ]
}

/// The setting that names the module of an alias.
pub(super) fn of_alias(alias: &str) -> Definition {
    let name = format!("{}.{alias}.type", key::TRANSFORMS);
    let words = "The module: name@1 for the newest 1.x, or name@1.4.0 for that version.";
    Definition::new(&name, "STRING", &group(alias), words).required()
}

/// The settings that a module takes: under its alias, or bare where it is described by itself.
pub(super) fn of_module(alias: Option<&str>, module: &Module) -> Vec<Definition> {
    let described = |parameter: &transform_host::Parameter| {
        let (name, group) = match alias {
            Some(alias) => (format!("{}.{alias}.{}", key::TRANSFORMS, parameter.name), group(alias)),
            None => (parameter.name.clone(), COMMON.to_owned()),
        };
        let kind = match parameter.kind {
            ParameterKind::Text => "STRING",
            ParameterKind::Boolean => "BOOLEAN",
            ParameterKind::Whole => "LONG",
            // Connect has none; its tools check the others before they send.
            ParameterKind::Decimal => "STRING",
        };
        let new = Definition::new(&name, kind, &group, &parameter.description);
        let new = if parameter.required { new.required() } else { new };
        Definition { default: parameter.default.clone(), ..new }
    };
    module.description().parameters.iter().map(described).collect()
}

/// A setting that is in none of the lists.
pub(super) fn of_other(name: &str) -> Definition {
    let alias = name.strip_prefix("transforms.").and_then(|rest| rest.split_once('.')).map(|(alias, _)| alias);
    let group = alias.map_or_else(|| COMMON.to_owned(), group);
    Definition::new(name, "STRING", &group, "")
}

/// Connect's name for the group of one transform.
fn group(alias: &str) -> String {
    format!("{TRANSFORMS}: {alias}")
}
