//! The file of API keys: a JSON list with an object for each key. Everything that is wrong is told at once, each with the
//! place in the list and the id. No fault has a digest in it: somebody may have put the secret there.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    num::NonZeroU32,
    ops::RangeInclusive,
    path::Path,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};
use service_kit::files;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::quota::{Limits, Rate};

const MAX_KEYS: usize = 10_000;
const MAX_BYTES: u64 = 8 * 1024 * 1024;
const MAX_FAULTS: usize = 32;
const MAX_NAME: usize = 256;
const REQUESTS: RangeInclusive<u64> = 1..=1_000_000;
/// Beyond it the clock, which has nanoseconds, is too coarse.
const BYTES: RangeInclusive<u64> = 1000..=100_000_000;
const BURST: RangeInclusive<u64> = 1..=1_000_000_000;

/// What an id is.
pub(super) const ID_RULE: &str = "an id has 1 to 64 of letters, digits, underscore and hyphen";
const MEMBERS: [&str; 9] =
    ["id", "sha256", "name", "requestsPerSecond", "burst", "bytesPerSecond", "burstBytes", "disabled", "expires"];

/// One key as it stands in the file. Its name is for people, and not kept.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) digest: [u8; 32],
    pub(super) limits: Limits,
    pub(super) disabled: bool,
    pub(super) expires: Option<OffsetDateTime>,
}

/// All keys, or all that is wrong.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Vec<String>> {
    let fault = |what: String| vec![format!("{}: {what}", path.display())];
    let text = files::read_text(path, MAX_BYTES).map_err(fault)?;
    parse(&text).map_err(|mut faults| {
        let more = faults.len().saturating_sub(MAX_FAULTS);
        faults.truncate(MAX_FAULTS);
        if 0 < more {
            faults.push(format!("and {more} more"));
        }
        faults.into_iter().flat_map(fault).collect()
    })
}

fn parse(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let list: Value = serde_json::from_str(text).map_err(|error| vec![format!("is not JSON: {error}")])?;
    let Value::Array(list) = list else { return Err(vec!["must be a list of keys: [{\"id\": …}]".to_owned()]) };
    if list.is_empty() || MAX_KEYS < list.len() {
        return Err(vec![format!("has {} keys, from 1 to {MAX_KEYS} are possible", list.len())]);
    }
    let (mut entries, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    let (mut ids, mut digests) = (HashMap::new(), HashMap::new());
    let texts: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| vec![format!("is not JSON: {error}")])?;
    for (place, (value, text)) in (1..).zip(list.iter().zip(texts)) {
        let mut reader = Reader::new(place, value);
        if let Ok(Twice(Some(name))) = serde_json::from_str(text.get()) {
            reader.fault(&format!("{name:?} stands twice; which of its values counts would be a guess"));
        }
        if let Some(entry) = reader.entry() {
            if let Some(first) = ids.insert(entry.id.clone(), place) {
                reader.fault(&format!("has the id of key {first}"));
            }
            if let Some(first) = digests.insert(entry.digest, place) {
                reader.fault(&format!("has the secret of key {first}; each key has its own"));
            }
            entries.push(entry);
        }
        faults.append(&mut reader.faults);
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// Whether a text can be an id: safe in a header, in a log and on a command line.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Reads one key.
struct Reader<'a> {
    place: usize,
    id: Option<&'a str>,
    members: Option<&'a Map<String, Value>>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(place: usize, value: &'a Value) -> Self {
        let members = value.as_object();
        let id = members.and_then(|members| members.get("id")?.as_str()).filter(|id| is_id(id));
        Self { place, id, members, faults: Vec::new() }
    }

    fn fault(&mut self, what: &str) {
        let name = self.id.map_or_else(String::new, |id| format!(" ({id})"));
        self.faults.push(format!("key {}{name}: {what}", self.place));
    }

    fn entry(&mut self) -> Option<Entry> {
        let Some(members) = self.members else {
            self.fault("must be an object");
            return None;
        };
        for name in members.keys().filter(|name| !MEMBERS.contains(&name.as_str())) {
            self.fault(&format!("{name:?} is not known; known are {}", MEMBERS.join(", ")));
        }
        if self.id.is_none() {
            self.fault(&format!("id: {ID_RULE}"));
        }
        let digest = members.get("sha256").and_then(Value::as_str).and_then(digest);
        if digest.is_none() {
            self.fault("sha256: 64 hex digits are needed, the SHA-256 of the secret (`--new-api-key` prints it)");
        }
        if self.member("name").is_some_and(|name| name.as_str().is_none_or(|name| MAX_NAME < name.len())) {
            self.fault("name: a text of up to 256 bytes is possible");
        }
        let limits = Limits {
            requests: self.rate("requestsPerSecond", &REQUESTS, "burst"),
            bytes: self.rate("bytesPerSecond", &BYTES, "burstBytes"),
        };
        let disabled = self.member("disabled").is_some_and(|disabled| {
            disabled.as_bool().unwrap_or_else(|| {
                self.fault("disabled: true or false is possible");
                true
            })
        });
        let expires = self.member("expires").and_then(|expires| {
            let time = expires.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            if time.is_none() {
                self.fault("expires: a time as in RFC 3339 is needed, such as 2027-01-31T00:00:00Z");
            }
            time
        });
        Some(Entry { id: self.id?.to_owned(), digest: digest?, limits, disabled, expires })
    }

    /// `null` is as good as absent.
    fn member(&self, name: &str) -> Option<&'a Value> {
        self.members?.get(name).filter(|value| !value.is_null())
    }

    fn number(&mut self, name: &str, range: &RangeInclusive<u64>) -> Option<NonZeroU32> {
        let number = self.member(name)?.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(&format!("{name}: a whole number from {} to {} is possible", range.start(), range.end()));
        }
        number.and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new)
    }

    /// Without a burst of its own it is what is allowed in a second.
    fn rate(&mut self, name: &str, range: &RangeInclusive<u64>, burst_name: &str) -> Option<Rate> {
        let (a_second, burst) = (self.number(name, range), self.number(burst_name, &BURST));
        if self.member(name).is_none() && self.member(burst_name).is_some() {
            self.fault(&format!("{burst_name}: goes with {name}, which is not given"));
        }
        a_second.map(|a_second| Rate { a_second, burst: burst.unwrap_or(a_second) })
    }
}

/// A name that stands twice in an object. `Value` would take the last of its values without a word.
struct Twice(Option<String>);

impl<'de> Deserialize<'de> for Twice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Twice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Twice, A::Error> {
                let (mut names, mut twice) = (HashSet::new(), None);
                while let Some((name, IgnoredAny)) = members.next_entry::<String, _>()? {
                    if let Some(name) = names.replace(name) {
                        twice.get_or_insert(name);
                    }
                }
                Ok(Twice(twice))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut digest = [0; 32];
    if pairs.len() != digest.len() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(list: &Value) -> Vec<String> {
        parse(&list.to_string()).map(|entries| entries.len()).unwrap_err()
    }

    #[test]
    fn all_faults_of_a_file_are_told_at_once_with_their_place_and_without_what_may_be_a_secret() {
        let (good, secret) = ("ab".repeat(32), "5ec2e7");
        let found = faults(&json!([
            { "id": "a", "sha256": good, "burst": 5 },
            { "id": "b.c", "sha256": secret, "requestsPerSecond": 0, "bytesPerSecond": 1.5, "disabled": "no" },
            { "id": "d", "sha256": "zz".repeat(32), "expires": "soon", "limit": 7, "name": 7 },
            7,
            { "id": "a", "sha256": good },
        ]));
        let expected = [
            "key 1 (a): burst: goes with requestsPerSecond",
            "key 2: id: an id has",
            "key 2: sha256: 64 hex digits",
            "key 2: requestsPerSecond: a whole number from 1 to 1000000",
            "key 2: bytesPerSecond: a whole number from 1000 to",
            "key 2: disabled",
            "key 3 (d): \"limit\" is not known; known are id, sha256",
            "key 3 (d): sha256",
            "key 3 (d): name",
            "key 3 (d): expires",
            "key 4: must be an object",
            "key 5 (a): has the id of key 1",
            "key 5 (a): has the secret of key 1",
        ];
        for (fault, expected) in found.iter().zip(expected) {
            assert!(fault.starts_with(expected), "{expected}: {found:#?}");
            assert!(!fault.contains(secret) && !fault.contains("zz"), "{fault}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn a_file_that_is_no_list_of_keys_is_told_as_such() {
        for (text, expected) in [("{", "is not JSON"), ("{}", "must be a list"), ("[]", "has 0 keys")] {
            assert!(parse(text).unwrap_err().concat().contains(expected), "{text}");
        }
        let many: Vec<Value> = (0..=MAX_KEYS).map(|_| json!({})).collect();
        assert!(faults(&json!(many)).concat().contains("has 10001 keys"));
    }

    #[test]
    fn a_member_that_stands_twice_is_a_fault() {
        let text = format!(r#"[{{"id":"a","disabled":true,"sha256":"{}","disa\u0062led":false}}]"#, "ab".repeat(32));
        let found = parse(&text).map(|entries| entries.len()).unwrap_err();
        assert_eq!(found, [r#"key 1 (a): "disabled" stands twice; which of its values counts would be a guess"#]);
    }

    #[test]
    fn a_burst_is_a_second_s_worth_unless_it_is_given() {
        let key = json!([{ "id": "a", "sha256": "0F".repeat(32), "name": "shop", "requestsPerSecond": 20,
            "bytesPerSecond": 2000, "burstBytes": 9000, "disabled": false, "expires": null }]);
        let [entry] = &parse(&key.to_string()).unwrap()[..] else { panic!("one") };
        let rate = |a_second: u32, burst: u32| {
            Some(Rate { a_second: a_second.try_into().unwrap(), burst: burst.try_into().unwrap() })
        };
        assert_eq!(entry.limits, Limits { requests: rate(20, 20), bytes: rate(2000, 9000) });
        assert_eq!((entry.digest, entry.disabled, entry.expires), ([15; 32], false, None));
    }
}
