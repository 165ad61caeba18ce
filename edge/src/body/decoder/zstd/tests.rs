use super::*;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer};

/// The library's own count must not be above ours, or the budget means nothing.
#[test]
fn no_decoder_takes_more_than_is_charged_for_it() {
    let data: Vec<u8> = (0..9_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 25) as u8).collect();
    for (size, window_log, tell) in [
        (0, 10, true),
        (100, 10, true),
        (100, 23, false),
        (200_000, 17, false),
        (9_000_000, 23, true),
        (9_000_000, 23, false),
    ] {
        let mut encoder = CCtx::create();
        encoder.set_parameter(CParameter::WindowLog(window_log)).unwrap();
        encoder.set_parameter(CParameter::ContentSizeFlag(tell)).unwrap();
        let mut encoded = Vec::with_capacity(10_000_000);
        encoder.compress2(&mut encoded, &data[..size]).unwrap();
        let head = (1..=HEAD).find_map(|end| Head::read(encoded.get(..end)?).unwrap()).unwrap();
        assert_eq!(head.size, tell.then_some(size as u64));
        let mut decoder = DCtx::create();
        let mut input = InBuffer::around(&encoded);
        let mut piece = vec![0; PIECE];
        let mut most = 0;
        while decoder.decompress_stream(&mut OutBuffer::around(&mut piece), &mut input).unwrap() != 0 {
            most = most.max(decoder.sizeof());
        }
        let charged = MEMORY - PIECE + head.memory();
        assert!(
            most.max(decoder.sizeof()) <= charged,
            "{size} bytes, window 2^{window_log}: {most}, charged {charged}"
        );
    }
}
