//! A pipeline's file: read with the place of each value, so that one value can be changed and every other byte stays as
//! its author wrote it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::names::{CLASS, key};
use crate::pipeline::spec::Config;

/// A pipeline's file is a page of text; more is a mistake.
const FILE_LIMIT: u64 = 1024 * 1024;

/// A pipeline's file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    text: String,
    name: String,
    config: Config,
    /// Where each value stands in the text, quotes included.
    places: BTreeMap<String, Range<usize>>,
}

#[derive(Deserialize)]
struct Document<'t> {
    name: String,
    #[serde(borrow)]
    config: BTreeMap<String, &'t RawValue>,
}

impl File {
    /// Reads a pipeline's file.
    ///
    /// # Errors
    /// When it cannot be read or is not a pipeline's.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut text = String::new();
        let file = fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
        file.take(FILE_LIMIT + 1).read_to_string(&mut text).with_context(|| format!("cannot read {shown}"))?;
        ensure!(text.len() as u64 <= FILE_LIMIT, "{shown} has more than {FILE_LIMIT} bytes; is it the right file?");
        let document: Document<'_> = serde_json::from_str(&text).with_context(|| {
            format!("{shown} is not a pipeline's file, which has a \"name\" and a \"config\" with the settings")
        })?;
        let mut config = Config::new();
        let mut places = BTreeMap::new();
        for (key, raw) in &document.config {
            let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
            places.insert(key.clone(), start..start + raw.get().len());
            match serde_json::from_str(raw.get())? {
                Value::String(value) => config.insert(key.clone(), value),
                value @ (Value::Number(_) | Value::Bool(_)) => config.insert(key.clone(), value.to_string()),
                other => bail!("{shown}: {key}: {other} is not a text; write it in quotes"),
            };
        }
        let name = document.name;
        match config.get(key::CLASS) {
            Some(class) if class == CLASS => {}
            class => bail!("{shown} is not a pipeline's file: {} is {class:?}, a pipeline has {CLASS}", key::CLASS),
        }
        Ok(Self { path: path.to_owned(), text, name, config, places })
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings, as `transforms serve` takes them.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The line in which the value of a setting begins, from 1.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<usize> {
        let before = self.text.get(..self.places.get(key)?.start)?;
        Some(before.matches('\n').count() + 1)
    }

    /// The file's text with another value for this setting, and every other byte as it is.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Option<String> {
        let place = self.places.get(key)?;
        let (before, after) = (self.text.get(..place.start)?, self.text.get(place.end..)?);
        Some(format!("{before}{}{after}", Value::from(value)))
    }

    /// The lines in which `new` differs, as a diff for people. Both texts have as many lines.
    #[must_use]
    pub fn diff(&self, new: &str) -> String {
        let path = self.path.display();
        let pairs = self.text.lines().zip(new.lines()).enumerate().filter(|(_, (old, new))| old != new);
        let changes: String =
            pairs.map(|(at, (old, new))| format!("@@ line {} @@\n-{old}\n+{new}\n", at + 1)).collect();
        if changes.is_empty() { changes } else { format!("--- {path}\n+++ {path}\n{changes}") }
    }

    /// Puts `text` into the file's place, whole or not at all, where the file is still as it was read: nothing is written
    /// over.
    ///
    /// # Errors
    /// When it was edited since or cannot be written; then it is left as it is.
    pub fn replace(&self, text: &str) -> anyhow::Result<()> {
        self.exchange(&self.text, text)
    }

    /// Puts the file back as it was read, where it is still as it was [replaced](Self::replace).
    ///
    /// # Errors
    /// As [`File::replace`].
    pub fn restore(&self, replaced: &str) -> anyhow::Result<()> {
        self.exchange(replaced, &self.text)
    }

    fn exchange(&self, old: &str, new: &str) -> anyhow::Result<()> {
        // What a link points at is the file.
        let path = fs::canonicalize(&self.path).with_context(|| format!("cannot find {}", self.path.display()))?;
        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = write(&beside, &path, new).with_context(|| format!("cannot write {}", path.display()));
        // Looked at last, so that there is next to no time for an edit between.
        let exchanged = written.and_then(|()| {
            let there = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            ensure!(there == old.as_bytes(), "{} was edited while this ran", self.path.display());
            fs::rename(&beside, &path).with_context(|| format!("cannot write {}", path.display()))
        });
        if exchanged.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&beside);
        }
        exchanged
    }
}

/// Writes the text beside the file that it is to take the place of.
fn write(beside: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::File::create(beside)?;
    file.set_permissions(fs::metadata(path)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{ \"name\": \"p\",\r\n  \"config\": {\n    \"connector.class\": \"orderflow.WasmPipeline\",\n\t\"tasks.max\": 2,\n    \
                        \"transforms.a.type\" :  \"x@1\", \"topics\": \"x@1\"\n  }\n}";

    fn file(name: &str, text: &str) -> anyhow::Result<File> {
        let path = std::env::temp_dir().join(format!("{name}-{}.json", std::process::id()));
        fs::write(&path, text).unwrap();
        let read = File::read(&path);
        if read.is_err() {
            fs::remove_file(&path).unwrap();
        }
        read
    }

    #[test]
    fn one_value_changes_and_every_other_byte_stays() {
        let file = file("one-value", TEXT).unwrap();
        let new = file.with("transforms.a.type", "x@1.2.0").unwrap();
        assert_eq!(new, TEXT.replace(":  \"x@1\"", ":  \"x@1.2.0\""));
        assert_eq!(
            (file.line("tasks.max"), file.line("transforms.a.type"), file.line("none")),
            (Some(4), Some(5), None)
        );
        assert_eq!(file.config().get("tasks.max").unwrap(), "2");
        let diff = file.diff(&new);
        assert!(diff.ends_with("@@ line 5 @@\n-    \"transforms.a.type\" :  \"x@1\", \"topics\": \"x@1\"\n+    \"transforms.a.type\" :  \"x@1.2.0\", \"topics\": \"x@1\"\n"), "{diff}");
        assert_eq!(file.diff(TEXT), "");
        assert_eq!(file.with("none", "x"), None);
        file.replace(&new).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), new);
        file.restore(&new).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), TEXT);
        fs::remove_file(file.path()).unwrap();
    }

    #[test]
    fn what_somebody_wrote_meanwhile_is_not_written_over() {
        let file = file("meanwhile", TEXT).unwrap();
        let new = file.with("transforms.a.type", "x@1.2.0").unwrap();
        let edited = TEXT.replace("\"tasks.max\": 2", "\"tasks.max\": 3");
        fs::write(file.path(), &edited).unwrap();
        for refused in [file.replace(&new), file.restore(&new)] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("meanwhile") && error.ends_with(" was edited while this ran"), "{error}");
        }
        assert_eq!(fs::read_to_string(file.path()).unwrap(), edited);
        let (folder, name) = (file.path().parent().unwrap(), file.path().file_name().unwrap().to_string_lossy());
        let beside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = beside.filter(|other| other.to_string_lossy().starts_with(&*name)).collect();
        assert_eq!(left, [file.path().file_name().unwrap()], "nothing is left beside it");
        fs::remove_file(file.path()).unwrap();
    }

    #[test]
    fn what_is_no_pipelines_file_is_refused_with_its_name() {
        for (text, words) in [
            ("{}", "is not a pipeline's file"),
            ("{ \"name\": \"p\", \"config\": {} }", "connector.class is None"),
            ("{ \"name\": \"p\", \"config\": { \"a\": [] } }", "a: [] is not a text"),
            ("nonsense", "is not a pipeline's file"),
        ] {
            let error = format!("{:#}", file("no-pipeline", text).unwrap_err());
            assert!(error.contains(words) && error.contains("no-pipeline"), "{text}: {error}");
        }
    }
}
