//! `transforms promote` and `transforms rollback`: change one line of a pipeline's file, show it and apply it. The file
//! stays the truth: where more than that line differs from what runs, nothing is done.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use schemas::mark::{self, Mark};
use serde_json::{Value, json};

use super::client::{CallError, Client, Server};
use super::file::File;
use super::takeover::{self, Takeover};
use super::{table, validate};
use crate::author::show::plain_lines;
use crate::names::key;
use crate::pipeline::spec::Config;
use crate::pipeline::version::{self, Wanted};

/// Where a pipeline's file is, and which process runs it.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// The pipeline's file [default: NAME.json in --dir]
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// The folder of the pipelines' files
    #[arg(long, default_value = "connectors")]
    pub dir: PathBuf,
    /// Show the change, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which process.
    #[command(flatten)]
    pub server: Server,
}

/// The flags of `promote`.
#[derive(Debug, Clone, clap::Args)]
pub struct Promote {
    /// The pipeline
    pub name: String,
    /// What to run: ALIAS=MODULE@VERSION, such as enrich=enrich@1.4.0
    pub change: String,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// The flags of `rollback`.
#[derive(Debug, Clone, clap::Args)]
pub struct Rollback {
    /// The pipeline
    pub name: String,
    /// The alias of the module in the pipeline, such as enrich
    pub alias: String,
    /// The version to go back to [default: the newest one below what runs that ran here and is not refused, as far as is remembered]
    #[arg(long)]
    pub to: Option<String>,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// Makes the pipeline run another version; gives what is to be printed.
///
/// # Errors
/// When the change is refused, or somebody else changes the file or the pipeline meanwhile: then neither has changed by
/// this. When it is not known whether it was stored: then the file has it.
pub async fn promote(args: &Promote) -> anyhow::Result<String> {
    let Some((alias, module)) = args.change.split_once('=') else {
        bail!("{:?} is not a change; write ALIAS=MODULE@VERSION, such as enrich=enrich@1.4.0", args.change);
    };
    let wanted: Wanted = module.parse()?;
    let change = Change::open(&args.name, alias, &args.target).await?;
    change.make(&wanted.to_string(), args.target.dry_run).await
}

/// Makes the pipeline run an earlier version; gives what is to be printed.
///
/// # Errors
/// As [`promote`].
pub async fn rollback(args: &Rollback) -> anyhow::Result<String> {
    let change = Change::open(&args.name, &args.alias, &args.target).await?;
    let module = change.earlier(args.to.as_deref()).await?;
    change.make(&module, args.target.dry_run).await
}

/// A change of one alias of one pipeline.
struct Change {
    client: Client,
    file: File,
    alias: String,
    /// The key of the one line.
    key: String,
    /// What runs, as the process tells it.
    running: Value,
}

impl Change {
    async fn open(name: &str, alias: &str, target: &Target) -> anyhow::Result<Self> {
        let path = target.file.clone().unwrap_or_else(|| target.dir.join(format!("{name}.json")));
        let file = File::read(&path).with_context(|| where_to_look(target, &path))?;
        ensure!(file.name() == name, "{} is the file of {}, not of {name}", path.display(), file.name());
        let key = format!("{}.{alias}.type", key::TRANSFORMS);
        if !file.config().contains_key(&key) {
            let aliases = file.config().get(key::TRANSFORMS).map_or("", String::as_str);
            bail!("{name} has no module under the alias {alias:?}; {} names: {aliases}", path.display());
        }
        let client = Client::new(&target.server)?;
        let running = running(&client, name).await?;
        Ok(Self { client, file, alias: alias.to_owned(), key, running })
    }

    /// Changes the line to this module, shows it and applies it.
    async fn make(&self, module: &str, dry_run: bool) -> anyhow::Result<String> {
        self.refuse_drift()?;
        let Some(new) = self.file.with(&self.key, module) else { bail!("{} has no line of {}", self.path(), self.key) };
        let mut out = self.file.diff(&new);
        let mut config = self.file.config().clone();
        config.insert(self.key.clone(), module.to_owned());
        // It is what its file says, as after `connectors apply`.
        let mark =
            self.running.pointer("/config").and_then(|running| running.get(key::APPLIED)).and_then(Value::as_str);
        if let Some(mark) = mark.and_then(|mark| mark.parse::<Mark>().ok()) {
            config = mark::marked(&config, &mark.owner);
        }
        let name = self.file.name();
        let faults = validate::faults(&self.client, name, &config).await?;
        if !faults.is_empty() {
            let faults: Vec<String> = faults.iter().map(|(key, message)| format!("{key}: {message}")).collect();
            bail!("{out}{} refuses this, so nothing was changed: {}", self.client.base(), faults.join("; "));
        }
        if dry_run {
            let _ = writeln!(out, "nothing was changed (--dry-run)");
            return Ok(out);
        }
        let before = self.client.get(&format!("/connectors/{name}/status")).await?;
        self.refuse_meanwhile().await?;
        let written = (!out.is_empty()).then_some(new.as_str());
        match written {
            Some(new) => self.file.replace(new).context("nothing was changed; run it again")?,
            None => {
                let _ = writeln!(out, "{} says so already", self.path());
            }
        }
        let applied = self.apply(module, &config, written).await?;
        let version = |info: &Value| info.get("version").and_then(Value::as_str).map(str::to_owned);
        let given = version(&applied).context("the process does not say which version it was given; update it")?;
        let held = takeover::held(&before).filter(|_| version(&self.running).as_ref() != Some(&given));
        let pin = pin(&applied, &self.alias);
        let taken = takeover::wait(&self.client, name, &given, held).await;
        let _ = match taken.map_err(|error| anyhow!("{out}{error:#}"))? {
            Takeover::Runs(slots) => writeln!(out, "{name} runs {pin}, {slots} slots have taken it over"),
            // What a module said may stand in it.
            Takeover::Held(why) => writeln!(out, "{name} was given {pin}: {}", plain_lines(&why)),
        };
        Ok(out)
    }

    /// Gives the process the settings. Only where it refused them is the file put back that was `written`: whatever else
    /// goes wrong may go wrong after they were stored, and then they take effect.
    async fn apply(&self, module: &str, config: &Config, written: Option<&str>) -> anyhow::Result<Value> {
        let name = self.file.name();
        let error = match self.client.put(&format!("/connectors/{name}/config"), &json!(config)).await {
            Ok(applied) => return Ok(applied),
            Err(error) => error,
        };
        let path = self.path();
        let old = self.file.config().get(&self.key).map_or("", String::as_str);
        let refused = matches!(&error, CallError::Refused { status, .. } if status.is_client_error());
        if refused {
            let restored = written.map_or(Ok(()), |written| self.file.restore(written));
            return Err(anyhow::Error::from(error).context(match restored {
                Ok(()) => format!("{path} is as it was"),
                Err(why) => format!(
                    "{why:#}, so it is left as it is; where it still says {module}, write {old}: the change was refused"
                ),
            }));
        }
        Err(anyhow::Error::from(error).context(format!(
            "it is not known whether the change was stored; {path} says {module}. `connectors apply` makes it so, \
             `transforms promote` with {}={old} takes it back",
            self.alias
        )))
    }

    /// The module to go back to, as the file should say it.
    async fn earlier(&self, to: Option<&str>) -> anyhow::Result<String> {
        let file = self.file.config().get(&self.key).map_or("", String::as_str);
        let wanted: Wanted = file.parse()?;
        let name = &wanted.name;
        let status = self.client.get(&format!("/connectors/{}/status", self.file.name())).await?;
        let versions = self.versions(name).await?;
        let known: Vec<&str> = versions.iter().map(String::as_str).collect();
        if let Some(to) = to {
            ensure!(known.contains(&to), "{name}@{to} is not here; there are {}", known.join(", "));
            return Ok(format!("{name}@{to}"));
        }
        let info = self.running.pointer(&format!("/modules/{}/module", self.alias)).and_then(Value::as_str);
        let (given, came_back) = (info.and_then(|info| of_module(info, name)), came_back(&status, name));
        // After a rollback by itself the file is to say what runs. A newer version that was only pushed is none.
        if let Some(runs) = came_back.filter(|runs| version::parts(runs) < given.and_then(version::parts)) {
            return Ok(format!("{name}@{runs}"));
        }
        let from = came_back.or(given).or_else(|| wanted.newest(known.iter().copied())).unwrap_or_default();
        let past = Past::of(&status, &self.alias, name);
        let earlier = past.newest_below(from, &known).map(|earlier| format!("{name}@{earlier}"));
        earlier.ok_or_else(|| self.none_below(name, from, &known, &past))
    }

    /// That there is nothing to go back to, what there is, and what can be done.
    fn none_below(&self, module: &str, from: &str, known: &[&str], past: &Past) -> anyhow::Error {
        let told = |version: &&str| match (past.is_refused(version), version::is_throw_away(version)) {
            (true, _) => format!("{version} (refused)"),
            (false, true) => format!("{version} (throw-away)"),
            (false, false) => (*version).to_owned(),
        };
        let known: Vec<String> = known.iter().map(told).collect();
        anyhow!(
            "no version of {module} below {from} is one to go back to; there are {}. To run one of them all the same, \
             name it with --to. To run without {module}, take {} out of {} and {}.* out of {}, and run `connectors \
             apply`",
            known.join(", "),
            self.alias,
            key::TRANSFORMS,
            self.key.trim_end_matches(".type"),
            self.path()
        )
    }

    /// The versions of a module that the process has and can load, oldest first.
    async fn versions(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let modules = self.client.get("/modules").await?;
        let modules = modules.as_array().into_iter().flatten();
        let ours = modules.filter(|module| module.get("name").and_then(Value::as_str) == Some(name));
        let versions = ours.filter_map(|module| module.get("version").and_then(Value::as_str));
        let mut versions: Vec<String> =
            versions.filter(|version| version::parts(version).is_some()).map(str::to_owned).collect();
        versions.sort_by_key(|version| version::parts(version));
        Ok(versions)
    }

    /// What runs must be what the file says, but for the one line: else applying it would change what nobody looked at.
    fn refuse_drift(&self) -> anyhow::Result<()> {
        let running: Config =
            self.running.get("config").cloned().map(serde_json::from_value).transpose()?.unwrap_or_default();
        let file = self.file.config();
        let keys: BTreeSet<&String> = running.keys().chain(file.keys()).collect();
        let mut diff = String::new();
        let ours = [key::NAME, key::APPLIED];
        for key in keys.into_iter().filter(|key| **key != self.key && !ours.contains(&key.as_str())) {
            let (runs, says) = (running.get(key), file.get(key));
            if runs == says {
                continue;
            }
            for (sign, value) in [('-', runs), ('+', says)] {
                if let Some(value) = value {
                    // Writing to a String cannot fail.
                    let _ = writeln!(diff, "{sign}{}: {}", Value::from(key.as_str()), Value::from(value.as_str()));
                }
            }
        }
        if diff.is_empty() {
            return Ok(());
        }
        let path = self.path();
        bail!(
            "what runs differs from {path} in more than {}, so nothing was changed; run `connectors apply` first, or \
             bring the file up to date:\n--- running\n+++ {path}\n{diff}",
            self.key
        )
    }

    /// What runs must still be what was looked at: else applying the file would undo what somebody else did meanwhile.
    async fn refuse_meanwhile(&self) -> anyhow::Result<()> {
        let name = self.file.name();
        let now = running(&self.client, name).await?;
        let given = |running: &Value| ["config", "modules"].map(|part| running.get(part).cloned());
        ensure!(
            given(&now) == given(&self.running),
            "somebody else changed {name} meanwhile, so nothing was changed; run it again: it shows where {} and what runs \
             differ now",
            self.path()
        );
        Ok(())
    }

    fn path(&self) -> String {
        self.file.path().display().to_string()
    }
}

/// What runs, as the process tells it.
async fn running(client: &Client, name: &str) -> anyhow::Result<Value> {
    client.get(&format!("/connectors/{name}")).await.map_err(|error| {
        let absent = error.is_absent();
        let error = anyhow::Error::from(error);
        if absent { error.context(format!("{name} is not deployed; run `connectors apply`")) } else { error }
    })
}

/// The version of this module that a rollback by itself came back to, where one did.
fn came_back<'s>(status: &'s Value, module: &str) -> Option<&'s str> {
    let running = status.pointer("/degraded/running")?.as_str()?;
    running.split(',').find_map(|running| of_module(running.trim(), module))
}

/// The version of a `name@version`, if it is of this module.
fn of_module<'n>(named: &'n str, module: &str) -> Option<&'n str> {
    let (name, version) = named.split_once('@')?;
    (name == module).then_some(version)
}

/// What became of the versions of a module in the pipeline, as far as the process tells it.
struct Past {
    ran: Vec<String>,
    refused: Vec<String>,
}

impl Past {
    fn of(status: &Value, alias: &str, module: &str) -> Self {
        let versions = |what: &str| -> Vec<String> {
            let told = status.get("past").and_then(|past| past.get(alias)?.get(what)?.as_array());
            let modules = told.into_iter().flatten().filter_map(Value::as_str);
            let ours = modules.filter_map(|told| told.split_once('@')).filter(|(name, _)| *name == module);
            ours.map(|(_, version)| version.to_owned()).collect()
        };
        Self { ran: versions("ran"), refused: versions("refused") }
    }

    /// The newest version below `from` that ran and is not refused. Where no such one is known, perhaps since few are
    /// remembered, the newest that nothing speaks against. `known` has the oldest first.
    fn newest_below<'v>(&self, from: &str, known: &[&'v str]) -> Option<&'v str> {
        let below =
            || known.iter().rev().copied().filter(move |version| version::parts(version) < version::parts(from));
        // Whoever runs what others may depend on does not mean what was tried out before.
        let tried_out = |version: &str| version::is_throw_away(version) && !version::is_throw_away(from);
        let ran = below().find(|version| self.has_run(version) && !tried_out(version));
        ran.or_else(|| below().find(|version| !self.is_refused(version) && !version::is_throw_away(version)))
    }

    fn has_run(&self, version: &str) -> bool {
        self.ran.iter().any(|ran| ran == version)
    }

    fn is_refused(&self, version: &str) -> bool {
        self.refused.iter().any(|refused| refused == version)
    }
}

/// What an alias of a pipeline is pinned to.
fn pin(info: &Value, alias: &str) -> String {
    let part = |key: &str| info.pointer(&format!("/modules/{alias}/{key}")).and_then(Value::as_str).unwrap_or("?");
    format!("{} ({})", part("module"), table::short_digest(part("digest")))
}

fn where_to_look(target: &Target, path: &Path) -> String {
    match &target.file {
        Some(_) => format!("{} is not the pipeline's file", path.display()),
        None => format!(
            "{} is not the pipeline's file; name the file with --file, or the folder with --dir",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_back_to_what_ran_and_is_not_refused() {
        let known = ["0.0.7", "0.0.8", "1.0.0", "1.1.0", "1.2.0", "1.10.0"];
        for (ran, refused, from, expected) in [
            // Neither what was refused nor what never ran.
            (json!(["m@1.2.0", "m@1.0.0"]), json!(["m@1.1.0"]), "1.2.0", Some("1.0.0")),
            (json!(["m@1.10.0", "m@1.0.0", "n@1.2.0"]), json!([]), "1.10.0", Some("1.0.0")),
            // Nothing better is known.
            (json!(["m@1.10.0"]), json!(["m@1.2.0"]), "1.10.0", Some("1.1.0")),
            (json!([]), json!([]), "1.2.0", Some("1.1.0")),
            (json!([]), json!(["m@1.0.0"]), "1.1.0", None),
            // Throw-away versions only among themselves.
            (json!(["m@1.0.0", "m@0.0.8"]), json!([]), "1.0.0", None),
            (json!(["m@0.0.8", "m@0.0.7"]), json!([]), "0.0.8", Some("0.0.7")),
            (json!(["m@0.0.8"]), json!([]), "0.0.8", None),
        ] {
            let status = json!({ "past": { "x": { "ran": ran, "refused": refused } } });
            let past = Past::of(&status, "x", "m");
            assert_eq!(past.newest_below(from, &known), expected, "{status} from {from}");
            assert!(Past::of(&status, "y", "m").ran.is_empty());
        }
        let silent = Past::of(&json!({}), "x", "m");
        assert_eq!(silent.newest_below("1.2.0", &known), Some("1.1.0"));
        assert_eq!(silent.newest_below("1.0.0", &known), None);
    }
}
