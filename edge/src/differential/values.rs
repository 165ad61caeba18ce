//! The values of members, as raw JSON: ordinary ones as clients write them, and those at which rules and parsers break.

use super::random::Random;

/// A value that clients write for this member.
pub(super) fn ordinary(member: &str, random: &mut Random) -> String {
    match member {
        "orderId" => match random.below(3) {
            0 => format!("\"order-{}\"", random.below(1_000_000)),
            1 => format!("\"{:016x}-{:08x}\"", random.any(), random.any()),
            _ => quoted(random, ID, 1, 40, true),
        },
        "amount" | "unitPrice" => money(random),
        "customer" => quoted_text(random, NAMES, 30),
        "currency" => quoted_pick(random, &["EUR", "USD", "gbp", "Chf", "JPY"]),
        "email" => format!("\"{}@{}.example\"", word(random, ID, 1, 20), word(random, LOWER, 1, 20)),
        "country" => quoted_pick(random, &["DE", "fr", "Us", "JP"]),
        "channel" => quoted_pick(random, &["web", "app-1", "POS", "call_center"]),
        "createdAt" => format!("\"{}\"", time(random)),
        "sku" => quoted_text(random, SKUS, 24),
        "quantity" => match random.below(3) {
            0 => random.between(1, 9),
            1 => random.between(1, 1000),
            _ => random.between(1, 1_000_000),
        }
        .to_string(),
        _ => String::from("null"),
    }
}

/// A value at the limits of this member's rules, or one that has nothing to do with them.
pub(super) fn strange(member: &str, random: &mut Random) -> String {
    if random.percent(10) {
        return random.pick(OTHERS).to_owned();
    }
    match member {
        "amount" | "unitPrice" | "quantity" => number(random),
        "createdAt" if random.percent(80) => format!("\"{}\"", strange_time(random)),
        "orderId" | "currency" | "country" | "channel" if random.percent(50) => {
            let length = random.pick(&[1, 2, 3, 4, 32, 128]) + random.below(2);
            quoted(random, ID, length, length, false)
        }
        "email" if random.percent(60) => {
            let max = random.pick(&[3, 254]);
            let (left, right) = (random.below(max), random.pick(&["@b", "@", "", "@@b", "@b@c", "@\u{e9}"]));
            format!("\"{}{right}\"", "a".repeat(left))
        }
        _ if random.percent(50) => long(random),
        _ => random.pick(STRINGS).to_owned(),
    }
}

// === strings ===

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const ID: &str = "ABCXYZabcxyz0189._:-";
const NAMES: &[&str] =
    &["john_doe", "Zo\u{eb} M\u{fc}ller", "Zo\\u00eb", "\u{5c71}\u{7530} \u{592a}\u{90ce}", "O'Brien \\\"Bob\\\"", "a"];
const SKUS: &[&str] = &["SKU-1", "A/B 12", "\u{df}-9", "1", "sku\\/2"];

/// Raw strings, quotes and all.
const STRINGS: &[&str] = &[
    r#""""#,
    r#"" ""#,
    r#""\t""#,
    r#""\n\r\f\b""#,
    r#""\u0000""#,
    r#""a\u0000b""#,
    r#""\u0041""#,
    r#""\u004""#,
    r#""\u00""#,
    r#""\U0041""#,
    r#""\x41""#,
    r#""\""#,
    r#""\\""#,
    r#""\/""#,
    r#""\ud83d\ude00""#,
    r#""\uD83D\uDE00x""#,
    r#""\ud83d""#,
    r#""\ud83dx""#,
    r#""\ude00""#,
    r#""\ud83d\ud83d""#,
    r#""\ud83d\u0041""#,
    r#""\u00a0\u2003\ufeff""#,
    r#""\u180e""#,
    r#""\u200b""#,
    r#""\u0085""#,
    "\"\u{a0}\u{3000}\"",
    "\"\u{feff}\"",
    "\"\u{85}\"",
    "\"\u{2028}\u{2029}\"",
    "\" \u{200b}\"",
    "\" \u{1680}\u{205f}x\"",
    "\"\u{7f}\"",
    "\"a\u{1f}\"",
    "\"a\nb\"",
    "\"\t\"",
    "\"\u{0}\"",
    "\"\u{10ffff}\"",
    "\"\u{1f600}\u{e9}\u{4e00}\"",
    "'a'",
    "\"a",
    "a\"",
    "\"a\"\"b\"",
];

/// What is no string and no number of an order.
const OTHERS: &[&str] = &[
    "null",
    "true",
    "false",
    "nul",
    "True",
    "{}",
    "[]",
    "[[]]",
    "{\"a\":1}",
    "[1]",
    "\"1\"",
    "1",
    "\"x\"",
    "",
    "NaN",
    "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
];

fn word(random: &mut Random, of: &str, min: usize, max: usize) -> String {
    let of: Vec<char> = of.chars().collect();
    (0..random.between(min, max)).map(|_| random.pick(&of)).collect()
}

/// A string of these characters; `plain` ones begin with a letter.
fn quoted(random: &mut Random, of: &str, min: usize, max: usize, plain: bool) -> String {
    format!("\"{}{}\"", if plain { "a" } else { "" }, word(random, of, min, max))
}

fn quoted_pick(random: &mut Random, from: &[&str]) -> String {
    format!("\"{}\"", random.pick(from))
}

fn quoted_text(random: &mut Random, from: &[&str], max: usize) -> String {
    match random.percent(50) {
        true => quoted_pick(random, from),
        false => quoted(random, "abc def ghi-\u{e9}\u{4e00}", 0, max, true),
    }
}

/// A string about as long as a limit, in characters of one to four bytes.
fn long(random: &mut Random) -> String {
    let limit = random.pick(&[1, 2, 3, 5, 32, 64, 128, 254, 256]);
    let length = (limit + random.below(3)).saturating_sub(1);
    let of = random.pick(&["a", "\u{e9}", "\u{4e00}", "\u{1f600}", "\\u00e9", "\\ud83d\\ude00", " ", "\\n"]);
    let last = random.pick(&["", "", "x", "\u{e9}"]);
    format!("\"{}{last}\"", of.repeat(length.saturating_sub(last.chars().count())))
}

// === numbers ===

fn money(random: &mut Random) -> String {
    let limit = random.pick(&[10, 1000, 100_000, 10_000_000]);
    let (whole, part) = (random.below(limit), random.below(100));
    match random.below(4) {
        0 => format!("{whole}"),
        1 => format!("{whole}.{}", part / 10),
        _ => format!("{whole}.{part:02}"),
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "-0.00",
    "0.01",
    "0.010",
    "0.001",
    "-0.01",
    "-1",
    "+1",
    "01",
    "00",
    "0.",
    "1.",
    ".5",
    "1.0",
    "1.00",
    "1.000",
    "1.10",
    "0.1e1",
    "1e2",
    "1E2",
    "1E+2",
    "1e-2",
    "1e-3",
    "1e",
    "1e+",
    "12e0",
    "1e400",
    "1e-400",
    "0e60",
    "1e9223372036854775807",
    "-1e-9223372036854775808",
    "9999999999999.99",
    "9999999999999.990",
    "9999999999999.991",
    "9999999999999.995",
    "9999999999999",
    "10000000000000",
    "99999999999999",
    "12345678901234567890",
    "1000000",
    "1000001",
    "999999.99",
    "1000000.00",
    "2.0",
    "20e-1",
    "1e6",
    "1.5",
    "NaN",
    "Infinity",
    "-",
    "--1",
    "0x1",
    "1_0",
    "1,5",
    "1 2",
    "1.2.3",
    "\u{661}",
];

fn number(random: &mut Random) -> String {
    let digits = |random: &mut Random, max| word(random, "0123456789", 1, max);
    match random.below(8) {
        0 => format!("{}.{}", digits(random, 15), digits(random, 4)),
        1 => format!("{}{}", random.pick(&["", "-", "0", "9"]), digits(random, 17)),
        2 => format!("{}.{}{}", digits(random, 4), digits(random, 2), "0".repeat(random.below(70))),
        3 => format!("{}e{}{}", digits(random, 4), random.pick(&["", "-", "+"]), digits(random, 3)),
        4 => format!("1{}", "0".repeat(random.pick(&[0, 1, 2, 3, 4, 5, 6, 12, 13, 400]))),
        5 => format!("{}.9{}", "9".repeat(random.between(1, 14)), random.pick(&["", "9", "90", "95"])),
        _ => random.pick(NUMBERS).to_owned(),
    }
}

// === times ===

fn time(random: &mut Random) -> String {
    let (year, month, day) = (random.between(2000, 2099), random.between(1, 12), random.between(1, 28));
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let fraction = random.pick(&["", "", ".5", ".123", ".123456789"]);
    let zone = random.pick(&["Z", "Z", "+02:00", "-05:30"]);
    // Within the range whatever the zone.
    let year = year.clamp(2001, 2098);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
}

const TIMES: &[&str] = &[
    "2000-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999Z",
    "2000-01-01T01:59:59+02:00",
    "1999-12-31T22:00:00-02:00",
    "2099-12-31T23:59:59.999Z",
    "2100-01-01T00:00:00Z",
    "2100-01-01T01:00:00+01:00",
    "2024-02-29T12:00:00Z",
    "2023-02-29T12:00:00Z",
    "2016-12-31T23:59:60Z",
    "2016-12-31T22:59:60Z",
    "2016-06-30T23:59:60.5+00:00",
    "2024-05-06t07:08:09z",
    "2024-05-06 07:08:09Z",
    "2024-05-06_07:08:09Z",
    "2024-05-06T07:08:09",
    "2024-05-06",
    "20240506T070809Z",
    "2024-05-06T07:08Z",
    "2024-05-06T07:08:09+0200",
    "2024-05-06T07:08:09+02",
    "2024-05-06T07:08:09+24:00",
    "2024-05-06T07:08:09-23:59",
    "2024-05-06T07:08:09-00:00",
    "2024-05-06T07:08:09+00:60",
    "2024-05-06T24:00:00Z",
    "2024-05-06T07:60:00Z",
    "2024-05-06T07:08:61Z",
    "2024-13-06T07:08:09Z",
    "2024-00-06T07:08:09Z",
    "2024-05-00T07:08:09Z",
    "2024-04-31T07:08:09Z",
    "2024-05-06T07:08:09.Z",
    "2024-05-06T07:08:09,5Z",
    "2024-05-06T07:08:09.0009Z",
    "2024-05-06T07:08:09.9999999999999Z",
    "2024-05-06T07:08:09.12345678901234567890Z",
    "2024-05-06T07:08:09.12345678901234567890123456789012345678901234567890Z",
    "2024-05-06T07:08:09ZZ",
    " 2024-05-06T07:08:09Z",
    "2024-05-06T07:08:09Z\\n",
    "2024-05-06\\u005407:08:09Z",
    "2024-05-06\u{e9}07:08:09Z",
    "\u{661}024-05-06T07:08:09Z",
    "+024-05-06T07:08:09Z",
    "1714972089",
    "now",
    "",
];

fn strange_time(random: &mut Random) -> String {
    if random.percent(50) {
        return random.pick(TIMES).to_owned();
    }
    let (year, month, day) = (random.between(1998, 2101), random.below(14), random.below(33));
    let (hour, minute, second) = (random.below(26), random.below(62), random.below(62));
    let fraction = match random.below(3) {
        0 => String::new(),
        _ => format!(".{}", word(random, "0123456789", 0, 24)),
    };
    let zone = match random.below(3) {
        0 => random.pick(&["Z", "z", "", "+", "Z0"]).to_owned(),
        _ => format!("{}{:02}:{:02}", random.pick(&["+", "-"]), random.below(26), random.below(62)),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
}
