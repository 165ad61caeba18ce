//! Tokens of an operator's API: who calls, and whether they may read or deploy. Without tokens nobody is asked; a service
//! that listens beyond loopback must have some.
//!
//! A token is a text of chance (`openssl rand -hex 32`, `transforms token` makes one). The file has its SHA-256 only, so
//! there is nothing in it to steal, and nothing to guess that a slow hash would have to slow down. Every entry is
//! compared in constant time, whether an earlier one was right or not. It comes as `Authorization: Bearer TOKEN`, or, for
//! tools that know no other, as `Basic` with the entry's name as user and the token as password.

mod file;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::http::Problem;

/// Longer headers carry no token of ours.
const MAX_TEXT: usize = 1_024;
/// A token that is given in the open must be worth something.
const MIN_TOKEN: usize = 16;

/// What a caller may do. Who may deploy may read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Look at everything, change nothing.
    Read,
    /// Upload, change, delete.
    Deploy,
}

/// Who calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The token's name; `loopback` where no tokens are asked for.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// Why a request may not pass.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// No token, or none that is known.
    #[error(
        "a token is needed, as `Authorization: Bearer TOKEN`, or as Basic with its name as user; none that is known came"
    )]
    Unknown,
    /// A known one that may not do this.
    #[error("token {0:?} may read and not deploy; use one whose role is deploy")]
    Role(String),
}

/// The tokens in use now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Option<Arc<Book>>);

#[derive(Debug)]
struct Book {
    /// Where they are read anew from.
    path: Option<PathBuf>,
    entries: RwLock<Arc<Vec<Entry>>>,
}

/// One token.
#[derive(Clone, Eq, PartialEq)]
struct Entry {
    name: String,
    role: Role,
    digest: [u8; 32],
}

/// Without the digest, which is no secret and of no use.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Role {
    /// As it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
        }
    }
}

impl Tokens {
    /// The tokens of a file: a JSON list of `{"name": …, "role": "read" | "deploy", "sha256": …}`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_file(path: &Path) -> Result<Self, Vec<String>> {
        let entries = RwLock::new(Arc::new(file::read(path)?));
        Ok(Self(Some(Arc::new(Book { path: Some(path.to_owned()), entries }))))
    }

    /// One token that may deploy, given as itself.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub fn one(name: &str, token: &str) -> Result<Self, String> {
        if token.len() < MIN_TOKEN || MAX_TEXT / 2 < token.len() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "has {} bytes; a token is {MIN_TOKEN} to {} printable letters without spaces, such as `openssl rand -hex 32` gives",
                token.len(),
                MAX_TEXT / 2
            ));
        }
        let entry = Entry { name: name.to_owned(), role: Role::Deploy, digest: Sha256::digest(token).into() };
        Ok(Self(Some(Arc::new(Book { path: None, entries: RwLock::new(Arc::new(vec![entry])) }))))
    }

    /// Whether tokens are asked for.
    #[must_use]
    pub fn are_asked_for(&self) -> bool {
        self.0.is_some()
    }

    /// Reads the file anew, if they came from one. A token that is no longer in it is refused from the next request on.
    ///
    /// # Errors
    /// All that is wrong with the file; then the tokens are as before.
    pub fn reload(&self) -> Result<String, String> {
        let Some((book, path)) = self.0.as_ref().and_then(|book| Some((book, book.path.as_ref()?))) else {
            return Ok("no file of tokens".to_owned());
        };
        let fresh = file::read(path).map_err(|faults| faults.join("; "))?;
        let now = format!("{} tokens", fresh.len());
        *book.entries.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(now)
    }

    /// Who calls, if they may do what needs this role.
    ///
    /// # Errors
    /// When they may not.
    pub fn check(&self, headers: &HeaderMap, needed: Role) -> Result<Caller, Refused> {
        let Some(book) = &self.0 else {
            return Ok(Caller { name: "loopback".to_owned(), role: Role::Deploy });
        };
        let (user, token) = given(headers).ok_or(Refused::Unknown)?;
        let digest = Sha256::digest(token.as_bytes());
        let entries = Arc::clone(&book.entries.read().unwrap_or_else(PoisonError::into_inner));
        let mut found = None;
        for entry in entries.iter() {
            if bool::from(digest.as_slice().ct_eq(&entry.digest)) {
                found = Some(entry);
            }
        }
        // A tool that sends a user means this entry and no other.
        let entry =
            found.filter(|entry| user.as_ref().is_none_or(|user| *user == entry.name)).ok_or(Refused::Unknown)?;
        if entry.role < needed {
            return Err(Refused::Role(entry.name.clone()));
        }
        Ok(Caller { name: entry.name.clone(), role: entry.role })
    }
}

impl Refused {
    /// The answer to a request that may not pass.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Unknown => Problem::of_status(StatusCode::UNAUTHORIZED)
                .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"orderflow\"")),
            Self::Role(_) => Problem::of_status(StatusCode::FORBIDDEN),
        }
        .detail(self.to_string())
    }
}

/// What the file has for a token: the hexadecimal digits of its SHA-256.
#[must_use]
pub fn sha256(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text can be a token's name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    file::is_name(text)
}

/// The user, if one is named, and the token of a request. Of two headers none is believed.
fn given(headers: &HeaderMap) -> Option<(Option<String>, String)> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = value.to_str().ok().filter(|value| value.len() <= MAX_TEXT)?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
    let (user, token) = pair.split_once(':')?;
    Some((Some(user.to_owned()), token.to_owned()))
}

#[cfg(test)]
mod tests;
