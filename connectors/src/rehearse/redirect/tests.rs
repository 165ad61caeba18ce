//! What is redirected, and what is refused.

use super::*;
use crate::names::CAMEL_CLASS;

fn given(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const JDBC: [(&str, &str); 6] = [
    ("connector.class", JDBC_CLASS),
    ("name", "orders-postgres"),
    ("collection.name.format", "order_placed"),
    ("connection.url", "${env:POSTGRES_JDBC_URL}"),
    ("topics", "order_placed,order_placed.postgres.retry"),
    ("tasks.max", "2"),
];
const ADDRESS: &str =
    "elasticsearch:orderflow?hostAddresses=${env:ELASTICSEARCH_HOST}&operation=Index&indexName=orders&socketTimeout=1";

fn jdbc(more: &[(&str, &str)]) -> Settings {
    given(&[&JDBC[..], more].concat())
}

fn camel(url: &str, more: &[(&str, &str)]) -> Settings {
    given(&[&[("connector.class", CAMEL_CLASS), ("topics", "t"), (URL, url)][..], more].concat())
}

fn redirected(settings: &Settings) -> Settings {
    onto(settings, &target(settings).unwrap(), "copies", "scratch").unwrap()
}

#[test]
fn a_jdbc_sink_writes_into_the_scratch_table_and_reads_the_copies_alone() {
    let tolerant = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "letters"),
        ("errors.log.include.messages", "true"),
        ("transforms", "x"),
    ];
    let own = redirected(&jdbc(&tolerant));
    let expected = given(&[
        ("connector.class", JDBC_CLASS),
        ("collection.name.format", "scratch"),
        ("connection.url", "${env:POSTGRES_JDBC_URL}"),
        ("topics", "copies"),
        ("tasks.max", "1"),
        ("consumer.override.max.poll.records", "1"),
        ("errors.tolerance", "none"),
        ("transforms", "x"),
    ]);
    assert_eq!(own, expected);
    let own = redirected(&jdbc(&[("collection.name.format", "sales.orders")]));
    assert_eq!(own["collection.name.format"], "sales.scratch");
}

#[test]
fn a_camel_sink_writes_into_the_scratch_index_and_keeps_the_rest_of_its_address() {
    let own = redirected(&camel(ADDRESS, &[]));
    assert_eq!(own[URL], ADDRESS.replace("orders", "scratch"));
    // A name that is the beginning of another option's value is no reason to write elsewhere.
    let twice = "elasticsearch:o?indexName=a&hostAddresses=h&indexName=b";
    assert!(matches!(target(&camel(twice, &[])), Err(Unredirectable::Unsure { .. })));
}

#[test]
fn a_camel_sink_that_puts_each_document_writes_into_the_scratch_index_too() {
    let url =
        "http://${env:ELASTICSEARCH_HOST}/orders/_doc/${header.docId}?httpMethod=PUT&version=${header.docVersion}";
    let own = redirected(&camel(url, &[]));
    assert_eq!(own[URL], url.replace("orders", "scratch"));
    let live = target(&camel(url, &[])).unwrap();
    assert!(live.is_at("http://127.0.0.1:9200", None).is_ok());
    let elsewhere = target(&camel("http://h:1/orders/_doc/1", &[])).unwrap();
    assert!(elsewhere.is_at("http://127.0.0.1:9200", None).is_err());
}

#[test]
fn what_may_write_into_the_live_store_is_refused() {
    for (key, value) in [
        ("collection.naming.strategy", "x.Y"),
        ("hibernate.connection.url", "jdbc:postgresql://h/d"),
        ("connection.provider", "x.Y"),
        ("collection.name.format", "${topic}"),
        ("collection.name.format", ""),
        ("transforms.r.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ("connector.class", "x.Y"),
    ] {
        assert!(target(&jdbc(&[(key, value)])).is_err(), "{key}");
    }
    for url in [
        "elasticsearch:o?hostAddresses=h&operation=Index",
        "elasticsearch:o?hostAddresses=h&indexName=",
        "elasticsearch:o?indexName=i",
        "elasticsearch:o?hostAddresses=h&indexName=${header.x}",
        "http://h/indexName=i?indexName=i&hostAddresses=h",
        "http://h/_bulk?httpMethod=POST",
        "http://h/${header.i}/_doc/1",
        "http://h/i/_update/_doc/1",
        "http://h?x=/i/_doc/1",
    ] {
        assert!(target(&camel(url, &[])).is_err(), "{url}");
    }
    assert!(target(&camel(ADDRESS, &[("camel.sink.endpoint.indexName", "live")])).is_err());
}

#[test]
fn another_server_than_ours_is_refused() {
    let at = |url: &str, live: Option<&Target>| {
        target(&jdbc(&[("connection.url", url)])).unwrap().is_at("127.0.0.1:5432/orders", live).is_ok()
    };
    assert!(at("${env:POSTGRES_JDBC_URL}", None));
    assert!(at("jdbc:postgresql://localhost:5432/orders?ssl=true", None));
    assert!(!at("jdbc:postgresql://elsewhere:5432/orders", None));
    let live = target(&jdbc(&[("connection.url", "${file:/s:url}")])).unwrap();
    assert!(at("${file:/s:url}", Some(&live)) && !at("${file:/s:other}", Some(&live)));
    let index = target(&camel("elasticsearch:o?hostAddresses=localhost:9200&indexName=i", &[])).unwrap();
    assert!(index.is_at("http://127.0.0.1:9200", None).is_ok() && index.is_at("http://127.0.0.1:9201", None).is_err());
}
