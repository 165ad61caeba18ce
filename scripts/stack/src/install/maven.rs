//! Fetches by coordinates with Maven, in one run: its own settings say from where. No host name of ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::disk;
use crate::StackError;
use crate::progress::Progress;

/// The goal, with its version: which one Maven would take by default differs between installations.
const GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies";
/// A registry that hangs must not hang us.
const DEADLINE: Duration = Duration::from_secs(20 * 60);
/// Registries fail now and then; Maven goes on where it was.
const ATTEMPTS: u32 = 3;

/// Copies the artifacts of every module under `coordinates` into `into/ARTIFACT_ID/`.
pub(super) fn fetch(coordinates: &Path, into: &Path, log: &Path, progress: &Progress) -> Result<(), StackError> {
    let mut reason = String::new();
    for attempt in 1..=ATTEMPTS {
        progress.say(&format!(
            "servers: fetching about 400 MB with Maven (attempt {attempt} of {ATTEMPTS}, log: {})",
            log.display()
        ));
        let mut command = Command::new("mvn");
        // -U: a failure of an earlier attempt is remembered otherwise.
        command.args(["-B", "-U", "-T", "6", "-f"]).arg(coordinates.join("pom.xml")).arg(GOAL);
        command.args(["-DincludeScope=runtime", "-Dmaven.wagon.http.retryHandler.count=3", "-Dmaven.wagon.rto=60000"]);
        // Maven puts the artifact's name in, module by module.
        command.arg(format!("-DoutputDirectory={}/${{project.artifactId}}", into.display()));
        match progress.run(command, log, "servers: fetching", DEADLINE) {
            Ok(()) => return Ok(()),
            Err(failure) if failure.not_found => {
                return Err(StackError::Missing {
                    what: "Maven (`mvn`)".to_owned(),
                    remedy: "as root: apt-get install -y --no-install-recommends maven".to_owned(),
                });
            }
            // To try again would not help, and Maven says it in the middle of much else.
            Err(failure) if disk::says_full(&failure.output) => return Err(full(&failure.output, into)),
            Err(failure) => reason = failure.first_error(),
        }
    }
    Err(StackError::Fetch { what: "the servers", reason, log: log.to_owned() })
}

/// It fetches into the local repository, and copies from there: whichever of the two has less room is meant.
fn full(output: &str, into: &Path) -> StackError {
    let repository = local_repository(output);
    let free = |path: &Path| disk::free_mb(path).unwrap_or(0);
    if free(into) < free(&repository) {
        return disk::full(into, disk::INSTALLING_MB, disk::STACK_DIR);
    }
    disk::full(&repository, disk::INSTALLING_MB, disk::MAVEN_DIR)
}

/// As Maven's words name it, with its usual name; else where it is by default.
fn local_repository(output: &str) -> PathBuf {
    const NAME: &str = "/repository/";
    let words = output.split([' ', '\'', '"', '(', ')', '\n']).filter(|word| word.starts_with('/'));
    let named = words.filter_map(|word| Some(PathBuf::from(word.get(..word.find(NAME)? + NAME.len() - 1)?))).next();
    named.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".m2/repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_the_local_repository_and_the_way_out() {
        let output = "[ERROR] Could not transfer artifact a:b:jar:1 from/to central: /tmp/m2/repository/a/b/1/b-1.jar.tmp (No space left on device)";
        assert!(disk::says_full(output));
        assert_eq!(local_repository(output), Path::new("/tmp/m2/repository"));
        assert!(local_repository("No space left on device").ends_with(".m2/repository"));
        let fault = full(output, Path::new("/tmp/servers.new")).to_string();
        assert!(fault.contains("/tmp/m2/repository") && fault.contains("settings.xml"), "{fault}");
    }
}
