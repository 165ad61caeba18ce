//! What the processes tell each other about a pipeline's versions, beside its config and in the same topic: each fact
//! under a key of its own, `<pipeline>/<fact>` (no pipeline's name has a slash). So nobody rewrites what another wrote,
//! and which version runs follows from the latest record of each key, in every process and after every restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::catalog::{Pin, Stored};
use crate::pipeline::spec::Config;

/// Versions that are remembered to go back to.
const MAX_RAN: usize = 4;
/// Refused versions that are remembered; the oldest go first.
pub const MAX_REFUSED: usize = 20;
/// Digits of a version's id.
const ID_DIGITS: usize = 16;

/// A version of a pipeline: its config and the modules that were meant when it was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The config.
    pub config: Config,
    /// The modules, by alias.
    pub modules: BTreeMap<String, Pin>,
}

impl Version {
    /// The version that is stored.
    #[must_use]
    pub fn of(stored: &Stored) -> Self {
        Self { config: stored.config.clone(), modules: stored.modules.clone() }
    }

    /// Two versions have the same id only when they are the same.
    #[must_use]
    pub fn id(&self) -> String {
        // Maps of texts with sorted keys cannot fail to be written, and are always written alike.
        let text = serde_json::to_vec(&(&self.config, &self.modules)).unwrap_or_default();
        let mut id = transform_host::digest(&text);
        id.truncate(ID_DIGITS);
        id
    }
}

/// A version that was opened and ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Which.
    pub version: Version,
    /// Whether it kept to its budget while it was watched.
    pub passed: bool,
}

/// A version that could not be opened or broke its budget. It is not installed again until it is forgiven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The version's id.
    pub version: String,
    /// Why.
    pub because: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// The instance that found out.
    pub by: String,
}

/// The breaker holds the flow of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The version's id: another version flows.
    pub version: String,
    /// Why.
    pub because: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// The instance whose breaker tripped.
    pub by: String,
}

/// A candidate that gets what the live chain gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// Another `PUT` is another shadow.
    pub id: String,
    /// The step that it stands in for.
    pub alias: String,
    /// The candidate.
    pub module: Pin,
    /// What it is told; absent: what the live step is told.
    pub parameters: Option<BTreeMap<String, String>>,
    /// How many records are compared.
    pub records: u64,
    /// What follows from the verdict.
    pub policy: ShadowPolicy,
    /// Fields that may differ.
    pub expect: Vec<String>,
    /// Per cent of one core that the comparison may take.
    pub share: u8,
    /// The verdict, once there is one.
    pub verdict: Option<serde_json::Value>,
}

/// What follows from the verdict on a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShadowPolicy {
    /// The verdict is shown.
    Report,
    /// A candidate that is equal is ready to promote.
    Promote,
    /// A candidate that is not equal is rejected.
    Reject,
}

/// Something that a process tells the others.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The versions that ran, the latest first.
    Ran(Vec<Ran>),
    /// A version is refused.
    Refused(Refused),
    /// A version is not refused any more.
    Forgiven(String),
    /// The breaker holds the flow, or not any more.
    Parked(Option<Parked>),
    /// A candidate is compared, or not any more.
    Shadow(Option<Box<Shadow>>),
}

impl Fact {
    /// The record's key and value; no value deletes.
    #[must_use]
    pub fn record(&self, pipeline: &str) -> (String, Option<Vec<u8>>) {
        fn json(value: &impl Serialize) -> Option<Vec<u8>> {
            serde_json::to_vec(value).ok()
        }
        let (rest, value) = match self {
            Self::Ran(ran) => (RAN.to_owned(), json(ran)),
            Self::Refused(refused) => (format!("{REFUSED}{}", refused.version), json(refused)),
            Self::Forgiven(version) => (format!("{REFUSED}{version}"), None),
            Self::Parked(parked) => (PARKED.to_owned(), parked.as_ref().and_then(json)),
            Self::Shadow(shadow) => (SHADOW.to_owned(), shadow.as_ref().and_then(json)),
        };
        (format!("{pipeline}/{rest}"), value)
    }
}

const RAN: &str = "ran";
const REFUSED: &str = "refused/";
const PARKED: &str = "parked";
const SHADOW: &str = "shadow";

/// All facts of a pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The versions that ran, the latest first.
    pub ran: Vec<Ran>,
    /// The refused ones, by their id.
    pub refused: BTreeMap<String, Refused>,
    /// What the breaker holds.
    pub parked: Option<Parked>,
    /// The candidate.
    pub shadow: Option<Shadow>,
}

impl Facts {
    /// Takes in a record. Where two processes told the same, the last one counts: it is what compaction keeps.
    pub fn apply(&mut self, rest: &str, value: Option<&[u8]>) {
        match rest {
            RAN => self.ran = value.and_then(read).unwrap_or_default(),
            PARKED => self.parked = value.and_then(read),
            SHADOW => self.shadow = value.and_then(read),
            _ => {
                let Some(id) = rest.strip_prefix(REFUSED) else { return };
                match value.and_then(read) {
                    Some(refused) => self.refused.insert(id.to_owned(), refused),
                    None => self.refused.remove(id),
                };
            }
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What deletes everything that is known.
    #[must_use]
    pub fn forgotten(&self) -> Vec<Fact> {
        let mut facts = vec![Fact::Ran(Vec::new()), Fact::Parked(None), Fact::Shadow(None)];
        facts.extend(self.refused.keys().map(|id| Fact::Forgiven(id.clone())));
        facts
    }

    /// The list of versions that ran, with this one at its head; `None` when it already says so.
    #[must_use]
    pub fn ran_with(&self, version: &Version, passed: bool) -> Option<Vec<Ran>> {
        let known = self.ran.iter().find(|ran| ran.version == *version);
        let passed = passed || known.is_some_and(|ran| ran.passed);
        let head = Ran { version: version.clone(), passed };
        if self.ran.first() == Some(&head) {
            return None;
        }
        let others = self.ran.iter().filter(|ran| ran.version != *version).cloned();
        Some(std::iter::once(head).chain(others).take(MAX_RAN).collect())
    }

    /// Whether a version kept to its budget once.
    #[must_use]
    pub fn has_passed(&self, version: &Version) -> bool {
        self.ran.iter().any(|ran| ran.passed && ran.version == *version)
    }

    /// What ran before this version and is not refused: what one goes back to.
    #[must_use]
    pub fn before(&self, version: &Version) -> Option<&Version> {
        let fits = |ran: &&Ran| ran.version != *version && !self.refused.contains_key(&ran.version.id());
        self.ran.iter().find(fits).map(|ran| &ran.version)
    }
}

/// The facts of a pipeline as this process knows them: what stands in the topic, and over it what it told itself and has
/// not read back yet.
#[derive(Debug, Default)]
pub struct Known {
    told: Facts,
    assumed: BTreeMap<String, Option<Vec<u8>>>,
}

impl Known {
    /// Takes in a record of the topic.
    pub fn read(&mut self, rest: &str, value: Option<&[u8]>) {
        self.assumed.remove(rest);
        self.told.apply(rest, value);
    }

    /// Takes a record for told that is about to be.
    pub fn assume(&mut self, rest: &str, value: Option<Vec<u8>>) {
        self.assumed.insert(rest.to_owned(), value);
    }

    /// The facts.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let mut facts = self.told.clone();
        self.assumed.iter().for_each(|(rest, value)| facts.apply(rest, value.as_deref()));
        facts
    }
}

fn read<T: for<'d> Deserialize<'d>>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value)
        .map_err(|error| tracing::warn!(error = %error, "a fact of a pipeline cannot be read; it is passed over"))
        .ok()
}

/// Now, in milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// A time as people and tools read it.
#[must_use]
pub fn time_text(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(mood: &str) -> Version {
        let config = Config::from([("transforms.p.mood".to_owned(), mood.to_owned())]);
        Version { config, modules: BTreeMap::new() }
    }

    fn refused(version: &Version, by: &str) -> Fact {
        let (because, by) = ("it trapped".to_owned(), by.to_owned());
        Fact::Refused(Refused { version: version.id(), because, since_ms: 7, by })
    }

    fn tell(facts: &mut Facts, fact: &Fact) {
        let (key, value) = fact.record("p");
        facts.apply(key.strip_prefix("p/").unwrap(), value.as_deref());
    }

    #[test]
    fn one_goes_back_to_what_ran_last_and_is_not_refused() {
        let (a, b, c) = (version("a"), version("b"), version("c"));
        let mut facts = Facts::default();
        assert_eq!(facts.before(&a), None, "nothing ran before the first");
        for version in [&a, &b, &c] {
            let ran = facts.ran_with(version, false).unwrap();
            tell(&mut facts, &Fact::Ran(ran));
        }
        assert_eq!(facts.ran_with(&c, false), None, "told once");
        assert_eq!(facts.before(&c), Some(&b));
        tell(&mut facts, &refused(&b, "one"));
        assert_eq!(facts.before(&c), Some(&a));
        tell(&mut facts, &Fact::Forgiven(b.id()));
        assert_eq!(facts.before(&c), Some(&b));
    }

    #[test]
    fn processes_that_found_out_the_same_agree_once_they_have_read_the_topic() {
        let a = version("a");
        let records = [refused(&a, "one"), refused(&a, "two")].map(|fact| fact.record("p"));
        let says = |known: &Known| known.facts().refused[&a.id()].by.clone();
        let agreed = [0, 1].map(|own| {
            let mut known = Known::default();
            let rest = |at: usize| records[at].0.strip_prefix("p/").unwrap();
            known.assume(rest(own), records[own].1.clone());
            assert_eq!(says(&known), ["one", "two"][own], "acted on before it is told");
            (0..2).for_each(|at| known.read(rest(at), records[at].1.as_deref()));
            says(&known)
        });
        assert_eq!(agreed, ["two", "two"], "as a process that starts later reads it, compacted or not");
    }

    #[test]
    fn a_version_that_passed_stays_so_and_few_are_kept() {
        let mut facts = Facts::default();
        let first = version("0");
        let ran = facts.ran_with(&first, true).unwrap();
        tell(&mut facts, &Fact::Ran(ran));
        assert_eq!(facts.ran_with(&first, false), None);
        for number in 1..10 {
            let ran = facts.ran_with(&version(&number.to_string()), false).unwrap();
            tell(&mut facts, &Fact::Ran(ran));
        }
        assert_eq!(facts.ran.len(), MAX_RAN);
        assert!(!facts.has_passed(&version("9")));
        tell(&mut facts, &refused(&version("3"), "one"));
        let (because, by) = ("it trapped".to_owned(), "one".to_owned());
        tell(&mut facts, &Fact::Parked(Some(Parked { version: version("9").id(), because, since_ms: 7, by })));
        for fact in facts.forgotten() {
            tell(&mut facts, &fact);
        }
        assert!(facts.is_empty(), "{facts:?}");
    }

    #[test]
    fn times_are_shown_as_rfc_3339() {
        assert_eq!(time_text(1_700_000_000_123), "2023-11-14T22:13:20Z");
    }
}
