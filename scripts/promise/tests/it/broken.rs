//! The checker on the real stores, with something really broken in them, and put back.

use std::future::Future;

use promise::check::{Counter, check};
use promise::read::{Elasticsearch, Postgres};
use promise::row::Value;
use promise::world::{Store, World};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::house::House;

/// A deleted row, a doubled record, a changed cent, a swapped version: each makes its counter rise, and only then.
pub(crate) fn stores(house: &mut House) {
    for version in 1..=2 {
        house.post("broken-1", &format!(r#"{{"orderId":"broken-1","amount":{version}.50,"customer":"the checker"}}"#));
    }
    let before = house.world();
    assert!(check(&before).all_zero(), "{}", check(&before));
    let store = |store: Store| {
        let found = before.stores[&store].iter().find(|stored| stored.key == "broken-1");
        found.unwrap().row.clone()
    };
    let Value::Whole(newest) = *store(Store::Postgres).get("received_offset") else { panic!("no version") };
    let older =
        before.received.iter().find(|record| record.key.as_deref() == Some(b"broken-1") && record.at.offset < newest);
    let older = older.unwrap().at.offset;
    table(house, &before, older);
    index(house, &before, older);
    let after = check(&look(house, &before));
    assert!(after.all_zero(), "put back, and still: {after}");
}

/// The stores as they are now; the topics do not change meanwhile.
fn look(house: &House, before: &World) -> World {
    let mut world = before.clone();
    house.runtime.block_on(async {
        let postgres = Postgres::connect(&house.places.postgres).await.unwrap();
        world.stores.insert(Store::Postgres, postgres.all().await.unwrap());
        let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
        world.stores.insert(Store::Elasticsearch, elasticsearch.all().await.unwrap());
    });
    world
}

/// These counters rise, and no other.
fn expect(house: &House, before: &World, name: &str, counters: &[Counter]) {
    let findings = check(&look(house, before));
    let risen: Vec<Counter> = Counter::ALL.into_iter().filter(|counter| findings.count(*counter) > 0).collect();
    assert_eq!(risen, counters, "{name}\n{findings}");
    println!("{name}: {risen:?}");
}

fn table(house: &House, before: &World, older: i64) {
    let run = |sql: &str| {
        let sql = format!(
            "begin; alter table order_placed disable trigger all; {sql}; alter table order_placed enable trigger all; commit"
        );
        wait(house, async { Postgres::connect(&house.places.postgres).await.unwrap().run(&sql).await.unwrap() });
    };
    run("create table kept as select * from order_placed where order_id = 'broken-1'");
    let put_back = "delete from order_placed where order_id in ('broken-1', 'broken-2'); insert into order_placed select * from kept";
    for (name, sql, counters) in [
        (
            "row deleted",
            "delete from order_placed where order_id = 'broken-1'".to_owned(),
            &[Counter::Lost, Counter::Mismatch][..],
        ),
        (
            "cent changed",
            "update order_placed set amount = amount + 0.01 where order_id = 'broken-1'".to_owned(),
            &[Counter::Wrong, Counter::Mismatch],
        ),
        (
            "version swapped",
            format!("update order_placed set received_offset = {older} where order_id = 'broken-1'"),
            &[Counter::Lost, Counter::Mismatch],
        ),
        (
            "row under another id",
            "update order_placed set order_id = 'broken-2' where order_id = 'broken-1'".to_owned(),
            &[Counter::Lost, Counter::Phantom, Counter::Mismatch],
        ),
    ] {
        run(&sql);
        expect(house, before, &format!("postgres, {name}"), counters);
        run(put_back);
    }
    // The primary key does not let a row be there twice; without the key it is seen.
    run("alter table order_placed drop constraint order_placed_pkey; insert into order_placed select * from kept");
    expect(house, before, "postgres, row doubled", &[Counter::Duplicate]);
    run(&format!("{put_back}; alter table order_placed add primary key (order_id); drop table kept"));
}

fn index(house: &House, before: &World, older: i64) {
    let elasticsearch = Elasticsearch::new(&house.places.elasticsearch).unwrap();
    let call = |method: Method, path: &str, send: Option<Json>| -> Json {
        wait(house, async { elasticsearch.call(method, path, send).await.unwrap() })
    };
    let kept = call(Method::GET, "/order_placed/_source/broken-1", None);
    let with = |name: &str, value: Json| {
        let mut changed = kept.clone();
        changed[name] = value;
        changed
    };
    let path = "/order_placed/_doc/broken-1";
    call(Method::DELETE, path, None);
    expect(house, before, "elasticsearch, document deleted", &[Counter::Lost, Counter::Mismatch]);
    for (name, document, counters) in [
        ("cent changed", with("amount", json!(2.51)), &[Counter::Wrong, Counter::Mismatch][..]),
        ("version swapped", with("received_offset", json!(older)), &[Counter::Lost, Counter::Mismatch]),
    ] {
        call(Method::PUT, path, Some(document));
        expect(house, before, &format!("elasticsearch, {name}"), counters);
    }
    call(Method::PUT, path, Some(kept.clone()));
    call(Method::PUT, "/order_placed/_doc/another", Some(kept));
    expect(house, before, "elasticsearch, document doubled", &[Counter::Duplicate, Counter::Wrong]);
    call(Method::DELETE, "/order_placed/_doc/another", None);
}

fn wait<T>(house: &House, future: impl Future<Output = T>) -> T {
    house.runtime.block_on(future)
}
