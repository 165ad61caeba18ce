//! Text as people type it, made plain. Which characters count is said in `../../README.md`.

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// NFC, control characters out, runs of white space to one space, trimmed.
pub(crate) fn tidy(text: &str) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => collapse(text.chars()),
        IsNormalized::No | IsNormalized::Maybe => collapse(text.nfc()),
    }
}

fn collapse(chars: impl Iterator<Item = char>) -> String {
    let mut tidy = String::new();
    let mut gap = false;
    // `is_control` is exactly the category Cc, `is_whitespace` exactly the property White_Space.
    for letter in chars.filter(|letter| !letter.is_control()) {
        if letter.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && !tidy.is_empty() {
            tidy.push(' ');
        }
        gap = false;
        tidy.push(letter);
    }
    tidy
}

/// Trimmed; what is behind the last `@` in lower case.
pub(crate) fn tidy_email(email: &str) -> String {
    let email = email.trim();
    match email.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        None => email.to_owned(),
    }
}
