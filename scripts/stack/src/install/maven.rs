//! Fetches by coordinates with Maven, in one run: its own settings say from where. No host name of ours.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

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
            Err(failure) => reason = failure.first_error(),
        }
    }
    Err(StackError::Fetch { what: "the servers", reason, log: log.to_owned() })
}
