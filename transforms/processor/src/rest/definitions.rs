//! What each setting of a pipeline is, as Connect's tools draw their forms from: type, default, importance, group and
//! words. What is right and wrong is decided in [`crate::pipeline::spec`]; this only describes.

use serde_json::{Value, json};
use transform_host::{Module, ParameterKind};

use crate::names::key;
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

/// What a setting is when it is not there.
enum Absent {
    Refused,
    Means(&'static str),
}

/// A setting as it stands in a table: name, type, group, what its absence means, words.
type Line = (&'static str, &'static str, &'static str, Absent, &'static str);

/// Where records come from and where they go.
const FLOW: &[Line] = &[
    (
        key::NAME,
        "STRING",
        COMMON,
        Absent::Refused,
        "Globally unique name of this pipeline: its consumer group, and part of its transactional ids.",
    ),
    (key::CLASS, "STRING", COMMON, Absent::Refused, "What this is: orderflow.WasmPipeline."),
    (
        key::TASKS,
        "INT",
        COMMON,
        Absent::Means("1"),
        "Slots in each process, up to 64: threads with a consumer and a transactional producer each.",
    ),
    (
        key::COMMIT_INTERVAL,
        "LONG",
        COMMON,
        Absent::Means("0"),
        "A batch that is not full waits until so many milliseconds after the last transaction of its slot began, up to \
         1000: fewer and larger ones cost less CPU time, here, in the broker and in the stores. 0: it does not wait.",
    ),
    (key::TOPICS, "LIST", COMMON, Absent::Refused, "The topics to read, separated by commas; up to 16."),
    (
        key::OUTPUT,
        "STRING",
        COMMON,
        Absent::Refused,
        "The topic to write to; the newest schema of its subject is what outputs must fit.",
    ),
    (
        key::DROPPED,
        "STRING",
        COMMON,
        Absent::Means(schemas::names::topics::ORDERS_DROPPED),
        "Where a record that a module drops leaves a marker.",
    ),
    (
        key::LOCAL,
        "BOOLEAN",
        COMMON,
        Absent::Means("false"),
        "Whether it takes throw-away versions of modules (0.0.x, from transforms push --dev).",
    ),
    (
        key::TOLERANCE,
        "STRING",
        ERRORS,
        Absent::Means("none"),
        "What a bad record does: none stops the slot, all sends it to the dead letters.",
    ),
    (
        key::DEAD_LETTERS,
        "STRING",
        ERRORS,
        Absent::Means(""),
        "Where bad records go; needed where errors.tolerance is all.",
    ),
];

/// The modules, and what they have beside the record.
const MODULES: &[Line] = &[
    (
        key::TRANSFORMS,
        "LIST",
        TRANSFORMS,
        Absent::Means(""),
        "The aliases of the modules, in order, separated by commas; up to 32. Without any, records are copied.",
    ),
    (
        key::PREDICATES,
        "LIST",
        TRANSFORMS,
        Absent::Means(""),
        "The aliases of predicates, each of which says which records a module gets; up to 32.",
    ),
    (
        key::OUTPUTS,
        "LIST",
        TRANSFORMS,
        Absent::Means(""),
        "Names of outputs beside the main one, to which modules may send records; up to 32.",
    ),
    (
        key::LOOKUPS,
        "LIST",
        TRANSFORMS,
        Absent::Means(""),
        "Names of read-only tables from compacted topics, in which modules look records up; up to 32.",
    ),
    (
        key::ISOLATION,
        "STRING",
        TRANSFORMS,
        Absent::Means("instance"),
        "How long an instance of a module lives: instance, until it fails or is replaced; batch, for one batch, at the \
         price of a new instance for each.",
    ),
];

fn of_flow() -> Vec<Definition> {
    let definition = |(name, kind, group, absent, words): &Line| {
        let new = Definition::new(name, kind, group, words);
        match absent {
            Absent::Refused => new.required(),
            Absent::Means(default) => new.or(default),
        }
    };
    FLOW.iter().chain(MODULES).map(definition).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::CLASS;

    #[test]
    fn the_page_says_of_each_setting_what_the_forms_say() {
        let page = include_str!("../../../../connectors/PIPELINE.md");
        let row = |setting: &Definition| {
            let absent = match &setting.default {
                Some(default) if default.is_empty() => String::new(),
                Some(default) => format!("`{default}`"),
                None if setting.required => "needed".to_owned(),
                None => String::new(),
            };
            format!("| `{}` | {} | {absent} | {} |", setting.name, setting.kind, setting.documentation)
        };
        let settings = of_pipelines();
        let missing: Vec<String> = settings.iter().map(row).filter(|row| !page.contains(row)).collect();
        assert!(missing.is_empty(), "PIPELINE.md lacks\n{}", missing.join("\n"));
        let rows = page.lines().filter(|line| line.starts_with("| `") && !line.contains('<')).count();
        assert_eq!(rows, settings.len(), "PIPELINE.md has a setting that nobody knows");
        assert!(settings.iter().any(|setting| setting.documentation.contains(CLASS)));
    }
}
