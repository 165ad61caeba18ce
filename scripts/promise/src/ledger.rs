//! The ledger: an append-only NDJSON file with a line before and a line after each request.
//!
//! It is the only witness of what was promised, so it knows three outcomes: `ok` (202), `fail` (the answer says that
//! nothing was stored) and `info` (nobody knows: 504, a reset, no answer). Info is never counted as fail. A request
//! without a second line is info too. Does not send anything: see [`crate::load`].

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::generator::Post;
use crate::row::Version;

/// What is known of a request's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 202: promised.
    Ok,
    /// Refused, or never sent: nothing of it may be found anywhere.
    Fail,
    /// Unknown: it may be found, at most once.
    Info,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    /// Written before the request is sent.
    Send {
        seq: u64,
        id: String,
        class: String,
        content_type: String,
        /// The body, when it is UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// The body in hexadecimal, when it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body_hex: Option<String>,
        intended_ms: i64,
        sent_ms: i64,
    },
    /// Written when the answer is there, or is known not to come.
    Done {
        seq: u64,
        outcome: Outcome,
        done_ms: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partition: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema_id: Option<u32>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        persisted: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
}

/// What a receipt says beside the place. Older ledgers have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Whose order it is.
    pub order_id: Option<String>,
    /// The request's id, which the record has in a header.
    pub request_id: Option<String>,
    /// The id of the schema that the record was written with.
    pub schema_id: Option<u32>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What is known.
    pub outcome: Outcome,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    /// The receipt of a 202.
    pub receipt: Option<Version>,
    /// What else that says.
    pub told: Told,
    /// Whether the order may be stored, as a refusal says it; empty when it does not, and for a 202.
    pub persisted: String,
    /// The problem's title, the error in words, or what is wrong with a receipt.
    pub note: String,
}

impl Answer {
    /// Nobody knows how it ended.
    #[must_use]
    pub fn unknown(status: Option<u16>, note: &str) -> Self {
        let (persisted, note) = (String::new(), note.to_owned());
        Self { outcome: Outcome::Info, status, receipt: None, told: Told::default(), persisted, note }
    }
}

/// A request as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the stream.
    pub seq: u64,
    /// The order id.
    pub id: String,
    /// What the generator expected of it: `valid`, `refused`, `rejected`.
    pub class: String,
    /// The `Content-Type` that was sent.
    pub content_type: String,
    /// What was sent.
    pub body: Vec<u8>,
    /// When it should have been sent, in milliseconds since 1970.
    pub intended_ms: i64,
    /// When it was sent.
    pub sent_ms: i64,
    /// When it ended; none when nobody was left to write it.
    pub done_ms: Option<i64>,
    /// How it ended.
    pub answer: Answer,
}

/// Why the ledger cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened, written or read.
    #[error("cannot use the ledger {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A line is no ledger line.
    #[error("line {line} of the ledger cannot be read: {reason}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// The ledger while a load runs.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

impl Ledger {
    /// Opens `path` for appending; makes it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| LedgerError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// The number for the next request: behind those of all loads that it has already.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_seq(&self) -> Result<u64, LedgerError> {
        Ok(read(&self.path)?.last().map_or(0, |entry| entry.seq + 1))
    }

    /// Writes down that `post` is about to be sent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sending(&self, post: &Post, intended_ms: i64, sent_ms: i64) -> Result<(), LedgerError> {
        let (body, body_hex) = match std::str::from_utf8(&post.body) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(hex(&post.body))),
        };
        let (id, class, content_type) = (post.id.clone(), post.class.name().to_owned(), post.content_type.to_owned());
        self.write(&Line::Send { seq: post.seq, id, class, content_type, body, body_hex, intended_ms, sent_ms })
    }

    /// Writes down how request `seq` ended.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn done(&self, seq: u64, done_ms: i64, answer: &Answer) -> Result<(), LedgerError> {
        self.write(&Line::Done {
            seq,
            outcome: answer.outcome,
            done_ms,
            status: answer.status,
            partition: answer.receipt.map(|receipt| receipt.partition),
            offset: answer.receipt.map(|receipt| receipt.offset),
            order_id: answer.told.order_id.clone(),
            request_id: answer.told.request_id.clone(),
            schema_id: answer.told.schema_id,
            persisted: answer.persisted.clone(),
            note: answer.note.clone(),
        })
    }

    /// One write a line, so that a line of one request never stands inside another's.
    fn write(&self, line: &Line) -> Result<(), LedgerError> {
        let file = |source| LedgerError::File { path: self.path.clone(), source };
        let mut text = serde_json::to_vec(line).map_err(|error| file(error.into()))?;
        text.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text).map_err(file)
    }
}

/// Reads a ledger: one entry a request, in the order of the stream. A last line that is still being written, or whose
/// writer was killed, counts as not written.
///
/// # Errors
/// When the file cannot be read, a line is no ledger line, or a request was sent under the number of another one: then one
/// of the two would not be counted.
pub fn read(path: &Path) -> Result<Vec<Entry>, LedgerError> {
    let fail = |source| LedgerError::File { path: path.to_owned(), source };
    let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
    let mut file = BufReader::new(File::open(path).map_err(fail)?);
    let mut text = String::new();
    for at in 0.. {
        text.clear();
        file.read_line(&mut text).map_err(fail)?;
        if !text.ends_with('\n') {
            break;
        }
        let bad = |reason: String| LedgerError::Line { line: at + 1, reason };
        match serde_json::from_str(&text).map_err(|error| bad(error.to_string()))? {
            Line::Send { seq, id, class, content_type, body, body_hex, intended_ms, sent_ms } => {
                let body = match (body, body_hex) {
                    (Some(text), _) => text.into_bytes(),
                    (None, Some(digits)) => {
                        unhex(&digits).ok_or_else(|| bad("the body is not hexadecimal".to_owned()))?
                    }
                    (None, None) => return Err(bad("no body".to_owned())),
                };
                let answer = Answer::unknown(None, "no answer");
                let entry = Entry { seq, id, class, content_type, body, intended_ms, sent_ms, done_ms: None, answer };
                if entries.insert(seq, entry).is_some() {
                    return Err(bad(format!("request {seq} was sent before")));
                }
            }
            Line::Done {
                seq,
                outcome,
                done_ms,
                status,
                partition,
                offset,
                order_id,
                request_id,
                schema_id,
                persisted,
                note,
            } => {
                let entry =
                    entries.get_mut(&seq).ok_or_else(|| bad(format!("request {seq} ended before it was sent")))?;
                let receipt = partition.zip(offset).map(|(partition, offset)| Version { partition, offset });
                let told = Told { order_id, request_id, schema_id };
                entry.answer = Answer { outcome, status, receipt, told, persisted, note };
                entry.done_ms = Some(done_ms);
            }
        }
    }
    Ok(entries.into_values().collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests;
