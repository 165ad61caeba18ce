//! The file of tokens: a JSON list. Everything that is wrong is told at once, with the place in the list; no fault has a
//! digest in it, since somebody may have put the token there.

use std::{collections::HashMap, path::Path};

use serde_json::Value;

use super::{Entry, Role};
use crate::files;

const MAX_BYTES: u64 = 1024 * 1024;
const MAX_TOKENS: usize = 1_000;
const MAX_FAULTS: usize = 32;
const MEMBERS: [&str; 3] = ["name", "role", "sha256"];

/// All tokens, or all that is wrong.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Vec<String>> {
    let fault = |what: String| format!("{}: {what}", path.display());
    let text = files::read_text(path, MAX_BYTES).map_err(|what| vec![fault(what)])?;
    parse(&text).map_err(|mut faults| {
        faults.truncate(MAX_FAULTS);
        faults.into_iter().map(fault).collect()
    })
}

fn parse(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let list: Value = serde_json::from_str(text).map_err(|error| vec![format!("is not JSON: {error}")])?;
    let Value::Array(list) = list else {
        return Err(vec!["must be a list: [{\"name\": \"ci\", \"role\": \"deploy\", \"sha256\": \"…\"}]".to_owned()]);
    };
    if list.is_empty() || MAX_TOKENS < list.len() {
        return Err(vec![format!("has {} tokens, from 1 to {MAX_TOKENS} are possible", list.len())]);
    }
    let (mut entries, mut faults) = (Vec::with_capacity(list.len()), Vec::new());
    let (mut names, mut digests) = (HashMap::new(), HashMap::new());
    for (place, value) in (1..).zip(&list) {
        let mut found = Vec::new();
        if let Some(entry) = entry(value, &mut found) {
            if let Some(first) = names.insert(entry.name.clone(), place) {
                found.push(format!("has the name of token {first}"));
            }
            if let Some(first) = digests.insert(entry.digest, place) {
                found.push(format!("is the same token as {first}; each has its own, so that the audit can tell them"));
            }
            entries.push(entry);
        }
        faults.extend(found.into_iter().map(|what| format!("token {place}: {what}")));
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

fn entry(value: &Value, faults: &mut Vec<String>) -> Option<Entry> {
    let Some(members) = value.as_object() else {
        faults.push("must be an object".to_owned());
        return None;
    };
    for name in members.keys().filter(|name| !MEMBERS.contains(&name.as_str())) {
        faults.push(format!("{name:?} is not known; known are {}", MEMBERS.join(", ")));
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let name = text("name").filter(|name| is_name(name));
    if name.is_none() {
        faults.push("name: 1 to 64 of letters, digits, underscore, hyphen and full stop are needed".to_owned());
    }
    let role = match text("role") {
        Some("read") => Some(Role::Read),
        Some("deploy") => Some(Role::Deploy),
        _ => {
            faults.push("role: \"read\" or \"deploy\" is possible".to_owned());
            None
        }
    };
    let digest = text("sha256").and_then(digest);
    if digest.is_none() {
        faults.push("sha256: 64 hex digits are needed, the SHA-256 of the token and not the token".to_owned());
    }
    Some(Entry { name: name?.to_owned(), role: role?, digest: digest? })
}

/// Safe in a log, in the audit and as the user of Basic.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
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
