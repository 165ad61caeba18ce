//! Which versions run, as far as Kafka Connect and `transforms` tell it. What a server does not tell is unknown and no
//! failure: the states are asked for apart from this, and what stands beside them is taken from there.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::get;
use crate::connect::{Part, Settings};
use crate::http::Http;

/// What Connect says of a plugin that has no version.
const UNDEFINED: &str = "undefined";
/// Digits of a digest in a label.
const DIGITS: usize = 12;

/// Of the servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// That of the Kafka Connect worker that answered.
    pub connect: Option<String>,
    /// That of `transforms`.
    pub transforms: Option<String>,
}

/// A module that a pipeline runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Module {
    /// `name@version`.
    pub module: String,
    /// Its whole digest; nothing where it is not told.
    pub digest: Option<String>,
}

/// What one server tells beside the states.
#[derive(Debug, Default)]
pub(super) struct Told {
    root: Value,
    list: Value,
    plugins: Value,
}

/// What is installed. What runs stands in the list of states, which is long and is asked for once.
pub(super) async fn of_connect(rest: &Http) -> Told {
    let (root, plugins) = tokio::join!(get(rest, "/"), get(rest, "/connector-plugins"));
    Told { root, plugins, ..Told::default() }
}

/// What pipelines were pinned to, and what runs of it.
pub(super) async fn of_transforms(rest: &Http) -> Told {
    let list = "/connectors?expand=status&expand=info";
    let (root, list) = tokio::join!(get(rest, "/"), get(rest, list));
    Told { root, list, ..Told::default() }
}

impl Told {
    /// The server's own version.
    pub(super) fn server(&self) -> Option<String> {
        version(self.root.get("version")?.as_str())
    }

    /// The version of the plugin that a connector runs, or else of the one that is installed.
    pub(super) fn plugin(&self, connector: &Part, settings: &Settings) -> Option<String> {
        version(connector.version.as_deref()).or_else(|| self.installed(settings.get("connector.class")?))
    }

    fn installed(&self, class: &str) -> Option<String> {
        let is_it = |plugin: &&Value| plugin.get("class").and_then(Value::as_str) == Some(class);
        let mut found = self.plugins.as_array()?.iter().filter(is_it);
        let first = found.next()?;
        // Of several nobody says which one runs.
        version(first.get("version")?.as_str()).filter(|_| found.next().is_none())
    }

    /// The modules that a pipeline runs, in order; none where it is not told which.
    pub(super) fn modules(&self, pipeline: &str, settings: &Settings) -> Vec<Module> {
        let Some(one) = self.list.get(pipeline) else { return Vec::new() };
        let text = |at: &str| one.pointer(at).and_then(Value::as_str);
        let went_back = text("/status/degraded/running");
        let differs = text("/info/version").zip(text("/status/version/id")).is_some_and(|(says, runs)| says != runs);
        if differs && went_back.is_none() {
            // It is on its way to these settings, and still runs others.
            return Vec::new();
        }
        // Of what it went back to only what differs is told: enough where each module has another one of its name.
        let names = |at: &str| text(at).map(|all| all.split(", ").map(name).collect::<BTreeSet<_>>());
        if went_back.is_some() && names("/status/degraded/says") != names("/status/degraded/running") {
            return Vec::new();
        }
        let aliases = settings.get("transforms").map_or("", String::as_str).split(',').map(str::trim);
        let pins = one.pointer("/info/modules");
        let modules = aliases.filter(|alias| !alias.is_empty()).map(|alias| module(pins?.get(alias)?, went_back));
        modules.collect::<Option<Vec<Module>>>().unwrap_or_default()
    }
}

/// What the settings were pinned to, or what runs instead: then names are told, and no digests.
fn module(pin: &Value, went_back: Option<&str>) -> Option<Module> {
    let pinned = pin.get("module")?.as_str()?;
    let instead = went_back.and_then(|all| all.split(", ").find(|other| name(other) == name(pinned)));
    let digest = pin.get("digest").and_then(Value::as_str).filter(|_| instead.is_none());
    Some(Module { module: instead.unwrap_or(pinned).to_owned(), digest: digest.map(str::to_owned) })
}

fn name(module: &str) -> &str {
    module.split_once('@').map_or(module, |(name, _)| name)
}

/// The modules as rows name them in `transformed_by`.
pub(super) fn labels(modules: &[Module]) -> Option<String> {
    let label = |one: &Module| {
        let digest = one.digest.as_deref().and_then(|digest| digest.get(..DIGITS));
        digest.map_or_else(|| one.module.clone(), |digits| format!("{}+sha256:{digits}", one.module))
    };
    let labels: Vec<String> = modules.iter().map(label).collect();
    (!labels.is_empty()).then(|| labels.join(","))
}

fn version(told: Option<&str>) -> Option<String> {
    told.filter(|version| !version.is_empty() && *version != UNDEFINED).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(all: &[(&str, &str)]) -> Settings {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_plugins_version_is_what_runs_or_else_the_one_that_is_installed() {
        let told = Told {
            root: json!({"version": "4.2.2"}),
            plugins: json!([
                {"class": "x.One", "version": "1"},
                {"class": "x.Two", "version": "1"}, {"class": "x.Two", "version": "2"},
                {"class": "x.None", "version": UNDEFINED}, {"class": "x.Null", "version": null},
            ]),
            ..Told::default()
        };
        let version = |runs: Option<&str>, class| {
            let part = Part { version: runs.map(str::to_owned), ..Part::default() };
            told.plugin(&part, &settings(&[("connector.class", class)]))
        };
        assert_eq!(told.server().as_deref(), Some("4.2.2"));
        assert_eq!(version(Some("2"), "x.Two").as_deref(), Some("2"));
        // As an older worker, which tells the state alone, and as a newer one of a plugin without a version.
        for runs in [None, Some(UNDEFINED)] {
            assert_eq!(version(runs, "x.One").as_deref(), Some("1"));
            for unknown in ["x.Two", "x.None", "x.Null", "x.Absent"] {
                assert_eq!(version(runs, unknown), None, "{unknown}");
            }
        }
        // A server that tells nothing at all, as one that does not answer.
        let nothing = Told::default();
        assert_eq!(nothing.server(), None);
        assert_eq!(nothing.plugin(&Part::default(), &settings(&[("connector.class", "x.One")])), None);
        assert_eq!(nothing.modules("p", &settings(&[("transforms", "c")])), []);
    }

    #[test]
    fn the_modules_of_a_pipeline_are_those_that_run() {
        let digest = "0123456789abcdef".repeat(4);
        let pins = json!({
            "e": {"module": "enrich@1.4.0", "digest": digest}, "c": {"module": "clean@1.0.1", "digest": digest},
        });
        let modules = |says: &str, status: Value| {
            let list = json!({"p": {"status": status, "info": {"version": says, "modules": pins}}});
            let told = Told { list, ..Told::default() };
            labels(&told.modules("p", &settings(&[("transforms", "c, e")])))
        };
        let both = "clean@1.0.1+sha256:0123456789ab,enrich@1.4.0+sha256:0123456789ab";
        assert_eq!(modules("v2", json!({"version": {"id": "v2"}})).as_deref(), Some(both));
        assert_eq!(modules("v2", json!({})).as_deref(), Some(both), "a version is not told yet");
        assert_eq!(modules("v2", json!({"version": {"id": "v1"}})), None, "these are not what runs");
        let went_back = |says: &str, running: &str| {
            modules("v2", json!({"version": {"id": "v1"}, "degraded": {"says": says, "running": running}}))
        };
        let before = Some("clean@1.0.1+sha256:0123456789ab,enrich@1.3.2");
        assert_eq!(went_back("enrich@1.4.0", "enrich@1.3.2").as_deref(), before);
        // As transforms tells other settings or another digest, a module more, one less, and one in another's place.
        for (says, running) in [
            ("other settings (version v2)", "version v1"),
            ("enrich@1.4.0", "no such module"),
            ("no such module", "tax@1.0.0"),
            ("enrich@1.4.0", "tax@1.0.0"),
        ] {
            assert_eq!(went_back(says, running), None, "{says}, {running}");
        }
    }
}
