//! Throw-away versions are thrown away: after the upload of one, the oldest of its module go, but for those that a
//! pipeline runs. Whoever saves and pushes all day must not fill the topic of modules.

use std::collections::BTreeSet;
use std::sync::Arc;

use transform_host::Module;

use super::Api;
use super::modules;
use crate::pipeline::{swap, version};
use crate::state::catalog::{Catalog, module_key};

/// So many of each module stay: enough to go back to what worked a moment ago.
const KEPT: usize = 5;

/// Removes what is too old, if `uploaded` is a throw-away version. That it cannot be removed is no fault of the upload.
pub(super) async fn tidy(api: &Arc<Api>, uploaded: &Module) {
    let description = uploaded.description();
    if !version::is_throw_away(&description.version) {
        return;
    }
    let catalog = &api.materials.catalog;
    for key in surplus(catalog.keys(), &description.name, &running(catalog), &module_key(uploaded)) {
        match modules::delete(api, &key).await {
            Ok(_) => tracing::info!(module = key, "throw-away version is removed"),
            Err(_) => {
                tracing::warn!(module = key, "throw-away version cannot be removed now; the next upload tries again");
            }
        }
    }
}

/// What pipelines run or would go back to. What cannot be read may be pinned to anything: then nothing is known.
fn running(catalog: &Catalog) -> Option<BTreeSet<String>> {
    let mut running = BTreeSet::new();
    for (name, stored) in catalog.pipelines() {
        running.extend(swap::needed(&stored.ok()?, &catalog.facts(&name)));
    }
    Some(running)
}

/// The throw-away versions of a module that are neither among the newest nor run by anybody.
fn surplus(keys: Vec<String>, name: &str, running: &Option<BTreeSet<String>>, uploaded: &str) -> Vec<String> {
    let Some(running) = running else { return Vec::new() };
    let mut versions: Vec<([u64; 3], String)> = keys
        .into_iter()
        .filter_map(|key| {
            let (module, version) = key.split_once('@')?;
            let throw_away = module == name && version::is_throw_away(version);
            throw_away.then(|| version::parts(version))?.map(|parts| (parts, key.clone()))
        })
        .collect();
    versions.sort();
    versions.reverse();
    let old = versions.into_iter().skip(KEPT).map(|(_, key)| key);
    old.filter(|key| !running.contains(key) && key != uploaded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_throw_away_versions_go_unless_a_pipeline_runs_them() {
        let keys = || {
            let throw_away = (1..=9).map(|second| format!("rule@0.0.{second}"));
            let others = ["rule@0.1.0", "rule@1.0.0", "other@0.0.1"].map(str::to_owned);
            throw_away.chain(others).collect::<Vec<_>>()
        };
        let running = Some(BTreeSet::from(["rule@0.0.2".to_owned()]));
        assert_eq!(
            surplus(keys(), "rule", &running, "rule@0.0.9"),
            ["rule@0.0.4", "rule@0.0.3", "rule@0.0.1"],
            "numbers, newest first"
        );
        assert_eq!(surplus(keys(), "rule", &running, "rule@0.0.1"), ["rule@0.0.4", "rule@0.0.3"], "just uploaded");
        assert!(surplus(keys(), "rule", &None, "rule@0.0.9").is_empty(), "who knows what runs");
    }
}
