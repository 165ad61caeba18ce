//! The peer of the edge's latency: the same record produced directly, with the edge's own producer settings, at the same
//! intended times. What the edge adds to it is the edge's share.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use edge::publish::settings;
use rdkafka::{
    ClientContext,
    config::FromClientConfigAndContext,
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use schemas::{Item, Money, Order, codec, framing, names::topics, order::Timestamp};

use crate::{histogram::Histogram, kafka::SCHEMA_ID, orders::Ids};

/// What travels with a record: when it was due, and where its latency is counted.
type Sent = Box<(Instant, Arc<Histogram>)>;

/// Measures from the intended time to the delivery report.
struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Sent;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Sent) {
        // What failed is missing in the count, which is compared with what was sent.
        if result.is_ok() {
            sent.1.add(sent.0.elapsed());
        }
    }
}

/// A producer with the edge's settings.
pub struct Direct(ThreadedProducer<Reports>);

impl Direct {
    /// Connects to a broker. Its first records wait until it has an identity there, so it is to be warmed up.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn connect(servers: &str) -> anyhow::Result<Self> {
        let config = settings::config(servers, "race-direct");
        let producer: ThreadedProducer<Reports> = ThreadedProducer::from_config_and_context(&config, Reports)?;
        producer.client().fetch_metadata(Some(topics::ORDERS_RECEIVED), Duration::from_secs(10))?;
        Ok(Self(producer))
    }

    /// Produces `rate` records a second for `time`, without waiting for any. Blocks.
    ///
    /// # Errors
    /// When librdkafka does not take a record or does not deliver it.
    pub fn run(&self, rate: f64, time: Duration, ids: &Ids) -> anyhow::Result<Arc<Histogram>> {
        let latencies = Arc::new(Histogram::default());
        let start = Instant::now();
        let count = (rate * time.as_secs_f64()) as u64;
        for sent in 0..count {
            let intended = start + Duration::from_secs_f64(sent as f64 / rate);
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            let (key, value) = record(&ids.id(ids.take(1)))?;
            let sent = Box::new((intended, Arc::clone(&latencies)));
            let record = BaseRecord::with_opaque_to(topics::ORDERS_RECEIVED, sent).key(&key).payload(&value);
            self.0.send(record).map_err(|(error, _)| error).context("librdkafka does not take a record")?;
        }
        self.0.flush(Duration::from_secs(10)).context("not every record was delivered")?;
        ensure!(latencies.count() == count, "{} of {count} records were delivered", latencies.count());
        Ok(latencies)
    }
}

/// The record that the edge makes of the order with this id.
///
/// # Errors
/// When the order is none.
pub fn record(id: &str) -> anyhow::Result<(String, Vec<u8>)> {
    record_by(id, SCHEMA_ID)
}

/// The same where the registry knows the schema by another number.
///
/// # Errors
/// When the order is none.
pub fn record_by(id: &str, schema_id: u32) -> anyhow::Result<(String, Vec<u8>)> {
    let mut value = framing::header(schema_id).to_vec();
    codec::encode(&order(id)?, &mut value);
    Ok((id.to_owned(), value))
}

/// What [`Ids::order`] says, written a second time and not read from its text, so that a fault of one shows.
///
/// # Errors
/// When the id is none.
pub fn order(id: &str) -> anyhow::Result<Order> {
    let money = |hundredths| Money::from_hundredths(hundredths).context("an amount that is none");
    let item =
        |sku: &str, quantity, price| anyhow::Ok(Item { sku: sku.to_owned(), quantity, unit_price: money(price)? });
    let at = Timestamp(1_778_051_289_123);
    Ok(Order {
        order_id: id.parse()?,
        amount: money(14_985)?,
        customer: "Zoe Berg".to_owned(),
        currency: Some("EUR".to_owned()),
        items: vec![item("SKU-0001", 2, 4_995)?, item("SKU-0002", 1, 2_495)?, item("SKU-0003", 1, 2_500)?],
        email: Some("zoe.b@example.com".to_owned()),
        country: Some("DE".to_owned()),
        channel: Some("web".to_owned()),
        created_at: at,
        received_at: at,
    })
}
