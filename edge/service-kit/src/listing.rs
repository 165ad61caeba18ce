//! Metrics as the rows of a page: what a scrape shows and what a `METRICS.md` says, so that a test can hold one to the
//! other.

use std::collections::BTreeSet;

/// Name, type and labels of each metric of a scrape (OpenMetrics text). A family shows once it has a member, and so does
/// a label.
#[must_use]
pub fn of_scrape(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let row = |(name, kind): (&str, &str)| {
        let end = if kind == "counter" { "_total" } else { "" };
        format!("| `{name}{end}` | {kind} | {} |", labels(text, name).join(", "))
    };
    types.map(row).collect()
}

/// The labels of a family's members; a histogram's own one is none.
fn labels(text: &str, name: &str) -> Vec<String> {
    let shown = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // Another family may begin with this one's name.
        let (end, labels) = rest.split_once('{')?;
        ["", "_total", "_count", "_sum", "_bucket"].contains(&end).then(|| labels.split_once('}'))?
    });
    let names = shown.flat_map(|(labels, _)| labels.split(',')).filter_map(|label| Some(label.split_once('=')?.0));
    let names: BTreeSet<&str> = names.filter(|name| *name != "le").collect();
    names.into_iter().map(|name| format!("`{name}`")).collect()
}

/// The same columns of a page's rows, which have another one for words.
#[must_use]
pub fn of_page(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').take(4).collect::<Vec<_>>().join("|") + "|").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_says_what_a_scrape_shows_has_the_same_rows() {
        let scrape = "# HELP tasks Tasks.\n# TYPE tasks gauge\ntasks{state=\"a\",sink=\"b\"} 1\n\
                      # TYPE tasks_seconds histogram\ntasks_seconds_bucket{part=\"x\",le=\"1\"} 0\n\
                      # TYPE polls counter\npolls_total 3\n# EOF\n";
        let page = "# Metrics\n| metric | type | labels | what it says |\n|---|---|---|---|\n\
                    | `polls_total` | counter |  | How often, or how seldom |\n\
                    | `tasks` | gauge | `sink`, `state` | How many |\n| `tasks_seconds` | histogram | `part` | How long |\n";
        assert_eq!(of_scrape(scrape), of_page(page));
        assert_eq!(of_page(page).len(), 3);
        assert_ne!(of_scrape(scrape), of_page(&page.replace("`sink`, ", "")));
    }
}
