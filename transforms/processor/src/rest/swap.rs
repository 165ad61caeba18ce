//! What the API has to say of a pipeline's versions: forgiving a refused one, ending a park, and the candidate beside the
//! live chain. Connect's bodies keep their shape; what only we have stands in `trace` and in fields of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use schemas::names::topics;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::http::{Problem, Response, json as answer};

use super::connectors::found;
use super::modules::{complete, store_as, turn};
use super::{Api, query, reply};
use crate::names::key;
use crate::pipeline::manager::{Doing, VersionDoing};
use crate::pipeline::plan::{Candidate, Plan};
use crate::pipeline::version::{self, Wanted};
use crate::state::catalog::{Pin, Stored, module_key};
use crate::state::facts::{Fact, Facts, Shadow, ShadowPolicy, Version, now_ms, time_text};

/// Records of a comparison, unless it says otherwise.
const RECORDS: u64 = 1_000;
/// The most records of a comparison.
const MAX_RECORDS: u64 = 1_000_000;
/// Per cent of a core, unless the comparison says otherwise.
const SHARE: u8 = 10;
/// The most per cent of a core.
const MAX_SHARE: u8 = 50;
/// The most fields that may be expected to differ.
const MAX_EXPECT: usize = 100;

/// An operator's resume or restart, where it is not refused, ends what the breaker holds.
pub(super) async fn unpark(api: &Api, name: &str) -> Result<(), Problem> {
    if api.materials.catalog.facts(name).parked.is_some() {
        tell(api, "breaker.reset", name, &Fact::Parked(None)).await?;
    }
    Ok(())
}

/// `?force=true`: a version that was refused is tried once more.
pub(super) async fn after_put(api: &Api, name: &str, query: &str) -> Result<(), Problem> {
    if !query::flag(query, "force", false) {
        return Ok(());
    }
    let Some(Ok(stored)) = api.materials.catalog.pipeline(name) else { return Ok(()) };
    let version = Version::of(&stored).id();
    if api.materials.catalog.facts(name).refused.contains_key(&version) {
        tracing::warn!(pipeline = name, version, "refused version is tried again, by force");
        tell(api, "version.forgive", name, &Fact::Forgiven(version)).await?;
    }
    Ok(())
}

/// Adds what only we have to a status.
pub(super) fn show(mut body: Value, doing: &Doing) -> Value {
    if let Some(VersionDoing { id, slots, watch }) = &doing.version {
        let watch = json!({ "records": watch.watched, "of": watch.of, "passed": watch.passed });
        set(&mut body, "version", json!({ "id": id, "slots": slots, "watch": watch }));
    }
    if let Some(shadow) = &doing.shadow {
        set(&mut body, "shadow", json!(shadow));
    }
    let mut traces: Vec<String> =
        body.pointer("/connector/trace").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    if let Some(degraded) = &doing.degraded {
        traces.push(degraded.to_string());
        set(&mut body, "degraded", json!(degraded));
    }
    if let Some(parked) = &doing.parked {
        let since = time_text(parked.since_ms);
        traces.push(format!(
            "PARKED since {since}, because {} (found by {}); resume or restart it, or change its config",
            parked.because, parked.by
        ));
        set(&mut body, "parked", json!({ "since": since, "because": parked.because, "by": parked.by }));
    }
    if let Some(connector) = body.get_mut("connector").filter(|_| !traces.is_empty()) {
        set(connector, "trace", json!(traces.join("; ")));
        if doing.parked.is_some() && connector["state"] == "RUNNING" {
            set(connector, "state", json!("PAUSED"));
        }
    }
    body
}

/// What became of the modules of one alias, as `name@version`, the latest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Past {
    ran: Vec<String>,
    refused: Vec<String>,
}

/// Adds to a status, for each alias, which modules ran and which are refused: what `transforms rollback` chooses from.
pub(super) fn with_past(mut body: Value, stored: &Stored, facts: &Facts) -> Value {
    set(&mut body, "past", json!(past(stored, facts)));
    body
}

/// A module that ran with other settings too is what its latest version was.
fn past(stored: &Stored, facts: &Facts) -> BTreeMap<String, Past> {
    let refused = |version: &Version| facts.refused.contains_key(&version.id());
    // What could not be opened never ran, and is known as refused while the config says it.
    let asked = Some(Version::of(stored)).filter(refused);
    let mut past: BTreeMap<String, Past> = BTreeMap::new();
    for version in asked.iter().chain(facts.ran.iter().map(|ran| &ran.version)) {
        let is_refused = refused(version);
        for (alias, pin) in &version.modules {
            let Past { ran, refused } = past.entry(alias.clone()).or_default();
            if !ran.contains(&pin.module) && !refused.contains(&pin.module) {
                let list = if is_refused { refused } else { ran };
                list.push(pin.module.clone());
            }
        }
    }
    past
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

/// The body of `PUT /connectors/{name}/shadow`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    alias: String,
    module: String,
    records: Option<u64>,
    policy: Option<ShadowPolicy>,
    parameters: Option<BTreeMap<String, String>>,
    #[serde(default)]
    expect: Vec<String>,
    share: Option<u8>,
}

/// `PUT /connectors/{name}/shadow`: a candidate is compared from now on; another one that was is not any more.
pub(super) async fn put_shadow(api: &Arc<Api>, name: &str, body: &Bytes) -> Result<Response, Problem> {
    complete(api)?;
    let stored = found(api, name)?;
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body is not {{alias, module, records, policy}}: {error}")))?;
    let shadow = checked(api, asked)?;
    let local = stored.config.get(key::LOCAL).is_some_and(|local| local.trim() == "true");
    let version = shadow.module.module.split_once('@').map_or("", |(_, version)| version);
    if !local && version::is_throw_away(version) {
        let module = &shadow.module.module;
        return Err(bad(format!(
            "{module} is a throw-away version, which only a pipeline with \"local\": \"true\" takes"
        )));
    }
    let rehearsed = api.tasks.until_stop(rehearse(api, name, &stored, &shadow)).await;
    rehearsed.unwrap_or_else(|| Err(unchecked(reply::STOPS)))?;
    let _turn = turn(api).await?;
    // That took its time: the pipeline may have been deleted.
    found(api, name)?;
    tell(api, "shadow.begin", name, &Fact::Shadow(Some(Box::new(shadow.clone())))).await?;
    Ok(answer(StatusCode::ACCEPTED, &shown(&shadow, &Doing::default())))
}

fn checked(api: &Api, asked: Asked) -> Result<Shadow, Problem> {
    let records = asked.records.unwrap_or(RECORDS);
    if !(1..=MAX_RECORDS).contains(&records) {
        return Err(bad(format!("records is {records}; use 1 to {MAX_RECORDS}")));
    }
    let share = asked.share.unwrap_or(SHARE);
    if !(1..=MAX_SHARE).contains(&share) {
        return Err(bad(format!("share is {share} per cent of a core; use 1 to {MAX_SHARE}")));
    }
    if asked.expect.len() > MAX_EXPECT {
        return Err(bad(format!("expect has {} fields, the limit is {MAX_EXPECT}", asked.expect.len())));
    }
    let wanted: Wanted = asked.module.parse().map_err(|error: version::NotAModule| bad(error.to_string()))?;
    let Some(module) = tokio::task::block_in_place(|| api.materials.catalog.newest(&wanted)) else {
        return Err(bad(format!("no module {wanted} is here; upload it with `transforms push`")));
    };
    let module = Pin { module: module_key(&module), digest: module.digest().to_owned() };
    // Two that are put in the same millisecond are told apart by what they ask for.
    let text = format!("{} {} {} {}", now_ms(), asked.alias, module.digest, records);
    let mut id = transform_host::digest(text.as_bytes());
    id.truncate(16);
    Ok(Shadow {
        id,
        alias: asked.alias,
        module,
        parameters: asked.parameters,
        records,
        policy: asked.policy.unwrap_or(ShadowPolicy::Report),
        expect: asked.expect,
        share,
        verdict: None,
    })
}

/// Opens the candidate once, so that one that cannot be opened is refused now.
async fn rehearse(api: &Arc<Api>, name: &str, stored: &Stored, shadow: &Shadow) -> Result<(), Problem> {
    let plan = Plan::prepare(name, stored, &api.materials).await.map_err(|reason| unchecked(&reason))?;
    let (catalog, shadow) = (Arc::clone(&api.materials.catalog), shadow.clone());
    let rehearsed = api.tasks.spawn_blocking(move || {
        let module = match catalog.module(&shadow.module.module) {
            Some(Ok(module)) => module,
            Some(Err(reason)) => return Err(reason),
            None => return Err(format!("module {} is not here", shadow.module.module)),
        };
        let stateful = catalog.is_stateful(&shadow.module.module);
        plan.beside(&Candidate { alias: shadow.alias, module, stateful, parameters: shadow.parameters }).map(|_| ())
    });
    let early = |error| reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("checking ended early: {error}"));
    rehearsed.await.map_err(early)?.map_err(bad)
}

/// `GET` and `DELETE /connectors/{name}/shadow`.
pub(super) async fn shadow(api: &Api, method: &str, name: &str) -> Result<Response, Problem> {
    complete(api)?;
    found(api, name)?;
    let none = || reply::refusal(StatusCode::NOT_FOUND, format!("no candidate is compared beside {name}"));
    let shadow = || api.materials.catalog.facts(name).shadow.ok_or_else(none);
    match method {
        "GET" => Ok(answer(StatusCode::OK, &shown(&shadow()?, &api.manager.doing(name)))),
        "DELETE" => {
            let _turn = turn(api).await?;
            shadow()?;
            tell(api, "shadow.end", name, &Fact::Shadow(None)).await?;
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(reply::refusal(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this address")),
    }
}

fn shown(shadow: &Shadow, doing: &Doing) -> Value {
    json!({
        "id": shadow.id,
        "alias": shadow.alias,
        "module": shadow.module.module,
        "digest": shadow.module.digest,
        "parameters": shadow.parameters,
        "records": shadow.records,
        "policy": shadow.policy,
        "expect": shadow.expect,
        "share": shadow.share,
        "state": if shadow.verdict.is_some() { "DONE" } else { "RUNNING" },
        "progress": doing.shadow,
        "verdict": shadow.verdict,
    })
}

fn unchecked(reason: &str) -> Problem {
    reply::unchecked("the candidate", reason)
}

fn bad(message: String) -> Problem {
    reply::refusal(StatusCode::BAD_REQUEST, message)
}

async fn tell(api: &Api, action: &str, name: &str, fact: &Fact) -> Result<(), Problem> {
    let (key, value) = fact.record(name);
    store_as(api, action, topics::TRANSFORMS_CONFIG, &key, value.as_deref()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::spec::Config;
    use crate::state::catalog::Target;
    use crate::state::facts::{Ran, Refused};

    fn version(module: &str, mood: &str) -> Version {
        let config = Config::from([("transforms.m.mood".to_owned(), mood.to_owned())]);
        let pin = Pin { module: module.to_owned(), digest: module.to_owned() };
        Version { config, modules: BTreeMap::from([("m".to_owned(), pin)]) }
    }

    #[test]
    fn a_module_is_what_its_latest_version_was() {
        let [good, bad] = ["m@1.0.0", "m@1.1.0"].map(|module| version(module, "good"));
        let (worse, shut) = (version("m@1.0.0", "trap"), version("m@1.2.0", "shut"));
        let ran = |versions: &[&Version]| {
            versions.iter().map(|version| Ran { version: (*version).clone(), passed: true }).collect::<Vec<_>>()
        };
        let refused = |versions: &[&Version]| {
            let refused = versions.iter().map(|version| {
                let (because, by) = ("it trapped".to_owned(), "a".to_owned());
                (version.id(), Refused { version: version.id(), because, since_ms: 0, by })
            });
            refused.collect::<BTreeMap<_, _>>()
        };
        let told = |ran: Vec<Ran>, refused, stored: &Version| {
            let facts = Facts { ran, refused, ..Facts::default() };
            let (config, modules) = (stored.config.clone(), stored.modules.clone());
            let stored = Stored { config, state: Target::Started, modules };
            past(&stored, &facts).remove("m").unwrap_or_default()
        };
        let expected = |ran: &[&str], refused: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Past { ran: owned(ran), refused: owned(refused) }
        };
        let once_bad = told(ran(&[&good, &bad]), refused(&[&bad]), &good);
        assert_eq!(once_bad, expected(&["m@1.0.0"], &["m@1.1.0"]));
        let bad_at_last = told(ran(&[&worse, &good]), refused(&[&worse]), &good);
        assert_eq!(bad_at_last, expected(&[], &["m@1.0.0"]));
        let good_at_last = told(ran(&[&good, &worse]), refused(&[&worse]), &good);
        assert_eq!(good_at_last, expected(&["m@1.0.0"], &[]));
        let never_opened = told(ran(&[&good]), refused(&[&shut]), &shut);
        assert_eq!(never_opened, expected(&["m@1.0.0"], &["m@1.2.0"]));
    }
}
