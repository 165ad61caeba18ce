use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use http::header;
use serde_json::{Value, json};

use super::*;
use crate::publish::Away;

const SECOND: Duration = Duration::from_secs(1);

static PAGE: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/PROBLEMS.md")).unwrap());

/// The section of the page for a kind.
fn section(slug: &str) -> &'static str {
    let begin = PAGE.find(&format!("\n## {slug}\n")).unwrap_or_else(|| panic!("PROBLEMS.md has no section {slug}"));
    let section = &PAGE[begin + 1..];
    &section[..section[1..].find("\n## ").map_or(section.len(), |end| end + 1)]
}

#[test]
fn the_page_has_each_kind_and_no_other() {
    let samples: BTreeSet<&str> = samples().iter().map(|sample| sample.kind().1).collect();
    // The kinds as they stand in the code, so that a new one cannot be forgotten here.
    let code = include_str!("told.rs");
    let quoted = code.lines().filter(|line| line.contains("StatusCode::")).filter_map(|line| line.split('"').nth(1));
    assert_eq!(samples, quoted.collect(), "each kind in the code has a sample here");
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(samples, headings.collect(), "PROBLEMS.md has a section for each kind and no other");
}

#[test]
fn the_page_says_of_each_kind_what_the_edge_answers() {
    for sample in samples() {
        let (status, slug, _) = sample.kind();
        let section = section(slug);
        let row = format!("| {} | `{}` | `{}` |", status.as_u16(), sample.persisted(), sample.retry().name());
        assert!(section.contains(&row), "{slug}: {row}");
        let example = section.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
        let example: Value = serde_json::from_str(example.unwrap_or_default()).expect(slug);
        let answer = Value::Object(sample.problem().with("requestId", "8f7d6b1e").into_members());
        assert_eq!(example, answer, "{slug}: the example is not what is answered: {answer:#}");
    }
}

#[test]
fn kinds_that_share_a_section_agree_with_it() {
    for (twin, slug) in [
        (Refusal::TopicTooNarrow(300_000), "order-too-large"),
        (Refusal::DecodedTooLarge { limit: 1024, size: None }, "body-too-large"),
        (Refusal::Undecodable(Undecodable::Damaged(Coding::Zstd)), "undecodable"),
        (Refusal::Undecodable(Undecodable::Trailing(Coding::Deflate)), "undecodable"),
        (Refusal::Undecodable(Undecodable::Window { size: 1 << 27, limit: 1 << 23 }), "undecodable"),
        (Refusal::BatchForm(Form::Trailing), "batch-form"),
        (Refusal::ReadOnly(Method::POST), "method"),
        (Refusal::Crowded, "unavailable"),
        (Refusal::CrowdedByKey, "unavailable"),
        (Refusal::Draining, "unavailable"),
        (Refusal::Unavailable(Unavailable::Broker(Away::new("away", SECOND))), "unavailable"),
        (Refusal::Unavailable(Unavailable::Late { wait: SECOND, deadline: SECOND, pause: SECOND }), "unavailable"),
        (Refusal::Unavailable(Unavailable::ShareTaken { pause: SECOND }), "unavailable"),
        (Refusal::Unavailable(Unavailable::NotSent("timed out".to_owned())), "unavailable"),
        (Refusal::Unavailable(Unavailable::Schema), "unavailable"),
        (Refusal::InDoubt(InDoubt::Unconfirmed("no error code".to_owned())), "in-doubt"),
    ] {
        let (status, kind, _) = twin.kind();
        let row = format!("| {} | `{}` | `{}` |", status.as_u16(), twin.persisted(), twin.retry().name());
        assert_eq!(kind, slug);
        assert!(section(slug).contains(&row), "{twin:?}: {row}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_told_both_numbers_and_the_way_out() {
    let bytes = Refusal::BatchTooLarge { unit: Unit::Bytes(Measured::Wire), limit: 100, size: 120, is_whole: false };
    let bytes = bytes.to_string();
    assert_eq!(bytes, "a batch has at most 100 bytes, this one has at least 120; send what is beyond in another batch");
}

#[test]
fn whatever_is_too_large_is_told_with_the_same_members() {
    let bytes = |of| Refusal::BatchTooLarge { unit: Unit::Bytes(of), limit: 100, size: 120, is_whole: false };
    for (refusal, members) in [
        (Refusal::from(BodyError::TooLarge { limit: 9, announced: None }), json!([9, null, "bytes", "wire"])),
        (Refusal::DecodedTooLarge { limit: 9, size: Some(12) }, json!([9, 12, "bytes", "decoded"])),
        (bytes(Measured::Wire), json!([100, 120, "bytes", "wire"])),
        (bytes(Measured::Decoded), json!([100, 120, "bytes", "decoded"])),
        (Refusal::RecordTooLarge { size: 12, limit: 9 }, json!([9, 12, "bytes", "encoded"])),
        (Refusal::TopicTooNarrow(12), json!([null, 12, "bytes", "encoded"])),
    ] {
        let told = refusal.problem().into_members();
        assert_eq!(json!([told["limit"], told["size"], told["unit"], told["of"]]), members, "{refusal:?}");
    }
}

#[test]
fn a_refusal_that_broke_a_body_is_told_as_itself() {
    let refusal = Refusal::from(BodyError::Broken(Box::new(Refusal::Crowded)));
    assert!(matches!(refusal, Refusal::Crowded), "{refusal:?}");
    let refusal = Refusal::from(BodyError::Broken("reset".into()));
    assert!(matches!(refusal, Refusal::Body(BodyError::Broken(_))), "{refusal:?}");
}

#[test]
fn a_pause_is_told_in_whole_seconds_that_are_never_too_few_and_in_milliseconds() {
    for (pause, seconds, millis) in
        [(0, "1", 0), (1, "1", 1), (1000, "1", 1000), (1001, "2", 1001), (90_000, "60", 60_000)]
    {
        let pause = Duration::from_millis(pause);
        let answer = Refusal::Unavailable(Unavailable::QueueFull { pause }).problem();
        assert_eq!(answer.member("retryAfterMs"), Some(&json!(millis)));
        assert_eq!(answer.into_response().headers()[header::RETRY_AFTER], seconds, "{pause:?}");
    }
    assert_eq!(Refusal::MediaType.problem().into_response().headers().get(header::RETRY_AFTER), None);
}
