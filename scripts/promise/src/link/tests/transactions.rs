//! What a link knows of transactions, and how it stops one.

use super::super::frame::{Kind, Request};
use super::*;

#[test]
fn a_transactional_producers_request_is_known_and_no_other() {
    let end = |commits| Kind::End { commits };
    for (frame, kind) in [
        (asks(PRODUCE, 8, 1, "orders-0", b"records"), Kind::Produce),
        (asks(PRODUCE, 10, 1, "orders-0", b"records"), Kind::Produce),
        (asks(ADD_PARTITIONS, 0, 1, "orders-0", b"partitions"), Kind::AddPartitions),
        (asks(ADD_OFFSETS, 0, 1, "orders-0", b"group"), Kind::AddOffsets),
        (asks(SEND_OFFSETS, 3, 1, "orders-0", b"offsets"), Kind::SendOffsets),
        (asks(END, 1, 1, "orders-0", &[9, 9, 1]), end(true)),
        (asks(END, 1, 1, "orders-0", &[9, 9, 0]), end(false)),
        (asks(END, 3, 1, "orders-0", &[9, 9, 1, 0]), end(true)),
    ] {
        let request = Request::read(&frame[4..]).unwrap();
        assert_eq!((request.kind, request.producer.as_slice()), (kind, b"orders-0".as_slice()));
        // Less than the whole name is nothing.
        assert!((4..26).all(|to| Request::read(&frame[4..to]).is_none()), "{kind:?}");
    }
    for other in [
        // An idempotent producer without transactions, as the edge's; a version without a name; a fetch.
        frame(&[&[0, PRODUCE, 0, 8, 0, 0, 0, 1, 0, 2], b"me", &[0xFF, 0xFF], b"records"]),
        frame(&[&[0, PRODUCE, 0, 10, 0, 0, 0, 1, 0, 2], b"me", &[0, 0], b"records"]),
        asks(PRODUCE, 2, 1, "orders-0", b"records"),
        asks(1, 4, 1, "orders-0", b"partitions"),
    ] {
        assert_eq!(Request::read(&other[4..]), None, "{other:?}");
    }
    // A client without a name, and a name that needs a length of two bytes.
    let nameless = frame(&[&[0, END, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF], &[0, 1], b"p", &[1]]);
    assert_eq!(Request::read(&nameless[4..]).unwrap().producer, b"p");
    let long = frame(&[&[0, END, 0, 3, 0, 0, 0, 1, 0, 0], &[0, 0xAD, 0x02], &[b'p'; 300], &[1, 0]]);
    assert_eq!(Request::read(&long[4..]).unwrap().producer, [b'p'; 300]);
}

/// A producer's two connections: to who knows of its transactions, and to who keeps its records.
struct Producer {
    coordinator: TcpStream,
    leader: TcpStream,
}

impl Producer {
    fn new(bench: &Bench) -> Self {
        Self { coordinator: bench.connect(), leader: bench.connect() }
    }

    /// Sends a request, and says over which connection.
    fn ask(&mut self, key: u8, correlation: u8, producer: &str) -> &mut TcpStream {
        let version = if key == PRODUCE { 10 } else { 1 };
        let stream = if [PRODUCE, SEND_OFFSETS].contains(&key) { &mut self.leader } else { &mut self.coordinator };
        stream.write_all(&asks(key, version, correlation, producer, &[1])).unwrap();
        stream
    }

    /// The same, and waits for its answer.
    fn hear(&mut self, key: u8, correlation: u8, producer: &str) {
        let heard = answer(self.ask(key, correlation, producer));
        assert_eq!(heard[..4], [0, 0, 0, correlation]);
    }
}

/// Whether it comes to that in time.
fn comes(done: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !done() {
        if PATIENCE < begun.elapsed() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The order in which librdkafka asks, and so often do others.
const TRANSACTION: [u8; 5] = [ADD_OFFSETS, ADD_PARTITIONS, PRODUCE, SEND_OFFSETS, END];
/// The correlation of the commit that is stopped.
const LAST: u8 = 99;

#[test]
fn a_transaction_is_stopped_at_each_point_and_nobody_elses() {
    for (point, unanswered, heard) in [
        (Point::Polled, vec![ADD_OFFSETS], vec![]),
        (Point::Produced, vec![ADD_OFFSETS, PRODUCE], vec![ADD_PARTITIONS, PRODUCE]),
        (Point::OffsetsSent, vec![SEND_OFFSETS], vec![ADD_OFFSETS, ADD_PARTITIONS, PRODUCE, SEND_OFFSETS]),
        (Point::CommitSent, vec![END], TRANSACTION.to_vec()),
        (Point::Committed, vec![END], TRANSACTION.to_vec()),
    ] {
        let keys = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&keys);
        let bench = Bench::before(Protocol::Kafka, move |request: &[u8]| {
            noted.lock().unwrap().push(request[5]);
            // That the commit was sent is known without any answer.
            let unheard = point == Point::CommitSent && (request[5], request[11]) == (END, LAST);
            if unheard { vec![] } else { granted(request) }
        });
        let (mut producer, mut other) = (Producer::new(&bench), Producer::new(&bench));
        // What has begun before goes on to its end.
        producer.hear(PRODUCE, 1, "p-0");
        bench.link.set(Mode::StopAt(point));
        TRANSACTION[3..].iter().for_each(|key| producer.hear(*key, 2, "p-0"));
        TRANSACTION.iter().for_each(|key| other.hear(*key, 3, "p-1"));
        assert_eq!(bench.link.stopped(), None, "{point:?}");
        keys.lock().unwrap().clear();
        for key in TRANSACTION {
            if !unanswered.contains(&key) {
                producer.hear(key, LAST, "p-0");
                continue;
            }
            let stream = producer.ask(key, LAST, "p-0");
            assert!(is_silent(stream), "{point:?}");
            if unanswered.last() == Some(&key) {
                assert!(comes(|| bench.link.stopped().is_some()), "{point:?} was not reached");
                assert!(comes(|| keys.lock().unwrap().len() == heard.len()), "{point:?}: {:?}", keys.lock().unwrap());
                break;
            }
        }
        let stop = bench.link.stopped().unwrap();
        assert_eq!(
            (stop.producer.as_str(), &*keys.lock().unwrap(), bench.link.hits()),
            ("p-0", &heard, 1),
            "{point:?}"
        );
        // What follows is somebody else's, and passes.
        TRANSACTION.iter().for_each(|key| other.hear(*key, 4, "p-1"));
        bench.link.set(Mode::Through);
        let at_leader = [Point::Produced, Point::OffsetsSent].contains(&point);
        let mut held = if at_leader { producer.leader } else { producer.coordinator };
        assert!(is_reset(&mut held), "{point:?}");
    }
}
