//! Sends records to outputs of other names. Tries the rules on names, numbers and keys: the value's first letter chooses.
#![cfg(target_arch = "wasm32")]

use evil_kit::frame::RecordParts;

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| {
        let copy = |key| RecordParts {
            key: Some(key),
            value: record.value,
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.map(|header| (header.name, header.value)),
        };
        let same = copy(&b"evil"[..]);
        match record.value.get(1) {
            // One, elsewhere.
            Some(b'v') => out.route("vip", |bytes| bytes.extend_from_slice(record.value)),
            // Where nothing is.
            Some(b'u') => out.route("nowhere", |bytes| bytes.extend_from_slice(record.value)),
            // What is no datum.
            Some(b'd') => out.route("vip", |bytes| bytes.push(0xff)),
            // One here and one there.
            Some(b'b') => out.route_each(&[(None, same.clone()), (Some("vip"), same)]),
            // Two to one that takes one.
            Some(b'2') => out.route_each(&[(Some("vip"), same.clone()), (Some("vip"), same)]),
            // Two to one that takes many, under other keys.
            Some(b'm') => out.route_each(&[(Some("many"), copy(b"one")), (Some("many"), copy(b"two"))]),
            // Another key to one that takes the input's only.
            Some(b'k') => out.route_each(&[(Some("vip"), copy(b"stolen"))]),
            // Two to one that takes many; and when they come back, in a chain, each of them to one that takes one.
            Some(b'c') if record.headers.count() > 0 => {
                let (key, value, timestamp_ms) = (same.key, same.value, same.timestamp_ms);
                let bare =
                    RecordParts { key, value, timestamp_ms, headers: core::iter::empty::<(&str, Option<&[u8]>)>() };
                out.route_each(&[(Some("many"), bare.clone()), (Some("many"), bare)])
            }
            Some(b'c') => out.route("vip", |bytes| bytes.extend_from_slice(record.value)),
            _ => out.route_each(&[(None, same)][..0]),
        }
        .expect("small");
    })
}
