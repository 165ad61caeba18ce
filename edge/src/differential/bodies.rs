//! Bodies from seeds: orders as clients write them, orders with members at the limits of the rules, and what is left of
//! orders after their bytes were changed.

use super::{
    mutate::mutated,
    random::Random,
    values::{ordinary as value, strange},
};

const REQUIRED: [&str; 3] = ["orderId", "amount", "customer"];
const OPTIONAL: [&str; 6] = ["currency", "items", "email", "country", "channel", "createdAt"];
const ITEM: [&str; 3] = ["sku", "quantity", "unitPrice"];
/// Keys that nearly are fields.
const KEYS: &[&str] = &[
    "extra",
    "orderid",
    "orderId ",
    "",
    "sku",
    "order\\u0049d",
    "\\u0061mount",
    "customer\\u0000",
    "items\u{e9}",
    "cust\tomer",
    "\\ud800",
];

/// How a body is written.
struct Style {
    /// Of a hundred members so many are strange.
    strange: usize,
    space: Space,
}

#[derive(Clone, Copy, Default)]
enum Space {
    #[default]
    No,
    /// One blank behind colon and comma.
    One,
    /// Any white space anywhere.
    Any,
}

/// A valid order by the shipped schema, as a client may write it.
#[must_use]
pub fn ordinary(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let style = Style { strange: 0, space: space(&mut random) };
    order(&mut random, &style).into_bytes()
}

/// Any body: an ordinary order, one at the limits, or one whose bytes were changed.
#[must_use]
pub fn body(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let strange = random.pick(&[0, 0, 10, 30]);
    let style = Style { strange, space: space(&mut random) };
    let body = order(&mut random, &style).into_bytes();
    match random.below(10) {
        0..5 => body,
        5 => around(&mut random, body),
        _ => {
            let other = order(&mut random, &style).into_bytes();
            mutated(body, &other, &mut random)
        }
    }
}

fn space(random: &mut Random) -> Space {
    random.pick(&[Space::No, Space::No, Space::One, Space::Any])
}

/// Something before or behind a body that does not belong there, or does.
fn around(random: &mut Random, body: Vec<u8>) -> Vec<u8> {
    let pieces: [&[u8]; 12] =
        [b"", b"", b" ", b"\r\n\t ", b"\xef\xbb\xbf", b"\x0c", b"\xc2\xa0", b"\0", b"{}", b",", b"}", b"// x\n"];
    let (before, behind) = (random.pick(&pieces), random.pick(&pieces));
    let mut all = before.to_vec();
    if random.percent(10) {
        let depth = random.pick(&[1, 14, 15, 16, 130]);
        all.extend(b"[".repeat(depth));
        all.extend(body);
        all.extend(b"]".repeat(depth));
    } else {
        all.extend(body);
    }
    all.extend(behind);
    all
}

fn order(random: &mut Random, style: &Style) -> String {
    let mut names: Vec<&str> = REQUIRED.to_vec();
    let chance = random.pick(&[20, 50, 90]);
    names.extend(OPTIONAL.iter().filter(|_| random.percent(chance)));
    let mut members = Vec::new();
    for name in names {
        let raw = if random.percent(style.strange) {
            match name {
                "items" if random.percent(70) => items(random, style),
                _ => strange(name, random),
            }
        } else if name == "items" {
            items(random, style)
        } else {
            value(name, random)
        };
        members.push((name.to_owned(), raw));
    }
    disturb(random, style, &mut members);
    if random.percent(30) {
        random.shuffle(&mut members);
    }
    object(random, style, &members)
}

fn items(random: &mut Random, style: &Style) -> String {
    let many = 0 < style.strange && random.percent(1);
    let count = if many { random.pick(&[499, 500, 501, 4990]) } else { random.pick(&[0, 1, 1, 2, 3, 4, 4, 8, 20]) };
    let items: Vec<String> = if many {
        vec![String::from(r#"{"sku":"s","quantity":1,"unitPrice":1}"#); count]
    } else {
        (0..count).map(|_| item(random, style)).collect()
    };
    let mut text = String::from("[");
    for (index, item) in items.iter().enumerate() {
        if index != 0 {
            text.push(',');
            text.push_str(&white(random, style));
        }
        text.push_str(item);
    }
    if style.strange != 0 && random.percent(2) {
        text.push_str(random.pick(&[",", ",,", "1", "]"]));
    }
    text.push_str(&inner(random, style));
    text.push(']');
    text
}

fn item(random: &mut Random, style: &Style) -> String {
    let mut members = Vec::new();
    for name in ITEM {
        let raw = if random.percent(style.strange / 3) { strange(name, random) } else { value(name, random) };
        members.push((name.to_owned(), raw));
    }
    if random.percent(20) {
        random.shuffle(&mut members);
    }
    if random.percent(10) {
        disturb(random, style, &mut members);
    }
    object(random, style, &members)
}

/// Takes a member away, writes one twice, or adds one.
fn disturb(random: &mut Random, style: &Style, members: &mut Vec<(String, String)>) {
    if !random.percent(style.strange) {
        return;
    }
    let at = random.below(members.len());
    match random.below(4) {
        0 => drop(members.remove(at)),
        1 => members.extend(members.get(at).cloned()),
        2 => members.push((random.pick(KEYS).to_owned(), random.pick(&["1", "\"a\"", "null"]).to_owned())),
        _ => {
            // The same key, written otherwise.
            let Some((key, value)) = members.get(at).cloned() else { return };
            let mut escaped = String::new();
            for (index, character) in key.chars().enumerate() {
                match index == 0 {
                    true => escaped.push_str(&format!("\\u{:04x}", u32::from(character))),
                    false => escaped.push(character),
                }
            }
            if random.percent(50) {
                members.push((escaped, value));
            } else if let Some(member) = members.get_mut(at) {
                member.0 = escaped;
            }
        }
    }
}

fn object(random: &mut Random, style: &Style, members: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (index, (key, value)) in members.iter().enumerate() {
        if index != 0 {
            text.push(',');
            text.push_str(&white(random, style));
        }
        text.push_str(&inner(random, style));
        text.push_str(&format!("\"{key}\"{}:{}{value}", inner(random, style), white(random, style)));
        text.push_str(&inner(random, style));
    }
    text.push('}');
    text
}

/// White space where most writers that use any put one blank.
fn white(random: &mut Random, style: &Style) -> String {
    match style.space {
        Space::No => String::new(),
        Space::One => String::from(" "),
        Space::Any => inner(random, style),
    }
}

/// White space where few writers put any.
fn inner(random: &mut Random, style: &Style) -> String {
    match style.space {
        Space::Any => random.pick(&["", "", " ", "\n  ", "\t", "\r\n"]).to_owned(),
        Space::No | Space::One => String::new(),
    }
}
