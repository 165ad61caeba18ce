//! Each mode does what it says, on real sockets of loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use tokio::runtime::Runtime;

use super::frame::{batch, crc32c};
use super::*;

mod transactions;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// In this time what is not held back comes.
const SOON: Duration = Duration::from_millis(300);
/// Keys of requests.
const PRODUCE: u8 = 0;
const ADD_PARTITIONS: u8 = 24;
const ADD_OFFSETS: u8 = 25;
const END: u8 = 26;
const SEND_OFFSETS: u8 = 28;

/// A link before a server that says back what it hears.
struct Bench {
    link: Link,
    _runtime: Runtime,
}

impl Bench {
    fn new(protocol: Protocol) -> Self {
        Self::before(protocol, |heard| heard.to_vec())
    }

    /// What the server answers to what it has read at once.
    fn before(protocol: Protocol, answer: impl Fn(&[u8]) -> Vec<u8> + Clone + Send + 'static) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let runtime = Runtime::new().unwrap();
        let link = Link::open(runtime.handle(), protocol).unwrap();
        link.lead_to(&server.local_addr().unwrap().to_string());
        std::thread::spawn(move || {
            for mut stream in server.incoming().flatten() {
                let answer = answer.clone();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4_096];
                    while let Ok(length @ 1..) = stream.read(&mut bytes) {
                        if stream.write_all(&answer(&bytes[..length])).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { link, _runtime: runtime }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.link.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection over which something has gone already.
    fn proven(&self) -> TcpStream {
        let mut stream = self.connect();
        assert_eq!(exchange(&mut stream, b"well?"), b"well?");
        stream
    }
}

fn exchange(stream: &mut TcpStream, words: &[u8]) -> Vec<u8> {
    stream.write_all(words).unwrap();
    let mut answer = vec![0; words.len()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let silent = stream.read(&mut [0; 64]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    silent
}

fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 64]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_link_passes_on_both_ways_and_an_end_as_an_end() {
    let bench = Bench::new(Protocol::Turns);
    let mut stream = bench.proven();
    let long: Vec<u8> = (0..200_000).map(|number: u32| number.to_le_bytes()[0]).collect();
    let mut other = stream.try_clone().unwrap();
    let sent = long.clone();
    let writing = std::thread::spawn(move || {
        other.write_all(&sent).unwrap();
        other.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    writing.join().unwrap();
    assert_eq!((heard == long, bench.link.hits()), (true, 0));
}

#[test]
fn a_delay_is_there_both_ways_and_keeps_the_order() {
    let bench = Bench::new(Protocol::Turns);
    let mut stream = bench.proven();
    bench.link.set(Mode::Delay(SOON));
    let begun = Instant::now();
    assert_eq!(exchange(&mut stream, b"one two"), b"one two");
    assert!(begun.elapsed() >= SOON * 2, "{:?}", begun.elapsed());
    bench.link.set(Mode::Through);
    assert_eq!(exchange(&mut stream, b"three"), b"three");
}

#[test]
fn a_cut_resets_what_is_open_and_what_comes() {
    let bench = Bench::new(Protocol::Turns);
    let mut stream = bench.proven();
    bench.link.set(Mode::Cut);
    assert!(is_reset(&mut stream));
    assert!(is_reset(&mut bench.connect()));
    assert!(bench.link.hits() >= 2);
    bench.link.set(Mode::Through);
    bench.proven();
}

#[test]
fn half_open_swallows_and_what_has_lost_some_stays_lost() {
    let bench = Bench::new(Protocol::Turns);
    let (mut old, mut idle) = (bench.proven(), bench.proven());
    bench.link.set(Mode::HalfOpen);
    let mut new = bench.connect();
    for stream in [&mut old, &mut new] {
        stream.write_all(b"nobody hears").unwrap();
        assert!(is_silent(stream));
    }
    bench.link.set(Mode::Through);
    old.write_all(b"still").unwrap();
    assert!(is_silent(&mut old));
    assert_eq!(exchange(&mut idle, b"well"), b"well");
    bench.proven();
}

#[test]
fn a_throttle_lets_so_many_bytes_pass_a_second() {
    let bench = Bench::new(Protocol::Turns);
    let mut stream = bench.proven();
    bench.link.set(Mode::Throttle(200));
    let begun = Instant::now();
    // Ten steps there, nine pauses between them.
    assert_eq!(exchange(&mut stream, &[7; 200]), [7; 200]);
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    bench.link.set(Mode::Through);
    assert_eq!(exchange(&mut stream, &[7; 4_000]), [7; 4_000]);
}

#[test]
fn garbage_comes_before_a_message_and_never_into_one() {
    let bench = Bench::new(Protocol::Turns);
    bench.link.set(Mode::Garbage);
    let mut stream = bench.connect();
    let mut heard = Vec::new();
    for _ in 0..200 {
        stream.write_all(b"a whole message").unwrap();
        let mut answer = [0; 256];
        // Garbage may be an answer of its own.
        while !heard.ends_with(b"a whole message") {
            let length = stream.read(&mut answer).unwrap();
            heard.extend_from_slice(&answer[..length]);
        }
        heard.push(b'\n');
    }
    let whole = heard.windows(15).filter(|words| words == b"a whole message").count();
    assert_eq!(whole, 200, "none is torn");
    assert!(bench.link.hits() > 0 && heard.len() == 200 * 16 + bench.link.hits() * 16, "{}", heard.len());
}

/// A frame with its length.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

/// As KIP-98 has it; the records may be anything here.
fn records() -> Vec<u8> {
    let covered = [b"attributes and so on, ".as_slice(), &[b'x'; 400]].concat();
    let length = u32::try_from(covered.len() + 9).unwrap();
    [&[0; 8][..], &length.to_be_bytes(), &[0; 4], &[2], &crc32c(&covered).to_be_bytes(), &covered].concat()
}

#[test]
fn a_checksum_finds_its_batch() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    let records = records();
    let mut request = [b"a request's head".as_slice(), &records, b"tags"].concat();
    let covered = batch(&request).unwrap();
    assert_eq!((covered.start, covered.end), (16 + 21, 16 + records.len()));
    request[covered.start] ^= 1;
    assert_eq!((batch(&request), batch(b""), batch(&[2; 40])), (None, None, None));
}

#[test]
fn garbage_alters_in_records_that_are_written_one_bit_that_the_checksum_covers() {
    let produce = frame(&[&[0, 0, 0, 8, 0, 0, 0, 1], &records()]);
    let covered = batch(&produce).unwrap();
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let mut bytes = produce.clone();
        assert!(Way::Requests.garble(&mut rng, &mut bytes, Protocol::Kafka, true));
        let differ: Vec<usize> = (0..produce.len()).filter(|at| bytes[*at] != produce[*at]).collect();
        assert!(matches!(differ[..], [at] if covered.contains(&at)), "{differ:?} of {covered:?}");
        assert_eq!((bytes.len(), batch(&bytes)), (produce.len(), None));
    }
    let mut fetched = produce.clone();
    assert!(!Way::Answers.garble(&mut rng, &mut fetched, Protocol::Kafka, true));
    assert_eq!(fetched, produce);
}

/// A request of a transactional producer, as librdkafka writes it; what follows its name is `rest`.
fn asks(key: u8, version: u8, correlation: u8, producer: &str, rest: &[u8]) -> Vec<u8> {
    let length = u8::try_from(producer.len()).unwrap();
    let tagged_from = if key == PRODUCE { 9 } else { 3 };
    let length = if tagged_from <= version { [0, length + 1] } else { [0, length] };
    frame(&[&[0, key, 0, version, 0, 0, 0, correlation], &[0, 2], b"me", &length, producer.as_bytes(), rest])
}

/// EndTxn of these versions, with the flag that commits, and a Heartbeat.
fn requests() -> [(Vec<u8>, bool); 4] {
    let end = |version: u8, correlation: u8, commit: u8, tags: &[u8]| {
        asks(END, version, correlation, "p-0", &[b"id and epoch", &[commit][..], tags].concat())
    };
    [
        (end(1, 7, 1, &[]), true),
        (end(3, 8, 1, &[0]), true),
        (end(3, 9, 0, &[0]), false),
        (frame(&[&[0, 12, 0, 3, 0, 0, 0, 10], b"heartbeat", &[1, 0]]), false),
    ]
}

/// To each request of [`requests`], that all is well.
fn granted(heard: &[u8]) -> Vec<u8> {
    let tagged = heard[7] >= 3;
    let tags: &[u8] = if tagged { &[0] } else { &[] };
    frame(&[&heard[8..12], tags, &[0; 4], &[0, 0], tags])
}

fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut rest = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut rest).unwrap();
    rest
}

#[test]
fn the_answer_to_a_commit_is_late_and_no_other() {
    let bench = Bench::before(Protocol::Kafka, granted);
    bench.link.set(Mode::LateCommit(SOON));
    let mut stream = bench.connect();
    for (request, commits) in requests() {
        let (begun, before) = (Instant::now(), bench.link.hits());
        stream.write_all(&request).unwrap();
        assert_eq!(answer(&mut stream)[..4], request[8..12]);
        assert_eq!((begun.elapsed() >= SOON, bench.link.hits() - before), (commits, usize::from(commits)));
    }
}

#[test]
fn the_answer_to_a_commit_is_lost_with_its_connection() {
    let bench = Bench::before(Protocol::Kafka, granted);
    bench.link.set(Mode::LostCommit);
    for (request, commits) in requests() {
        let mut stream = bench.connect();
        stream.write_all(&request).unwrap();
        if commits {
            assert!(is_reset(&mut stream));
        } else {
            assert_eq!(answer(&mut stream)[..4], request[8..12]);
        }
    }
    assert_eq!(bench.link.hits(), 2);
}

#[test]
fn an_answer_that_refuses_a_commit_passes() {
    let refused = |heard: &[u8]| frame(&[&heard[8..12], &[0; 4], &[0, 51]]);
    let bench = Bench::before(Protocol::Kafka, refused);
    bench.link.set(Mode::LostCommit);
    let mut stream = bench.connect();
    stream.write_all(&requests()[0].0).unwrap();
    assert_eq!((answer(&mut stream)[8..].to_vec(), bench.link.hits()), (vec![0, 51], 0));
}

#[test]
fn nothing_is_left_of_a_link_that_is_dropped() {
    let Bench { link, _runtime } = Bench::new(Protocol::Turns);
    let address = link.address();
    let mut stream = TcpStream::connect(&address).unwrap();
    assert_eq!(exchange(&mut stream, b"well?"), b"well?");
    drop(link);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    let gone = || TcpStream::connect(&address).is_err();
    let begun = Instant::now();
    while !gone() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}
