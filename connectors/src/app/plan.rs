//! Wiring of the commands that compare the files with the servers.

use std::io::Write as _;

use anyhow::{Context as _, bail};

use super::search::print;
use crate::compare::{self, Comparison, Place};
use crate::config::{self, Compare, Prune, Servers};
use crate::drift::{self, Drift};
use crate::files::Deployment;
use crate::plan::{self, Plan};
use crate::prune;

/// `connectors plan`: prints, and answers the exit code.
///
/// # Errors
/// Where a file has an error, or no client can be made.
pub async fn plan(servers: &Servers, options: &config::Plan) -> anyhow::Result<u8> {
    let (all, found) = found(servers, &options.compare).await?;
    let mut plan = Plan::new(&found);
    if options.rehearse {
        super::rehearsal::join(servers, &all.sinks, &options.extent, &mut plan).await?;
    }
    print(options.compare.format, &plan, plan::text)?;
    Ok(plan.exit_code)
}

/// `connectors drift`: prints, and answers the exit code.
///
/// # Errors
/// As [`plan`].
pub async fn drift(servers: &Servers, options: &Compare) -> anyhow::Result<u8> {
    let (_, found) = found(servers, options).await?;
    let drift = Drift::new(&found);
    print(options.format, &drift, drift::text)?;
    Ok(drift.exit_code)
}

async fn found(servers: &Servers, options: &Compare) -> anyhow::Result<(Deployment, Comparison)> {
    let all = super::read(&options.files.files, "nothing was compared")?;
    let target = super::target(servers, &options.files.owner, options.wait)?;
    let found = compare::compare(&target, &all).await;
    Ok((all, found))
}

/// `connectors prune`: does it or says what it would do, and answers the exit code: 0 nothing is left, 2 something is.
///
/// # Errors
/// Where a file has an error, somebody could not be asked, or would not remove what is ours.
pub async fn prune(servers: &Servers, options: &Prune) -> anyhow::Result<u8> {
    // A file that cannot be read is no file that was removed.
    let all = super::read(&options.files.files, "nothing was removed")?;
    let target = super::target(servers, &options.files.owner, options.wait)?;
    let found = compare::deployed(&target, &all).await;
    if !found.unknown.is_empty() {
        bail!("nothing was removed: cannot ask {}", found.unknown.join("; "));
    }
    let (mut gone, mut both) = (false, false);
    for thing in &found.things {
        gone |= thing.place == Place::Server;
        both |= thing.place == Place::Both;
    }
    if gone && !both && options.yes {
        let folder = options.files.files.display();
        bail!(
            "nothing was removed: none of the files in {folder} is deployed there, is it the right folder? Else apply it first"
        );
    }
    let pruned = prune::prune(&target, &found, options.yes).await.context("prune stopped")?;
    let _ = std::io::stdout().write_all(prune::text(&pruned, options.yes).as_bytes());
    Ok(if pruned.is_empty() || options.yes { 0 } else { 2 })
}
