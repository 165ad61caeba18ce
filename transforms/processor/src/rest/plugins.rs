//! `/connector-plugins`: the one class of pipelines, and the uploaded modules as its transformations.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use service_kit::http::{Problem, Response, json as answer};
use transform_host::Module;

use super::definitions::{self, COMMON, Definition, ERRORS, TRANSFORMS};
use super::modules::complete;
use super::{Api, connectors, query, reply};
use crate::names::{CLASS, KIND, key};
use crate::pipeline::plan;
use crate::pipeline::spec::{self, Config, Fault};
use crate::pipeline::version::Wanted;

/// `GET /connector-plugins`; with `connectorsOnly=false` the modules as well.
pub(super) fn list(api: &Api, query: &str) -> Result<Response, Problem> {
    let mut plugins = vec![json!({ "class": CLASS, "type": KIND, "version": env!("CARGO_PKG_VERSION") })];
    if !query::flag(query, "connectorsOnly", true) {
        complete(api)?;
        let modules = api.materials.catalog.keys();
        let module = |key: &String| {
            let (name, version) = key.split_once('@')?;
            Some(json!({ "class": name, "type": "transformation", "version": version }))
        };
        plugins.extend(modules.iter().filter_map(module));
    }
    Ok(answer(StatusCode::OK, &Value::Array(plugins)))
}

/// `GET /connector-plugins/{plugin}/config`: what the class or the module takes.
pub(super) fn config(api: &Api, plugin: &str) -> Result<Response, Problem> {
    if is_pipelines(plugin) {
        return Ok(answer(StatusCode::OK, &Value::Array(numbered(&definitions::of_pipelines()))));
    }
    complete(api)?;
    let module = plugin.parse::<Wanted>().ok();
    let module = module.and_then(|wanted| tokio::task::block_in_place(|| api.materials.catalog.newest(&wanted)));
    match module {
        Some(module) => Ok(answer(StatusCode::OK, &Value::Array(numbered(&definitions::of_module(None, &module))))),
        None => Err(reply::refusal(StatusCode::NOT_FOUND, format!("Unknown plugin {plugin}."))),
    }
}

/// `PUT /connector-plugins/{plugin}/config/validate`: says all faults, changes nothing.
pub(super) fn validate(api: &Arc<Api>, plugin: &str, body: &Bytes) -> Result<Response, Problem> {
    complete(api)?;
    let config = connectors::config(&connectors::parsed(body)?)?;
    match config.get(key::CLASS) {
        None => return Err(reply::no_class()),
        Some(class) if !is_pipelines(plugin) || class != CLASS => {
            let message = format!("Included connector type {class} does not match request type {plugin}");
            return Err(reply::refusal(StatusCode::BAD_REQUEST, message));
        }
        Some(_) => {}
    }
    let faults = faults(api, &config);
    let described = described(api, &config, &faults);
    let groups = groups(&described);
    let numbers = numbered(&described);
    let configs: Vec<Value> = described
        .iter()
        .zip(numbers)
        .map(|(definition, shown)| json!({ "definition": shown, "value": value(definition, &config, &faults) }))
        .collect();
    let verdict = json!({ "name": CLASS, "error_count": faults.len(), "groups": groups, "configs": configs });
    Ok(answer(StatusCode::OK, &verdict))
}

/// The whole name, or as Connect shortens one: without its package.
fn is_pipelines(class: &str) -> bool {
    class == CLASS || CLASS.rsplit('.').next() == Some(class)
}

fn faults(api: &Api, config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let name = config.get(key::NAME).map_or("", |name| name.trim());
    if name.is_empty() {
        let message = "Missing required configuration \"name\" which has no default value.";
        faults.push(Fault::new(key::NAME, message));
    }
    // Under another name where it has none, which is a fault of its own.
    match spec::parse(if name.is_empty() { "unnamed" } else { name }, config) {
        Ok(spec) => {
            let pins = tokio::task::block_in_place(|| plan::pins(&spec, &api.materials.catalog));
            faults.extend(pins.err().unwrap_or_default());
        }
        Err(found) => faults.extend(found),
    }
    faults
}

/// Every setting that could be there, then those that are and have no description.
fn described(api: &Api, config: &Config, faults: &[Fault]) -> Vec<Definition> {
    let mut described = definitions::of_pipelines();
    let aliases = config.get(key::TRANSFORMS).map_or("", String::as_str);
    for alias in aliases.split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
        let of_alias = definitions::of_alias(alias);
        let module = config.get(&of_alias.name).and_then(|module| module.trim().parse::<Wanted>().ok());
        let newest = |wanted: Wanted| api.materials.catalog.newest(&wanted);
        let module: Option<Arc<Module>> = module.and_then(|wanted| tokio::task::block_in_place(|| newest(wanted)));
        described.push(of_alias);
        described.extend(module.iter().flat_map(|module| definitions::of_module(Some(alias), module)));
    }
    let others = config.keys().chain(faults.iter().map(|fault| &fault.key));
    for key in others {
        if !described.iter().any(|known| known.name == *key) {
            described.push(definitions::of_other(key));
        }
    }
    described
}

/// The groups that are in use, Connect's in Connect's order.
fn groups(described: &[Definition]) -> Vec<&str> {
    let mut groups = vec![COMMON, TRANSFORMS];
    for definition in described {
        if !groups.contains(&definition.group.as_str()) && definition.group != ERRORS {
            groups.push(&definition.group);
        }
    }
    groups.push(ERRORS);
    groups
}

/// Each setting with its place in its group.
fn numbered(described: &[Definition]) -> Vec<Value> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let number = |definition: &Definition, count: &mut usize| {
        *count += 1;
        definition.json(*count)
    };
    described.iter().map(|definition| number(definition, counts.entry(&definition.group).or_default())).collect()
}

fn value(definition: &Definition, config: &Config, faults: &[Fault]) -> Value {
    let errors: Vec<&str> =
        faults.iter().filter(|fault| fault.key == definition.name).map(|fault| fault.message.as_str()).collect();
    json!({
        "name": definition.name,
        "value": config.get(&definition.name).or(definition.default.as_ref()),
        "recommended_values": [],
        "errors": errors,
        "visible": true,
    })
}
