//! A registry that is away, ill or wrong at the start: the edge says so, takes nothing, and goes on by itself. No record
//! is ever written under an id that the registry does not show our schema for.

use serde_json::json;

use crate::world::{RegistryAnswer, World, get, order, until};

const LOOK_UP: (&str, &str) = ("POST", "/subjects/orders.received-value");

fn known(id: &str) -> String {
    let schema = serde_json::to_string(schemas::contracts::ORDERS_RECEIVED_AVSC).unwrap();
    format!(r#"{{"subject":"orders.received-value","version":1,"id":{id},"schema":{schema}}}"#)
}

/// What the answer is, and what readiness must say of it.
const ILL: [(RegistryAnswer, &str); 10] = [
    (|_, _| Some((500, json!({ "error_code": 50001, "message": "store" }).to_string())), "50001"),
    (|_, _| Some((429, json!({ "error_code": 42901, "message": "slowly" }).to_string())), "42901"),
    (|_, _| Some((200, "<html>log in here</html>".to_owned())), "registry"),
    (|_, _| Some((404, json!({ "error_code": 40403, "message": "no" }).to_string())), "orders.received-value"),
    (|_, _| Some((200, known("0"))), "cannot be an id"),
    (|_, _| Some((200, known("-5"))), "registry"),
    (|_, _| Some((200, known(r#""seven""#))), "registry"),
    (|_, _| Some((200, known("4294967295"))), "cannot be an id"),
    // An id, and then nothing or another schema under it.
    (
        |method, path| match (method, path) {
            LOOK_UP => Some((200, known("5"))),
            _ => Some((404, json!({ "error_code": 40403, "message": "no" }).to_string())),
        },
        "is unknown to it",
    ),
    (
        |method, path| match (method, path) {
            LOOK_UP => Some((200, known("5"))),
            _ => Some((200, json!({ "schema": r#"{"type":"record","name":"X","fields":[]}"# }).to_string())),
        },
        "is of another schema",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ails_the_registry_at_the_start_is_named_and_waited_for() {
    let mut worlds = Vec::new();
    for (answer, told) in ILL {
        worlds.push((World::started_with_registry(answer).await, told));
    }
    for (world, told) in &worlds {
        let mut last = String::new();
        until("kafka is known, and readiness names what is wrong", async || {
            let report = get(world.app.admin_address, "/readyz").await.json();
            last = report["conditions"][2]["reason"].as_str().unwrap_or("met").to_owned();
            report["conditions"][0]["met"] == true && last.contains(told)
        })
        .await;
        assert_ne!(last, "starting");
        let refused = world.post(&order("early")).await;
        assert_eq!(refused.verdict(), (503, "no".to_owned(), "safe".to_owned()), "{last}");
    }
    let (world, _) = worlds.pop().unwrap();
    world.registry.answer(|_, _| None);
    world.until_ready().await;
    assert_eq!(world.post(&order("late")).await.status, 202);
    let stored = world.stored();
    assert_eq!(stored.iter().map(|stored| (stored.key.as_str(), stored.schema_id)).collect::<Vec<_>>(), [("late", 77)]);
    // From here on it may say what it wants.
    world.registry.answer(ILL[9].0);
    assert_eq!(world.post(&order("later")).await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_schema_in_other_writing_is_the_same_schema() {
    let world = World::started_with_registry(|method, path| match (method, path) {
        LOOK_UP => None,
        _ => {
            let schema: serde_json::Value = serde_json::from_str(schemas::contracts::ORDERS_RECEIVED_AVSC).unwrap();
            Some((200, json!({ "schema": schema.to_string() }).to_string()))
        }
    })
    .await;
    world.until_ready().await;
    assert_eq!(world.post(&order("a")).await.status, 202);
}
