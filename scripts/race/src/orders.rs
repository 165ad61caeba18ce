//! The orders of a load: one text, in which only the order's id changes. Their ids have a fixed width, so a request is
//! made once and then only its digits are written over: the generator shares the machine with what it measures.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Digits of an order's number.
const DIGITS: usize = 12;
/// What stands for the id in [`ORDER`].
const PLACE: &str = "ID";
/// An ordinary order of 353 bytes with its id, the size for which the floors in the research were measured.
const ORDER: &str = concat!(
    r#"{"orderId":"ID","amount":149.85,"customer":"Zoe Berg","currency":"EUR","items":["#,
    r#"{"sku":"SKU-0001","quantity":2,"unitPrice":49.95},{"sku":"SKU-0002","quantity":1,"unitPrice":24.95},"#,
    r#"{"sku":"SKU-0003","quantity":1,"unitPrice":25.00}],"email":"zoe.b@example.com","country":"DE","#,
    r#""channel":"web","createdAt":"2026-05-06T07:08:09.123Z"}"#
);

/// The ids of one run, which no other run has.
#[derive(Debug)]
pub struct Ids {
    prefix: String,
    next: AtomicU64,
    /// An order with [`PLACE`] for its id.
    text: String,
}

impl Default for Ids {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self { prefix: format!("race-{:08x}-", now as u32), next: AtomicU64::new(0), text: ORDER.to_owned() }
    }
}

impl Ids {
    /// For orders of so many items, each of 110 bytes or so: 0.2 KB without any, 55 KB with the most that the contract
    /// allows, which are 500.
    #[must_use]
    pub fn with_items(count: usize) -> Self {
        let item = |number| format!(r#"{{"sku":"SKU-{number:060}","quantity":2,"unitPrice":49.95}}"#);
        let items: Vec<String> = (0..count).map(item).collect();
        let text = format!(
            r#"{{"orderId":"{PLACE}","amount":149.85,"customer":"Zoe Berg","currency":"EUR","items":[{}],"country":"DE","createdAt":"2026-05-06T07:08:09.123Z"}}"#,
            items.join(",")
        );
        Self { text, ..Self::default() }
    }

    /// So many numbers, the first of them.
    pub fn take(&self, count: usize) -> u64 {
        self.next.fetch_add(count as u64, Ordering::Relaxed)
    }

    /// The number that is taken next.
    #[must_use]
    pub fn peek(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The id with this number.
    #[must_use]
    pub fn id(&self, number: u64) -> String {
        format!("{}{number:0DIGITS$}", self.prefix)
    }

    /// The order with this number.
    #[must_use]
    pub fn order(&self, number: u64) -> String {
        self.text.replacen(PLACE, &self.id(number), 1)
    }
}

/// A request for one order, or for a batch of several, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    /// Where each order's digits stand.
    digits: Vec<Range<usize>>,
}

impl Request {
    /// A POST of `batch` orders; of one as a single order.
    #[must_use]
    pub fn new(ids: &Ids, batch: usize) -> Self {
        let (line, batch) = (ids.order(0), batch.max(1));
        let (kind, body) = match batch {
            1 => ("application/json", line),
            _ => ("application/x-ndjson", format!("{line}\n").repeat(batch)),
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            edge::orders::PATH,
            body.len()
        );
        let (line_len, at) = (body.len() / batch, head.len() + r#"{"orderId":""#.len() + ids.prefix.len());
        let digits = (0..batch).map(|order| at + order * line_len).map(|at| at..at + DIGITS).collect();
        Self { bytes: [head, body].concat().into_bytes(), digits }
    }

    /// Orders in it.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.digits.len()
    }

    /// The bytes, with the orders numbered from `first`.
    pub fn numbered(&mut self, first: u64) -> &[u8] {
        for (number, place) in (first..).zip(&self.digits) {
            let mut left = number;
            for digit in self.bytes.get_mut(place.clone()).unwrap_or_default().iter_mut().rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_the_orders_that_it_is_numbered_with() {
        let ids = Ids::default();
        assert_eq!(ids.order(7).len(), 353, "as the documentation says");
        for batch in [1, 3] {
            let first = ids.take(batch) + 98;
            let mut request = Request::new(&ids, batch);
            let text = String::from_utf8(request.numbered(first).to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            let orders: Vec<String> = (first..first + batch as u64).map(|number| ids.order(number)).collect();
            assert_eq!(body.lines().collect::<Vec<_>>(), orders);
            assert_eq!(request.orders(), batch);
        }
    }
}
