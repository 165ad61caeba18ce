//! What the corpus in `tests/lint` cannot show: bases that are fine, and what the tables and the chain rest on.

use std::fs;
use std::path::Path;

use super::*;
use crate::files::{self, Connector};

fn text(of: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(of)).unwrap()
}

/// What is told of a shipped file after these replacements, without places, reasons and fixes.
fn with(of: &str, changes: &[(&str, &str)]) -> Vec<String> {
    let mut text = text(of);
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let name = of.rsplit('/').next().unwrap_or_default();
    let found = Folder::of(&[(name, &text)]).findings();
    found.iter().map(|finding| format!("{}[{}] {}", finding.severity, finding.rule.id, finding.told())).collect()
}

#[test]
fn the_shipped_files_have_no_fault() {
    let all = files::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_or_else(|found| panic!("{found:#?}"));
    let names = |list: &[Connector]| list.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&all.sinks), ["orders-elasticsearch", "orders-postgres"]);
    assert_eq!(names(&all.pipelines), ["orders-transforms"]);
    assert_eq!((all.tables.len(), all.indexes.len(), all.warnings.len()), (1, 1, 0));
}

#[test]
fn the_versions_of_the_shipped_plugins_are_those_that_are_installed() {
    for (plugin, pom) in [("io.debezium", "debezium-connector-jdbc"), ("org.apache.camel", "camel-elasticsearch")] {
        let plugin = plugins::ALL.iter().find(|known| known.class.starts_with(plugin)).unwrap();
        let pom = text(&format!("plugins/{pom}/pom.xml"));
        assert!(pom.contains(&format!("<version>{}</version>", plugin.version)), "{}", plugin.title);
    }
}

#[test]
fn what_the_page_of_pipelines_has_is_known() {
    let page = text("PIPELINE.md");
    let settings = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut own: Vec<&str> = settings.map(|(name, _)| name).filter(|name| !name.contains('<')).collect();
    let mut known = keys::PIPELINE.to_vec();
    own.sort_unstable();
    known.sort_unstable();
    assert_eq!(own, known, "left: PIPELINE.md, right: the code");
}

#[test]
fn the_tables_of_the_plugins_agree_with_themselves() {
    for plugin in plugins::ALL {
        for (meant, own) in plugin.meant {
            assert!(plugin.kind(own).is_some(), "{}: {own} is meant by {meant} and not known", plugin.title);
        }
        for (key, kind) in plugin.keys {
            let secret = matches!(kind, plugins::Kind::Secret);
            assert!(
                !secret || is_secret(key),
                "{}: {key} is a secret that the rule of secrets does not see",
                plugin.title
            );
            assert!(!plugin.retired.iter().any(|(retired, _)| retired == key), "{}: {key}", plugin.title);
        }
    }
}

#[test]
fn a_pipeline_may_branch_and_look_up() {
    let more = r#""predicates": "old", "predicates.old.type": "TopicNameMatches", "predicates.old.pattern": "old.*",
        "transforms.clean.predicate": "old", "transforms.clean.negate": "true", "outputs": "vip", "outputs.vip.topic": "orders.vip",
        "lookups": "tiers", "lookups.tiers.topic": "customer-tiers", "lookups.tiers.max.entries": "10", "isolation": "batch",
        "dropped.topic.name": "dropped", "swap.watch.records": "100", "breaker.policy": "rollback", "tasks.max""#;
    assert_eq!(with("orders-transforms.json", &[("\"tasks.max\"", more)]), [""; 0]);
}

#[test]
fn a_pipeline_without_modules_copies() {
    let modules = "\"transforms\": \"clean,enrich\",
    \"transforms.clean.type\": \"clean@1\",
    \"transforms.enrich.type\": \"enrich@1\",
    \"transforms.enrich.home.currency\": \"USD\",
    \"transforms.enrich.rates\": \"EUR:1.08,GBP:1.27,JPY:0.0067\",\n";
    assert_eq!(with("orders-transforms.json", &[(modules, "")]), [""; 0]);
}

#[test]
fn a_filter_of_tombstones_that_is_turned_round_is_told_of_every_sink() {
    for file in [
        "orders-postgres.json",
        "orders-elasticsearch.json",
        "examples/orders-elasticsearch-guarded.json",
        "examples/orders-confluent-jdbc.json",
        "examples/orders-aiven-jdbc.json",
    ] {
        let found = |negate: &str| {
            let to = format!("\"transforms.live.negate\": \"{negate}\", \"transforms.live.predicate\"");
            with(file, &[("\"transforms.live.predicate\"", &to)])
        };
        for negate in ["true", "TRUE", " True "] {
            let found = found(negate);
            let told = "error[silent-drop] transforms.live.negate: ";
            assert!(found.len() == 1 && found[0].starts_with(told), "{file}, {negate}: {found:?}");
        }
        assert_eq!(found("False"), [""; 0], "{file}");
    }
}

#[test]
fn other_topics_than_ours_are_warned_about_only() {
    let changes = [
        ("\"topics\": \"order_placed,order_placed.postgres.retry\"", "\"topics\": \"invoices\""),
        ("read_committed", "read_uncommitted"),
    ];
    let found = with("orders-postgres.json", &changes);
    assert!(found.len() == 1 && found[0].starts_with("warning[read-committed]"), "{found:?}");
    let regex = [
        ("\"topics\": \"order_placed,order_placed.postgres.retry\"", "\"topics.regex\": \"inv.*\""),
        ("read_committed", "read_uncommitted"),
    ];
    let found = with("orders-postgres.json", &regex);
    let rules: Vec<&str> = found.iter().filter_map(|told| told.split(' ').next()).collect();
    assert_eq!(rules, ["error[unnamed-topic]", "error[read-committed]"], "a pattern may match ours");
}

#[test]
fn the_guarded_form_of_camels_sink_is_fine() {
    let url = "\"elasticsearch:orderflow?hostAddresses=${env:ELASTICSEARCH_HOST}&operation=Index&indexName=order_placed&\
               socketTimeout=10000&connectionTimeout=3000\"";
    let guarded = "\"http://${env:ELASTICSEARCH_HOST}/order_placed/_doc/${header.docId}?httpMethod=PUT&\
                   okStatusCodeRange=200-299,409&version=${header.docVersion}&version_type=external_gte&\
                   skipRequestHeaders=true&skipResponseHeaders=true&copyHeaders=false\",\n\
                   \"camel.component.http.socketTimeout\": \"10000\", \"camel.component.http.connectTimeout\": \"3000\"";
    let changes = [
        (url, guarded),
        ("(?!indexId$).*", "(?!(docId|docVersion|Content-Type)$).*"),
        ("\"transforms.docId.fields\": \"order_id\"", "\"transforms.docId.fields\": \"order_id,received_offset\""),
        ("CamelHeader.indexId", "CamelHeader.docId,CamelHeader.docVersion"),
        ("live,by,pick,docId,toJson", "live,by,pick,docId,kind,toJson"),
        (
            "\"transforms.toJson.type\"",
            "\"transforms.kind.type\": \"org.apache.kafka.connect.transforms.InsertHeader\",
             \"transforms.kind.header\": \"CamelHeader.Content-Type\",
             \"transforms.kind.value.literal\": \"application/json\", \"transforms.toJson.type\"",
        ),
    ];
    assert_eq!(with("orders-elasticsearch.json", &changes), [""; 0]);
}

#[test]
fn two_sinks_of_two_servers_do_not_clash() {
    let (one, two) = (text("orders-postgres.json"), text("orders-postgres.json").replace("orders-postgres", "other"));
    let found = |two: &str| Folder::of(&[("orders-postgres.json", &one), ("other.json", two)]).findings();
    assert_eq!(found(&two).iter().map(|finding| finding.rule.id).collect::<Vec<_>>(), ["name-clash"]);
    assert_eq!(found(&two.replace("POSTGRES_JDBC_URL", "OTHER_URL")), []);
}

#[test]
fn a_file_that_breaks_everything_is_cut_short() {
    let keys: String = (0..900).map(|n| format!("\"colour.{n}\": \"\", ")).collect();
    let found = with("orders-postgres.json", &[("\"tasks.max\"", &format!("{keys}\"tasks.max\""))]);
    assert_eq!(found.len(), Subject::MOST);
}
