//! `connectors lint`: the findings of files and folders, for people, for programs and for GitHub's annotations.

use std::path::PathBuf;

use serde::Serialize;

use crate::files;
use crate::finding::{Finding, Severity};

/// Everything that is found in files and folders, in the order of files and lines. Touches no server.
#[must_use]
pub fn findings(paths: &[PathBuf]) -> Vec<Finding> {
    let mut found: Vec<Finding> = files::folders(paths).iter().flat_map(files::Folder::findings).collect();
    found.sort();
    found.dedup();
    found
}

/// Everything that is found in one connector file by itself, given as text.
#[must_use]
pub fn text(file: &str, text: &str) -> Vec<Finding> {
    files::Folder::of(&[(file, text)]).findings()
}

/// Three lines for each: place, rule and message; why; the way out.
#[must_use]
pub fn human(found: &[Finding]) -> String {
    found.iter().map(|finding| format!("{finding}\n")).collect()
}

/// How many there are: `2 errors, 1 warning`.
#[must_use]
pub fn counted(found: &[Finding]) -> String {
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
    let of = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}", of(errors, "error"), of(found.len() - errors, "warning"))
}

/// A finding as programs read it.
#[derive(Serialize)]
struct Entry<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    severity: Severity,
    rule: &'a str,
    key: &'a str,
    message: &'a str,
    reason: &'a str,
    fix: &'a str,
}

/// An array of objects.
///
/// # Errors
/// What `serde_json` says; plain texts and numbers give it no reason to.
pub fn json(found: &[Finding]) -> Result<String, serde_json::Error> {
    fn entry(finding: &Finding) -> Entry<'_> {
        let Finding { file, place, severity, rule, key, message, fix } = finding;
        let (line, column, severity) = (place.line, place.column, *severity);
        Entry { file, line, column, severity, rule: rule.id, key, message, reason: rule.why, fix }
    }
    serde_json::to_string_pretty(&found.iter().map(entry).collect::<Vec<_>>())
}

/// One workflow command of GitHub for each.
#[must_use]
pub fn github(found: &[Finding]) -> String {
    let command = |finding: &Finding| {
        let Finding { file, place, severity, rule, fix, .. } = finding;
        let text = data(&format!("{}\nwhy: {}\nfix: {fix}", finding.told(), rule.why));
        let (file, title) = (property(file), property(rule.id));
        format!("::{severity} file={file},line={},col={},title={title}::{text}\n", place.line, place.column)
    };
    found.iter().map(command).collect()
}

/// Text of a command, with what would end it escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command, with what would end it or begin another escaped.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;
    use crate::rules;

    fn found(file: &str, message: &str) -> [Finding; 2] {
        let place = (file, Place { line: 2, column: 7 });
        [
            Finding::new(&rules::UNKNOWN_KEY, place, "a:b,c", message, "take it out"),
            Finding::new(&rules::FILE_NAME, place, "name", "100 %", "rename"),
        ]
    }

    #[test]
    fn commands_of_github_are_one_line_each_whatever_stands_in_them() {
        let told = github(&found("a,b:c%.json", "x"));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(
            lines[0].starts_with("::error file=a%2Cb%3Ac%25.json,line=2,col=7,title=unknown-key::a:b,c: x%0Awhy: ")
        );
        assert!(lines[1].starts_with("::warning file=") && lines[1].contains("::name: 100 %25%0Awhy: "), "{told}");
    }

    #[test]
    fn programs_get_every_part() {
        let told: serde_json::Value = serde_json::from_str(&json(&found("f.json", "x")).unwrap()).unwrap();
        let first = &told[0];
        assert_eq!(
            (first["file"].as_str(), first["line"].as_u64(), first["column"].as_u64()),
            (Some("f.json"), Some(2), Some(7))
        );
        assert_eq!((first["severity"].as_str(), first["rule"].as_str()), (Some("error"), Some("unknown-key")));
        assert_eq!((first["key"].as_str(), first["message"].as_str()), (Some("a:b,c"), Some("x")));
        assert_eq!(
            (first["reason"].as_str(), first["fix"].as_str()),
            (Some(rules::UNKNOWN_KEY.why), Some("take it out"))
        );
        assert_eq!(told.as_array().unwrap().len(), 2);
        assert_eq!(json(&[]).unwrap(), "[]");
    }

    #[test]
    fn the_count_speaks_english() {
        assert_eq!(counted(&found("f", "x")), "1 error, 1 warning");
        assert_eq!(counted(&[]), "0 errors, 0 warnings");
    }
}
