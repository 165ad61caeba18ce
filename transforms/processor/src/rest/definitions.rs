//! What each setting of a pipeline is, as Connect's tools draw their forms from: type, default, importance, group and
//! words. What is right and wrong is decided in [`crate::pipeline::spec`]; this only describes.

use serde_json::{Value, json};
use transform_host::{Module, ParameterKind};

use crate::names::{CLASS, key};
use crate::pipeline::policy::Policy;

/// The groups, in the order in which forms show them.
pub(super) const COMMON: &str = "Common";
pub(super) const TRANSFORMS: &str = "Transforms";
pub(super) const ERRORS: &str = "Error Handling";
const VERSIONS: &str = "Versions";

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
    let mut definitions = of_flow();
    definitions.extend(of_versions());
    definitions
}

/// What a version may cost, and what the breaker does.
fn of_versions() -> Vec<Definition> {
    let Policy { watch, watch_errors, watch_time, breaker_errors, breaker_window, retries, .. } = Policy::default();
    let numbers = [
        (key::WATCH, watch, "A new version of the pipeline is watched for so many records; 0: not at all."),
        (
            key::WATCH_ERRORS,
            watch_errors,
            "Of these so many may fail in a module before the version goes back by itself.",
        ),
        (
            key::WATCH_TIME,
            u64::try_from(watch_time.as_micros()).unwrap_or(u64::MAX),
            "What a watched record may take in the modules, in microseconds: the median, of batches that are not small.",
        ),
        (key::BREAKER_ERRORS, breaker_errors, "The breaker trips when so many records have failed in a module"),
        (key::BREAKER_WINDOW, breaker_window, "of the last so many."),
        (
            key::BREAKER_RETRIES,
            retries.into(),
            "After so many tries records that run out of time are judged one by one, and become dead letters.",
        ),
    ];
    let number = |(name, default, words): (&str, u64, &str)| {
        Definition::new(name, "LONG", VERSIONS, words).or(&default.to_string())
    };
    let mut definitions: Vec<Definition> = numbers.into_iter().map(number).collect();
    let words = "Of the watched records so many may be rejected on purpose; half of them where nothing is said.";
    definitions.push(Definition::new(key::WATCH_REJECTS, "LONG", VERSIONS, words));
    let words = "What the breaker does: park holds the flow until an operator resumes it, rollback brings the version before \
                 back, stop fails the task.";
    definitions.push(Definition::new(key::BREAKER, "STRING", VERSIONS, words).or("park"));
    definitions
}

fn of_flow() -> Vec<Definition> {
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
