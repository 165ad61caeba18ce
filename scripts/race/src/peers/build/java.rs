//! The Java peers: one build of Maven for all of them; they run on the servers' JDK.

use std::{path::Path, process::Command};

use anyhow::bail;

/// What it reads, below the peers' sources.
pub(super) const SOURCES: &[&str] =
    &["pom.xml", "edge-spring", "rules", "sinks-smt", "sinks-spring", "transforms-streams"];

/// The modules' tables, which the jars have built in; from the checkout's root.
pub(super) const TABLES: &[&str] =
    &["transforms/modules/clean/currencies.txt", "transforms/modules/enrich/regions.csv"];

pub(super) fn build(sources: &Path, into: &Path, jdk: &Path) -> anyhow::Result<()> {
    let log = into.join("maven.log");
    let mut command = Command::new("mvn");
    command.args(["-B", "-q", "-f"]).arg(sources.join("pom.xml")).arg("package");
    command.arg(format!("-Dpeers.build={}", into.display()));
    // A runtime without a compiler runs the peers, and Maven's own JDK makes them.
    if jdk.join("bin/javac").is_file() {
        command.env("JAVA_HOME", jdk);
    }
    match super::run(command, &log) {
        Ok(()) => Ok(()),
        Err(failure) if failure.not_found => bail!(
            "Maven (`mvn`) is missing, which builds the peers; as root: apt-get install -y --no-install-recommends maven"
        ),
        Err(failure) if failure.output.contains("No compiler is provided") => bail!(
            "a JDK with `javac` of at least 17 is missing, which builds the peers; as root: apt-get install -y \
             --no-install-recommends default-jdk-headless, or set JAVA_HOME to one"
        ),
        Err(failure) => bail!("the Java peers cannot be built: {}; log: {}", failure.first_error(), log.display()),
    }
}
