//! `transforms push`: uploads a module, or builds one under a throw-away version and uploads that.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::Value;
use transform_host::build::one;

use crate::author::show::{plain_error, plain_lines};
use crate::author::trial;
use crate::config::Secret;
use crate::names::key;
use crate::pipeline::version::is_throw_away;
use crate::push::{self, Pushed};

/// The flags of `push`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The module; with --dev the folder of its sources [default: the current one]
    #[arg(required_unless_present = "dev")]
    file: Option<PathBuf>,
    /// Build the sources under a throw-away version (0.0.<seconds>) and upload that; only a pipeline with
    /// "local": "true" takes it, and only the newest few are kept
    #[arg(long)]
    dev: bool,
    /// It keeps something between records: it then gets a fresh instance for each batch
    #[arg(long)]
    stateful: bool,
    /// Print what the process says, as JSON
    #[arg(long)]
    json: bool,
    /// The token that the process asks for, if it does; better given by the environment
    #[arg(long, env = "TRANSFORMS_TOKEN", hide_env_values = true, default_value = "")]
    token: Secret,
    /// The address of a running `transforms serve`
    #[arg(long, env = "TRANSFORMS_URL", hide_env_values = true, default_value = "http://127.0.0.1:8084")]
    url: String,
}

/// Uploads, and prints what is there now.
///
/// # Errors
/// When it does not build, or the process cannot be reached or refuses.
pub fn run(args: Args) -> anyhow::Result<()> {
    let file = args.file.unwrap_or_else(|| PathBuf::from("."));
    let wasm = if args.dev {
        throw_away(&file)?
    } else {
        std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pushed = runtime.block_on(push::push(wasm, &args.url, &args.token, args.stateful))?;
    print!("{}", if args.json { format!("{}\n", pushed.module) } else { plain_lines(&shown(&pushed, args.dev)) });
    Ok(())
}

/// What is there now, and what comes next.
fn shown(Pushed { module: answer, is_new }: &Pushed, dev: bool) -> String {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let trial = answer.get("trial").filter(|trial| trial.is_object());
    let (name, version) = (text("name"), text("version"));
    let size = answer.get("size").and_then(Value::as_u64).unwrap_or(0);
    let digest: String = text("digest").chars().take(12).collect();
    let done = if *is_new { "is uploaded" } else { "is here already, the same" };
    let mut lines = format!("{name}@{version} {done}: sha256:{digest}, {size} bytes");
    if let Some(trial) = trial {
        let count = |name: &str| trial.get(name).and_then(Value::as_u64).unwrap_or(0);
        let _ = write!(
            lines,
            "; of {} sample orders it emitted {}, dropped {}, rejected {}",
            count("records"),
            count("emitted"),
            count("dropped"),
            count("rejected")
        );
    }
    if answer.get("stateful") == Some(&Value::Bool(true)) {
        lines.push_str("; stateful: a fresh instance for each batch");
    }
    if !dev {
        let key = key::TRANSFORMS;
        let _ = write!(lines, "\nit runs when a pipeline's file names it: \"{key}.{name}.type\": \"{name}@{version}\"");
    }
    lines.push('\n');
    lines
}

/// The module of a folder under a version of its own. A later one is a newer one.
fn throw_away(dir: &Path) -> anyhow::Result<Vec<u8>> {
    ensure!(
        dir.is_dir(),
        "{} says its version itself; --dev builds from sources: name the module's folder, or go there and name nothing",
        dir.display()
    );
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let version = format!("0.0.{seconds}");
    let how = one::How { version: Some(version.clone()), shown: true, ..one::How::default() };
    let built = one::build(dir, &how)?;
    let module = trial::engine()?.load(&built.wasm).map_err(|error| plain_error(&error.into()))?;
    let (name, says) = (&module.description().name, &module.description().version);
    ensure!(
        *says == version && is_throw_away(says),
        "{name} still says that it is {says}: its kit/ is older than this command; run `transforms new --kit` in {}",
        dir.display()
    );
    eprintln!("a local pipeline takes it as {name}@0.0:");
    eprintln!("  \"{}\": \"true\", \"{}.{name}.type\": \"{name}@0.0\"", key::LOCAL, key::TRANSFORMS);
    Ok(built.wasm)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_uploaded_is_said_with_what_comes_next() {
        let mut answer = json!({
            "name": "my-rule", "version": "0.2.0", "digest": "0123456789abcdef", "size": 98141, "stateful": false,
            "trial": { "records": 512, "emitted": 500, "dropped": 4, "rejected": 8 },
        });
        let pushed = |module: &Value, is_new| Pushed { module: module.clone(), is_new };
        assert_eq!(
            shown(&pushed(&answer, true), false),
            "my-rule@0.2.0 is uploaded: sha256:0123456789ab, 98141 bytes; of 512 sample orders it emitted 500, dropped 4, \
             rejected 8\nit runs when a pipeline's file names it: \"transforms.my-rule.type\": \"my-rule@0.2.0\"\n"
        );
        (answer["trial"], answer["stateful"]) = (Value::Null, json!(true));
        let dev =
            "my-rule@0.2.0 is uploaded: sha256:0123456789ab, 98141 bytes; stateful: a fresh instance for each batch\n";
        assert_eq!(shown(&pushed(&answer, true), true), dev);
        let again = shown(&pushed(&answer, false), true);
        assert!(again.starts_with("my-rule@0.2.0 is here already, the same: sha256:"), "{again}");
    }
}
