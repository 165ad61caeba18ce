//! A peer in JavaScript: exactly the packages of its lock, the Node among them that it runs on.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, bail};

/// The Node of the lock, not the machine's: what is measured is the same wherever it is measured.
pub(super) const RUNTIME: &str = "node_modules/.bin/node";
pub(super) const ENTRY: &str = "src/server.js";

pub(super) fn build(root: &Path, folder: &str, into: &Path) -> anyhow::Result<()> {
    super::copy(&root.join(super::SOURCES).join(folder), into)?;
    let schema = "order.schema.json";
    fs::copy(root.join(super::SCHEMAS).join(schema), into.join(schema)).context("cannot copy the order's schema")?;
    let log = into.join("npm.log");
    let mut command = Command::new("npm");
    command.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(into);
    match super::run(command, &log) {
        Ok(()) => Ok(()),
        Err(failure) if failure.not_found => {
            bail!("npm is missing, which fetches what {folder} is made of: run scripts/stack/install race")
        }
        Err(failure) => bail!("{folder} cannot be built: {}; log: {}", failure.first_error(), log.display()),
    }
}
