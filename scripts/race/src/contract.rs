//! What our programs and their peers find alike on servers that a bench has started: the topics and the schemas.

use anyhow::Context;
use connectors::kafka::Admin;
use schemas::{
    contracts::{self, Topic},
    names::subjects,
    registry::Registry,
};

/// The registry's ids of the schemas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) received: u32,
    pub(crate) placed: u32,
}

/// Makes the topics, each as `adjust` leaves it, and registers the schemas.
pub(crate) async fn make(kafka: &str, registry: &str, adjust: impl Fn(&mut Topic)) -> anyhow::Result<Ids> {
    let admin = Admin::new(&kafka.into())?;
    for mut topic in contracts::topics()? {
        adjust(&mut topic);
        admin.create(&topic).await.with_context(|| format!("topic {}", topic.name))?;
    }
    let registry = Registry::new(registry)?;
    Ok(Ids {
        received: registry.register(subjects::ORDERS_RECEIVED_VALUE, contracts::ORDERS_RECEIVED_AVSC).await?,
        placed: registry.register(subjects::ORDER_PLACED_VALUE, contracts::ORDER_PLACED_AVSC).await?,
    })
}
