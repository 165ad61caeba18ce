//! Shapes: what differs in bytes differs, what does not is the same.

use super::*;

fn shape(fields: &str) -> Shape {
    Shape::parse(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).unwrap()
}

#[test]
fn only_what_changes_bytes_is_a_difference() {
    let base = shape(r#"{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}"#);
    for (fields, difference) in [
        (r#"{"name":"a","type":"int","doc":"x"},{"name":"b","type":["null","string"]}"#, None),
        (r#"{"name":"a","type":"int"}"#, Some("it lacks b")),
        (r#"{"name":"b","type":["null","string"]},{"name":"a","type":"int"}"#, Some("another order")),
        (r#"{"name":"a","type":"long"},{"name":"b","type":["null","string"]}"#, Some("other types")),
        (r#"{"name":"a","type":"int"},{"name":"b","type":["string","null"]}"#, Some("other types")),
        (
            r#"{"name":"a","type":"int"},{"name":"b","type":["null","string"]},{"name":"c","type":"int"}"#,
            Some("it has c too many"),
        ),
        (r#"{"name":"a","type":"int"},{"name":"c","type":["null","string"]}"#, Some("it lacks b and has c too many")),
    ] {
        let said = shape(fields).difference(&base);
        match difference {
            None => assert_eq!(said, None, "{fields}"),
            Some(words) => assert!(said.as_deref().is_some_and(|said| said.contains(words)), "{fields}: {said:?}"),
        }
    }
}

#[test]
fn precision_and_scale_are_part_of_the_shape() {
    let decimal = |precision: u32, scale: u32| {
        shape(&format!(
            r#"{{"name":"a","type":{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}}}"#
        ))
    };
    assert!(decimal(15, 2).difference(&decimal(15, 3)).is_some());
    assert!(decimal(15, 2).difference(&decimal(14, 2)).is_some());
    assert_eq!(decimal(15, 2).difference(&decimal(15, 2)), None);
}

#[test]
fn schemas_that_cannot_be_are_refused() {
    assert!(Shape::parse("{").is_err());
    assert!(Shape::parse(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"nothing"}]}"#).is_err());
    assert!(Shape::parse(&" ".repeat(MAX_TEXT + 1)).unwrap_err().contains("the limit is 262144"));
    let mut deep = r#""int""#.to_owned();
    for _ in 0..MAX_DEPTH + 2 {
        deep = format!(r#"{{"type":"array","items":{deep}}}"#);
    }
    assert!(Shape::parse(&deep).is_err());
}

#[test]
fn a_shape_begins_with_another_where_only_fields_behind_it_are_more() {
    let (a, b) = (r#"{"name":"a","type":["null","string"]}"#, r#"{"name":"b","type":"int"}"#);
    let (short, long) = (shape(a), shape(&format!("{a},{b}")));
    assert!(long.begins_with(&short) && short.begins_with(&short) && !short.begins_with(&long));
    assert!(!shape(&format!("{b},{a}")).begins_with(&short), "in front");
    assert!(!shape(&format!(r#"{{"name":"a","type":["null","bytes"]}},{b}"#)).begins_with(&short), "another type");
    assert!(!Shape::parse(r#""int""#).unwrap().begins_with(&short), "no record");
    let inside = r#"{"name":"a","type":["null","R"]}"#;
    assert!(!shape(&format!("{inside},{b}")).begins_with(&shape(inside)), "its inner records are longer as well");
}
