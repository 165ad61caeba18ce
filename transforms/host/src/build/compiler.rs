//! Which compiler builds guests: the toolchain's own where it has the wasm target, and Debian's `rustc-web` with its
//! sources where it has not. What is here is looked for first; the choice follows from that alone.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{BuildError, TARGET, clean, run};

/// Debian's compiler and the sources that its package `rust-web-src` brings.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTDOC: &str = "/usr/bin/rustdoc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std";

/// Who compiles a guest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compiler {
    /// The toolchain in PATH has the target.
    Toolchain,
    /// Debian's compiler, which builds the standard library; linked by the toolchain's own linker.
    Debian { linker: PathBuf },
}

/// What there is to compile a guest with.
#[derive(Clone, Copy, Debug)]
struct Present {
    /// The toolchain in PATH has the target's libraries.
    target: bool,
    /// Debian's compiler.
    debian: bool,
    /// The sources that it builds the target's libraries of.
    sources: bool,
}

/// Whose compiler it is.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Toolchain,
    Debian,
}

/// The toolchain's comes first: it builds nothing but the guest. Debian's is of no use without the sources.
fn choose(present: Present) -> Result<Choice, BuildError> {
    match present {
        Present { target: true, .. } => Ok(Choice::Toolchain),
        Present { target: false, debian: true, sources: true } => Ok(Choice::Debian),
        Present { target: false, .. } => Err(BuildError::NoTarget),
    }
}

/// A toolchain names the folder of a target's libraries whether it has them or not.
fn has_core(libdir: &Path) -> bool {
    std::fs::read_dir(libdir)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
}

impl Compiler {
    pub(super) fn find(workspace_dir: &Path) -> Result<Self, BuildError> {
        let print = |arguments: &[&str]| -> Result<String, BuildError> {
            let mut rustc = Command::new("rustc");
            clean(&mut rustc, workspace_dir).args(arguments);
            run("rustc --print", &mut rustc, workspace_dir).map(|text| text.trim().to_owned())
        };
        let libdir = print(&["--print", "target-libdir", "--target", TARGET])?;
        let present = Present {
            target: has_core(Path::new(&libdir)),
            debian: Path::new(DEBIAN_RUSTC).exists(),
            sources: Path::new(DEBIAN_STD).exists(),
        };
        match choose(present)? {
            Choice::Toolchain => Ok(Self::Toolchain),
            Choice::Debian => {
                let sysroot = PathBuf::from(print(&["--print", "sysroot"])?);
                let host = print(&["--print", "host-tuple"])?;
                Ok(Self::Debian { linker: sysroot.join("lib/rustlib").join(host).join("bin/rust-lld") })
            }
        }
    }

    pub(super) fn configure(&self, build: &mut Command, workspace_dir: &Path) {
        let Self::Debian { linker } = self else { return };
        build
            .env("RUSTC", DEBIAN_RUSTC)
            .env("RUSTDOC", DEBIAN_RUSTDOC)
            // `-Zbuild-std` is the one unstable flag that this way needs.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
            .arg("-Zbuild-std=std,panic_abort")
            .arg("--target-dir")
            .arg(workspace_dir.join("target/buildstd"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchain_comes_first_then_debians_compiler_with_its_sources() {
        let found = |target, debian, sources| choose(Present { target, debian, sources });
        for (debian, sources) in [(false, false), (true, false), (false, true), (true, true)] {
            assert_eq!(found(true, debian, sources).unwrap(), Choice::Toolchain);
        }
        assert_eq!(found(false, true, true).unwrap(), Choice::Debian);
    }

    #[test]
    fn with_neither_both_ways_to_one_are_named() {
        for (debian, sources) in [(false, false), (true, false), (false, true)] {
            let error = choose(Present { target: false, debian, sources }).unwrap_err();
            assert!(matches!(error, BuildError::NoTarget), "{error}");
            let words = "no Rust compiler for wasm32-unknown-unknown is here; run `rustup target add \
                         wasm32-unknown-unknown`, or on Debian as root: apt-get update && apt-get install -y \
                         --no-install-recommends rustc-web rust-web-src";
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn a_folder_that_a_toolchain_only_names_is_no_target() {
        let dir = std::env::temp_dir().join(format!("libdir-{}", std::process::id()));
        assert!(!has_core(&dir), "it is not there");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("libself_contained.rlib"), "").unwrap();
        assert!(!has_core(&dir), "it has other things in it");
        std::fs::write(dir.join("libcore-0123456789abcdef.rlib"), "").unwrap();
        assert!(has_core(&dir));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn debians_compiler_builds_the_library_apart_and_the_toolchain_is_left_as_it_is() {
        let told = |compiler: Compiler| {
            let mut build = Command::new("cargo");
            compiler.configure(&mut build, Path::new("/guests"));
            let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
            let env = build.get_envs().map(|(name, value)| (text(name), value.map(text).unwrap_or_default()));
            (env.collect::<Vec<_>>(), build.get_args().map(text).collect::<Vec<_>>())
        };
        assert_eq!(told(Compiler::Toolchain), (Vec::new(), Vec::new()));
        let (env, arguments) = told(Compiler::Debian { linker: PathBuf::from("/lld") });
        for (name, value) in [
            ("RUSTC", DEBIAN_RUSTC),
            ("RUSTDOC", DEBIAN_RUSTDOC),
            ("RUSTC_BOOTSTRAP", "1"),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "/lld"),
        ] {
            assert!(env.contains(&(name.to_owned(), value.to_owned())), "{name}: {env:?}");
        }
        assert_eq!(arguments, ["-Zbuild-std=std,panic_abort", "--target-dir", "/guests/target/buildstd"]);
    }
}
