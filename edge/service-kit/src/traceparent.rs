//! The W3C trace context in a request or a record: passed on and logged, never made.
//! <https://www.w3.org/TR/trace-context/#traceparent-header>, version 00.

/// Whether these bytes are a `traceparent`; what is not goes no further.
#[must_use]
pub fn is_one(value: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>| {
        let part = value.get(range).unwrap_or_default();
        let lower = part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        lower && part.iter().any(|byte| *byte != b'0')
    };
    let flags =
        value.get(53..55).is_some_and(|flags| flags.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    value.len() == 55
        && value.starts_with(b"00-")
        && hex(3..35)
        && value.get(35) == Some(&b'-')
        && hex(36..52)
        && value.get(52) == Some(&b'-')
        && flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_passed_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_one(good.as_bytes()));
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert!(!is_one(bad.as_bytes()), "{bad}");
        }
    }
}
