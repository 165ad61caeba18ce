//! A JSON object whose members are raw texts, so that the generator decides every byte: the order of the members,
//! the white space, the escapes and the form of each number.
//!
//! serde_json would write one form of each; clients write all of them.

use crate::rng::Rng;

/// The plain content type.
pub(super) const JSON: &str = "application/json";

/// An object under construction.
#[derive(Debug, Clone, Default)]
pub(super) struct Body(Vec<(String, String)>);

impl Body {
    /// Sets `name` to the raw JSON text `value`, in place of an earlier value.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds a member even when one of that name is there.
    pub(super) fn add_again(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Takes `name` out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(existing, _)| existing != name);
    }

    /// The object's text, its members in a random order.
    pub(super) fn render(mut self, rng: &mut Rng) -> String {
        rng.shuffle(&mut self.0);
        let (open, comma, colon) =
            rng.pick(&[("", "", ""), ("", "", ""), ("", " ", " "), ("\n  ", "\n\t", "  "), (" ", "\r\n", " ")]);
        let members: Vec<String> = self.0.iter().map(|(name, value)| format!("\"{name}\":{colon}{value}")).collect();
        format!("{{{open}{}{open}}}", members.join(&format!(",{comma}")))
    }
}

/// An array of raw texts.
pub(super) fn array(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// `text` as a JSON string; what needs no escape is escaped now and then all the same.
pub(super) fn string(rng: &mut Rng, text: &str) -> String {
    let eager = rng.percent(10);
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if rng.percent(50) => out.push_str("\\n"),
            '\t' if rng.percent(50) => out.push_str("\\t"),
            '/' if eager => out.push_str("\\/"),
            '\u{0}'..='\u{1f}' => escape(character, &mut out),
            _ if eager && !character.is_ascii() => escape(character, &mut out),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

fn escape(character: char, out: &mut String) {
    let mut units = [0; 2];
    for unit in character.encode_utf16(&mut units) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}
