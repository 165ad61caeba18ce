//! One call of `scripts/faults`: its stages, how each ended, and what those on the real stack saw.
//!
//! The script keeps a folder: `command` holds its command line, and for each stage `NNNN.stage` holds a name, then, once it has
//! ended, `passed` or `failed` and seconds; each in a line. Beside it the stage itself writes its report as `NNNN.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Report, html};

/// Part of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// What it tries.
    pub name: String,
    /// How it ended; none while it is under way, or when nobody was left to say.
    pub passed: Option<bool>,
    /// How long it took.
    pub seconds: u64,
    /// What was seen; none of a stage that is not on the real stack, or saw nothing.
    pub report: Option<Report>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The command line that makes the same again.
    pub command: String,
    /// In the order in which they ran.
    pub stages: Vec<Stage>,
}

impl Call {
    /// What the script and the stages have left in their folder.
    ///
    /// # Errors
    /// When a file cannot be read, or a report is none.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let command = fs::read_to_string(folder.join("command"))?.trim().to_owned();
        let mut files: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "stage"));
        files.sort_unstable();
        let stages = files.iter().map(|file| Stage::read(file)).collect::<io::Result<_>>()?;
        Ok(Self { command, stages })
    }

    /// Writes `report.json` and `report.html`.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("report.json"), serde_json::to_vec(self)?)?;
        fs::write(folder.join("report.html"), self.html())
    }

    /// As one page that needs nothing beside it.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Who passed and who failed, with the counters, a line each.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines = self.stages.iter().map(|stage| {
            let seen = stage.report.as_ref().map_or_else(String::new, |report| format!("; {}", report.verdict()));
            format!("{:>8} {:>6} s  {}{seen}\n", stage.ended(), stage.seconds, stage.name)
        });
        let failed = self.stages.iter().filter(|stage| stage.passed != Some(true)).count();
        let all = self.stages.len();
        let end = match failed {
            0 => format!("all {all} passed"),
            _ => format!("{failed} of {all} failed; the same again: {}", self.command),
        };
        lines.chain([end]).collect()
    }
}

impl Stage {
    fn read(file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        let mut lines = text.lines();
        let name = lines.next().unwrap_or_default().to_owned();
        let passed = lines.next().map(|word| word == "passed");
        let seconds = lines.next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let seen = file.with_extension("json");
        let report = if seen.exists() { Some(serde_json::from_slice(&fs::read(seen)?)?) } else { None };
        Ok(Self { name, passed, seconds, report })
    }

    /// In a word.
    pub(super) const fn ended(&self) -> &'static str {
        match self.passed {
            Some(true) => "passed",
            Some(false) => "FAILED",
            None => "no end",
        }
    }
}
