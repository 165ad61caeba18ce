//! "Did you mean …?": the known name with the fewest changed letters. Suggests nothing that is far away.

/// The nearest of `known`, where it is near enough to be meant.
pub(super) fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 4).clamp(1, 6);
    let near = known.map(|name| (distance(word, name), name)).filter(|(distance, _)| *distance <= limit);
    near.min().map(|(_, name)| name)
}

/// Levenshtein's distance, row by row.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let (mut diagonal, mut before) = (i, i + 1);
        let mut next = vec![before];
        for (above, r) in row.iter().skip(1).zip(&right) {
            before = (diagonal + usize::from(l != *r)).min(before + 1).min(above + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["max-body-bytes", "listen", "admin-listen"];
        for (word, meant) in [
            ("max-body-byte", Some("max-body-bytes")),
            ("max_body_bytes", Some("max-body-bytes")),
            ("lisen", Some("listen")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(suggest(word, known.into_iter()), meant, "{word}");
        }
    }
}
