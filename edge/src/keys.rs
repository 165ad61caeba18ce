//! API keys: who may post, how much, and how much of what all share one client may hold. Optional: without a file of keys
//! nobody is asked for one, and nothing here counts anything.
//!
//! A key is `<id>.<secret>`. The id is no secret: it finds the key, and it may stand in the log. Of the secret the file
//! has only the SHA-256: secrets are 256 bits of chance (`--new-api-key` makes them), so there is nothing to guess that
//! a slow hash would have to slow down. Digests are compared in constant time, and an unknown id costs the same.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use crate::{config::Faults, refusal::Refusal};

mod client;
mod file;
pub mod new;
mod quota;

pub use client::Client;
use client::{Account, Held};
use file::Entry;
pub use quota::{Exceeded, Limit};

/// Where a key may stand beside `Authorization: Bearer`.
pub const HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// Longer texts are no key of ours.
const MAX_TEXT: usize = 512;

/// The flags of the keys.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "keys")]
pub struct Args {
    /// JSON file of the API keys that may post; without it everybody may
    #[arg(long, env = "EDGE_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,
    /// Make a key with this id: print its secret once and its entry for the file, then end
    #[arg(long, value_name = "ID")]
    pub new_api_key: Option<String>,
}

/// The file of keys, and what was read from it.
#[derive(Clone, Debug)]
pub struct Config {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// The keys that are in use now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Keys(Option<Arc<Book>>);

#[derive(Debug)]
struct Book {
    path: PathBuf,
    table: RwLock<Arc<Table>>,
}

#[derive(Debug, Default)]
struct Table(HashMap<String, Known>);

/// One key.
struct Known {
    digest: [u8; 32],
    disabled: bool,
    expires: Option<OffsetDateTime>,
    account: Arc<Account>,
}

impl Args {
    /// Reads the file, if there is one. What is wrong goes to the faults, all at once.
    pub fn check(&self, faults: &mut Vec<String>) -> Option<Config> {
        let path = self.api_keys.clone()?;
        match file::read(&path) {
            Ok(entries) => Some(Config { path, entries }),
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| format!("--api-keys: {fault}")));
                None
            }
        }
    }
}

impl Keys {
    /// The keys of this file; none are asked for without one.
    #[must_use]
    pub fn new(config: Option<Config>) -> Self {
        Self(config.map(|Config { path, entries }| {
            let table = Arc::new(Table::new(entries, &Table::default()));
            Arc::new(Book { path, table: RwLock::new(table) })
        }))
    }

    /// Whether keys are asked for.
    #[must_use]
    pub fn are_asked_for(&self) -> bool {
        self.0.is_some()
    }

    /// Reads the file anew. Requests that are under way go on by the key they came with. What a key has used of its
    /// quota stays used, if the quota stays; what it holds stays held.
    ///
    /// # Errors
    /// All that is wrong with the file; then the keys are as before.
    pub fn reload(&self) -> Result<String, String> {
        let Some(book) = &self.0 else { return Ok("no keys are asked for".to_owned()) };
        let entries = file::read(&book.path).map_err(|faults| Faults::from(faults).to_string())?;
        let fresh = Arc::new(Table::new(entries, &book.table()));
        let now = fresh.summary();
        *book.table.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(now)
    }

    /// Whose request this is.
    ///
    /// # Errors
    /// When it is nobody's that may post now.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Client, Refusal> {
        let Some(book) = &self.0 else { return Ok(Client::default()) };
        let (id, secret) = key(headers).ok_or(Refusal::Unauthorized)?;
        let table = book.table();
        let known = table.0.get(id);
        let digest = known.map_or([0; 32], |known| known.digest);
        let is_right = bool::from(Sha256::digest(secret.as_bytes()).as_slice().ct_eq(&digest));
        let known = known.filter(|_| is_right).ok_or(Refusal::Unauthorized)?;
        if known.disabled {
            return Err(Refusal::Forbidden("disabled"));
        }
        if known.expires.is_some_and(|expires| expires <= OffsetDateTime::now_utc()) {
            return Err(Refusal::Forbidden("expired"));
        }
        Ok(Client::of(&known.account))
    }
}

impl Book {
    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    /// What these entries say. Accounts that were there before go on, as far as their limits are the same.
    fn new(entries: Vec<Entry>, before: &Self) -> Self {
        Self(entries.into_iter().map(|entry| before.known(entry)).collect())
    }

    fn known(&self, entry: Entry) -> (String, Known) {
        let Entry { id, digest, limits, disabled, expires } = entry;
        let account = match self.0.get(&id).map(|known| &known.account) {
            Some(account) if account.limits() == &limits => Arc::clone(account),
            Some(account) => Arc::new(Account::new(&id, limits, account.held())),
            None => Arc::new(Account::new(&id, limits, Arc::new(Held::default()))),
        };
        (id, Known { digest, disabled, expires, account })
    }

    fn summary(&self) -> String {
        let disabled = self.0.values().filter(|known| known.disabled).count();
        format!("{} keys, {disabled} of them disabled", self.0.len())
    }
}

/// The digest is left out: it is no secret, but it is of no use either.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("disabled", &self.disabled)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The id and the secret that a request brings. Of two headers of the same name none is believed.
fn key(headers: &HeaderMap) -> Option<(&str, &str)> {
    let name = if headers.contains_key(HEADER) { HEADER } else { header::AUTHORIZATION };
    let mut values = headers.get_all(&name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = value.to_str().ok().filter(|value| value.len() <= MAX_TEXT)?;
    let token = if name == HEADER {
        value
    } else {
        let (scheme, token) = value.split_once(' ')?;
        Some(token).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?
    };
    token.trim().split_once('.')
}

#[cfg(test)]
mod tests;
