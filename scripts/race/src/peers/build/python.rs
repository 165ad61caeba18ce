//! A peer in Python: an environment of its own with exactly the packages of its list, held by their hashes.

use std::{path::Path, process::Command};

use anyhow::bail;

pub(super) const RUNTIME: &str = "venv/bin/python";
pub(super) const ENTRY: &str = "src/server.py";

pub(super) fn build(root: &Path, folder: &str, into: &Path) -> anyhow::Result<()> {
    super::copy(&root.join(super::SOURCES).join(folder), into)?;
    let (venv, log) = (into.join("venv"), into.join("pip.log"));
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    let mut fill = Command::new(into.join(RUNTIME));
    fill.args(["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]);
    fill.arg("-r").arg(into.join("requirements.txt"));
    for command in [make, fill] {
        match super::run(command, &log) {
            Ok(()) => {}
            Err(failure) if failure.not_found || failure.output.contains("ensurepip") => {
                bail!("python3 or its venv is missing, in which {folder} runs: run scripts/stack/install race")
            }
            Err(failure) => bail!("{folder} cannot be built: {}; log: {}", failure.first_error(), log.display()),
        }
    }
    Ok(())
}
