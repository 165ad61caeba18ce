//! "Did you mean …?": the known name with the fewest changed letters. Suggests nothing that is far away.

/// The nearest of `known`, where it is near enough to be meant. A name that ends in `*` stands for many and is never meant.
#[must_use]
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 4).clamp(1, 6);
    known
        .filter(|name| !name.ends_with('*'))
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, row by row.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(before);
        for (above, r) in row.iter().skip(1).zip(&right) {
            let cost = diagonal + usize::from(l != *r);
            before = cost.min(before + 1).min(above + 1);
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
    fn the_distance_counts_changed_letters() {
        for (left, right, wanted) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(left, right), wanted, "{left} {right}");
        }
    }

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
        let known = ["insert.mode", "tasks.max", "consumer.override.*"];
        assert_eq!(suggest("insert.mod", known.into_iter()), Some("insert.mode"));
        assert_eq!(suggest("task.max", known.into_iter()), Some("tasks.max"));
        assert_eq!(suggest("colour", known.into_iter()), None);
    }
}
