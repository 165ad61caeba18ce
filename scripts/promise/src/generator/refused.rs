//! POSTs that the edge must refuse: one broken rule each, so that a missing rule shows as a 202.
//!
//! The many broken at once are the edge's own tests.

use super::body::{self, Body};
use super::{Class, Post, fields, text};
use crate::rng::Rng;

/// A member and a raw value that its rule forbids.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("orderId empty", "orderId", "\"\""),
    ("orderId begins with a dot", "orderId", "\".a\""),
    ("orderId with a slash", "orderId", "\"a/b\""),
    ("orderId with a space", "orderId", "\"a b\""),
    ("orderId with a newline at the end", "orderId", "\"a\\n\""),
    ("orderId beyond ASCII", "orderId", "\"café\""),
    ("orderId a number", "orderId", "17"),
    ("amount negative", "amount", "-0.01"),
    ("amount above the limit", "amount", "10000000000000.00"),
    ("amount above the limit by a cent's part", "amount", "9999999999999.995"),
    ("amount with three decimals", "amount", "12.345"),
    ("amount with a thousandth in the exponent", "amount", "1e-3"),
    ("amount beyond a double's digits", "amount", "0.10000000000000000000000001"),
    ("amount huge", "amount", "1e300"),
    ("amount a string", "amount", "\"12.50\""),
    ("amount null", "amount", "null"),
    ("customer empty", "customer", "\"\""),
    ("customer with U+0000", "customer", "\"a\\u0000b\""),
    ("customer an object", "customer", "{\"name\":\"x\"}"),
    ("currency too short", "currency", "\"US\""),
    ("currency too long", "currency", "\"USDX\""),
    ("currency with a digit", "currency", "\"U5D\""),
    ("currency null", "currency", "null"),
    ("currency beyond ASCII", "currency", "\"ÜSD\""),
    ("items an object", "items", "{}"),
    ("item without sku", "items", "[{\"quantity\":1,\"unitPrice\":1}]"),
    ("item without quantity", "items", "[{\"sku\":\"a\",\"unitPrice\":1}]"),
    ("item without unitPrice", "items", "[{\"sku\":\"a\",\"quantity\":1}]"),
    ("item with an empty sku", "items", "[{\"sku\":\"\",\"quantity\":1,\"unitPrice\":1}]"),
    ("item with U+0000 in the sku", "items", "[{\"sku\":\"a\\u0000\",\"quantity\":1,\"unitPrice\":1}]"),
    ("item with quantity 0", "items", "[{\"sku\":\"a\",\"quantity\":0,\"unitPrice\":1}]"),
    ("item with quantity above the limit", "items", "[{\"sku\":\"a\",\"quantity\":1000001,\"unitPrice\":1}]"),
    ("item with half a quantity", "items", "[{\"sku\":\"a\",\"quantity\":1.5,\"unitPrice\":1}]"),
    ("item with a negative unitPrice", "items", "[{\"sku\":\"a\",\"quantity\":1,\"unitPrice\":-1}]"),
    ("item with an inexact unitPrice", "items", "[{\"sku\":\"a\",\"quantity\":1,\"unitPrice\":0.125}]"),
    ("item with a member too many", "items", "[{\"sku\":\"a\",\"quantity\":1,\"unitPrice\":1,\"x\":1}]"),
    ("email without @", "email", "\"john.example.com\""),
    ("email with nothing before the @", "email", "\"@example.com\""),
    ("email with nothing after the @", "email", "\"john@\""),
    ("email with two @", "email", "\"a@b@c\""),
    ("country too long", "country", "\"USA\""),
    ("country with a digit", "country", "\"U1\""),
    ("channel empty", "channel", "\"\""),
    ("channel with a space", "channel", "\"a b\""),
    ("channel too long", "channel", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""),
    ("createdAt no time", "createdAt", "\"yesterday\""),
    ("createdAt without offset", "createdAt", "\"2026-01-31T10:20:30\""),
    ("createdAt on a day that is none", "createdAt", "\"2026-02-30T10:20:30Z\""),
    ("createdAt before 2000", "createdAt", "\"1999-12-31T23:59:59.999Z\""),
    ("createdAt from 2100 on", "createdAt", "\"2100-01-01T00:00:00Z\""),
    ("createdAt before 2000 by its offset", "createdAt", "\"2000-01-01T00:00:00+00:01\""),
    ("createdAt a number", "createdAt", "1769854830000"),
    ("a member too many", "note", "\"hello\""),
    ("a name of Avro's", "order_id", "\"abc\""),
];

/// One POST that must not be answered 202.
pub(super) fn post(rng: &mut Rng, seq: u64, id: &str) -> Post {
    let body = fields::order(rng, id);
    let refuse = |rule, status, bytes: Vec<u8>| Post {
        seq,
        id: id.to_owned(),
        body: bytes,
        content_type: body::JSON,
        class: Class::Refused { rule, status },
        repost: false,
    };
    match rng.below(10) {
        0 => malformed(rng, body, refuse),
        1 => missing(rng, body, refuse),
        2 => measured(rng, body, refuse),
        3 if rng.percent(30) => {
            let post = refuse("content type", 415, body.render(rng).into_bytes());
            Post {
                content_type: rng.pick(&["text/plain", "application/xml", "application/x-www-form-urlencoded"]),
                ..post
            }
        }
        _ => {
            let (rule, name, value) = rng.pick(BAD_VALUES);
            let mut body = body;
            body.set(name, value);
            refuse(rule, 422, body.render(rng).into_bytes())
        }
    }
}

/// No JSON at all, or JSON that two readers may read in two ways.
fn malformed(rng: &mut Rng, mut body: Body, refuse: impl Fn(&'static str, u16, Vec<u8>) -> Post) -> Post {
    match rng.below(8) {
        0 => {
            let name = rng.pick(&["orderId", "amount", "customer"]);
            body.add_again(name, if name == "amount" { "1" } else { "\"again\"" });
            refuse("duplicate key", 400, body.render(rng).into_bytes())
        }
        1 => {
            body.set("items", "[{\"sku\":\"a\",\"quantity\":1,\"quantity\":2,\"unitPrice\":1}]");
            refuse("duplicate key in an item", 400, body.render(rng).into_bytes())
        }
        2 => {
            let mut bytes = body.render(rng).into_bytes();
            bytes.pop();
            refuse("cut off", 400, bytes)
        }
        3 => {
            let mut bytes = body.render(rng).into_bytes();
            bytes.extend_from_slice(b" {}");
            refuse("something behind the object", 400, bytes)
        }
        4 => {
            body.set("customer", "\"\u{fffd}\"");
            let text = body.render(rng);
            let bytes = text.into_bytes();
            let broken = bytes.split(|byte| *byte == 0xef).collect::<Vec<_>>().join(&0xff);
            refuse("not UTF-8", 400, broken)
        }
        5 => {
            body.set("customer", "\"\\ud800 alone\"");
            refuse("half a surrogate pair", 400, body.render(rng).into_bytes())
        }
        6 => {
            body.set("amount", rng.pick(&["NaN", "012", "+1", ".5", "1.", "0x10", "1e"]));
            refuse("not a JSON number", 400, body.render(rng).into_bytes())
        }
        _ => refuse("empty body", 400, Vec::new()),
    }
}

fn missing(rng: &mut Rng, mut body: Body, refuse: impl Fn(&'static str, u16, Vec<u8>) -> Post) -> Post {
    let (rule, name) = rng.pick(&[
        ("orderId is missing", "orderId"),
        ("amount is missing", "amount"),
        ("customer is missing", "customer"),
    ]);
    body.remove(name);
    refuse(rule, 422, body.render(rng).into_bytes())
}

/// Lengths one beyond the limit, and blanks of many kinds.
fn measured(rng: &mut Rng, mut body: Body, refuse: impl Fn(&'static str, u16, Vec<u8>) -> Post) -> Post {
    let rule = match rng.below(6) {
        0 => {
            let blank = text::blank(rng);
            body.set("customer", body::string(rng, &blank));
            "customer blank"
        }
        1 => {
            body.set("customer", format!("\"{}\"", "é".repeat(257)));
            "customer too long"
        }
        2 => {
            body.set("orderId", format!("\"{}\"", "a".repeat(129)));
            "orderId too long"
        }
        3 => {
            let items: Vec<String> = (0..501).map(|_| fields::item(rng)).collect();
            body.set("items", body::array(&items));
            "items too many"
        }
        4 => {
            body.set("items", format!("[{{\"sku\":\"{}\",\"quantity\":1,\"unitPrice\":1}}]", "字".repeat(65)));
            "sku too long"
        }
        _ => {
            body.set("email", format!("\"{}@example.com\"", "e".repeat(243)));
            "email too long"
        }
    };
    refuse(rule, 422, body.render(rng).into_bytes())
}
