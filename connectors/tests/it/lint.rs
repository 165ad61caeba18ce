//! The lint against files: a corpus of bad ones with what must be said of each, the configurations that the plugins' own
//! documentation shows, the shipped files and examples, and any text at all.
//!
//! Beside each bad file, and each folder of several, lies `NAME.expected`: all that is told of it. After a change of words
//! `LINT_EXPECTED=write cargo test … lint` writes them anew; read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use connectors::finding::{Finding, Severity, Weight};
use connectors::{lint, rules};
use proptest::prelude::*;

fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// The files and folders of a part of the corpus, by name without ending.
fn corpus(part: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(path("tests/lint").join(part)).unwrap().map(|entry| entry.unwrap().path());
    let cases = entries.filter(|entry| entry.extension().is_none_or(|ending| ending != "expected"));
    cases.map(|case| (case.file_stem().unwrap().to_str().unwrap().to_owned(), case)).collect()
}

/// What is found in a case, which is told as its `.expected` says.
fn as_expected(part: &str, name: &str, case: &Path) -> Result<Vec<Finding>, String> {
    let found = lint::findings(&[case.to_owned()]);
    let folder = format!("{}/", path("tests/lint").join(part).display());
    let told = lint::human(&found).replace(&folder, "");
    let expected = path("tests/lint").join(part).join(format!("{name}.expected"));
    if std::env::var("LINT_EXPECTED").is_ok_and(|how| how == "write") {
        fs::write(&expected, &told).unwrap();
    }
    match fs::read_to_string(&expected) {
        Ok(wanted) if wanted == told => Ok(found),
        Ok(wanted) => Err(format!("{name}: expected\n{wanted}\nand it says\n{told}")),
        Err(err) => Err(format!("{name}: {}: {err}; it says\n{told}", expected.display())),
    }
}

#[test]
fn every_bad_file_is_told_as_expected_and_every_rule_is_broken_by_one() {
    let cases = corpus("bad");
    assert!(40 <= cases.len(), "{}", cases.len());
    let (mut broken, mut wrong) = (BTreeSet::new(), Vec::new());
    for (name, case) in &cases {
        match as_expected("bad", name, case) {
            Ok(found) if found.is_empty() => wrong.push(format!("{name}: nothing is found in it")),
            Ok(found) => broken.extend(found.iter().map(|finding| finding.rule.id)),
            Err(why) => wrong.push(why),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unbroken: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).filter(|id| !broken.contains(id)).collect();
    assert_eq!(unbroken, [""; 0], "no file of the corpus breaks these rules");
}

#[test]
fn no_expectation_is_left_without_its_file() {
    for part in ["bad", "documented"] {
        let cases = corpus(part);
        for entry in fs::read_dir(path("tests/lint").join(part)).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(cases.contains_key(&name), "{part}/{name}.expected");
        }
    }
}

#[test]
fn no_secret_of_a_bad_file_is_repeated() {
    for case in corpus("bad").values() {
        let found = lint::findings(std::slice::from_ref(case));
        for told in [lint::human(&found), lint::json(&found).unwrap(), lint::github(&found)] {
            assert!(!told.contains("hunter2") && !told.contains("12345"), "{told}");
        }
    }
}

#[test]
fn what_the_plugins_documentation_shows_passes_or_is_warned_about_with_the_reason() {
    let cases = corpus("documented");
    assert!(10 <= cases.len(), "{}", cases.len());
    for (name, case) in &cases {
        let found = as_expected("documented", name, case).unwrap_or_else(|why| panic!("{why}"));
        assert!(found.iter().all(|finding| finding.severity == Severity::Warning), "{name}: {found:#?}");
    }
}

#[test]
fn the_shipped_files_and_the_examples_have_nothing_to_be_said_of() {
    for folder in ["", "examples"] {
        assert_eq!(lint::findings(&[path(folder)]), Vec::new(), "{folder}");
    }
    let examples = fs::read_dir(path("examples")).unwrap().map(|entry| entry.unwrap().path());
    let classes: BTreeSet<String> = examples
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let file: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            file["config"]["connector.class"].as_str().unwrap().to_owned()
        })
        .collect();
    for class in [
        "io.confluent.connect.jdbc.JdbcSinkConnector",
        "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector",
        "io.aiven.connect.jdbc.JdbcSinkConnector",
        "io.aiven.connect.elasticsearch.ElasticsearchSinkConnector",
        "io.aiven.kafka.connect.opensearch.OpenSearchSinkConnector",
    ] {
        assert!(classes.contains(class), "no example of {class}");
    }
    let all = connectors::files::read(&path("")).unwrap();
    assert_eq!(all.sinks.len(), 2, "an example is not deployed");
}

/// Each section of the page: the rule's id, what it weighs and the first sentence behind `Why:`.
#[test]
fn the_page_of_the_rules_has_each_of_them_with_its_weight_and_its_reason() {
    let page = fs::read_to_string(path("LINT.md")).unwrap();
    let sections: Vec<&str> = page.split("\n### ").skip(1).collect();
    let ids: Vec<&str> =
        sections.iter().map(|section| section.split([' ', '\n']).next().unwrap().trim_matches('`')).collect();
    let known: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    assert_eq!(ids, known, "the page has the rules in the order of rules.rs");
    for (section, rule) in sections.iter().zip(rules::ALL) {
        let weight = match rule.weight {
            Weight::Error => "(error)",
            Weight::Warning => "(warning)",
            Weight::ByTopic => "(error; a warning for topics that are not in `topics.json`)",
        };
        assert!(section.lines().next().unwrap().ends_with(weight), "{}: {weight}", rule.id);
        assert!(section.contains(&format!("\n- Why: {}.\n", rule.why)), "{}: Why: {}.", rule.id, rule.why);
        for part in ["\n- What: ", "\n- Fix: "] {
            assert!(section.contains(part), "{} has no {part}", rule.id);
        }
    }
}

/// Positions lie in the file, whatever it holds.
fn within(text: &str) {
    for finding in lint::text("f.json", text) {
        let line = text.split('\n').nth(finding.place.line - 1);
        assert!(line.is_some(), "{finding} in {text:?}");
        let line = line.unwrap();
        assert!((1..=line.chars().count() + 1).contains(&finding.place.column), "{finding} in {line:?}");
        assert!(!finding.message.is_empty() && !finding.fix.is_empty());
    }
}

fn shipped() -> impl Strategy<Value = String> {
    let files = [
        "orders-postgres.json",
        "orders-elasticsearch.json",
        "orders-transforms.json",
        "examples/orders-confluent-elasticsearch.json",
    ];
    proptest::sample::select(files.map(|file| fs::read_to_string(path(file)).unwrap()).to_vec())
}

/// JSON of any form, with keys and values that rules look at among them.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let word = prop_oneof![
        any::<String>(),
        proptest::sample::select(vec![
            "connector.class",
            "topics",
            "transforms",
            "predicates",
            "camel.sink.url",
            "elasticsearch:o?a=b&&=&c",
            "name",
            "config",
            "transforms.a.type",
            "a,,a, ",
            "order_placed",
            "io.debezium.connector.jdbc.JdbcSinkConnector",
            "http://",
            "org.apache.camel.kafkaconnector.CamelSinkConnector",
            "orderflow.WasmPipeline",
            "${env:",
            "(?!($).*",
            "mappings",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        word.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::vec((word.clone(), inner), 0..8)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered_with_places_that_lie_in_it(text in any::<String>()) {
        within(&text);
    }

    #[test]
    fn any_json_is_answered_with_places_that_lie_in_it(inner in json(), outer in json()) {
        within(&outer.to_string());
        let config = serde_json::json!({ "name": "f", "config": inner });
        within(&serde_json::to_string_pretty(&config).unwrap());
    }

    #[test]
    fn a_shipped_file_that_is_cut_or_changed_anywhere_is_answered(
        text in shipped(), at in any::<prop::sample::Index>(), take in 0_usize..40, put in "\\PC{0,6}|[\"{},:&=.$%\\n]{0,6}"
    ) {
        let letters: Vec<char> = text.chars().collect();
        let at = at.index(letters.len());
        let end = (at + take).min(letters.len());
        let changed: String = letters[..at].iter().copied().chain(put.chars()).chain(letters[end..].iter().copied()).collect();
        within(&changed);
    }
}

#[test]
fn deep_and_long_files_are_answered_at_once() {
    for text in [
        "[".repeat(1_000_000),
        format!("{{\"name\":\"f\",\"config\":{}", "{\"a\":".repeat(200_000)),
        format!(
            "{{\"name\":\"f\",\"config\":{{{}}}}}",
            (0..60_000).map(|n| format!("\"k{n}\":\"\"")).collect::<Vec<_>>().join(",")
        ),
        format!("{{\"name\":\"{0}\",\"config\":{{\"connector.class\":\"{0}\"}}}}", "x".repeat(400_000)),
    ] {
        within(&text);
    }
}
