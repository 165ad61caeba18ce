//! The schema registry's framing of a value: 0x00, the schema id as four bytes big-endian, then the Avro datum.

/// Bytes before the datum.
pub const HEADER_LEN: usize = 5;
const MAGIC: u8 = 0;

/// Why a value has no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Fewer bytes than the header has.
    #[error("value has {0} bytes, the registry's frame alone has {HEADER_LEN}; was it written without the registry?")]
    Short(usize),
    /// Another first byte.
    #[error("value begins with byte 0x{0:02x}, not with the registry's 0x00; was it written without the registry?")]
    Magic(u8),
}

/// The header for a datum of schema `id`.
#[must_use]
pub fn header(id: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = id.to_be_bytes();
    [MAGIC, a, b, c, d]
}

/// A framed value's schema id and datum.
///
/// # Errors
/// When the value has no frame.
pub fn split(value: &[u8]) -> Result<(u32, &[u8]), FramingError> {
    match value {
        [MAGIC, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        [MAGIC, ..] | [] => Err(FramingError::Short(value.len())),
        [magic, ..] => Err(FramingError::Magic(*magic)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_apart_as_it_was_put_together() {
        let mut value = header(0x0102_0304).to_vec();
        value.extend(b"datum");
        assert_eq!(value.get(..5), Some(&[0, 1, 2, 3, 4][..]));
        assert_eq!(split(&value), Ok((0x0102_0304, &b"datum"[..])));
        assert_eq!(split(&[]), Err(FramingError::Short(0)));
        assert_eq!(split(&[0, 0, 0, 1]), Err(FramingError::Short(4)));
        assert_eq!(split(b"{\"a\":1}"), Err(FramingError::Magic(b'{')));
    }
}
