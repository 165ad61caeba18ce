use prometheus_client::registry::Registry;
use rdkafka::{bindings, mocking::MockCluster, producer::DefaultProducerContext};

use super::{in_flight::settle, *};

fn report(persistence: Persistence, error: Option<RDKafkaErrorCode>) -> Report {
    Report { persistence, error }
}

#[test]
fn only_what_is_surely_stored_is_a_success() {
    let placed = Placed { partition: 3, offset: 7 };
    assert_eq!(settle(report(Persistence::Stored(placed), None), 10).unwrap(), placed);
    let timed_out = Some(RDKafkaErrorCode::PurgeQueue);
    assert!(matches!(
        settle(report(Persistence::NotStored, timed_out), 10),
        Err(PublishError::Unavailable(Unavailable::NotSent(_)))
    ));
    assert!(matches!(
        settle(report(Persistence::InDoubt, timed_out), 10),
        Err(PublishError::InDoubt(InDoubt::Unconfirmed(_)))
    ));
}

/// The broker refuses all that came together, and says the same of each.
#[test]
fn only_what_went_alone_is_too_large_for_the_topic() {
    let refused = || report(Persistence::NotStored, Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let large = settings::BATCH_BYTES + 1;
    assert!(matches!(settle(refused(), large), Err(PublishError::TooLarge(size)) if size == large));
    for size in [10, settings::BATCH_BYTES] {
        let told = settle(refused(), size);
        assert!(matches!(told, Err(PublishError::Unavailable(Unavailable::NotSent(_)))), "{size}: {told:?}");
    }
}

/// As librdkafka does it when it cannot go on.
fn break_for_good(kafka: &Kafka) {
    // SAFETY: the client is alive, and the text is a C string.
    unsafe {
        bindings::rd_kafka_test_fatal_error(
            kafka.client().native_ptr(),
            bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            c"of the test".as_ptr(),
        )
    };
}

/// A producer that breaks for good is replaced, and orders flow again without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_producer_is_replaced() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 2, 1).unwrap();
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let publisher =
        Arc::new(Publisher::new(&mock.bootstrap_servers(), Security::default(), "test", "t", metrics).unwrap());
    let tasks = Tasks::new();
    tasks.spawn(supervise(Arc::clone(&publisher), tasks.clone()));
    let record = Record { key: b"k", value: b"v", headers: &[] };
    let until_accepted = async || {
        let begun = Instant::now();
        loop {
            match publisher.send(record, Duration::from_secs(5), None) {
                Ok(in_flight) => break in_flight.settled(Duration::from_secs(5)).await,
                Err(PublishError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "orders do not flow");
        }
    };
    assert_eq!(until_accepted().await.unwrap().offset, 0);

    // In flight while it breaks: answered, and truthfully.
    mock.broker_round_trip_time(-1, Duration::from_millis(300)).unwrap();
    let in_flight = publisher.send(record, Duration::from_secs(5), None).unwrap();
    break_for_good(&publisher.kafka());
    let settled = in_flight.settled(Duration::from_secs(5)).await;
    mock.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    let begun = Instant::now();
    let placed = until_accepted().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    match settled {
        Ok(earlier) => assert!(earlier.offset < placed.offset, "{earlier:?} {placed:?}"),
        Err(PublishError::Unavailable(_)) => assert_eq!(placed.offset, 1, "no means no"),
        Err(PublishError::InDoubt(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("orderflow_edge_producer_replacements_total 1"), "{text}");
    tasks.drain(Duration::from_secs(5)).await;
    assert_eq!(publisher.flush(Duration::from_secs(1)), Ok(()));
}

/// A publisher of which the broker takes orders, and the tasks that its supervisor runs in.
async fn supervised(mock: &MockCluster<'static, DefaultProducerContext>) -> (Arc<Publisher>, Tasks) {
    mock.create_topic("t", 2, 1).unwrap();
    let metrics = Metrics::new(&mut Registry::default());
    let publisher = Publisher::new(&mock.bootstrap_servers(), Security::default(), "test", "t", metrics).unwrap();
    let (publisher, tasks, begun) = (Arc::new(publisher), Tasks::new(), Instant::now());
    tasks.spawn(supervise(Arc::clone(&publisher), tasks.clone()));
    while publisher.broker().is_up().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "Kafka is not found");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (publisher, tasks)
}

/// How long it takes until this producer is not the one in use any more.
async fn until_replaced(publisher: &Publisher, broken: &Arc<Kafka>) -> Duration {
    let begun = Instant::now();
    while Arc::ptr_eq(broken, &publisher.kafka()) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not replaced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// librdkafka takes back what is queued in the moment in which it breaks, and nothing that comes back to it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_to_a_producer_that_broke_is_given_up_at_once() {
    let mock = MockCluster::new(1).unwrap();
    let (publisher, tasks) = supervised(&mock).await;
    let (record, five) = (Record { key: b"k", value: b"v", headers: &[] }, Duration::from_secs(5));
    publisher.send(record, five, None).unwrap().settled(five).await.unwrap();
    // One request is sent at a time: none of the supervisor's may be in front of the order.
    tasks.drain(five).await;
    mock.broker_round_trip_time(-1, Duration::from_secs(20)).unwrap();
    let in_flight = publisher.send(record, five, None).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (broken, tasks) = (publisher.kafka(), Tasks::new());
    break_for_good(&broken);
    assert!(matches!(publisher.send(record, five, None), Err(PublishError::Unavailable(Unavailable::Broker(_)))));
    tasks.spawn(supervise(Arc::clone(&publisher), tasks.clone()));
    until_replaced(&publisher, &broken).await;
    mock.broker_down(-1).unwrap();
    let begun = Instant::now();
    let settled = in_flight.settled(five).await;
    let took = begun.elapsed();
    assert!(matches!(settled, Err(PublishError::InDoubt(InDoubt::Unconfirmed(_)))), "{settled:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    tasks.drain(five).await;
}

/// A question may take three seconds, and the answer says nothing of a producer that is not there any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_breaks_while_it_is_asked_is_replaced_at_once() {
    let mock = MockCluster::new(1).unwrap();
    let (publisher, tasks) = supervised(&mock).await;
    mock.broker_round_trip_time(-1, Duration::from_secs(20)).unwrap();
    // The first question is asked within a second and given up after one, the second has three.
    tokio::time::sleep(Duration::from_millis(3300)).await;
    let broken = publisher.kafka();
    break_for_good(&broken);
    let took = until_replaced(&publisher, &broken).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    mock.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    tasks.drain(Duration::from_secs(5)).await;
}

/// Sixty partitions at eleven requests a second: the last ones are older than their time when it is their turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_long_is_not_taken_back_while_it_moves() {
    let (mock, limit) = (MockCluster::new(1).unwrap(), Duration::from_secs(20));
    mock.create_topic("t", 60, 1).unwrap();
    let metrics = Metrics::new(&mut Registry::default());
    let publisher = Publisher::new(&mock.bootstrap_servers(), Security::default(), "test", "t", metrics).unwrap();
    let (publisher, tasks, started) = (Arc::new(publisher), Tasks::new(), Instant::now());
    let send = |number: usize| {
        let key = number.to_string();
        let record = Record { key: key.as_bytes(), value: b"v", headers: &[] };
        publisher.send(record, limit, None).unwrap()
    };
    tasks.spawn(supervise(Arc::clone(&publisher), tasks.clone()));
    while publisher.broker().is_up().is_err() {
        assert!(started.elapsed() < limit, "Kafka is not found");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    send(0).settled(limit).await.unwrap();
    tasks.spawn(give_up_the_old(Arc::clone(&publisher), tasks.clone()));
    let first = publisher.kafka();
    mock.broker_round_trip_time(-1, Duration::from_millis(90)).unwrap();
    let begun = Instant::now();
    let mut in_flight: Vec<InFlight> = (1..300).map(send).collect();
    tokio::time::sleep((age::OLD - Duration::from_millis(300)).saturating_sub(begun.elapsed())).await;
    in_flight.extend((300..310).map(send));
    let mut last = Duration::ZERO;
    for order in in_flight {
        order.settled(limit).await.unwrap();
        last = begun.elapsed();
    }
    assert!(settings::MESSAGE_TIMEOUT < last, "no order was old: {last:?}");
    assert!(!Arc::ptr_eq(&first, &publisher.kafka()), "the producer was not replaced");
    tasks.drain(Duration::from_secs(5)).await;
}

/// A signal and the supervisor may both want another producer; the second must not go back to what the first left.
#[test]
fn a_producer_is_replaced_once_whoever_wants_it_and_every_new_one_has_the_newest_security() {
    use service_kit::kafka::{SecurityArgs, security::Protocol};

    let metrics = Metrics::new(&mut Registry::default());
    let publisher = Publisher::new("127.0.0.1:1", Security::default(), "test", "t", metrics).unwrap();
    let first = publisher.kafka();
    let args = SecurityArgs { kafka_security_protocol: Protocol::Ssl, ..SecurityArgs::default() };
    let newest = args.check(&mut Vec::new());
    assert!(publisher.secure(newest.clone()).unwrap());
    let second = publisher.kafka();
    let replaced = |old| publisher.replace(old, publisher.fresh_context()).unwrap();
    assert!(replaced(&first).is_none(), "it is not in use any more");
    assert!(Arc::ptr_eq(&second, &publisher.kafka()));
    assert!(replaced(&second).is_some());
    assert!(!publisher.secure(newest).unwrap(), "nothing has changed");
}

/// What one producer knew of the broker holds for its successor; of another it is not known, and the old one is not heard.
#[test]
fn a_successor_goes_on_and_another_producer_begins_anew() {
    let (broker, metrics) = (Arc::new(Broker::new()), Metrics::new(&mut Registry::default()));
    let fresh = || Context::new(&broker, &metrics, &Newest::default());
    let first = fresh();
    first.witness().begin();
    first.witness().seen();
    first.witness().permitted();
    let second = first.successor();
    second.take_over_from(&first);
    assert!(!broker.is_permission_unknown(), "it is the same user");
    fresh().take_over_from(&second);
    assert!(broker.is_permission_unknown(), "it may be another user");
    second.witness().lost("of the past");
    assert_eq!(broker.is_up(), Ok(()));
}

/// librdkafka takes its partitions away for half a minute and renumbers what it is given after that; a probe sees only
/// that the topic is there.
#[test]
fn a_topic_that_librdkafka_holds_to_be_gone_is_lost_and_the_producer_is_replaced() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 2, 1).unwrap();
    let metrics = Metrics::new(&mut Registry::default());
    let publisher = Publisher::new(&mock.bootstrap_servers(), Security::default(), "test", "t", metrics).unwrap();
    let (kafka, five) = (publisher.kafka(), Duration::from_secs(5));
    let witness = kafka.context().witness();
    let terms = Terms { order_id: b"k", size: 1, deadline: five, share: None };
    for code in [
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownPartition,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::TopicAuthorizationFailed,
    ] {
        assert!(witness.found_topic());
        let refused = publisher.refused(&KafkaError::MessageProduction(code), witness, Instant::now(), &terms, 1);
        assert!(matches!(refused, PublishError::Unavailable(Unavailable::Broker(_))), "{refused:?}");
        assert!(publisher.broker.is_topic_lost() && publisher.broker.admits().is_err(), "{code:?}");
    }

    // The same in a delivery report: a partition that the topic does not have.
    assert!(witness.found_topic());
    let (reply, report) = oneshot::channel();
    let place = publisher.admission.admit(Instant::now(), &terms).unwrap();
    let age = kafka.context().ages().begin(Instant::now());
    let delivery = Box::new(Delivery::new(reply, place, &publisher.admission, (Instant::now(), age)));
    witness.used();
    kafka.send(BaseRecord::with_opaque_to("t", delivery).partition(9).key("k").payload("v")).unwrap();
    let report = report.blocking_recv().unwrap();
    assert_eq!((report.persistence, report.error), (Persistence::NotStored, Some(RDKafkaErrorCode::UnknownPartition)));
    assert!(publisher.broker.is_topic_lost() && !witness.found_topic(), "it was used");
}
