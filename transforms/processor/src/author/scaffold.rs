//! `transforms new`: a module's folder, ready to build. Writes files and builds nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::kit::{self, File};

/// What the template calls itself; every file of it says the new name instead.
const PLACEHOLDER: (&str, &str) = ("my-rule", "my_rule");

const TEMPLATE: &[File] = &[
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    (".gitignore", include_str!("template/gitignore.txt")),
    ("README.md", include_str!("template/README.md")),
    ("orders.ndjson", include_str!("template/orders.ndjson")),
    ("src/lib.rs", include_str!("template/src/lib.rs")),
    ("src/tests.rs", include_str!("template/src/tests.rs")),
];

/// Names that are fine for a pipeline but that Rust, cargo, the SDK's prelude or the template's tests have already.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "tests",
    "trait",
    "config",
    "count",
    "drop-record",
    "emit",
    "emit-all",
    "log",
    "lookup",
    "order",
    "reject",
    "transform",
    "transform-frame",
    "transform-macros",
    "transform-sdk",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Checks a module's name: it stands in headers, in topics' keys, in a crate's name and, with `_`, as a function's.
///
/// # Errors
/// What is wrong with it, and a name that would do.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let fine = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-')
        && !name.contains("--");
    if !fine {
        let better = suggestion(name);
        bail!(
            "{name:?} cannot be a module's name: use a-z, 0-9 and single dashes, at most 64, a letter first; \
             for example {better}"
        );
    }
    ensure!(!TAKEN.contains(&name), "{name:?} is a name that Rust or the SDK has already; for example {name}-rule");
    Ok(())
}

/// The nearest name that would do.
fn suggestion(name: &str) -> String {
    let letters = name.chars().map(|letter| letter.to_ascii_lowercase());
    let letters: String = letters.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let words: Vec<&str> = letters.split('-').filter(|word| !word.is_empty()).collect();
    let better: String = words.join("-").chars().skip_while(|letter| !letter.is_ascii_lowercase()).take(64).collect();
    let better = better.trim_end_matches('-').to_owned();
    if better.is_empty() || TAKEN.contains(&better.as_str()) { PLACEHOLDER.0.to_owned() } else { better }
}

/// Makes the folder `dir` with the module `name` in it, for this schema. All of it is there afterwards, or nothing.
///
/// # Errors
/// When the name will not do, the folder is there already, or it cannot be written.
pub fn make(name: &str, dir: &Path, schema: &str) -> anyhow::Result<PathBuf> {
    check_name(name)?;
    let occupied = std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()).unwrap_or_else(|_| dir.exists());
    ensure!(!occupied, "{} is there already and not empty; name another folder with --dir", dir.display());
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let partial = parent.join(format!(".{name}.{}.partial", std::process::id()));
    let written = fill(name, &partial, schema)
        .and_then(|()| std::fs::rename(&partial, dir).with_context(|| format!("cannot create {}", dir.display())));
    if let Err(error) = written {
        // What is left of it helps nobody; that it cannot be removed either is no news.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error);
    }
    Ok(dir.to_owned())
}

fn fill(name: &str, dir: &Path, schema: &str) -> anyhow::Result<()> {
    for (path, text) in TEMPLATE {
        let text = text.replace(PLACEHOLDER.0, name).replace(PLACEHOLDER.1, &name.replace('-', "_"));
        put(dir, path, &text)?;
    }
    put(dir, "Cargo.lock", &kit::lock(name))?;
    put(dir, kit::SCHEMA.0, schema)?;
    kit::KIT.iter().try_for_each(|(path, text)| put(dir, path, text))
}

/// Brings the kit of this command into a module's folder; its own files stay as they are.
///
/// # Errors
/// When the folder has no kit, or it cannot be written.
pub fn renew(dir: &Path) -> anyhow::Result<()> {
    let there = dir.join("kit/sdk/Cargo.toml").is_file();
    ensure!(there, "{} has no kit/; go into a folder that `transforms new` made, or name it with --dir", dir.display());
    std::fs::remove_dir_all(dir.join("kit")).with_context(|| format!("cannot replace {}/kit", dir.display()))?;
    kit::KIT.iter().try_for_each(|(path, text)| put(dir, path, text))
}

/// Whether the kit in a module's folder is another than this command's; `false` where there is none.
#[must_use]
pub fn is_other_kit(dir: &Path) -> bool {
    let differs = |(path, text): &File| std::fs::read_to_string(dir.join(path)).is_ok_and(|there| there != *text);
    kit::KIT.iter().any(differs)
}

fn put(dir: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let path = dir.join(path);
    let folder = path.parent().unwrap_or(dir);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_will_not_do_is_refused_with_one_that_will() {
        for name in ["my-rule", "a", "vat2", "customer-tiers"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for (name, better) in [
            ("MyRule", "myrule"),
            ("my_rule", "my-rule"),
            ("2fast", "fast"),
            ("a--b", "a-b"),
            ("a-", "a"),
            ("", "my-rule"),
            ("../etc", "etc"),
            ("fn", "fn-rule"),
            ("transform-sdk", "transform-sdk-rule"),
        ] {
            let error = check_name(name).unwrap_err().to_string();
            assert!(error.ends_with(&format!("for example {better}")), "{name}: {error}");
            let better = error.rsplit(' ').next().unwrap();
            assert!(check_name(better).is_ok(), "{better}");
        }
    }
}
