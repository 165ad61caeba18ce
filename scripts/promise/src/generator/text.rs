//! Customers, as people and their machines write them: composed and decomposed, with odd white space, with control
//! characters, with the signs that break careless software.
//!
//! Only characters that Unicode 14 knows: the oracle's Python has no later tables.

use crate::rng::Rng;

/// Whole names. None is blank, none has U+0000.
const NAMES: &[&str] = &[
    "john_doe",
    "Ada Lovelace",
    "Zoë Müller",
    "Zoe\u{308} Mu\u{308}ller",
    "A\u{30a}ngstro\u{308}m \u{212b}",
    "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
    "한글 이름",
    "e\u{302}\u{301} and \u{1ebf} and \u{ea}\u{301}",
    "a\u{315}\u{300}\u{5ae}\u{300}b",
    "\u{958}\u{95b} \u{fb1d}",
    "\u{2126}hm & \u{212a}elvin",
    "ﬁancé of the ﬃce",
    "Владимир Набоков",
    "שלום עולם",
    "محمد بن موسى",
    "Nguyễn Văn An",
    "山田 太郎",
    "\u{1f469}\u{200d}\u{1f680} Sally \u{1f468}\u{1f3fd}\u{200d}\u{1f373}",
    "O'Brien; DROP TABLE order_placed;--",
    "<script>alert(1)</script>",
    "back\\slash \"quoted\" {{braces}} ${env:HOME}",
    "null",
    "100%s %n \\u0041",
    "x\u{feff}y\u{200b}z\u{ad}w",
    "\u{202e}right to left\u{202c}",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐐷 \u{10fffd}",
    "\u{1e9b}\u{323} \u{1d15e}",
];

/// White space of many kinds; the tab, the newlines and U+0085 are control characters too.
const SPACES: &[&str] = &[
    " ", "  ", "\t", "\n", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}",
    "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}", " \u{a0} ",
];

/// Control characters that are no white space.
const CONTROLS: &[&str] =
    &["\u{1}", "\u{7}", "\u{8}", "\u{e}", "\u{1b}", "\u{1f}", "\u{7f}", "\u{80}", "\u{86}", "\u{9f}"];

/// Longest customer, in characters.
const MAX: usize = 256;

/// A customer that is left with something after cleaning.
pub(super) fn customer(rng: &mut Rng) -> String {
    match rng.below(10) {
        0..=3 => rng.pick(NAMES).to_owned(),
        4 | 5 => spaced(rng),
        6 => sprinkled(rng),
        7 => rng.pick(&["x", "é", "e\u{301}", "字", "\u{1f600}"]).to_owned(),
        8 => long(rng),
        _ => random(rng),
    }
}

/// A customer that the edge admits and of which nothing is left after cleaning.
pub(super) fn only_controls(rng: &mut Rng) -> String {
    let mut text = rng.pick(CONTROLS).to_owned();
    for _ in 0..rng.below(6) {
        text.push_str(if rng.percent(60) { rng.pick(CONTROLS) } else { rng.pick(SPACES) });
    }
    text
}

/// A customer that is white space alone, by every reading of the word.
pub(super) fn blank(rng: &mut Rng) -> String {
    (0..rng.between(1, 5)).map(|_| rng.pick(&[" ", "\t", "\n", "\u{a0}", "\u{2003}", "\u{3000}"])).collect()
}

fn spaced(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.between(1, 4) {
        if rng.percent(70) {
            text.push_str(rng.pick(SPACES));
        }
        text.push_str(rng.pick(NAMES));
        if rng.percent(70) {
            text.push_str(rng.pick(SPACES));
        }
    }
    text.chars().take(MAX).collect()
}

fn sprinkled(rng: &mut Rng) -> String {
    let mut text = String::new();
    for character in rng.pick(NAMES).chars() {
        text.push(character);
        match rng.below(12) {
            0 | 1 => text.push_str(rng.pick(CONTROLS)),
            2 => text.push_str(rng.pick(SPACES)),
            3 => text.push_str(rng.pick(&["\u{301}", "\u{327}", "\u{323}"])),
            _ => {}
        }
    }
    text.chars().take(MAX).collect()
}

/// Exactly the limit; NFC makes some of them longer, some shorter.
fn long(rng: &mut Rng) -> String {
    let pattern = rng.pick(&["a", "é", "e\u{301}", "字", "\u{958}", "a ", "\u{1f600}", "\u{1d160}"]);
    pattern.chars().cycle().take(MAX).collect()
}

fn random(rng: &mut Rng) -> String {
    let blocks = [
        (0x21, 0x7e),
        (0xa1, 0x17f),
        (0x300, 0x333),
        (0x391, 0x3a1),
        (0x410, 0x44f),
        (0xac00, 0xd7a3),
        (0x4e00, 0x9fa5),
    ];
    let mut text = String::from("r");
    for _ in 0..rng.between(1, 40) {
        let (low, high) = rng.pick(&blocks);
        let code = u32::try_from(rng.between(low, high)).unwrap_or(0x21);
        text.push(char::from_u32(code).unwrap_or('!'));
    }
    text
}
