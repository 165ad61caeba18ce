//! Which partition a key lies in: Kafka's murmur2, as Java's default partitioner and librdkafka's `murmur2_random` have it.
//! Every writer of our topics uses it, so who knows an order's id knows where to look.

/// The partition of a key in a topic with so many; `None` where there is none.
#[must_use]
pub fn of(key: &[u8], partitions: i32) -> Option<i32> {
    let positive = murmur2(key) & 0x7fff_ffff;
    let count = u32::try_from(partitions).ok().filter(|count| *count > 0)?;
    i32::try_from(positive % count).ok()
}

/// Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // The algorithm takes the length modulo 2^32; no key is that long.
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own test, `UtilsTest.testMurmur2`.
    #[test]
    fn the_hash_is_kafkas() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn a_key_lies_in_one_of_the_partitions_and_in_none_of_no_topic() {
        assert_eq!(of(b"abc", 12), Some(479_470_107 % 12));
        assert_eq!(of(b"21", 12), Some(((-973_932_308_i32) & 0x7fff_ffff) % 12));
        assert_eq!((of(b"abc", 0), of(b"abc", -1)), (None, None));
    }
}
