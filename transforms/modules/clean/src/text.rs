//! Text as people type it, made plain. Which characters count is said in `../../README.md`.

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// NFC, control characters out, runs of white space to one space, trimmed.
pub(crate) fn tidy(text: &str) -> String {
    if is_tidy(text.as_bytes()) {
        return text.to_owned();
    }
    by_rule(text)
}

/// The same, whatever the text is.
pub(crate) fn by_rule(text: &str) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => collapse(text.chars()),
        IsNormalized::No | IsNormalized::Maybe => collapse(text.nfc()),
    }
}

/// Printable ASCII with single spaces inside, as nearly every name is: it is NFC, and nothing is to be taken away.
fn is_tidy(text: &[u8]) -> bool {
    let mut before = b' ';
    let plain = text.iter().all(|letter| {
        let fine = matches!(letter, b'!'..=b'~') || (*letter == b' ' && before != b' ');
        before = *letter;
        fine
    });
    plain && (text.is_empty() || before != b' ')
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
    let mut email = email.trim().to_owned();
    let domain = email.rfind('@').map(|at| at + 1);
    if let Some(domain) = domain.and_then(|domain| email.get_mut(domain..)) {
        domain.make_ascii_lowercase();
    }
    email
}
