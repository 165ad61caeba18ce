//! Builds the one module of an author's folder: like production, or quickly for a loop of save and look.
//!
//! Not here: what is done with the component. The recipe (compiler, environment) is the parent's.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{
    BuildError, Compiler, TARGET, VERSION, cargo, component, core_modules, io_error, name, not_started, write,
};

/// The errors of a compiler are shown up to here; the first is the one that matters.
const MAX_TEXT: usize = 64 << 10;

/// Code for the loop of save and look: no link-time optimisation, many units, compiled again in parts. What the code
/// does is the same, and it stays the profile `release`, so that macros and build scripts are built once for both.
const QUICK: [&str; 4] = [
    "profile.release.opt-level=2",
    "profile.release.codegen-units=16",
    "profile.release.incremental=true",
    "profile.release.lto=\"off\"",
];

/// How a module is built.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// For the loop of save and look instead of for production.
    pub quick: bool,
    /// Another version than the package's.
    pub version: Option<String>,
    /// What the compiler says goes to this process's standard error as it comes; else it is kept.
    pub shown: bool,
    /// What is kept has a terminal's colours.
    pub colour: bool,
}

/// A module that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The package's name.
    pub name: String,
    /// The component.
    pub wasm: Vec<u8>,
    /// What was kept of the compiler's words: warnings.
    pub warnings: String,
    /// The files that it was made of, so far as cargo names them.
    pub sources: Vec<PathBuf>,
}

impl Built {
    /// Writes `name.wasm` into a folder; a file with the same content is not touched.
    pub fn write(&self, out_dir: &Path) -> Result<PathBuf, BuildError> {
        std::fs::create_dir_all(out_dir).map_err(io_error("create", out_dir))?;
        write(&self.name, &self.wasm, out_dir)
    }
}

/// Builds the module in `dir`. An author adds dependencies, so a lock file that does not fit any more is brought up to
/// date.
pub fn build(dir: &Path, how: &How) -> Result<Built, BuildError> {
    if !dir.join("Cargo.toml").is_file() {
        let why = "has no Cargo.toml; go into a module's folder, or make one with `transforms new my-rule`".to_owned();
        return Err(BuildError::NotOne { path: dir.to_owned(), why });
    }
    // cargo runs in the folder, and paths that it is given must not depend on where it runs.
    let dir = &dir.canonicalize().map_err(io_error("find", dir))?;
    let compiler = Compiler::find(dir)?;
    let mut build = cargo(dir);
    build.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    if how.quick {
        build.args(QUICK.iter().flat_map(|setting| ["--config", setting]));
    }
    if let Some(version) = &how.version {
        build.env(VERSION, version);
    }
    if !how.shown {
        build.args(["--quiet", "--color", if how.colour { "always" } else { "never" }]);
    }
    compiler.configure(&mut build, dir);
    build.stdout(Stdio::piped()).stderr(if how.shown { Stdio::inherit() } else { Stdio::piped() });
    let output = match build.spawn().and_then(std::process::Child::wait_with_output) {
        Ok(output) => output,
        Err(error) => return Err(not_started(&build, dir, error)),
    };
    let said = crate::state::cut(String::from_utf8_lossy(&output.stderr).trim_end().to_owned(), MAX_TEXT);
    if !output.status.success() {
        return Err(BuildError::Compile { path: dir.clone(), text: said });
    }
    let cores = core_modules(&String::from_utf8_lossy(&output.stdout));
    match cores.as_slice() {
        [] => Err(BuildError::NoGuests(dir.clone())),
        [core] => Ok(Built { name: name(core), wasm: component(core)?, warnings: said, sources: sources(core) }),
        [..] => {
            let why =
                "holds several modules; go into the folder of one, or build all of them with --out DIR".to_owned();
            Err(BuildError::NotOne { path: dir.clone(), why })
        }
    }
}

/// What cargo's own list beside the core module names: `<module>: <file> <file> …`, with `\` before a space.
fn sources(core: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(core.with_extension("d")).unwrap_or_default();
    let listed = text.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, files)| files);
    let mut files = vec![String::new()];
    let mut letters = listed.chars();
    while let Some(letter) = letters.next() {
        match (letter, files.last_mut()) {
            (' ', _) => files.push(String::new()),
            ('\\', Some(file)) => file.extend(letters.next()),
            (letter, Some(file)) => file.push(letter),
            (_, None) => {}
        }
    }
    files.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_cargo_lists_are_read_with_their_spaces() {
        let dir = std::env::temp_dir().join(format!("sources-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("my_rule.d"), "/t/my_rule.wasm: /a/my\\ rule/src/lib.rs /a/order.avsc\n").unwrap();
        let found = sources(&dir.join("my_rule.wasm"));
        assert_eq!(found, [PathBuf::from("/a/my rule/src/lib.rs"), PathBuf::from("/a/order.avsc")]);
        assert!(sources(&dir.join("other.wasm")).is_empty());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
