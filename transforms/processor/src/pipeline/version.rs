//! Which module `clean@1` means: the newest of the versions that begin so. Versions are `major.minor.patch`.

use std::fmt;
use std::str::FromStr;

/// A module as a pipeline names it: `clean`, `clean@1`, `clean@1.4` or `clean@1.4.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The module's name.
    pub name: String,
    /// The parts of the version that are given.
    parts: Vec<u64>,
}

/// Why a text names no module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a module; write name@1 for the newest 1.x, or name@1.4.0 for that version")]
pub struct NotAModule(String);

/// A version that can be compared; `None` for one that is not `major.minor.patch`.
#[must_use]
pub fn parts(version: &str) -> Option<[u64; 3]> {
    let parsed: Vec<u64> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parsed.try_into().ok()
}

/// Whether a version is a throw-away one: `0.0.x`, as `push --dev` makes them. They are older than every other version,
/// so that `clean` and `clean@0` mean one only where there is no other.
#[must_use]
pub fn is_throw_away(version: &str) -> bool {
    matches!(parts(version), Some([0, 0, _]))
}

impl Wanted {
    /// The newest of `versions` that this means.
    #[must_use]
    pub fn newest<'v>(&self, versions: impl IntoIterator<Item = &'v str>) -> Option<&'v str> {
        let fits = |version: &&str| parts(version).is_some_and(|parts| parts.starts_with(&self.parts));
        versions.into_iter().filter(fits).max_by_key(|version| parts(version))
    }
}

impl FromStr for Wanted {
    type Err = NotAModule;

    fn from_str(text: &str) -> Result<Self, NotAModule> {
        let wrong = || NotAModule(text.to_owned());
        let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        let valid = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let parts: Vec<u64> = match version {
            None => Vec::new(),
            Some(version) => {
                version.split('.').map(|part| part.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?
            }
        };
        if !valid || parts.len() > 3 {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), parts })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (at, part) in self.parts.iter().enumerate() {
            write!(f, "{}{part}", if at == 0 { '@' } else { '.' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_version_means_the_newest_that_begins_so() {
        let versions = ["1.0.0", "1.10.0", "1.9.3", "2.0.0", "10.0.0", "odd"];
        for (wanted, expected) in [
            ("clean", Some("10.0.0")),
            ("clean@1", Some("1.10.0")),
            ("clean@1.9", Some("1.9.3")),
            ("clean@2.0.0", Some("2.0.0")),
            ("clean@3", None),
            ("clean@1.9.4", None),
        ] {
            let wanted: Wanted = wanted.parse().unwrap();
            assert_eq!(wanted.newest(versions), expected, "{wanted}");
        }
    }

    #[test]
    fn a_throw_away_version_is_older_than_every_other() {
        for (version, expected) in [("0.0.1764126000", true), ("0.0.0", true), ("0.1.0", false), ("1.0.0", false)] {
            assert_eq!(is_throw_away(version), expected, "{version}");
        }
        let versions = ["0.0.1764126000", "0.1.0", "0.0.1764126001"];
        for (wanted, expected) in
            [("clean@0.0", "0.0.1764126001"), ("clean@0", "0.1.0"), ("clean@0.0.1764126000", "0.0.1764126000")]
        {
            let wanted: Wanted = wanted.parse().unwrap();
            assert_eq!(wanted.newest(versions), Some(expected), "{wanted}");
        }
    }

    #[test]
    fn what_is_no_module_is_refused() {
        for text in ["", "@1", "Clean@1", "clean@", "clean@x", "clean@1.2.3.4", "a b@1", "clean@1.0.0-rc"] {
            assert!(text.parse::<Wanted>().is_err(), "{text:?}");
        }
    }
}
