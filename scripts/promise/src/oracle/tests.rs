//! The oracle's own tests run with the crate's, and generator and oracle are of one opinion.

use std::process::Command;

use super::*;
use crate::generator::{Class, Generator, Mix};
use crate::ledger::Answer;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_oracle_passes_its_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle");
    let output = Command::new("python3").args(["-B", "-m", "unittest", "-q"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn generator_and_oracle_are_of_one_opinion() {
    let posts: Vec<_> =
        Generator::new("opinion", 11, Mix { reposts: 5, refused: 30, rejected: 20 }).take(8_000).collect();
    let entries: Vec<Entry> = posts
        .iter()
        .map(|post| {
            let answer = Answer::unknown(None, "");
            let (id, class, body) = (post.id.clone(), post.class.name().to_owned(), post.body.clone());
            let content_type = post.content_type.to_owned();
            Entry { seq: post.seq, id, class, content_type, body, intended_ms: 0, sent_ms: 0, done_ms: None, answer }
        })
        .collect();
    // A pipeline with rates, whatever the shipped one says: without a rate no amount is too large at home.
    let pipeline = std::env::temp_dir().join(format!("promise-pipeline-{}.json", std::process::id()));
    let config = r#"{"name":"t","config":{"transforms":"c,e","transforms.c.type":"clean@1","transforms.e.type":"enrich@1",
        "transforms.e.rates":"EUR:1.08,GBP:1.27"}}"#;
    std::fs::write(&pipeline, config).unwrap();
    let oracle = Oracle { pipeline: pipeline.clone(), ..Oracle::of_checkout(&root()) };
    let verdicts = oracle.judge(&entries);
    std::fs::remove_file(&pipeline).unwrap();
    let verdicts = verdicts.unwrap();
    for post in &posts {
        let agree = match (post.class, verdicts.get(&post.seq).unwrap()) {
            (Class::Valid, Verdict::Place { .. }) => true,
            (Class::Refused { status, .. }, Verdict::Refuse { status: judged, .. }) => status == *judged,
            (Class::Rejected(field), Verdict::Reject { reason, .. }) => reason.contains(field),
            _ => false,
        };
        let verdict = verdicts.get(&post.seq);
        assert!(agree, "{:?} {verdict:?}\n{}", post.class, String::from_utf8_lossy(&post.body));
    }
}
