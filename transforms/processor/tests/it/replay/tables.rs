//! What a replay says of a table that has moved on since the dead letter was written.

use super::*;

/// Where the first dead letter of an order of this customer lies.
fn letter_of(brokers: &str, customer: &str) -> String {
    let consumer = from_start(brokers, "dead");
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
        let value = message.payload().unwrap_or_default();
        if value.windows(customer.len()).any(|letters| letters == customer.as_bytes()) {
            return format!("dead/{}/{}", message.partition(), message.offset());
        }
    }
    panic!("there is no dead letter of {customer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_may_have_been_overwritten_is_told_and_no_other() {
    let (cluster, aside) = (cluster(), Tasks::new());
    let (brokers, registry) = (cluster.bootstrap_servers(), registry(&aside).await);
    tiers(&brokers, &[("rich", "gold")]);
    let process = Process::named("one", &cluster, &registry).await;
    process.until("/connectors", |status, _| status == 200).await;
    start(&process).await;
    write(&brokers, "in", &[order("evil", "newcomer"), order("evil", "rich")]);
    let world = World { brokers: brokers.clone(), registry };
    tokio::task::block_in_place(|| {
        let (newcomer, rich) = (letter_of(&brokers, "newcomer"), letter_of(&brokers, "rich"));
        let told = |letter: &str, flags: &[&str]| {
            let found = world.replay(letter, flags);
            holds(&found, 0, &["1. customer-tier@"]);
            found.1
        };
        // A table that has nothing of a customer is no news, whoever else was written since.
        tiers(&brokers, &[("rich", "none"), ("other", "gold")]);
        for letter in [&newcomer, &rich] {
            let text = told(letter, &[]);
            assert!(text.contains("the same as then") && !text.contains("has moved on"), "{text}");
        }
        tiers(&brokers, &[("newcomer", "gold")]);
        let (partition, offset, _) = find(&brokers, "tiers", "newcomer");
        let words = format!(
            "tables: tiers has moved on since: a key that it was asked for has newer records only \
             (tiers/{partition}/{offset}); if there was a value then, it was overwritten and is not there any more\n"
        );
        let clean = shipped("clean.wasm");
        for flags in [&[] as &[&str], &["--with", clean.to_str().unwrap()]] {
            let text = told(&newcomer, flags);
            assert!(text.contains(&words), "no {words:?} in:\n{text}");
        }
        assert!(!told(&rich, &[]).contains("has moved on"), "what it looked up is there still");
    });
    process.tasks.drain(PATIENCE).await;
    aside.drain(PATIENCE).await;
}
