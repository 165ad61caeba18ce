//! Builds the Java peers with Maven, once for each state of their sources, and starts them with the servers' JDK.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use stack::{install::jdk, progress::Progress};

use super::Settings;
use crate::process::Process;

/// The sources, from the checkout's root.
const SOURCES: &str = "scripts/race/peers";
/// Their Avro classes are made from these.
const SCHEMAS: &str = "schemas";
/// In the build folder: what it was made from.
const STAMP: &str = "STAMP";
/// The first build fetches some 100 MB.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// The peers' programs.
#[derive(Debug)]
pub(crate) struct Built {
    java: PathBuf,
    dir: PathBuf,
}

impl Built {
    /// Builds them into a folder, unless they lie there and their sources are the same. Blocks.
    pub(crate) fn ensure(into: &Path) -> anyhow::Result<Self> {
        let options = stack::Options::private(into, []);
        let home = jdk::find(&options)?;
        let built = Self { java: home.join("bin/java"), dir: into.to_owned() };
        let stamp = stamp(&options.root)?;
        if fs::read_to_string(into.join(STAMP)).is_ok_and(|found| found == stamp) {
            return Ok(built);
        }
        // Also a stamp that is left from before says nothing once a build has begun.
        let _ = fs::remove_dir_all(into);
        fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
        maven(&options.root.join(SOURCES), into, &home)?;
        fs::write(into.join(STAMP), stamp)?;
        Ok(built)
    }

    /// Starts the jar of a peer with these settings; what it writes goes to `log`.
    pub(crate) fn start(
        &self,
        jar: &str,
        settings: &Settings,
        addresses: &[(&str, String)],
        log: &Path,
    ) -> anyhow::Result<Process> {
        let jar = self.dir.join(jar);
        ensure!(jar.is_file(), "{} is not there, although the build went well", jar.display());
        let out = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.java);
        command.args(&settings.jvm).arg("-jar").arg(jar);
        command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        command.envs(addresses.iter().map(|(name, value)| (name, value)));
        command.stderr(out.try_clone()?).stdout(Stdio::from(out));
        Process::spawn(command)
    }
}

fn maven(sources: &Path, into: &Path, home: &Path) -> anyhow::Result<()> {
    let log = into.join("maven.log");
    let mut command = Command::new("mvn");
    command.args(["-B", "-q", "-f"]).arg(sources.join("pom.xml")).arg("package");
    command.arg(format!("-Dpeers.build={}", into.display()));
    // A runtime without a compiler runs the peers, and Maven's own JDK makes them.
    if home.join("bin/javac").is_file() {
        command.env("JAVA_HOME", home);
    }
    match Progress::default().run(command, &log, "peers: building", DEADLINE) {
        Ok(()) => Ok(()),
        Err(failure) if failure.not_found => bail!(
            "Maven (`mvn`) is missing, which builds the peers; as root: apt-get install -y --no-install-recommends maven"
        ),
        Err(failure) if failure.output.contains("No compiler is provided") => bail!(
            "a JDK with `javac` of at least 17 is missing, which builds the peers; as root: apt-get install -y \
             --no-install-recommends default-jdk-headless, or set JAVA_HOME to one"
        ),
        Err(failure) => bail!("the peers cannot be built: {}; log: {}", failure.first_error(), log.display()),
    }
}

/// Over every file that a build reads.
fn stamp(root: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for folder in [SOURCES, SCHEMAS] {
        list(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        // Where a build by hand puts what it makes.
        if entry.file_name() == "target" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_or_schema_is_another_build() {
        let root = std::env::temp_dir().join(format!("race-peers-{}", std::process::id()));
        let (source, schema) = (root.join(SOURCES).join("a/A.java"), root.join(SCHEMAS).join("s.avsc"));
        for file in [&source, &schema] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "one").unwrap();
        }
        let first = stamp(&root).unwrap();
        let target = root.join(SOURCES).join("target");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("x.jar"), "made").unwrap();
        assert_eq!(stamp(&root).unwrap(), first, "what a build made is no source");
        fs::write(&schema, "two").unwrap();
        let second = stamp(&root).unwrap();
        fs::write(&source, "two").unwrap();
        let third = stamp(&root).unwrap();
        assert!(first != second && second != third && first != third);
        fs::remove_dir_all(root).unwrap();
    }
}
