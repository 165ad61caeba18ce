//! The mark that everything temporary of a rehearsal carries: whose it is and until when, in its name, and once more
//! beside the name wherever there is a place for it. Only what has both is ever removed.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::connect::{Listed, Settings};

/// On a temporary connector: its own name. Whoever finds it knows that it is a rehearsal's, and until when.
pub const MARK: &str = "orderflow.rehearsal";
/// A topic has no place for a mark, so it keeps records for a time that nobody else would think of.
pub(crate) const RETENTION_MS: &str = "86399973";

/// How connectors and topics begin; stores have `_` for `-`.
const HEAD: &str = "orderflow-rehearsal-";
/// How the subject of a topic's values ends.
const VALUE: &str = "-value";

/// One rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Seconds since 1970 after which it is over, whatever became of it.
    pub expires: u64,
    /// Told apart by this from others that end in the same second.
    pub id: u32,
}

/// Which settings are rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Those that run now.
    Live,
    /// Those of the file.
    Edited,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Live => "live",
            Self::Edited => "edited",
        })
    }
}

impl Mark {
    /// Of a rehearsal that is over after `limit`, its clean-up included.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let mut any = std::collections::hash_map::RandomState::new().build_hasher();
        any.write_u8(0);
        let [.., a, b, c, d] = any.finish().to_be_bytes();
        Self {
            expires: seconds(SystemTime::now()).saturating_add(limit.as_secs()),
            id: u32::from_be_bytes([a, b, c, d]),
        }
    }

    /// What its connector of a side is called.
    #[must_use]
    pub fn connector(&self, side: Side) -> String {
        format!("{}-{side}", self.topic())
    }

    /// What its topic of a side is called, where the sides read different records.
    #[must_use]
    pub fn topic_of(&self, side: Side) -> String {
        self.connector(side)
    }

    /// What the subject of a side's topic is called.
    #[must_use]
    pub fn subject_of(&self, side: Side) -> String {
        format!("{}{VALUE}", self.topic_of(side))
    }

    /// The mark in the name of a subject.
    #[must_use]
    pub fn of_subject(name: &str) -> Option<Self> {
        name.strip_suffix(VALUE).and_then(Self::of_connector)
    }

    /// What its topic is called.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{HEAD}{}-{:08x}", self.expires, self.id)
    }

    /// What its table or index of a side is called.
    #[must_use]
    pub fn store(&self, side: Side) -> String {
        self.connector(side).replace('-', "_")
    }

    /// The mark in the name of a connector.
    #[must_use]
    pub fn of_connector(name: &str) -> Option<Self> {
        let (topic, side) = name.rsplit_once('-')?;
        matches!(side, "live" | "edited").then(|| Self::of_both(topic)).flatten()
    }

    /// The mark in the name of a topic. What merely looks similar has none.
    #[must_use]
    pub fn of_topic(name: &str) -> Option<Self> {
        Self::of_connector(name).or_else(|| Self::of_both(name))
    }

    /// The mark in the name of the topic that both sides read.
    fn of_both(name: &str) -> Option<Self> {
        let (expires, id) = name.strip_prefix(HEAD)?.split_once('-')?;
        let mark = Self { expires: expires.parse().ok()?, id: u32::from_str_radix(id, 16).ok()? };
        (mark.topic() == name).then_some(mark)
    }

    /// The mark in the name of a table or an index.
    #[must_use]
    pub fn of_store(name: &str) -> Option<Self> {
        (!name.contains('-')).then(|| Self::of_connector(&name.replace('_', "-"))).flatten()
    }

    /// Whether it is over at this time: then nobody works with what carries it any more.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires < seconds(now)
    }
}

/// The mark of a temporary connector: in its name and in its settings.
#[must_use]
pub fn of(name: &str, settings: &Settings) -> Option<Mark> {
    Mark::of_connector(name).filter(|_| settings.get(MARK).is_some_and(|own| own == name))
}

/// Whether it is a rehearsal's, and nobody else's business.
#[must_use]
pub fn is_rehearsal(name: &str, one: &Listed) -> bool {
    of(name, &one.info.config).is_some()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Mark = Mark { expires: 1_764_170_000, id: 0xab_cdef };

    #[test]
    fn a_name_says_whose_it_is_and_until_when() {
        assert_eq!(ONE.topic(), "orderflow-rehearsal-1764170000-00abcdef");
        assert_eq!(ONE.store(Side::Edited), "orderflow_rehearsal_1764170000_00abcdef_edited");
        assert!(ONE.store(Side::Edited).len() < 64, "PostgreSQL would cut it off");
        for side in [Side::Live, Side::Edited] {
            assert_eq!(Mark::of_connector(&ONE.connector(side)), Some(ONE));
            assert_eq!(Mark::of_store(&ONE.store(side)), Some(ONE));
        }
        assert_eq!(Mark::of_topic(&ONE.topic()), Some(ONE));
        let own = (ONE.topic_of(Side::Edited), ONE.subject_of(Side::Edited));
        assert_eq!((Mark::of_topic(&own.0), Mark::of_subject(&own.1)), (Some(ONE), Some(ONE)));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(!ONE.is_over(at(1_764_170_000)) && ONE.is_over(at(1_764_170_001)));
        assert!(!Mark::new(Duration::from_secs(60)).is_over(SystemTime::now()));
    }

    #[test]
    fn what_looks_similar_has_no_mark() {
        for name in [
            "orderflow-rehearsal",
            "orderflow-rehearsal-",
            "orderflow-rehearsal-1764170000",
            "orderflow-rehearsal-1764170000-",
            "orderflow-rehearsal-1764170000-xyz",
            "orderflow-rehearsal-1764170000-abcdef",
            "orderflow-rehearsal-1764170000-00ABCDEF",
            "orderflow-rehearsal-01764170000-00abcdef",
            "orderflow-rehearsal-+1764170000-00abcdef",
            "my-orderflow-rehearsal-1764170000-00abcdef",
            "orderflow-rehearsal-1764170000-00abcdef-live-2",
        ] {
            assert_eq!(Mark::of_topic(name), None, "{name}");
            assert_eq!(Mark::of_connector(&format!("{name}-live")), None, "{name}-live");
            assert_eq!(Mark::of_subject(&format!("{name}-live-value")), None, "{name}-live-value");
            assert_eq!(Mark::of_store(&format!("{name}-live").replace('-', "_")), None, "{name}");
        }
        assert_eq!(Mark::of_store(&ONE.connector(Side::Live)), None, "a store's name has no dashes");
        assert_eq!(Mark::of_connector(&format!("{}-old", ONE.topic())), None);
    }

    #[test]
    fn a_connector_needs_its_mark_in_its_settings_too() {
        let name = ONE.connector(Side::Live);
        let with = |value: &str| Settings::from([(MARK.to_owned(), value.to_owned())]);
        assert_eq!(of(&name, &with(&name)), Some(ONE));
        assert_eq!(of(&name, &Settings::new()), None);
        assert_eq!(of(&name, &with(&ONE.connector(Side::Edited))), None);
        assert_eq!(of("orders-postgres", &with("orders-postgres")), None);
    }
}
