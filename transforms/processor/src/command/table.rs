//! Rows for people: columns as wide as their widest cell.

use std::fmt::Write;

use crate::author::show::plain;

/// Writes rows under a head, each behind `indent` spaces. Nothing where there are no rows.
pub fn write<const N: usize>(out: &mut String, indent: usize, head: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    let head = head.map(str::to_owned);
    let mut widths = [0_usize; N];
    for row in std::iter::once(&head).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:indent$}{}", "", cells.join("  ").trim_end());
    }
}

/// The digest of a module as headers have it: enough to tell two apart.
#[must_use]
pub fn short_digest(digest: &str) -> String {
    const DIGITS: usize = 12;
    let digits: String = digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(DIGITS).collect();
    if digits.is_empty() { "-".to_owned() } else { format!("sha256:{digits}") }
}

/// The first line of a trace, cut where it is too long for one, and without what a terminal would take for a command: what
/// a module said may stand in it.
#[must_use]
pub fn one_line(trace: &str) -> String {
    const MOST: usize = 240;
    let line = trace.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = plain(line);
    if line.chars().count() <= MOST {
        return line;
    }
    let cut: String = line.chars().take(MOST).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = String::new();
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        write(&mut out, 2, ["NAME", "N"], &[row("a", "1"), row("längere", "")]);
        assert_eq!(out, "  NAME     N\n  a        1\n  längere\n");
        write(&mut out, 2, ["NONE"], &[]);
        assert!(!out.contains("NONE"));
    }

    #[test]
    fn a_trace_is_one_line_and_a_digest_short() {
        assert_eq!(one_line("\n  first\n second"), "first");
        assert_eq!(one_line(&"x".repeat(1_000)).chars().count(), 241);
        assert_eq!(one_line("it said \u{1b}[2J\nand more"), "it said \u{fffd}[2J");
        assert_eq!(short_digest(&"ab".repeat(32)), "sha256:abababababab");
        assert_eq!(short_digest(""), "-");
    }
}
