//! Sees when a source of a module changes: looks at the times of its files ten times a second. A few dozen files; no
//! other means is the same on every system and in every container.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(100);
/// An editor writes several files, or one in pieces: it is done when nothing changed for so long.
const SETTLED: Duration = Duration::from_millis(50);
/// Files that are looked at.
const MAX_FILES: usize = 5_000;

/// When each file was written, and how long it is.
pub type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The files of a module.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// The module's folder.
    pub dir: PathBuf,
    /// Further files: what cargo names, the orders.
    pub also: BTreeSet<PathBuf>,
}

impl Watch {
    /// What there is now.
    #[must_use]
    pub fn look(&self) -> Seen {
        let mut seen = Seen::new();
        walk(&self.dir, &mut seen);
        for path in &self.also {
            see(path, &mut seen);
        }
        seen
    }

    /// Waits until something is other than it was, and has come to rest; answers which file. `None`: not in `time`.
    #[must_use]
    pub fn wait(&self, before: &Seen, time: Option<Duration>) -> Option<PathBuf> {
        let started = Instant::now();
        loop {
            let mut now = self.look();
            if let Some(changed) = difference(before, &now) {
                loop {
                    std::thread::sleep(SETTLED);
                    let later = self.look();
                    if later == now {
                        return Some(changed);
                    }
                    now = later;
                }
            }
            if time.is_some_and(|time| started.elapsed() >= time) {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A file that is new, gone or other.
fn difference(before: &Seen, now: &Seen) -> Option<PathBuf> {
    let other = now.iter().find(|(path, state)| before.get(*path) != Some(*state));
    let gone = before.keys().find(|path| !now.contains_key(*path));
    other.map(|(path, _)| path).or(gone).cloned()
}

/// Everything in a folder but what is built and what is hidden.
fn walk(dir: &Path, seen: &mut Seen) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // Editors keep their drafts under such names.
        if seen.len() >= MAX_FILES || name.starts_with('.') || name.ends_with('~') || name.ends_with(".wasm") {
            continue;
        }
        match entry.file_type() {
            // cargo writes the lock file itself, and changes nothing by it.
            Ok(kind) if kind.is_dir() && name != "target" => walk(&path, seen),
            Ok(kind) if kind.is_file() && name != "Cargo.lock" => see(&path, seen),
            Ok(_) | Err(_) => {}
        }
    }
}

fn see(path: &Path, seen: &mut Seen) {
    if let Ok(metadata) = std::fs::metadata(path)
        && let Ok(modified) = metadata.modified()
    {
        seen.insert(path.to_owned(), (modified, metadata.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_new_and_a_gone_file_are_seen_and_what_is_built_is_not() {
        let dir = std::env::temp_dir().join(format!("watch-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        for folder in ["src", "target"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        std::fs::write(dir.join("src/lib.rs"), "one").unwrap();
        let watch = Watch { dir: dir.clone(), also: BTreeSet::new() };
        let mut seen = watch.look();
        for built in ["target/x", "my-rule.wasm", "Cargo.lock", "src/.lib.rs.swp", "src/lib.rs~"] {
            std::fs::write(dir.join(built), "built").unwrap();
            assert_eq!(watch.wait(&seen, Some(Duration::ZERO)), None, "{built}");
        }
        let (lib, table) = (dir.join("src/lib.rs"), dir.join("src/table.csv"));
        std::fs::write(&lib, "three").unwrap();
        assert_eq!(watch.wait(&seen, Some(Duration::ZERO)).as_ref(), Some(&lib));
        seen = watch.look();
        std::fs::write(&table, "a").unwrap();
        assert_eq!(watch.wait(&seen, Some(Duration::ZERO)).as_ref(), Some(&table));
        seen = watch.look();
        std::fs::remove_file(&table).unwrap();
        assert_eq!(watch.wait(&seen, Some(Duration::ZERO)).as_ref(), Some(&table));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
