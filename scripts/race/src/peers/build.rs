//! Builds the peers, each with the tool of its language and once for each state of its sources, and starts them. What a
//! tool makes lies in the target folder only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use stack::{
    install::jdk,
    progress::{Progress, ToolFailure},
};

use super::Settings;
use crate::process::Process;

mod java;
mod node;
mod python;
mod stamp;

/// The sources, from the checkout's root.
const SOURCES: &str = "scripts/race/peers";
/// Avro classes and checks are made from these.
const SCHEMAS: &str = "schemas";
/// The first build fetches some 100 MB.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// A peer's program, by what builds and runs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Program {
    /// A jar, by its place below Maven's build folder.
    Java(&'static str),
    /// A folder below the sources with a `package-lock.json`.
    Node(&'static str),
    /// A folder below the sources with a `requirements.txt`.
    Python(&'static str),
}

impl Program {
    /// The folder below the build folder; one build makes all jars.
    fn folder(self) -> &'static str {
        match self {
            Self::Java(_) => "java",
            Self::Node(folder) | Self::Python(folder) => folder,
        }
    }

    /// What a build reads, in a checkout with this root.
    fn read(self, root: &Path) -> Vec<PathBuf> {
        let sources = root.join(SOURCES);
        let mut read = vec![root.join(SCHEMAS)];
        match self {
            Self::Java(_) => {
                read.extend(java::SOURCES.iter().map(|source| sources.join(source)));
                read.extend(java::TABLES.iter().map(|table| root.join(table)));
            }
            Self::Node(folder) | Self::Python(folder) => read.push(sources.join(folder)),
        }
        read
    }
}

/// The peers' programs.
#[derive(Debug)]
pub(crate) struct Built {
    root: PathBuf,
    dir: PathBuf,
    /// The servers' JDK; none where no peer needs it.
    jdk: Option<PathBuf>,
}

impl Built {
    /// Builds these into a folder, unless they lie there and their sources are the same. Blocks.
    pub(crate) fn ensure(into: &Path, programs: &[Program]) -> anyhow::Result<Self> {
        let options = stack::Options::private(into, []);
        let is_java = |program: &Program| matches!(program, Program::Java(_));
        let jdk = programs.iter().any(is_java).then(|| jdk::find(&options)).transpose()?;
        let built = Self { root: options.root, dir: into.to_owned(), jdk };
        for program in programs {
            built.ensure_one(*program)?;
        }
        Ok(built)
    }

    fn ensure_one(&self, program: Program) -> anyhow::Result<()> {
        let into = self.dir.join(program.folder());
        stamp::ensure(&into, &program.read(&self.root), || match program {
            Program::Java(_) => java::build(&self.root.join(SOURCES), &into, self.jdk()?),
            Program::Node(folder) => node::build(&self.root, folder, &into),
            Program::Python(folder) => python::build(&self.root, folder, &into),
        })
    }

    /// Copies what the build of the jars made in one of its folders.
    pub(crate) fn copy_java(&self, folder: &str, to: &Path) -> anyhow::Result<()> {
        copy(&self.dir.join("java").join(folder), to)
    }

    fn jdk(&self) -> anyhow::Result<&Path> {
        self.jdk.as_deref().context("no JDK was looked for")
    }

    /// Starts a peer with these settings; what it writes goes to `log`.
    pub(crate) fn start(
        &self,
        program: Program,
        settings: &Settings,
        addresses: &[(&str, String)],
        log: &Path,
    ) -> anyhow::Result<Process> {
        let folder = self.dir.join(program.folder());
        let (runtime, entry) = match program {
            Program::Java(jar) => (self.jdk()?.join("bin/java"), vec!["-jar".into(), folder.join(jar)]),
            Program::Node(_) => (folder.join(node::RUNTIME), vec![folder.join(node::ENTRY)]),
            Program::Python(_) => (folder.join(python::RUNTIME), vec![folder.join(python::ENTRY)]),
        };
        let file = entry.last().context("nothing to start")?;
        ensure!(file.is_file(), "{} is not there, although the build went well", file.display());
        let out = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(runtime);
        command.args(&settings.flags).args(&entry);
        command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        command.envs(addresses.iter().map(|(name, value)| (name, value)));
        command.stderr(out.try_clone()?).stdout(Stdio::from(out));
        Process::spawn(command)
    }
}

/// Runs a tool that builds; its output is in `log`.
fn run(command: Command, log: &Path) -> Result<(), ToolFailure> {
    Progress::default().run(command, log, "peers: building", DEADLINE)
}

/// Copies what a peer's program is made of, so that nothing is made beside the sources.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if stamp::is_made(&entry) {
            continue;
        }
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}
