//! How a module lies in its topic. Under `name@version` stands a small record of metadata; the bytes lie in parts under
//! `name@version/DIGEST/N`, written before it, since a broker need not take a record as large as a module. Only the
//! metadata makes a module of them: an upload that breaks off half way is none, and parts whose digest no metadata names
//! are nobody's. (A record that begins as WebAssembly is a whole module: earlier releases wrote those.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use transform_host::Module;

use crate::intake::trial::Report;

/// Bytes in one part: far below the least that a broker is set to take, which is 1 MiB.
pub const PART_BYTES: usize = 512 * 1024;
/// Parts whose metadata has not come; those of the oldest upload go first.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// No module has more.
const MAX_PARTS: usize = 64;

/// What is known of a module without compiling it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Bytes in all.
    pub size: usize,
    /// In so many parts.
    pub parts: usize,
    /// It may keep something between records, so each batch needs a fresh instance of it.
    #[serde(default)]
    pub stateful: bool,
    /// What a pipeline may set.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// What became of the sample, if it was tried.
    #[serde(default)]
    pub trial: Option<Report>,
    /// Whose token uploaded it.
    #[serde(default)]
    pub uploaded_by: String,
    /// When, in RFC 3339.
    #[serde(default)]
    pub uploaded_at: String,
}

/// A parameter, as the module describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What its text must be, for people.
    pub kind: String,
    /// Whether the pipeline must set it.
    pub required: bool,
    /// What it is otherwise.
    pub default: Option<String>,
    /// One line for people.
    pub description: String,
}

impl Meta {
    /// Of a compiled module; who and when are left empty.
    #[must_use]
    pub fn of(module: &Module, size: usize) -> Self {
        let description = module.description();
        let parameter = |known: &transform_host::Parameter| Parameter {
            name: known.name.clone(),
            kind: known.kind.expected().to_owned(),
            required: known.required,
            default: known.default.clone(),
            description: known.description.clone(),
        };
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: module.digest().to_owned(),
            size,
            parts: size.div_ceil(PART_BYTES),
            stateful: false,
            parameters: description.parameters.iter().map(parameter).collect(),
            trial: None,
            uploaded_by: String::new(),
            uploaded_at: String::new(),
        }
    }

    /// `name@version`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// As in the header `orderflow.modules`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}+sha256:{}", self.key(), self.digest.get(..12).unwrap_or(&self.digest))
    }

    /// The keys of its parts, in order.
    pub fn part_keys(&self) -> impl Iterator<Item = String> {
        let (key, digest) = (self.key(), self.digest.clone());
        (0..self.parts.min(MAX_PARTS)).map(move |at| part_key(&key, &digest, at))
    }
}

/// The key of a part.
#[must_use]
pub fn part_key(module: &str, digest: &str, at: usize) -> String {
    format!("{module}/{digest}/{at}")
}

/// What a key of the topic is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key<'k> {
    /// A module's.
    Module(&'k str),
    /// A part's.
    Part { module: &'k str, digest: &'k str, at: usize },
    /// Nothing of ours.
    Other,
}

impl<'k> Key<'k> {
    pub(super) fn of(text: &'k str) -> Self {
        let mut pieces = text.split('/');
        match (pieces.next(), pieces.next(), pieces.next(), pieces.next()) {
            (Some(module), None, None, None) => Self::Module(module),
            (Some(module), Some(digest), Some(at), None) => match at.parse() {
                Ok(at) if at < MAX_PARTS => Self::Part { module, digest, at },
                Ok(_) | Err(_) => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// Parts that wait for their metadata, or metadata's modules for their parts: by module and digest.
#[derive(Default)]
pub(super) struct Waiting {
    sets: BTreeMap<(String, String), Set>,
    bytes: usize,
    /// Counts uploads, so that the oldest is known.
    turn: u64,
}

#[derive(Default)]
struct Set {
    parts: BTreeMap<usize, Vec<u8>>,
    turn: u64,
}

impl Waiting {
    /// Takes in a part, or its deletion.
    pub(super) fn put(&mut self, module: &str, digest: &str, at: usize, part: Option<&[u8]>) {
        let name = (module.to_owned(), digest.to_owned());
        let Some(part) = part else {
            if let Some(set) = self.sets.get_mut(&name) {
                self.bytes -= set.parts.remove(&at).map_or(0, |old| old.len());
                if set.parts.is_empty() {
                    self.sets.remove(&name);
                }
            }
            return;
        };
        if !self.sets.contains_key(&name) {
            self.turn += 1;
        }
        let turn = self.turn;
        let set = self.sets.entry(name).or_insert_with(|| Set { parts: BTreeMap::new(), turn });
        self.bytes += part.len();
        self.bytes -= set.parts.insert(at, part.to_vec()).map_or(0, |old| old.len());
        while self.bytes > MAX_WAITING_BYTES && self.sets.len() > 1 {
            let Some(oldest) = self.sets.iter().min_by_key(|(_, set)| set.turn).map(|(name, _)| name.clone()) else {
                break;
            };
            self.drop_set(&oldest);
        }
    }

    /// All parts in one, if all are there; they wait no longer then.
    pub(super) fn whole(&mut self, meta: &Meta) -> Option<Vec<u8>> {
        let name = (meta.key(), meta.digest.clone());
        let set = self.sets.get(&name)?;
        if (0..meta.parts).any(|at| !set.parts.contains_key(&at)) {
            return None;
        }
        let whole: Vec<u8> = set.parts.values().flatten().copied().collect();
        self.drop_set(&name);
        Some(whole)
    }

    /// Digests of a module that have parts here.
    pub(super) fn digests(&self, module: &str) -> Vec<(String, Vec<usize>)> {
        let of = self.sets.iter().filter(|((own, _), _)| own == module);
        of.map(|((_, digest), set)| (digest.clone(), set.parts.keys().copied().collect())).collect()
    }

    fn drop_set(&mut self, name: &(String, String)) {
        if let Some(set) = self.sets.remove(name) {
            self.bytes -= set.parts.values().map(Vec::len).sum::<usize>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_module_s_a_part_s_or_none_of_ours() {
        assert_eq!(Key::of("clean@1.0.0"), Key::Module("clean@1.0.0"));
        assert_eq!(Key::of("a@1.0.0/d/7"), Key::Part { module: "a@1.0.0", digest: "d", at: 7 });
        for other in ["a/b", "a/b/c", "a/b/64", "a/b/1/2", "a/b/-1"] {
            assert_eq!(Key::of(other), Key::Other, "{other}");
        }
    }

    #[test]
    fn parts_that_nobody_names_are_bounded() {
        let mut waiting = Waiting::default();
        let part = vec![0; 1 << 20];
        for upload in 0..100 {
            waiting.put("a@1.0.0", &format!("{upload:03}"), 0, Some(&part));
        }
        assert!(waiting.bytes <= MAX_WAITING_BYTES && waiting.sets.len() == 64, "{}", waiting.bytes);
        assert_eq!(waiting.digests("a@1.0.0").first().map(|(digest, _)| digest.as_str()), Some("036"));
        for (digest, _) in waiting.digests("a@1.0.0") {
            waiting.put("a@1.0.0", &digest, 0, None);
        }
        assert_eq!((waiting.bytes, waiting.sets.len()), (0, 0));
    }
}
