//! Changes the bytes of a body, knowing nothing of what they say.

use super::random::Random;

/// Pieces that mislead parsers.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"0",
    b"-",
    b".",
    b"e",
    b"E+",
    b" ",
    b"\n",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    b"\\u0000",
    b"\\ud800",
    b"\\u0022",
    b"null",
    b"true",
    b"1e999",
    b"\"\":0,",
];

/// A body after one to three changes; `other` is where foreign parts come from.
#[must_use]
pub fn mutated(mut body: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..random.between(1, 3) {
        change(&mut body, other, random);
    }
    body
}

fn change(body: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(body.len() + 1);
    match random.below(9) {
        0 => flip(body, at, random),
        1 => {
            let end = (at + random.between(1, 4)).min(body.len());
            drop(body.drain(at..end));
        }
        2 => insert(body, at, random.pick(PIECES)),
        3 => insert(body, at, &[random.any() as u8]),
        4 => {
            if let Some(byte) = body.get_mut(at) {
                *byte = random.pick(b"\"\\{}[],:0123456789.eE+- \n\x00\xff");
            }
        }
        5 => {
            let piece = slice(body, at, random).to_vec();
            insert(body, random.below(body.len() + 1), &piece);
        }
        6 => body.truncate(at),
        7 => {
            // The beginning of one and the end of another.
            body.truncate(at);
            body.extend_from_slice(other.get(random.below(other.len() + 1)..).unwrap_or_default());
        }
        _ => insert(body, at, slice(other, random.below(other.len() + 1), random)),
    }
}

fn flip(body: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = body.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn insert(body: &mut Vec<u8>, at: usize, piece: &[u8]) {
    body.splice(at..at, piece.iter().copied());
}

fn slice<'b>(body: &'b [u8], at: usize, random: &mut Random) -> &'b [u8] {
    let end = (at + random.between(1, 40)).min(body.len());
    body.get(at..end).unwrap_or_default()
}
