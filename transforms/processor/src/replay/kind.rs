//! How far a record came before it became a dead letter, which says what a replay can show of it.

use transform_host::FaultKind;

use crate::record::finish;
use crate::record::read::class as unread;
use crate::record::worker::{self, REFUSED, TOO_LARGE};

/// Where a record came to its end. Each class that this release writes into a dead letter is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Before the modules: it could not be read.
    Unread,
    /// In a module.
    Module(FaultKind),
    /// Behind the modules: what came out is nothing that its output takes.
    Unfit,
    /// An output, or the marker of a record that a module dropped, is larger than its topic takes.
    TooLarge,
    /// The broker took no output of it.
    Refused,
    /// It is another release's word.
    Unknown,
}

impl Kind {
    /// What the class of a dead letter says.
    #[must_use]
    pub fn of(class: &str) -> Self {
        if let Some(fault) = FaultKind::ALL.into_iter().find(|fault| worker::class(*fault) == class) {
            return Self::Module(fault);
        }
        match class {
            unread::NULL
            | unread::EMPTY
            | unread::FRAME
            | unread::SCHEMA
            | unread::AVRO
            | unread::VALUE
            | unread::KEY
            | unread::ID => Self::Unread,
            finish::CLASS => Self::Unfit,
            TOO_LARGE => Self::TooLarge,
            REFUSED => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The texts of all files below, but for tests.
    fn sources(dir: &Path) -> Vec<String> {
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                texts.extend(sources(&path));
            } else {
                texts.push(std::fs::read_to_string(&path).unwrap());
            }
        }
        texts
    }

    #[test]
    fn each_class_that_a_worker_writes_is_of_a_kind() {
        let mut classes = Vec::new();
        for text in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/record")) {
            // The names of headers begin so, too, in small letters.
            let named = text.split("\"orderflow.").skip(1).filter_map(|rest| rest.split('"').next());
            let named = named.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()));
            classes.extend(named.map(|name| format!("orderflow.{name}")));
        }
        classes.sort();
        classes.dedup();
        assert!(classes.len() >= 16, "{classes:?}");
        for class in classes {
            assert_ne!(Kind::of(&class), Kind::Unknown, "{class}: what can a replay show of it?");
        }
        assert_eq!(Kind::of("org.apache.kafka.common.errors.RecordTooLargeException"), Kind::Unknown);
    }
}
