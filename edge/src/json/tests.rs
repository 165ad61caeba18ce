use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn check(body: &str, expected: &str) {
    let error = parse(body.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(expected), "{body:.80}: {error}");
}

#[test]
fn values_are_read_as_they_were_written() {
    let body = r#" {"a": [1.50, -0, 1e2, true, false, null, "x\u00e9\ud83d\ude00"], "b": {}} "#;
    let numbers = ["1.50", "-0", "1e2"].map(Json::Number);
    let mut values = numbers.to_vec();
    values.extend([Json::Bool(true), Json::Bool(false), Json::Null, Json::String("xé😀".into())]);
    let expected = Json::Object(vec![("a".into(), Json::Array(values)), ("b".into(), Json::Object(vec![]))]);
    assert_eq!(parse(body.as_bytes()).unwrap(), expected);
}

#[test]
fn strings_without_escapes_are_not_copied() {
    let Json::String(text) = parse(br#""plain""#).unwrap() else { panic!("a string") };
    assert!(matches!(text, Cow::Borrowed("plain")));
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    check(r#"{"a":1,"b":2,"a":1}"#, r#"key "/a" stands twice"#);
    check(r#"{"items":[{},{"sku":"x","sku":"x"}]}"#, r#"key "/items/1/sku" stands twice"#);
    check(r#"{"amount":1,"\u0061mount":2}"#, r#"key "/amount" stands twice"#);
    let many: Vec<String> = (0..40).map(|key| format!(r#""k{}":0"#, key % 39)).collect();
    check(&format!("{{{}}}", many.join(",")), r#"key "/k0" stands twice"#);
}

#[test]
fn what_is_not_json_is_refused() {
    for body in [
        "",
        " ",
        "{",
        "{}x",
        "{}{}",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "01",
        "1.",
        ".5",
        "+1",
        "0x1",
        "1e",
        "NaN",
        "-",
        "Infinity",
        "nul",
        "\"a",
        "\"\n\"",
        "{\"a\" 1}",
        "[1 2]",
        "\u{feff}{}",
        "// {}",
        "tru",
        "\"\\x41\"",
    ] {
        check(body, "not valid JSON");
    }
    for body in [r#"{"customer":"\ud800"}"#, r#""\udc00""#, r#""\ud800\u0041""#, r#"{"\ud800":1}"#] {
        check(body, "not valid JSON");
    }
    let error = parse(b"{\"a\":\"\xff\"}").unwrap_err();
    assert!(matches!(error, Malformed::Utf8(6)), "{error}");
    assert!(parse(b"\"\xed\xa0\x80\"").is_err(), "a surrogate as UTF-8");
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    check(&nested(MAX_DEPTH + 1), "deeper than 16 levels");
    check(&nested(400_000), "deeper than 16 levels");
    check(&"[".repeat(400_000), "not valid JSON");
    let many = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    assert!(parse(many(MAX_VALUES - 1).as_bytes()).is_ok());
    check(&many(MAX_VALUES), "more than 20000 values");
    check(&many(MAX_VALUES + 9), "more than 20000 values");
    let members: Vec<String> = (0..MAX_VALUES + 9).map(|key| format!(r#""{key}":0"#)).collect();
    check(&format!("{{{}}}", members.join(",")), "more than 20000 values");
}

#[test]
fn a_pointer_is_escaped_and_bounded() {
    check(r#"{"a/b~c":{"x":1,"x":1}}"#, r#""/a~1b~0c/x""#);
    let long = "k".repeat(500);
    let error = parse(format!(r#"{{"{long}":1,"{long}":1}}"#).as_bytes()).unwrap_err().to_string();
    assert!(error.len() < 200, "{error}");
}

/// What serde_json makes of the same text, with the numbers as text.
fn same(ours: &Json<'_>, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => a.parse::<serde_json::Number>().is_ok_and(|a| a == *b),
        (Json::String(a), Value::String(b)) => a == b,
        (Json::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key.as_ref()).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| json!(number)),
        "\\PC{0,12}|[\\x00-\\x20\"\\\\]{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z/~\"\\\\é]{0,5}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn we_read_what_serde_json_reads(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let ours = parse(text.as_bytes());
        prop_assert!(ours.is_ok_and(|ours| same(&ours, &value)), "{text}");
    }

    #[test]
    fn no_bytes_are_too_strange(body in prop::collection::vec(any::<u8>(), 0..60)) {
        let ours = parse(&body);
        let theirs = serde_json::from_slice::<Value>(&body);
        // A number beyond f64 is refused by serde_json's tree and kept as text here; nothing else may differ this way.
        prop_assert!(theirs.is_err() || ours.is_ok() || matches!(ours, Err(Malformed::Duplicate(_))));
    }
}

/// What both say of a body; whether it is JSON to both.
fn agrees(body: &[u8]) -> Result<bool, String> {
    let ours = parse(body);
    let theirs = serde_json::from_slice::<Value>(body);
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) if same(ours, theirs) => Ok(true),
        // What a float cannot hold, our tree keeps as text.
        (Ok(_), Err(error)) if error.to_string().starts_with("number out of range") => Ok(true),
        (Err(Malformed::Duplicate(_) | Malformed::TooDeep(_) | Malformed::TooMany), _) => Ok(false),
        (Err(Malformed::Utf8(at)), Err(_)) if std::str::from_utf8(body).is_err_and(|e| e.valid_up_to() == *at) => {
            Ok(false)
        }
        (Err(Malformed::Syntax { .. }), Err(_)) if std::str::from_utf8(body).is_ok() => Ok(false),
        _ => Err(format!("{}: we say {ours:?}, serde_json says {theirs:?}", body.escape_ascii())),
    }
}

/// Every number of a tree, as its own text.
fn numbers<'t>(json: &'t Json<'_>, found: &mut Vec<&'t str>) {
    match json {
        Json::Number(text) => found.push(text),
        Json::Array(values) => values.iter().for_each(|value| numbers(value, found)),
        Json::Object(members) => members.iter().for_each(|(_, value)| numbers(value, found)),
        _ => {}
    }
}

#[test]
fn whatever_is_posted_we_read_what_serde_json_reads() {
    let mut valid = 0;
    let bodies = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    for seed in 0..bodies {
        let body = crate::differential::body(seed);
        let is_valid = agrees(&body).unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        valid += usize::from(is_valid);
        if let Ok(json) = parse(&body) {
            let mut texts = Vec::new();
            numbers(&json, &mut texts);
            let within = body.as_ptr_range();
            assert!(texts.iter().all(|text| within.contains(&text.as_ptr())), "seed {seed}: a number lost its text");
        }
    }
    let bodies = bodies as usize;
    assert!((bodies / 4..bodies * 19 / 20).contains(&valid), "{valid} of {bodies} are JSON");
}
