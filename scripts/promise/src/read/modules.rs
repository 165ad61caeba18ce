//! Which modules run, asked of the transforms: the pipeline's own list, and what lies under those names.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ReadError, TRANSFORMS_GROUP, body, http};

#[derive(Debug, Deserialize)]
struct Module {
    name: String,
    version: String,
    label: String,
}

/// The labels of the pipeline's modules, comma-joined, in its order: what each record's header must say.
pub(super) async fn running(transforms: &str) -> Result<String, ReadError> {
    let url = format!("{transforms}/connectors/{TRANSFORMS_GROUP}/config");
    let config: BTreeMap<String, String> = ask(&url).await?;
    let modules: Vec<Module> = ask(&format!("{transforms}/modules")).await?;
    labels(&config, &modules).map_err(|reason| ReadError::Answer { url, status: 200, body: reason })
}

async fn ask<T: DeserializeOwned>(url: &str) -> Result<T, ReadError> {
    let answer = |status, body: String| ReadError::Answer { url: url.to_owned(), status, body };
    let found = body(http()?.get(url), url).await?.ok_or_else(|| answer(404, String::new()))?;
    serde_json::from_slice(&found).map_err(|error| answer(200, error.to_string()))
}

/// `clean@1` means the newest 1.x. These runs upload one version of each; more would need a judgement of our own.
fn labels(config: &BTreeMap<String, String>, modules: &[Module]) -> Result<String, String> {
    let aliases = config.get("transforms").ok_or("the pipeline lists no transforms")?;
    let label = |alias: &str| {
        let key = format!("transforms.{alias}.type");
        let wanted = config.get(&key).ok_or_else(|| format!("the pipeline has no {key}"))?;
        let (name, version) = wanted.split_once('@').ok_or_else(|| format!("{key} is {wanted}"))?;
        let fits = |module: &&Module| {
            module.name == name && (module.version == version || module.version.starts_with(&format!("{version}.")))
        };
        match modules.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [module] => Ok(module.label.clone()),
            found => Err(format!("{} modules fit {wanted}, and it must be one", found.len())),
        }
    };
    let labels: Result<Vec<String>, String> = aliases.split(',').map(str::trim).map(label).collect();
    Ok(labels?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipelines_order_decides_and_a_doubt_is_said() {
        let config = |text: &str| serde_json::from_str(text).unwrap();
        let module = |name: &str, version: &str| Module {
            name: name.to_owned(),
            version: version.to_owned(),
            label: format!("{name}@{version}+sha256:x"),
        };
        let modules = [module("b", "10.0.0"), module("a", "1.2.0"), module("b", "1.0.0")];
        let both = config(r#"{"transforms":"y, x","transforms.x.type":"a@1.2.0","transforms.y.type":"b@1"}"#);
        assert_eq!(labels(&both, &modules).unwrap(), "b@1.0.0+sha256:x,a@1.2.0+sha256:x");
        let none = config(r#"{"transforms":"x","transforms.x.type":"a@2"}"#);
        assert_eq!(labels(&none, &modules).unwrap_err(), "0 modules fit a@2, and it must be one");
    }
}
