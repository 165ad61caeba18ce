//! Where the orders go: librdkafka's mock broker in this process, or a real one; and what lies there, read back.

use std::{
    convert::Infallible,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    message::{BorrowedMessage, ToBytes},
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, ThreadedProducer},
};
use schemas::{Order, codec, framing, names::topics};
use serde_json::json;
use service_kit::{
    Tasks,
    http::{self as kit, Limits},
};

/// As many as the deploy step makes.
pub const PARTITIONS: i32 = 12;
/// The id under which the stub registry knows the schema.
pub const SCHEMA_ID: u32 = 77;
const TOPIC: &str = topics::ORDERS_RECEIVED;
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives a record to a producer, and waits for room in its queue, which is bounded, while the broker empties it.
///
/// # Errors
/// When there is no room within `patience`, or the record is not taken for another reason.
pub(crate) fn enqueue<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(
    producer: &ThreadedProducer<DefaultProducerContext>,
    mut record: BaseRecord<'_, K, V>,
    patience: Duration,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    while let Err((error, refused)) = producer.send(record) {
        let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
        ensure!(full && begun.elapsed() < patience, "a record could not be written: {error}");
        thread::sleep(Duration::from_millis(1));
        record = refused;
    }
    Ok(())
}

/// A broker with the topic of orders.
pub struct Kafka {
    /// How it is reached.
    pub servers: String,
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

/// A record of the topic.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: String,
    /// The schema's id.
    pub schema_id: u32,
    /// What it holds.
    pub order: Order,
    /// Whether our own codec makes the same bytes of it.
    pub is_as_ours: bool,
}

/// The next offset of each partition.
pub type Ends = Vec<i64>;

impl Kafka {
    /// librdkafka's mock broker: it speaks Kafka's protocol over TCP, answers `acks=all` at once, and keeps only the
    /// latest records.
    ///
    /// # Errors
    /// When librdkafka cannot start it.
    pub fn mock() -> anyhow::Result<Self> {
        let mock = MockCluster::new(1).context("cannot start a mock broker")?;
        mock.create_topic(TOPIC, PARTITIONS, 1).context("cannot make the topic")?;
        Ok(Self { servers: mock.bootstrap_servers(), mock: Some(mock) })
    }

    /// A real broker; the topic is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be reached, or its topic has another number of partitions.
    pub async fn real(servers: &str) -> anyhow::Result<Self> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", servers).create()?;
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let made = admin.create_topics([&topic], &options).await.with_context(|| format!("cannot reach {servers}"))?;
        for topic in made {
            match topic {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => bail!("{servers} does not make topic {topic}: {code}"),
            }
        }
        let metadata = admin.inner().fetch_metadata(Some(TOPIC), PATIENCE)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        ensure!(
            i32::try_from(partitions) == Ok(PARTITIONS),
            "topic {TOPIC} of {servers} has {partitions} partitions, {PARTITIONS} are expected"
        );
        Ok(Self { servers: servers.to_owned(), mock: None })
    }

    /// What it is, for the report.
    #[must_use]
    pub fn description(&self) -> String {
        match self.mock {
            Some(_) => "librdkafka's mock broker in the bench's process, acks=all".to_owned(),
            None => format!("Kafka at {}, acks=all", self.servers),
        }
    }

    /// How long the mock broker lets each answer wait.
    ///
    /// # Errors
    /// When this is no mock broker.
    pub fn set_round_trip(&self, time: Duration) -> anyhow::Result<()> {
        let mock = self.mock.as_ref().context("only a mock broker can be slowed")?;
        Ok(mock.broker_round_trip_time(-1, time)?)
    }

    /// Where the topic ends now.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn ends(&self) -> anyhow::Result<Ends> {
        let consumer = self.consumer()?;
        let of = |partition| Ok(consumer.fetch_watermarks(TOPIC, partition, PATIENCE)?.1);
        (0..PARTITIONS).map(of).collect()
    }

    /// What came since then.
    ///
    /// # Errors
    /// When the broker does not answer or a record cannot be read.
    pub fn since(&self, begin: &Ends) -> anyhow::Result<Vec<Stored>> {
        let (ends, consumer) = (self.ends()?, self.consumer()?);
        let mut assignment = TopicPartitionList::new();
        for (partition, begin) in (0..).zip(begin) {
            assignment.add_partition_offset(TOPIC, partition, Offset::Offset(*begin))?;
        }
        consumer.assign(&assignment)?;
        let expected: i64 = ends.iter().zip(begin).map(|(end, begin)| end - begin).sum();
        let (mut stored, since) = (Vec::new(), Instant::now());
        while (stored.len() as i64) < expected {
            ensure!(since.elapsed() < PATIENCE, "read {} of {expected} records in {PATIENCE:?}", stored.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                stored.push(read(&message?)?);
            }
        }
        Ok(stored)
    }

    fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("group.id", "race");
        config.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        config.create().context("cannot make a consumer")
    }
}

fn read(message: &BorrowedMessage<'_>) -> anyhow::Result<Stored> {
    let (schema_id, datum) = framing::split(message.payload().context("a record without a value")?)?;
    let (order, mut ours) = (codec::decode(datum)?, Vec::new());
    codec::encode(&order, &mut ours);
    Ok(Stored {
        partition: message.partition(),
        offset: message.offset(),
        key: str::from_utf8(message.key().context("a record without a key")?)?.to_owned(),
        schema_id,
        order,
        is_as_ours: ours == datum,
    })
}

/// A schema registry that knows the one schema; its address.
///
/// # Errors
/// When it cannot listen.
pub async fn stub_registry(tasks: &Tasks) -> anyhow::Result<String> {
    let listener = kit::bind("127.0.0.1:0".parse()?).await?;
    let address = listener.local_addr()?;
    let service = tower::service_fn(|_: Request<Incoming>| {
        let schema = json!({ "subject": schemas::names::subjects::ORDERS_RECEIVED_VALUE, "version": 1, "id": SCHEMA_ID,
            "schema": schemas::contracts::ORDERS_RECEIVED_AVSC });
        std::future::ready(Ok::<_, Infallible>(kit::json(StatusCode::OK, &schema)))
    });
    tasks.spawn(kit::serve(listener, service, Limits::default(), tasks.clone()));
    Ok(format!("http://{address}"))
}
