//! `transforms list`: the pipelines of a process and the modules that it has.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::client::{Client, Server};
use super::table;
use crate::author::show::plain_lines;
use crate::names::key;

/// The flags of `list`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which process.
    #[command(flatten)]
    pub server: Server,
    /// For people or for programs
    // Not `format`: clap knows arguments by their fields' names, and that is the one of the logs' format.
    #[arg(long = "format", value_enum, default_value_t)]
    pub answer: Format,
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Asks and gives what is to be printed.
///
/// # Errors
/// When the process does not answer, or not as it should.
pub async fn run(args: &Args) -> anyhow::Result<String> {
    let client = Client::new(&args.server)?;
    let (pipelines, modules) =
        tokio::try_join!(client.get("/connectors?expand=info&expand=status"), client.get("/modules"))?;
    let pipelines = pipelines_of(&pipelines);
    let modules = modules_of(&modules, &pipelines);
    let listed = json!({ "pipelines": pipelines, "modules": modules });
    Ok(match args.answer {
        Format::Json => format!("{listed:#}\n"),
        Format::Text => plain_lines(&text(&listed)),
    })
}

fn pipelines_of(connectors: &Value) -> Vec<Value> {
    let pipeline = |(name, entry): (&String, &Value)| {
        let info = entry.get("info").unwrap_or(&Value::Null);
        let setting = |key: &str| info.pointer(&format!("/config/{key}")).cloned().unwrap_or(Value::Null);
        let modules = info.get("modules").and_then(Value::as_object).into_iter().flatten();
        let modules: Map<String, Value> =
            modules.map(|(alias, pin)| (alias.clone(), pin.get("module").cloned().unwrap_or(Value::Null))).collect();
        json!({
            "name": name,
            "state": entry.pointer("/status/connector/state"),
            "reads": setting(key::TOPICS),
            "writes": setting(key::OUTPUT),
            "transforms": setting(key::TRANSFORMS),
            "modules": modules,
        })
    };
    connectors.as_object().into_iter().flatten().map(pipeline).collect()
}

fn modules_of(modules: &Value, pipelines: &[Value]) -> Vec<Value> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for pipeline in pipelines {
        let pinned = pipeline.get("modules").and_then(Value::as_object).into_iter().flatten();
        for module in pinned.filter_map(|(_, module)| module.as_str()) {
            let users = users.entry(module).or_default();
            users.extend(pipeline.get("name").and_then(Value::as_str).filter(|name| !users.contains(name)));
        }
    }
    let module = |module: &Value| {
        let part = |key: &str| module.get(key).and_then(Value::as_str);
        let name = match (part("name"), part("version")) {
            (Some(name), Some(version)) => format!("{name}@{version}"),
            // One that cannot be loaded is named so, with its error.
            _ => part("module").unwrap_or("?").to_owned(),
        };
        let used_by = users.get(name.as_str()).cloned().unwrap_or_default();
        json!({
            "module": name, "digest": module.get("digest"), "size": module.get("size"),
            "uploaded_at": module.get("uploaded_at"), "uploaded_by": module.get("uploaded_by"),
            "error": module.get("error"), "used_by": used_by,
        })
    };
    modules.as_array().into_iter().flatten().map(module).collect()
}

fn text(listed: &Value) -> String {
    let rows = |key: &str| listed.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let (pipelines, modules) = (rows("pipelines"), rows("modules"));
    let mut out = String::new();
    // Writing to a String cannot fail.
    if pipelines.is_empty() {
        let _ = writeln!(out, "no pipelines; `connectors apply` deploys those of connectors/*.json");
    }
    let head = ["PIPELINE", "STATE", "READS", "WRITES", "MODULES"];
    table::write(&mut out, 0, head, &pipelines.iter().map(pipeline_row).collect::<Vec<_>>());
    let _ = writeln!(out);
    if modules.is_empty() {
        let _ = writeln!(out, "no modules; `transforms push FILE.wasm` uploads one");
    }
    let head = ["MODULE", "DIGEST", "SIZE", "UPLOADED", "USED BY"];
    table::write(&mut out, 0, head, &modules.iter().map(module_row).collect::<Vec<_>>());
    for module in modules.iter().filter(|module| module.get("error").is_some_and(Value::is_string)) {
        let (name, error) = (shown(module, "module"), table::one_line(&shown(module, "error")));
        let _ = writeln!(out, "{name} cannot be used: {error}");
    }
    out
}

fn pipeline_row(pipeline: &Value) -> [String; 5] {
    let order = shown(pipeline, "transforms");
    let modules = pipeline.get("modules").and_then(Value::as_object);
    let of_alias = |alias: &str| modules.and_then(|modules| modules.get(alias)?.as_str()).unwrap_or(alias).to_owned();
    let modules: Vec<String> =
        order.split(',').map(str::trim).filter(|alias| !alias.is_empty() && *alias != "-").map(of_alias).collect();
    let modules = if modules.is_empty() { "none: copies".to_owned() } else { modules.join(", ") };
    [shown(pipeline, "name"), shown(pipeline, "state"), shown(pipeline, "reads"), shown(pipeline, "writes"), modules]
}

fn module_row(module: &Value) -> [String; 5] {
    let users = module.get("used_by").and_then(Value::as_array).into_iter().flatten();
    let users: Vec<&str> = users.filter_map(Value::as_str).collect();
    let size = module.get("size").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), size);
    let digest = module.get("digest").and_then(Value::as_str).unwrap_or_default();
    let users = if users.is_empty() { "-".to_owned() } else { users.join(", ") };
    [shown(module, "module"), table::short_digest(digest), size, shown(module, "uploaded_at"), users]
}

fn size(bytes: u64) -> String {
    if bytes < 10_000 { format!("{bytes} B") } else { format!("{} kB", bytes.div_ceil(1_000)) }
}

fn shown(object: &Value, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_listed_with_those_that_use_it() {
        let connectors = json!({ "p": {
            "info": {
                "config": { "topics": "in", "output.topic": "out", "transforms": "b,a" },
                "modules": { "a": { "module": "x@1.0.0" }, "b": { "module": "y@2.0.0" } },
            },
            "status": { "connector": { "state": "RUNNING" } },
        } });
        let modules = json!([
            { "name": "x", "version": "1.0.0", "digest": "ab".repeat(32), "size": 123_456, "uploaded_at": "2026-01-02T03:04:05Z" },
            { "module": "z@1.0.0", "error": "no\nsuch" },
        ]);
        let pipelines = pipelines_of(&connectors);
        let listed = json!({ "modules": modules_of(&modules, &pipelines), "pipelines": pipelines });
        let expected = "\
PIPELINE  STATE    READS  WRITES  MODULES
p         RUNNING  in     out     y@2.0.0, x@1.0.0

MODULE   DIGEST               SIZE    UPLOADED              USED BY
x@1.0.0  sha256:abababababab  124 kB  2026-01-02T03:04:05Z  p
z@1.0.0  -                    -       -                     -
z@1.0.0 cannot be used: no
";
        assert_eq!(text(&listed), expected);
    }
}
