//! The mark of `connectors apply` on a connector or a pipeline: one setting beside its own, `orderflow.applied`, which says whose it is and has a digest of
//! the settings that it was given last. So `prune` knows what it may remove, and `drift` which side has moved since.
//!
//! It is a setting, not a list kept elsewhere, because it lives and dies with the very connector that it speaks of:
//! one that was removed and made again by hand under the old name is not ours. Kafka Connect keeps settings that no
//! plugin knows, and plugins take no notice of this one; `transforms` knows it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A connector's settings, as Connect takes them.
pub type Settings = BTreeMap<String, String>;

/// The setting that is the mark.
pub const APPLIED: &str = "orderflow.applied";

/// Whose connectors these are where nobody says otherwise.
pub const OWNER: &str = "orderflow";
/// So many bytes of the digest are kept.
const BYTES: usize = 6;
/// Of a name that stands in a setting.
const LONGEST: usize = 64;

/// Who deployed it, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose files it comes from.
    pub owner: String,
    /// Of the settings that were deployed, without name and mark.
    pub digest: String,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sha256:{}", self.owner, self.digest)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (owner, digest) = text.split_once(" sha256:").ok_or(())?;
        let is_ours = is_owner(owner) && digest.len() == 2 * BYTES && digest.bytes().all(|b| b.is_ascii_hexdigit());
        if is_ours { Ok(Self { owner: owner.to_owned(), digest: digest.to_owned() }) } else { Err(()) }
    }
}

/// Whether a name can be an owner's.
#[must_use]
pub fn is_owner(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The mark that stands on a connector; nothing where there is none, or one that cannot be read.
#[must_use]
pub fn of(settings: &Settings) -> Option<Mark> {
    settings.get(APPLIED)?.parse().ok()
}

/// What of the settings is a user's: all but the mark, and the name that Connect adds.
pub fn own(settings: &Settings) -> impl Iterator<Item = (&String, &String)> {
    settings.iter().filter(|(key, _)| *key != APPLIED && *key != "name")
}

/// The settings as they are deployed: with the mark.
#[must_use]
pub fn marked(settings: &Settings, owner: &str) -> Settings {
    let mark = Mark { owner: owner.to_owned(), digest: digest(settings) };
    let mut marked = settings.clone();
    marked.insert(APPLIED.to_owned(), mark.to_string());
    marked
}

/// Of what of the settings is a user's.
#[must_use]
pub fn digest(settings: &Settings) -> String {
    let mut sum = Sha256::new();
    for (key, value) in own(settings) {
        // With their lengths: no two settings are written as one.
        for text in [key, value] {
            sum.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            sum.update(text);
        }
    }
    sum.finalize().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_mark_says_whose_it_is_and_what_was_given() {
        let given = settings(&[("topics", "t")]);
        let there = marked(&given, OWNER);
        let mark = of(&there).unwrap();
        assert_eq!((mark.owner.as_str(), mark.digest.as_str()), (OWNER, digest(&given).as_str()));
        let mut named = there;
        named.insert("name".to_owned(), "s".to_owned());
        assert_eq!(digest(&named), mark.digest, "the name and the mark are not a user's");
        assert_ne!(digest(&settings(&[("topics", "u")])), mark.digest);
        assert_ne!(digest(&settings(&[("a", "bc")])), digest(&settings(&[("ab", "c")])));
    }

    #[test]
    fn what_is_not_written_by_us_is_no_mark() {
        for other in ["", "orderflow", "orderflow sha256:", "orderflow sha256:zzzzzzzzzzzz", "a b sha256:0123456789ab"]
        {
            assert_eq!(of(&settings(&[(APPLIED, other)])), None, "{other}");
        }
        assert!(of(&settings(&[(APPLIED, "team-a sha256:0123456789ab")])).is_some());
        assert_eq!(of(&settings(&[("topics", "t")])), None);
    }
}
