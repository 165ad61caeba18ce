//! Reads the topic as it lies in the mock broker, batch by batch with the producers' numbers. librdkafka's own consumer
//! hides those, and they are needed: the mock does not check them, so what is sent again lies twice in it. Here the rule
//! of a real broker is applied: a batch whose number is one of its producer's last five is dropped.

use std::{
    collections::{HashMap, VecDeque},
    io::{Read, Write},
    net::TcpStream,
};

use super::verdict::Found;
use crate::world::PATIENCE;

/// How far the topic was read, and what was in it.
pub(crate) struct Log {
    topic: &'static str,
    positions: Vec<i64>,
    /// The first numbers of the last batches, by partition, producer and epoch.
    numbers: HashMap<(i32, i64, i16), VecDeque<i32>>,
    pub(crate) found: Vec<Found>,
}

/// As a broker remembers.
const REMEMBERED: usize = 5;

impl Log {
    pub(crate) fn new(topic: &'static str, partitions: i32) -> Self {
        let positions = vec![0; usize::try_from(partitions).unwrap()];
        Self { topic, positions, numbers: HashMap::new(), found: Vec::new() }
    }

    /// Reads on to the end of every partition. Each broker is asked for all; it answers for those that it leads.
    pub(crate) fn read_on(&mut self, servers: &str) {
        let mut ends = vec![None; self.positions.len()];
        let mut brokers: Vec<TcpStream> =
            servers.split(',').map(|server| TcpStream::connect(server).unwrap()).collect();
        while ends.iter().zip(&self.positions).any(|(end, position)| *end != Some(*position)) {
            for broker in &mut brokers {
                broker.set_read_timeout(Some(PATIENCE)).unwrap();
                let answer = ask(broker, &self.question());
                self.take(&mut Bytes(&answer), &mut ends);
            }
        }
    }

    /// A fetch request, version 4, for every partition from where we are.
    fn question(&self) -> Vec<u8> {
        let mut ask = Vec::new();
        ask.extend([0, 1, 0, 4, 0, 0, 0, 9, 0, 1, b'r']); // fetch, version, correlation, client
        for number in [-1_i32, 0, 1, 64 << 20] {
            ask.extend(number.to_be_bytes()); // no replica, does not wait, for one byte, at most this many
        }
        ask.push(0); // also what is not committed
        ask.extend(1_i32.to_be_bytes());
        ask.extend(i16::try_from(self.topic.len()).unwrap().to_be_bytes());
        ask.extend(self.topic.as_bytes());
        ask.extend(i32::try_from(self.positions.len()).unwrap().to_be_bytes());
        for (partition, position) in (0_i32..).zip(&self.positions) {
            ask.extend(partition.to_be_bytes());
            ask.extend(position.to_be_bytes());
            ask.extend((8_i32 << 20).to_be_bytes());
        }
        ask
    }

    fn take(&mut self, answer: &mut Bytes<'_>, ends: &mut [Option<i64>]) {
        answer.skip(4 + 4 + 4); // correlation, throttling, one topic
        let name = answer.i16();
        answer.skip(usize::try_from(name).unwrap());
        for _ in 0..answer.i32() {
            let partition = answer.i32();
            let error = answer.i16();
            let end = answer.i64();
            answer.skip(8);
            let aborted = answer.i32();
            assert!(aborted <= 0);
            let size = answer.i32();
            let mut records = answer.part(usize::try_from(size.max(0)).unwrap());
            assert_ne!(error, 1, "the mock has dropped records before they were read; read more often");
            if error == 0 {
                let index = usize::try_from(partition).unwrap();
                ends[index] = Some(end);
                while !records.0.is_empty() {
                    self.batch(partition, &mut records);
                }
            }
        }
    }

    fn batch(&mut self, partition: i32, bytes: &mut Bytes<'_>) {
        let base = bytes.i64();
        let size = bytes.i32();
        let mut batch = bytes.part(usize::try_from(size).unwrap());
        batch.skip(4 + 1 + 4); // epoch of the leader, magic, checksum
        assert_eq!(batch.i16() & 7, 0, "records are not compressed");
        let last = batch.i32();
        batch.skip(8 + 8);
        let (producer, epoch, number) = (batch.i64(), batch.i16(), batch.i32());
        let known = self.numbers.entry((partition, producer, epoch)).or_default();
        let resent = known.contains(&number);
        if !resent {
            known.push_back(number);
            if REMEMBERED < known.len() {
                known.pop_front();
            }
        }
        for _ in 0..batch.i32() {
            let size = batch.varint();
            let mut record = batch.part(usize::try_from(size).unwrap());
            record.skip(1);
            record.varint();
            let offset = base + record.varint();
            let key = record.varint();
            let id = String::from_utf8(record.part(usize::try_from(key).unwrap()).0.to_vec()).unwrap();
            self.found.push(Found { id, partition, offset, number: (producer, epoch, number), resent });
        }
        self.positions[usize::try_from(partition).unwrap()] = base + i64::from(last) + 1;
    }
}

fn ask(broker: &mut TcpStream, question: &[u8]) -> Vec<u8> {
    broker.write_all(&[&u32::try_from(question.len()).unwrap().to_be_bytes(), question].concat()).unwrap();
    let mut size = [0; 4];
    broker.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
    broker.read_exact(&mut answer).unwrap();
    answer
}

/// What is left of an answer.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn part(&mut self, size: usize) -> Bytes<'a> {
        let (part, rest) = self.0.split_at(size);
        self.0 = rest;
        Bytes(part)
    }

    fn skip(&mut self, size: usize) {
        self.part(size);
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.part(2).0.try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.part(4).0.try_into().unwrap())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.part(8).0.try_into().unwrap())
    }

    fn varint(&mut self) -> i64 {
        let mut value = 0_u64;
        for shift in (0..).step_by(7) {
            let byte = self.part(1).0[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        i64::try_from(value >> 1).unwrap() ^ -i64::try_from(value & 1).unwrap()
    }
}
