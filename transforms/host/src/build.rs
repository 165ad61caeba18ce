//! Builds guests into components: cargo, then `wit-component`.
//!
//! One recipe for the shipped modules and the hostile ones, which come by the workspace ([`guests`]), and for an
//! author's, who builds one at a time and wants to see why it fails ([`one::build`]). It uses the toolchain's own wasm
//! target where there is one, and Debian's `rustc-web` with its sources where there is not (`build/compiler.rs`). Nothing
//! is fetched here but crates.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wit_component::ComponentEncoder;

use self::compiler::Compiler;

mod compiler;
pub mod one;

/// The target of every guest: no WASI.
const TARGET: &str = "wasm32-unknown-unknown";

/// What `#[transform]` reads a version from that is not the package's.
const VERSION: &str = "TRANSFORM_VERSION";

/// What of the caller's environment would change a guest: flags and wrappers meant for the host's code.
const UNSET: [&str; 13] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_RUSTC",
    "CARGO_TARGET_DIR",
    "CARGO_PROFILE_RELEASE_LTO",
    // Only [`one::How::version`] may say another version than the package's.
    VERSION,
    // `cargo run` and `cargo test` point this at their own compiler's libraries.
    "LD_LIBRARY_PATH",
];

/// Why guests could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Something on disk, or a command that cannot be started.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No compiler for guests.
    #[error(
        "no Rust compiler for {TARGET} is here; run `rustup target add {TARGET}`, or on Debian as root: \
         apt-get update && apt-get install -y --no-install-recommends rustc-web rust-web-src"
    )]
    NoTarget,
    /// A command failed.
    #[error("`{command}` failed in {path} ({status}):\n{stderr}")]
    Failed {
        /// The command.
        command: &'static str,
        /// Where it ran.
        path: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// An author's module does not compile; its errors, as the compiler shows them, or nothing where they were shown
    /// as they came.
    #[error("the module in {path} does not compile{}", why(.text))]
    Compile {
        /// The module's folder.
        path: PathBuf,
        /// The errors.
        text: String,
    },
    /// A folder without a module, or with several.
    #[error("{path} {why}")]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// What is there instead, and what to do.
        why: String,
    },
    /// There is no cargo or no rustc.
    #[error("no `{0}` is in PATH; install Rust from https://rustup.rs, then `rustup target add {TARGET}`")]
    NoRust(&'static str),
    /// The workspace has no guest in it.
    #[error("{0} builds no cdylib; a guest's Cargo.toml says `crate-type = [\"cdylib\"]`")]
    NoGuests(PathBuf),
    /// A core module that is no component of ours.
    #[error("{path} is not a guest: {reason}; it must use `#[transform]` of transform-sdk and no WASI")]
    Encode {
        /// The core module.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Builds every guest of a workspace and writes `<name>.wasm` for each into `out_dir`, sorted.
///
/// The workspace's own `target` holds what cargo keeps. A file whose content is the same already is not touched.
pub fn guests(workspace_dir: &Path, out_dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let compiler = Compiler::find(workspace_dir)?;
    if !workspace_dir.join("Cargo.lock").exists() {
        run("cargo generate-lockfile", cargo(workspace_dir).arg("generate-lockfile"), workspace_dir)?;
    }
    let mut build = cargo(workspace_dir);
    build.args(["build", "--release", "--locked", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    compiler.configure(&mut build, workspace_dir);
    let messages = run("cargo build", &mut build, workspace_dir)?;
    let cores = core_modules(&messages);
    if cores.is_empty() {
        return Err(BuildError::NoGuests(workspace_dir.to_owned()));
    }
    std::fs::create_dir_all(out_dir).map_err(io_error("create", out_dir))?;
    let mut written = cores.iter().map(|core| componentize(core, out_dir)).collect::<Result<Vec<_>, _>>()?;
    written.sort();
    Ok(written)
}

fn cargo(workspace_dir: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    clean(&mut cargo, workspace_dir);
    cargo
}

fn clean<'a>(command: &'a mut Command, workspace_dir: &Path) -> &'a mut Command {
    for variable in UNSET {
        command.env_remove(variable);
    }
    command.current_dir(workspace_dir).stdin(Stdio::null())
}

/// Runs to the end and returns standard output.
fn run(name: &'static str, command: &mut Command, dir: &Path) -> Result<String, BuildError> {
    let output = command.output().map_err(|error| not_started(command, dir, error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = stderr.lines().collect();
        let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
        return Err(BuildError::Failed {
            command: name,
            path: dir.to_owned(),
            status: output.status,
            stderr: last.join("\n"),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command is not there, or the folder is not.
fn not_started(command: &Command, dir: &Path, error: io::Error) -> BuildError {
    if error.kind() == io::ErrorKind::NotFound && dir.is_dir() {
        return BuildError::NoRust(if command.get_program() == "rustc" { "rustc" } else { "cargo" });
    }
    io_error("run a compiler in", dir)(error)
}

/// The core modules in cargo's messages, fresh ones too.
fn core_modules(messages: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if message.get("reason").and_then(serde_json::Value::as_str) != Some("compiler-artifact") {
            continue;
        }
        let files = message.get("filenames").and_then(serde_json::Value::as_array).into_iter().flatten();
        let files = files.filter_map(serde_json::Value::as_str).filter(|file| file.ends_with(".wasm"));
        found.extend(files.map(PathBuf::from));
    }
    found
}

fn componentize(core: &Path, out_dir: &Path) -> Result<PathBuf, BuildError> {
    write(&name(core), &component(core)?, out_dir)
}

/// What a core module is called; cargo puts `_` where a package has `-`.
fn name(core: &Path) -> String {
    core.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-")
}

/// A core module as a component.
fn component(core: &Path) -> Result<Vec<u8>, BuildError> {
    let bytes = std::fs::read(core).map_err(io_error("read", core))?;
    let refused =
        |error: &dyn std::fmt::Display| BuildError::Encode { path: core.to_owned(), reason: format!("{error:#}") };
    ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| refused(&error))
}

/// Writes `name.wasm`, if it is not there like this already.
fn write(name: &str, component: &[u8], out_dir: &Path) -> Result<PathBuf, BuildError> {
    let path = out_dir.join(format!("{name}.wasm"));
    if std::fs::read(&path).is_ok_and(|old| old == component) {
        return Ok(path);
    }
    // Written beside and renamed, so that nobody reads half a component.
    let partial = out_dir.join(format!("{name}.wasm.{}.partial", std::process::id()));
    std::fs::write(&partial, component).map_err(io_error("write", &partial))?;
    std::fs::rename(&partial, &path).map_err(io_error("write", &path))?;
    Ok(path)
}

fn why(text: &str) -> String {
    if text.is_empty() { "; the lines above say why".to_owned() } else { format!(":\n{text}") }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Io { action, path, source }
}
