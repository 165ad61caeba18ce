use proptest::prelude::*;

use super::*;
use crate::differential::{self, Random};

const LIMIT: usize = 64;

/// What comes out of a body that comes in these pieces: the lines with their texts, and what is wrong around them.
fn split(format: Format, pieces: &[&[u8]]) -> (Vec<(usize, String)>, Option<Form>) {
    let mut splitter = Splitter::new(format, LIMIT);
    let mut found = Vec::new();
    let mut keep = |Found { line, text }: Found| {
        let text = match text {
            Text::Whole(text) => String::from_utf8_lossy(&text).trim().to_owned(),
            Text::TooLong(size) => format!("too long: {size}"),
            Text::GivenUp => "given up".to_owned(),
        };
        found.push((line, text));
    };
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece));
        loop {
            match splitter.next() {
                Ok(Some(next)) => keep(next),
                Ok(None) => break,
                Err(form) => return (found, Some(form)),
            }
        }
        assert!(splitter.wants_more() && splitter.kept() <= LIMIT);
    }
    match splitter.end() {
        Ok(last) => last.into_iter().for_each(keep),
        Err(form) => return (found, Some(form)),
    }
    (found, None)
}

fn check(format: Format, body: &str, expected: &[(usize, &str)], form: Option<Form>) {
    let expected: Vec<(usize, String)> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    let whole = split(format, &[body.as_bytes()]);
    assert_eq!(whole, (expected, form), "{body:?}");
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(split(format, &bytes), whole, "byte by byte: {body:?}");
    for at in 0..=body.len() {
        let (first, second) = body.as_bytes().split_at(at);
        assert_eq!(split(format, &[first, second]), whole, "cut at {at}: {body:?}");
    }
}

#[test]
fn lines_end_with_lf_or_crlf_and_empty_ones_have_a_number_and_no_receipt() {
    let check = |body, expected| check(Format::Lines, body, expected, None);
    check("", &[]);
    check("\n \r\n\t\n", &[]);
    check("{}\n{\"a\":1}\n", &[(1, "{}"), (2, "{\"a\":1}")]);
    check("{}\r\n\r\n\n[1]\r\n", &[(1, "{}"), (4, "[1]")]);
    check("{}\n{}", &[(1, "{}"), (2, "{}")]);
    check("{}\n{\"a\":", &[(1, "{}"), (2, "{\"a\":")]);
    check("[\n]\n,\n\"\n", &[(1, "["), (2, "]"), (3, ","), (4, "\"")]);
}

#[test]
fn an_array_is_split_at_its_own_commas_only() {
    let check = |body, expected| check(Format::Array, body, expected, None);
    check("[]", &[]);
    check(" [ \n ] \r\n", &[]);
    check("[1]", &[(1, "1")]);
    check(" [1 ,\n2, 3 ]\n", &[(1, "1"), (2, "2"), (3, "3")]);
    check(r#"[{"a":[1,[2,{"b":"]"}]]},"],[{}"]"#, &[(1, r#"{"a":[1,[2,{"b":"]"}]]}"#), (2, r#""],[{}""#)]);
    check(
        r#"["\"],","\\",["\\\"]"],"\u005d"]"#,
        &[(1, r#""\"],""#), (2, r#""\\""#), (3, r#"["\\\"]"]"#), (4, r#""\u005d""#)],
    );
}

#[test]
fn a_missing_element_is_an_element_that_the_parser_refuses() {
    check(Format::Array, "[1,]", &[(1, "1"), (2, "")], None);
    check(Format::Array, "[,]", &[(1, ""), (2, "")], None);
    check(Format::Array, "[1,,2]", &[(1, "1"), (2, ""), (3, "2")], None);
    check(Format::Array, "[1 2,}3,4]", &[(1, "1 2"), (2, "}3"), (3, "4")], None);
}

#[test]
fn an_array_without_its_end_or_with_something_behind_it_is_not_well_formed() {
    check(Format::Array, "[", &[], Some(Form::Unfinished));
    check(Format::Array, "[1,2", &[(1, "1")], Some(Form::Unfinished));
    check(Format::Array, r#"[1,"]"#, &[(1, "1")], Some(Form::Unfinished));
    check(Format::Array, "[1] 2", &[(1, "1")], Some(Form::Trailing));
    check(Format::Array, "[1]]", &[(1, "1")], Some(Form::Trailing));
    check(Format::Array, "[][]", &[], Some(Form::Trailing));
}

#[test]
fn an_order_that_is_too_long_is_not_kept_and_its_size_is_told() {
    let long = "x".repeat(LIMIT + 1);
    check(Format::Lines, &format!("{long}\n{{}}\n"), &[(1, "too long: 65"), (2, "{}")], None);
    check(Format::Array, &format!("[{long},1]"), &[(1, "too long: 65"), (2, "1")], None);
    let whole = "x".repeat(LIMIT);
    check(Format::Lines, &format!("{whole}\n{long}"), &[(1, &whole), (2, "too long: 65")], None);
}

#[test]
fn an_order_without_memory_is_told_when_it_ends_and_the_next_is_taken() {
    let mut splitter = Splitter::new(Format::Lines, LIMIT);
    splitter.push(Bytes::from_static(b"{\"a\":"));
    assert_eq!(splitter.next(), Ok(None));
    assert_eq!(splitter.kept(), 5);
    splitter.give_up();
    splitter.push(Bytes::from_static(b"1}\n{}\n"));
    assert_eq!(splitter.kept(), 0);
    assert_eq!(splitter.next(), Ok(Some(Found { line: 1, text: Text::GivenUp })));
    assert_eq!(splitter.next(), Ok(Some(Found { line: 2, text: Text::Whole(Bytes::from_static(b"{}")) })));
    // Nothing is kept, so there is nothing to give up.
    splitter.give_up();
    splitter.push(Bytes::from_static(b"{}\n"));
    assert_eq!(splitter.next(), Ok(Some(Found { line: 3, text: Text::Whole(Bytes::from_static(b"{}")) })));
}

// === whatever is posted, in whatever pieces it comes ===

/// A batch from a seed: orders of all kinds one after the other, some of them with changed bytes around them.
fn batch(random: &mut Random, array: bool) -> Vec<u8> {
    let mut body = if array { b"[".to_vec() } else { Vec::new() };
    let count = random.below(6);
    for index in 0..count {
        let order = differential::body(random.any());
        body.extend(order.into_iter().take(random.pick(&[20, 200, 2000])));
        let last = index + 1 == count;
        let separator: &[u8] = match array {
            true if last => b"]",
            true => random.pick(&[b",", b", ", b"\n,"]),
            false => random.pick(&[b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"]),
        };
        body.extend_from_slice(separator);
    }
    if random.percent(40) { differential::mutated(body, b"[]{},\"\\\n", random) } else { body }
}

fn pieces<'b>(random: &mut Random, mut body: &'b [u8]) -> Vec<&'b [u8]> {
    let longest = random.pick(&[1, 7, 100, 5000]);
    let mut pieces = Vec::new();
    while !body.is_empty() {
        let (piece, rest) = body.split_at(random.between(0, longest).min(body.len()));
        pieces.push(piece);
        body = rest;
    }
    pieces
}

/// What comes out, byte by byte as it stood.
fn raw(format: Format, limit: usize, pieces: &[&[u8]]) -> (Vec<(usize, Text)>, Option<Form>) {
    let mut splitter = Splitter::new(format, limit);
    let mut found = Vec::new();
    for piece in pieces {
        splitter.push(Bytes::copy_from_slice(piece));
        loop {
            match splitter.next() {
                Ok(Some(Found { line, text })) => found.push((line, text)),
                Ok(None) => break,
                Err(form) => return (found, Some(form)),
            }
        }
        assert!(splitter.wants_more());
        assert!(splitter.kept() <= limit && splitter.part.capacity() <= 4 * limit + 64, "memory is bounded");
    }
    match splitter.end() {
        Ok(last) => found.extend(last.map(|Found { line, text }| (line, text))),
        Err(form) => return (found, Some(form)),
    }
    (found, None)
}

/// The lines, as anyone would write them down.
fn lines(body: &[u8], limit: usize) -> Vec<(usize, Text)> {
    let kept = |line: &[u8]| match line.len() <= limit {
        true => Text::Whole(Bytes::copy_from_slice(line)),
        false => Text::TooLong(line.len()),
    };
    let all = body.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    let told = all.filter(|(_, line)| limit < line.len() || !line.iter().all(|byte| is_white(*byte)));
    told.map(|(number, line)| (number, kept(line))).collect()
}

/// Elements and commas, put together again, are the array; when it is not well formed, the part of it that was taken.
fn check_array(body: &[u8], found: &[(usize, Text)], form: Option<Form>) {
    let begin = body.iter().position(|byte| !is_white(*byte)).unwrap_or(body.len());
    let inner = match body.get(begin) {
        Some(b'[') => &body[begin + 1..],
        _ => return assert!(found.is_empty() && form.is_some(), "{}", body.escape_ascii()),
    };
    let texts: Vec<&[u8]> = found
        .iter()
        .map(|(_, text)| match text {
            Text::Whole(text) => &text[..],
            _ => panic!("the limit is as long as the body"),
        })
        .collect();
    let numbers = found.iter().map(|(number, _)| *number);
    assert!(numbers.eq(1..=found.len()), "elements are counted from 1: {}", body.escape_ascii());
    let again = texts.join(&b","[..]);
    let rest = match inner.strip_prefix(&again[..]) {
        Some(rest) => rest,
        None => panic!("{} is not the beginning of {}", again.escape_ascii(), body.escape_ascii()),
    };
    match form {
        None if found.is_empty() => assert_eq!(rest.trim_ascii(), b"]"),
        None => assert!(rest[0] == b']' && rest[1..].iter().all(|byte| is_white(*byte)), "{}", body.escape_ascii()),
        Some(Form::Unfinished) => assert!(found.is_empty() || rest[0] == b',', "{}", body.escape_ascii()),
        Some(Form::Trailing) => {
            let behind = rest.iter().position(|byte| *byte == b']').unwrap();
            assert!(rest[behind + 1..].iter().any(|byte| !is_white(*byte)), "{}", body.escape_ascii());
        }
    }
}

#[test]
fn whatever_is_posted_and_however_it_is_cut_no_byte_of_a_batch_is_lost() {
    let batches = if cfg!(debug_assertions) { 3_000 } else { 60_000 };
    let (mut well_formed, mut trailing, mut too_long) = (0, 0, 0);
    for seed in 0..batches {
        let mut random = Random::new(seed);
        let format = if random.percent(50) { Format::Array } else { Format::Lines };
        let body = batch(&mut random, format == Format::Array);
        let limit = random.pick(&[10, 100, 10_000, 10_000]).min(body.len());
        let (found, form) = raw(format, limit, &[&body]);
        let again = raw(format, limit, &pieces(&mut random, &body));
        assert_eq!(again, (found.clone(), form), "seed {seed}: {}", body.escape_ascii());
        match format {
            Format::Lines => {
                assert_eq!((&found, form), (&lines(&body, limit), None), "seed {seed}: {}", body.escape_ascii());
            }
            Format::Array if limit == body.len() => check_array(&body, &found, form),
            Format::Array => {}
        }
        well_formed += usize::from(form.is_none());
        trailing += usize::from(form == Some(Form::Trailing));
        too_long += usize::from(found.iter().any(|(_, text)| matches!(text, Text::TooLong(_))));
    }
    let few = batches as usize / 50;
    assert!(few < well_formed && few < trailing && few < too_long, "{well_formed}, {trailing}, {too_long}");
}

/// Any text, with much of what could mislead.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => prop::sample::select(&b"[]{},\"\\\n\r a1"[..]), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..200)
}

proptest! {
    #[test]
    fn however_it_is_cut_the_orders_are_the_same(
        body in body(), array: bool, cuts in prop::collection::vec(0usize..200, 0..12),
    ) {
        let format = if array { Format::Array } else { Format::Lines };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect();
        prop_assert_eq!(split(format, &pieces), split(format, &[&body]));
    }

    /// What serde_json reads as an array has the elements that serde_json says.
    #[test]
    fn a_json_array_has_the_elements_that_serde_json_reads(
        values in prop::collection::vec("\\PC{0,9}|[\\[\\]{},\"\\\\]{0,9}", 0..8), nested: bool, pretty: bool,
    ) {
        let one = |text: String| if nested { serde_json::json!({ "a": [text, [1, {}]] }) } else { text.into() };
        let values: Vec<serde_json::Value> = values.into_iter().map(one).collect();
        let body = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
        let mut splitter = Splitter::new(Format::Array, body.len());
        splitter.push(body.into());
        let mut read: Vec<serde_json::Value> = Vec::new();
        while let Some(Found { text: Text::Whole(text), .. }) = splitter.next().unwrap() {
            read.push(serde_json::from_slice(&text).unwrap());
        }
        prop_assert_eq!(read, values);
        prop_assert_eq!(splitter.end(), Ok(None));
    }
}
