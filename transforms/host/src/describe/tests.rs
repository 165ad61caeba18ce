//! Descriptions come from hostile hands: each field is checked.

use super::*;

fn said() -> bindings::Description {
    bindings::Description {
        world: transform_frame::WORLD.to_owned(),
        name: "clean".to_owned(),
        version: "1.0.0".to_owned(),
        payload: bindings::Payload::Avro,
        schema: None,
        parameters: vec![parameter("items.sum")],
    }
}

fn parameter(name: &str) -> bindings::Parameter {
    bindings::Parameter {
        name: name.to_owned(),
        kind: bindings::ParameterKind::Text,
        required: false,
        default: None,
        description: String::new(),
    }
}

#[test]
fn a_good_description_passes() {
    let description = check(said()).unwrap();
    assert_eq!((description.name.as_str(), description.parameters.len()), ("clean", 1));
}

#[test]
fn names_and_versions_are_strict() {
    for (name, fine) in [
        ("a", true),
        ("mask-email-2", true),
        ("", false),
        ("2a", false),
        ("Clean", false),
        ("a_b", false),
        ("a,b", false),
        ("a@1", false),
    ] {
        let checked = check(bindings::Description { name: name.to_owned(), ..said() });
        assert_eq!(checked.is_ok(), fine, "{name}");
        assert!(fine || checked == Err(LoadError::Name(name.to_owned())));
    }
    for (version, fine) in [
        ("1.4.0", true),
        ("0.0.1-rc.1", false),
        ("10.20.30", true),
        ("1.4", false),
        ("1.4.0.0", false),
        ("v1.4.0", false),
        ("01.4.0", false),
        ("1.4.0+build", false),
        ("1.4.0-", false),
        ("1.4.x", false),
        ("", false),
    ] {
        let checked = check(bindings::Description { version: version.to_owned(), ..said() });
        assert_eq!(checked.is_ok(), fine, "{version}");
        assert!(fine || checked == Err(LoadError::Version(version.to_owned())));
    }
}

#[test]
fn another_world_or_payload_is_refused() {
    let other = bindings::Description { world: "orderflow:transform@2.0.0".to_owned(), ..said() };
    assert_eq!(check(other), Err(LoadError::World("orderflow:transform@2.0.0".to_owned())));
    assert_eq!(check(bindings::Description { payload: bindings::Payload::Json, ..said() }), Err(LoadError::Payload));
}

#[test]
fn parameters_must_make_sense() {
    let default = |kind, text: &str| bindings::Parameter { kind, default: Some(text.to_owned()), ..parameter("p") };
    for (parameters, words) in [
        (vec![parameter("Bad Name")], "its name is not"),
        (vec![parameter("p"), parameter("p")], "it is described twice"),
        (
            vec![bindings::Parameter { required: true, ..default(bindings::ParameterKind::Text, "x") }],
            "required and has a default",
        ),
        (vec![default(bindings::ParameterKind::Whole, "1.5")], "its default is not of its kind"),
        (vec![bindings::Parameter { description: "x".repeat(5_000), ..parameter("p") }], "longer than 4096 bytes"),
        ((0..65).map(|number| parameter(&format!("p{number}"))).collect(), "the limit is 64"),
    ] {
        match check(bindings::Description { parameters, ..said() }) {
            Err(LoadError::Parameter { reason, .. }) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[test]
fn kinds_admit_their_texts_only() {
    for (kind, fine, wrong) in [
        (ParameterKind::Text, &["", "any"][..], &[][..]),
        (ParameterKind::Boolean, &["true", "false"], &["", "True", "1"]),
        (ParameterKind::Whole, &["0", "-7", "9223372036854775807"], &["", "1.0", "9223372036854775808", "x"]),
        (
            ParameterKind::Decimal,
            &["0", "-12.50", "007"],
            &["", "1e3", ".5", "5.", "+1", "--1", "1.2.3", "1234567890123456"],
        ),
    ] {
        assert!(fine.iter().all(|text| kind.admits(text)), "{kind:?}");
        assert!(!wrong.iter().any(|text| kind.admits(text)), "{kind:?}");
    }
}
