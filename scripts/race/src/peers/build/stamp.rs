//! Whether what lies in a build folder was made from the sources as they are.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::Context;

/// In the build folder: what it was made from.
const STAMP: &str = "STAMP";
/// What builds and runs by hand leave beside the sources.
const MADE: [&str; 4] = ["target", "node_modules", "venv", "__pycache__"];

/// Builds into an empty folder, unless it was built from the same files and folders.
pub(super) fn ensure(into: &Path, read: &[PathBuf], build: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let stamp = of(read)?;
    if fs::read_to_string(into.join(STAMP)).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    // Also a stamp that is left from before says nothing once a build has begun.
    let _ = fs::remove_dir_all(into);
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    build()?;
    fs::write(into.join(STAMP), stamp).with_context(|| format!("cannot write into {}", into.display()))
}

/// Whether this was made, and is no source.
pub(super) fn is_made(entry: &fs::DirEntry) -> bool {
    MADE.iter().any(|name| entry.file_name() == *name)
}

/// Over every file that a build reads.
fn of(read: &[PathBuf]) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for path in read {
        list(path, &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        if !is_made(&entry) {
            list(&entry.path(), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_changed_source_or_schema_is_another_build() {
        let root = std::env::temp_dir().join(format!("race-peers-{}", std::process::id()));
        let (source, schema) = (root.join("peers/a/A.java"), root.join("schemas/s.avsc"));
        for file in [&source, &schema] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "one").unwrap();
        }
        let read = [root.join("peers/a"), root.join("schemas")];
        let first = of(&read).unwrap();
        for made in MADE {
            let made = root.join("peers/a").join(made);
            fs::create_dir_all(&made).unwrap();
            fs::write(made.join("x"), "made").unwrap();
        }
        assert_eq!(of(&read).unwrap(), first, "what a build made is no source");
        fs::write(&schema, "two").unwrap();
        let second = of(&read).unwrap();
        fs::write(&source, "two").unwrap();
        let third = of(&read).unwrap();
        assert!(first != second && second != third && first != third);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_was_built_once_is_built_again_only_when_it_failed_or_its_source_changed() {
        let root = std::env::temp_dir().join(format!("race-stamp-{}", std::process::id()));
        let (source, into, builds) = (root.join("a.js"), root.join("built"), Cell::new(0));
        fs::create_dir_all(&root).unwrap();
        fs::write(&source, "one").unwrap();
        let build = |goes_well: bool| {
            ensure(&into, std::slice::from_ref(&source), || {
                builds.set(builds.get() + 1);
                anyhow::ensure!(goes_well, "the tool failed");
                Ok(())
            })
        };
        assert!(build(false).is_err());
        build(true).unwrap();
        build(true).unwrap();
        assert_eq!(builds.get(), 2, "the failed one and one more");
        fs::write(&source, "two").unwrap();
        build(true).unwrap();
        assert_eq!(builds.get(), 3);
        fs::remove_dir_all(root).unwrap();
    }
}
