//! What should have become of each POST, by the oracle: a Python program of its own, written from the contracts.
//!
//! This file starts it, hands it the bodies and reads its judgement; it judges nothing itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::fieldset::{self, Raw};
use crate::ledger::Entry;
use crate::row::Row;

/// The oracle's judgement of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The edge must not answer 202.
    Refuse {
        /// The status it must answer instead.
        status: u16,
        /// The rule, in words.
        rule: String,
    },
    /// It must be stored.
    Place {
        /// As it must lie in `orders.received`.
        received: Row,
        /// As it must lie in `order_placed` and in both stores.
        placed: Row,
    },
    /// It must be in `orders.dead-letter`.
    Reject {
        /// As it must lie in `orders.received`.
        received: Row,
        /// The rule, in words.
        reason: String,
    },
}

/// The files that the oracle reads.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// `oracle.py`.
    pub program: PathBuf,
    /// The pipeline's file in `connectors/`, for the parameters of its modules.
    pub pipeline: PathBuf,
    /// The folder with the tables that the modules' README names.
    pub tables: PathBuf,
}

/// Why there is no judgement.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// Python cannot be started or talked to.
    #[error("cannot run python3 {program}; the oracle needs Python 3.9 or later on the PATH")]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It failed; its own words are on standard error.
    #[error("the oracle failed: {0}")]
    Failed(std::process::ExitStatus),
    /// It said what cannot be read.
    #[error("the oracle's line {line} cannot be read: {text}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// The beginning of it.
        text: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It forgot some.
    #[error("the oracle judged {judged} of {asked} orders")]
    Few {
        /// Orders asked about.
        asked: usize,
        /// Orders judged.
        judged: usize,
    },
}

#[derive(Serialize)]
struct Question {
    seq: u64,
    content_type: String,
    body_hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    #[serde(default)]
    refuse: Option<Refusal>,
    #[serde(default)]
    received: Option<Raw>,
    #[serde(default)]
    placed: Option<Raw>,
    #[serde(default)]
    reject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    status: u16,
    rule: String,
}

impl Oracle {
    /// The oracle of the checkout at `root`.
    #[must_use]
    pub fn of_checkout(root: &Path) -> Self {
        Self {
            program: root.join("scripts/promise/oracle/oracle.py"),
            pipeline: root.join("connectors/orders-transforms.json"),
            tables: root.join("transforms/modules"),
        }
    }

    /// The judgement of every entry, by its place in the stream.
    ///
    /// # Errors
    /// When the program cannot be run, fails, or does not judge every entry.
    pub fn judge(&self, entries: &[Entry]) -> Result<HashMap<u64, Verdict>, OracleError> {
        let run = |source| OracleError::Run { program: self.program.clone(), source };
        let mut command = Command::new("python3");
        command.arg(&self.program).arg("--pipeline").arg(&self.pipeline).arg("--tables").arg(&self.tables);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(run)?;
        let input = child.stdin.take();
        let output = child.stdout.take();
        let verdicts = std::thread::scope(|scope| {
            let asking = scope.spawn(move || ask(entries, input));
            let verdicts = output.map(|output| read(BufReader::new(output)));
            // A broken pipe means that the program has ended; its exit status says more.
            let _ = asking.join();
            verdicts.unwrap_or_else(|| Ok(HashMap::new()))
        });
        let status = child.wait().map_err(run)?;
        if !status.success() {
            return Err(OracleError::Failed(status));
        }
        let verdicts = verdicts?;
        if verdicts.len() != entries.len() {
            return Err(OracleError::Few { asked: entries.len(), judged: verdicts.len() });
        }
        Ok(verdicts)
    }
}

fn ask(entries: &[Entry], input: Option<impl Write>) -> std::io::Result<()> {
    let Some(input) = input else { return Ok(()) };
    let mut input = std::io::BufWriter::new(input);
    for entry in entries {
        let body_hex = entry.body.iter().map(|byte| format!("{byte:02x}")).collect();
        let content_type = entry.content_type.clone();
        serde_json::to_writer(&mut input, &Question { seq: entry.seq, content_type, body_hex })?;
        input.write_all(b"\n")?;
    }
    input.flush()
}

fn read(output: impl BufRead) -> Result<HashMap<u64, Verdict>, OracleError> {
    let mut verdicts = HashMap::new();
    for (at, text) in output.lines().map_while(Result::ok).enumerate() {
        let line: Line = serde_json::from_str(&text).map_err(|source| OracleError::Line {
            line: at + 1,
            text: text.chars().take(200).collect(),
            source,
        })?;
        let seq = line.seq;
        verdicts.insert(seq, verdict(line));
    }
    Ok(verdicts)
}

fn verdict(line: Line) -> Verdict {
    let received = line.received.as_ref().map(fieldset::row).unwrap_or_default();
    match (line.refuse, line.placed, line.reject) {
        (Some(Refusal { status, rule }), _, _) => Verdict::Refuse { status, rule },
        (None, Some(placed), _) => Verdict::Place { received, placed: fieldset::row(&placed) },
        (None, None, reason) => Verdict::Reject { received, reason: reason.unwrap_or_default() },
    }
}

#[cfg(test)]
mod tests;
