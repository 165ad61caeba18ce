//! One thing that a file says wrongly: where, by which rule, what, why it matters, and what to do about it.

use std::fmt;

use serde::Serialize;

/// How much it weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will lose, double or stop something; nothing is deployed.
    Error,
    /// It may be meant; it is said, and deployed.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A rule: its id, how much a breach weighs, and why it is there. `connectors/LINT.md` has a section for each.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Its name, in brackets behind the severity.
    pub id: &'static str,
    /// How much a breach weighs.
    pub weight: Weight,
    /// What goes wrong where it is broken.
    pub why: &'static str,
}

/// How much a breach of a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// An error wherever it is.
    Error,
    /// A warning wherever it is.
    Warning,
    /// An error where a topic of `topics.json` is read, whose records are promised to be stored exactly once. Of other
    /// topics nobody promised anything here: a warning.
    ByTopic,
}

/// Where in a file, counted from one; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl Place {
    /// Where a whole file is meant.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// The place in it.
    pub place: Place,
    /// How much it weighs.
    pub severity: Severity,
    /// The rule.
    pub rule: &'static Rule,
    /// The key that is meant, or nothing where no key is.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub fix: String,
}

impl Finding {
    /// A finding with the weight of its rule; one that goes by topic is an error.
    #[must_use]
    pub fn new(rule: &'static Rule, (file, place): (&str, Place), key: &str, message: &str, fix: &str) -> Self {
        let severity = match rule.weight {
            Weight::Error | Weight::ByTopic => Severity::Error,
            Weight::Warning => Severity::Warning,
        };
        Self { file: shown(file), place, severity, rule, key: shown(key), message: shown(message), fix: shown(fix) }
    }

    /// With another weight than its rule's.
    #[must_use]
    pub fn weighing(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The key and what is wrong with it.
    #[must_use]
    pub fn told(&self) -> String {
        if self.key.is_empty() { self.message.clone() } else { format!("{}: {}", self.key, self.message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place: Place { line, column }, severity, rule, fix, .. } = self;
        writeln!(f, "{file}:{line}:{column}: {severity}[{}]: {}", rule.id, self.told())?;
        writeln!(f, "    why: {}", rule.why)?;
        write!(f, "    fix: {fix}")
    }
}

/// Text out of a file, so that it can neither break a line of ours nor steer a terminal.
fn shown(text: &str) -> String {
    const MOST: usize = 600;
    let mut shown = String::with_capacity(text.len().min(MOST));
    for (count, letter) in text.chars().enumerate() {
        if count == MOST {
            shown.push('…');
            break;
        }
        // Signs that turn the direction of writing count as well: they show other text than there is.
        if letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    #[test]
    fn a_finding_tells_place_rule_reason_and_fix_in_three_lines() {
        let place = Place { line: 3, column: 5 };
        let found = Finding::new(&rules::UNKNOWN_KEY, ("f.json", place), "a\nb", "is not known", "take it out");
        let told = found.to_string();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        assert_eq!(lines[0], "f.json:3:5: error[unknown-key]: a\\u{a}b: is not known");
        assert!(lines[1].starts_with("    why: ") && lines[2] == "    fix: take it out", "{told}");
    }

    #[test]
    fn text_of_a_file_neither_steers_the_terminal_nor_floods_it() {
        assert_eq!(shown("a\u{1b}[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
        assert_eq!(shown(&"ü".repeat(5000)).chars().count(), 601);
    }
}
