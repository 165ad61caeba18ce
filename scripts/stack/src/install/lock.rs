//! The lock: the SHA-256 of every fetched file, in `sha256sum`'s format. What differs is refused by name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::StackError;

const HEAD: &str = "# SHA-256 of every file that the native stack fetches. Written by `stack lock`; a person looks at the difference.\n";

type Digests = BTreeMap<String, String>;

/// Compares what was fetched with the lock: same files, same digests.
pub(super) fn check(lock: &Path, fetched: &Path) -> Result<(), StackError> {
    let text = fs::read_to_string(lock).map_err(StackError::file("read", lock))?;
    compare(&parse(&text)?, &digests(fetched)?).map_err(StackError::Lock)
}

/// Writes the lock from what was fetched.
pub(super) fn write(lock: &Path, fetched: &Path) -> Result<(), StackError> {
    let lines: String = digests(fetched)?.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    fs::write(lock, format!("{HEAD}{lines}")).map_err(StackError::file("write", lock))
}

fn parse(text: &str) -> Result<Digests, StackError> {
    let line = |line: &str| {
        let (digest, name) = line.split_once("  ").filter(|(digest, _)| digest.len() == 64)?;
        Some((name.to_owned(), digest.to_owned()))
    };
    text.lines()
        .filter(|text| !text.starts_with('#') && !text.is_empty())
        .map(|text| {
            line(text).ok_or_else(|| {
                StackError::Lock(format!(
                    "servers.lock has a line that is no digest: `{text}`; write it anew with `stack lock`"
                ))
            })
        })
        .collect()
}

fn compare(locked: &Digests, found: &Digests) -> Result<(), String> {
    for (name, digest) in found {
        match locked.get(name) {
            Some(expected) if expected == digest => {}
            Some(expected) => {
                return Err(format!(
                    "{name} has the SHA-256 {digest}, but servers.lock says {expected}: it was damaged on the way, or is not what it was; remove it from the local Maven repository (~/.m2/repository) and run it again; if the new file is right, `stack lock` writes the lock anew"
                ));
            }
            None => {
                return Err(format!(
                    "{name} (SHA-256 {digest}) is not in servers.lock; if a pom.xml was changed on purpose, `stack lock` writes the lock anew"
                ));
            }
        }
    }
    match locked.keys().find(|name| !found.contains_key(*name)) {
        Some(name) => Err(format!(
            "{name} is in servers.lock but was not fetched; if a pom.xml was changed on purpose, `stack lock` writes the lock anew"
        )),
        None => Ok(()),
    }
}

/// The digest of every file, by `folder/name`.
fn digests(fetched: &Path) -> Result<Digests, StackError> {
    let mut found = Digests::new();
    for folder in entries(fetched)? {
        for file in entries(&folder)? {
            let name = file.strip_prefix(fetched).unwrap_or(&file).display().to_string();
            found.insert(name, digest(&file).map_err(StackError::file("read", &file))?);
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, StackError> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    read().map_err(StackError::file("read", folder))
}

fn digest(file: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut reader = io::BufReader::with_capacity(1 << 20, fs::File::open(file)?);
    loop {
        let part = io::BufRead::fill_buf(&mut reader)?;
        if part.is_empty() {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(part);
        let read = part.len();
        io::BufRead::consume(&mut reader, read);
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests_of(pairs: &[(&str, &str)]) -> Digests {
        pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
    }

    #[test]
    fn what_differs_is_refused_by_name_with_the_way_out() {
        let locked = digests_of(&[("kafka/a.jar", "11"), ("kafka/b.jar", "22")]);
        compare(&locked, &locked).unwrap();
        for (found, name) in [
            (
                digests_of(&[("kafka/a.jar", "11"), ("kafka/b.jar", "23")]),
                "kafka/b.jar has the SHA-256 23, but servers.lock says 22",
            ),
            (
                digests_of(&[("kafka/a.jar", "11"), ("kafka/b.jar", "22"), ("kafka/c.jar", "33")]),
                "kafka/c.jar (SHA-256 33) is not in",
            ),
            (digests_of(&[("kafka/a.jar", "11")]), "kafka/b.jar is in servers.lock but was not fetched"),
        ] {
            let fault = compare(&locked, &found).unwrap_err();
            assert!(fault.starts_with(name) && fault.contains("stack lock"), "{fault}");
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let dir = std::env::temp_dir().join(format!("stack-lock-{}", std::process::id()));
        fs::create_dir_all(dir.join("fetched/kafka")).unwrap();
        fs::write(dir.join("fetched/kafka/a.jar"), "abc").unwrap();
        write(&dir.join("lock"), &dir.join("fetched")).unwrap();
        let text = fs::read_to_string(dir.join("lock")).unwrap();
        assert!(text.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  kafka/a.jar\n"));
        check(&dir.join("lock"), &dir.join("fetched")).unwrap();
        fs::write(dir.join("fetched/kafka/a.jar"), "abd").unwrap();
        check(&dir.join("lock"), &dir.join("fetched")).unwrap_err();
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_line_that_is_no_digest_is_refused() {
        assert!(parse("# comment\n\nkafka/a.jar\n").is_err());
    }
}
