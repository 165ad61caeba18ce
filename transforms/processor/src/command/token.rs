//! `transforms token`: makes a token for the file of `--tokens`. The token is printed once and kept nowhere.

use std::io::Read;

use anyhow::Context;
use serde_json::json;
use service_kit::tokens;

/// What to make.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Whose it is; the audit names it
    pub name: String,
    /// What it may do: look, or upload and change
    #[arg(long, value_parser = ["read", "deploy"], default_value = "deploy")]
    pub role: String,
}

/// Prints a new token and its entry.
///
/// # Errors
/// When the name cannot be one, or the system has no chance to give.
pub fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        tokens::is_name(&args.name),
        "{:?} is not a name; use 1 to 64 of letters, digits, underscore, hyphen and full stop",
        args.name
    );
    let mut chance = [0; 32];
    let mut source = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    source.read_exact(&mut chance).context("cannot read /dev/urandom")?;
    let token: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!({ "name": args.name, "role": args.role, "sha256": tokens::sha256(&token) });
    println!(
        "The token, for its user; it is not kept anywhere and cannot be told again:\n\n  {token}\n\n\
         Its entry, for the list in the file of --tokens:\n\n  {entry}\n\n\
         It is sent as `Authorization: Bearer …`; `transforms` and `connectors` take it from TRANSFORMS_TOKEN."
    );
    Ok(())
}
