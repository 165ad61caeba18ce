//! Values of request headers from seeds: what clients send, and that with its bytes changed.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{mutate::mutated, random::Random};

/// Values that mean something somewhere.
const VALUES: &[&str] = &[
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=\"UTF-8\";;",
    "APPLICATION/X-NDJSON",
    "application/jsonl; charset",
    "text/plain",
    "identity",
    "gzip",
    "zstd, gzip",
    "gzip;q=0",
    "200",
    "5000",
    "+5000",
    "-1",
    "0",
    "1e3",
    "99999999999999999999",
    "my-request.1:2_3",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    "",
    " ",
    "\"",
    "secret <script>alert(1)</script>",
    "caf\u{e9}",
];

/// Headers with these names, each up to twice.
#[must_use]
pub fn headers(seed: u64, names: &[HeaderName]) -> HeaderMap {
    let mut random = Random::new(seed);
    let mut headers = HeaderMap::new();
    for name in names {
        for _ in 0..random.pick(&[0, 1, 1, 1, 1, 2]) {
            headers.append(name, value(&mut random));
        }
    }
    headers
}

fn value(random: &mut Random) -> HeaderValue {
    let mut value = random.pick(VALUES).as_bytes().to_vec();
    if random.percent(60) {
        let other = random.pick(VALUES).as_bytes();
        value = mutated(value, other, random);
    }
    if random.percent(3) {
        value = value.repeat(random.between(10, 2000));
    }
    // What no header can hold does not come out of the HTTP parser.
    value.retain(|byte| *byte == b'\t' || (b' ' <= *byte && *byte != 0x7f));
    HeaderValue::from_bytes(&value).unwrap_or(HeaderValue::from_static(""))
}
