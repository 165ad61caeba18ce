//! `transforms validate`: asks a running process what it thinks of a pipeline's file; changes nothing.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::{Client, Server};
use super::file::File;
use crate::author::show::{plain, plain_lines};
use crate::names::{CLASS, key};
use crate::pipeline::spec::Config;

/// The flags of `validate`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The pipeline's file, such as connectors/orders-transforms.json
    pub file: PathBuf,
    /// Which process.
    #[command(flatten)]
    pub server: Server,
}

/// Asks and gives what is to be printed.
///
/// # Errors
/// With every fault, each with its line; or when the process does not answer.
pub async fn run(args: &Args) -> anyhow::Result<String> {
    let file = File::read(&args.file)?;
    let faults = faults(&Client::new(&args.server)?, file.name(), file.config()).await?;
    let path = file.path().display();
    if faults.is_empty() {
        return Ok(format!("{path}: ok\n"));
    }
    let mut told = format!("{path} has {} fault{}", faults.len(), if faults.len() == 1 { "" } else { "s" });
    for (key, message) in &faults {
        let line = file.line(key).map(|line| format!(":{line}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(told, "\n{path}{line}: {key}: {message}");
    }
    anyhow::bail!(told)
}

/// What the process says against these settings: the key and what is wrong with it. What a module said may stand in it.
pub(super) async fn faults(client: &Client, name: &str, config: &Config) -> anyhow::Result<Vec<(String, String)>> {
    let mut body = json!(config);
    if let Some(settings) = body.as_object_mut() {
        settings.entry(key::NAME).or_insert_with(|| Value::from(name));
    }
    let verdict = client.put(&format!("/connector-plugins/{CLASS}/config/validate"), &body).await?;
    let values = verdict.get("configs").and_then(Value::as_array).into_iter().flatten();
    let mut faults = Vec::new();
    for value in values.filter_map(|entry| entry.get("value")) {
        let key = value.get("name").and_then(Value::as_str).unwrap_or("?");
        let errors = value.get("errors").and_then(Value::as_array).into_iter().flatten();
        faults.extend(errors.map(|error| (plain(key), plain_lines(error.as_str().unwrap_or("refused")))));
    }
    Ok(faults)
}
