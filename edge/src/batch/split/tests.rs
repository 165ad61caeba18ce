use proptest::prelude::*;

use super::*;

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
