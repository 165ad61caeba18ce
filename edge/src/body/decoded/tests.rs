use std::{collections::VecDeque, convert::Infallible, io::Write as _, time::Duration};

use proptest::prelude::*;
use service_kit::http::read_body;
use zstd::stream::raw::{CParameter, Encoder};

use super::*;

#[path = "../../../tests/it/encoders.rs"]
mod encoders;

use encoders::{deflate, gzip, zlib};

/// As clients name and make them.
type Form = (Coding, fn(&[u8]) -> Vec<u8>);
const FORMS: [Form; 4] =
    [(Coding::Gzip, gzip), (Coding::Deflate, zlib), (Coding::Deflate, deflate), (Coding::Zstd, zstd)];

/// With a checksum, as the command makes it.
fn zstd(data: &[u8]) -> Vec<u8> {
    zstd_with(data, &[CParameter::ChecksumFlag(true)])
}

fn zstd_with(data: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut encoder = Encoder::new(3).unwrap();
    for parameter in parameters {
        encoder.set_parameter(*parameter).unwrap();
    }
    let mut writer = zstd::stream::zio::Writer::new(Vec::new(), encoder);
    writer.write_all(data).unwrap();
    writer.finish().unwrap();
    writer.into_inner().0
}

/// A body in these pieces.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// A body that is cut at these places.
fn cut(data: &[u8], cuts: &[usize]) -> Pieces {
    let mut data = Bytes::copy_from_slice(data);
    let mut pieces: VecDeque<Bytes> = cuts.iter().map(|at| data.split_to(at % (data.len() + 1))).collect();
    pieces.push_back(data);
    Pieces(pieces)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn decode(coding: Coding, body: Pieces, limit: usize) -> Result<Bytes, Refusal> {
    let memory = Memory::default();
    let mut body = Decoded::new(body);
    body.decode(coding, limit, memory.clone());
    let decoded = block_on(read_body(&mut body, usize::MAX >> 1, Duration::from_secs(60))).map_err(Refusal::from);
    drop(body);
    assert_eq!(memory.taken(), (0, 0), "the memory is given back");
    decoded
}

fn in_one(data: &[u8]) -> Pieces {
    cut(data, &[])
}

/// In pieces of a size, as a socket would give them.
fn in_pieces(data: &[u8], size: usize) -> Pieces {
    Pieces(data.chunks(size).map(Bytes::copy_from_slice).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_encoded_is_decoded_however_it_is_cut(
        data in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..2000),
            // Long, with repetitions over more than a piece.
            (proptest::collection::vec(any::<u8>(), 1..300), 1usize..400).prop_map(|(part, times)| part.repeat(times)),
        ],
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        for (coding, encode) in FORMS {
            let encoded = encode(&data);
            let limit = data.len().max(encoded.len());
            prop_assert_eq!(&decode(coding, cut(&encoded, &cuts), limit).unwrap(), &data);
            prop_assert_eq!(&decode(coding, in_pieces(&encoded, 1 + cuts.len()), limit).unwrap(), &data);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..400), flips in any::<[u16; 3]>()) {
        for (coding, encode) in FORMS {
            let _ = decode(coding, in_one(&data), 100_000);
            let mut damaged = encode(&data);
            for flip in flips {
                let at = usize::from(flip) % damaged.len();
                damaged[at] ^= 1 << (flip >> 13);
            }
            let _ = decode(coding, in_pieces(&damaged, 7), 100_000);
        }
    }
}

#[test]
fn a_part_of_a_stream_is_never_taken_for_a_whole() {
    let data: Vec<u8> = (0..400_u16).flat_map(|number| (number / 7).to_le_bytes()).collect();
    for (coding, encode) in FORMS {
        let encoded = encode(&data);
        for end in 0..encoded.len() {
            for pieces in [in_one(&encoded[..end]), in_pieces(&encoded[..end], 3)] {
                let error = decode(coding, pieces, 100_000).unwrap_err();
                let truncated = matches!(error, Refusal::Undecodable(Undecodable::Truncated(_)));
                assert!(truncated, "{coding} up to {end} of {}: {error:?}", encoded.len());
            }
        }
        assert_eq!(decode(coding, in_one(&encoded), 100_000).unwrap(), data);
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    for (coding, encode) in FORMS {
        for (rest, pieces) in [(&b"{\"orderId\":\"x\"}"[..], 1000), (b"\0\0\0\0", 1), (b"\x1f\x8c..", 2)] {
            let error = decode(coding, in_pieces(&[&encode(b"whole"), rest].concat(), pieces), 1000).unwrap_err();
            let trailing = matches!(error, Refusal::Undecodable(Undecodable::Trailing(_)));
            assert!(trailing, "{coding} and {rest:?}: {error:?}");
        }
    }
    let twice = zlib(b"one").into_iter().chain(zlib(b"two")).collect::<Vec<u8>>();
    assert!(decode(Coding::Deflate, in_one(&twice), 1000).is_err(), "deflate is one stream");
}

#[test]
fn members_and_frames_may_follow_each_other() {
    let skippable = [&0x184d_2a53_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
    for (coding, encoded) in [
        (Coding::Gzip, [gzip(b"one "), gzip(b""), gzip(b"two")].concat()),
        (Coding::Zstd, [skippable.clone(), zstd(b"one "), skippable, zstd(b""), zstd(b"two")].concat()),
    ] {
        for size in [1, 2, 5, 1000] {
            assert_eq!(decode(coding, in_pieces(&encoded, size), 1000).unwrap(), "one two", "{coding} by {size}");
        }
    }
}

#[test]
fn a_checksum_that_does_not_fit_is_refused() {
    for (coding, encode, from_end) in [
        (Coding::Gzip, gzip as fn(&[u8]) -> Vec<u8>, 8),
        (Coding::Gzip, gzip, 1),
        (Coding::Deflate, zlib, 1),
        (Coding::Zstd, zstd, 1),
    ] {
        let mut encoded = encode(b"some data");
        let at = encoded.len() - from_end;
        encoded[at] ^= 1;
        let error = decode(coding, in_one(&encoded), 1000).unwrap_err();
        assert!(matches!(error, Refusal::Undecodable(Undecodable::Damaged(_))), "{coding}: {error:?}");
    }
}

#[test]
fn all_parts_of_a_gzip_head_are_read() {
    let head = |flags: u8, parts: &[u8]| [&[0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3], parts].concat();
    let all = head(0b1_1110, b"\x03\x00abcname\0comment\0");
    let checksum = {
        let mut checksum = flate2::Crc::new();
        checksum.update(&all);
        (checksum.sum() as u16).to_le_bytes()
    };
    let data = &gzip(b"data")[10..];
    for (head, is_good) in [
        ([&all[..], &checksum].concat(), true),
        ([&all[..], &[checksum[0], !checksum[1]]].concat(), false),
        (head(0b0_0100, b"\0\0"), true),
        (head(0b0_1000, b"\0"), true),
        (head(0b1_0001, b"\0"), true),
        (head(0b10_0000, b""), false),
        ([&[0x1f, 0x8b, 7], &head(0, b"")[3..]].concat(), false),
    ] {
        for size in [1, 1000] {
            let decoded = decode(Coding::Gzip, in_pieces(&[&head, data].concat(), size), 1000);
            assert_eq!(decoded.is_ok_and(|decoded| decoded == "data"), is_good, "{head:?}");
        }
    }
}

/// Of a coder that never ends: a head, then the same bytes for ever.
struct Endless {
    head: Option<Bytes>,
    again: Bytes,
    given: usize,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.head.take().unwrap_or_else(|| self.again.clone());
        self.given += piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// Each would be 10 GiB and more, and little of it is taken from the wire.
#[test]
fn a_bomb_is_stopped_at_the_limit() {
    const LIMIT: usize = 1024 * 1024;
    let zeros = vec![0; 8 * 1024 * 1024];
    // What the coder made of all zeros but the first and the last, which are the same bytes again and again.
    let middle = |encoded: &[u8]| Bytes::copy_from_slice(&encoded[2000..6000]);
    let (raw, frame) = (deflate(&zeros), zstd(&zeros[..128 * 1024]));
    let member = gzip(&zeros[..1024 * 1024]);
    // A block of one byte that is repeated, after a head that promises no size.
    let block = [((128_u32 * 1024) << 3 | 1 << 1).to_le_bytes()[..3].to_vec(), vec![0]].concat();
    for (coding, head, again) in [
        (Coding::Deflate, raw[..2000].to_vec(), middle(&raw)),
        (Coding::Deflate, zlib(&zeros)[..2002].to_vec(), middle(&raw)),
        (Coding::Gzip, gzip(&zeros)[..2010].to_vec(), middle(&raw)),
        (Coding::Gzip, member.clone(), member.into()),
        (Coding::Zstd, frame.clone(), frame.into()),
        (Coding::Zstd, vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3], block.repeat(1000).into()),
    ] {
        let endless = Endless { head: Some(head.into()), again, given: 0 };
        let mut body = Decoded::new(endless);
        body.decode(coding, LIMIT, Memory::default());
        let mut out = 0;
        let error = block_on(async {
            use http_body_util::BodyExt;
            loop {
                match body.frame().await.expect("no end") {
                    Ok(frame) => {
                        let size = frame.into_data().unwrap().len();
                        assert!(size <= PIECE, "in small pieces");
                        out += size;
                    }
                    Err(error) => break Refusal::from(BodyError::Broken(error)),
                }
            }
        });
        assert!(matches!(error, Refusal::DecodedTooLarge { limit: LIMIT, .. }), "{coding}: {error:?}");
        assert_eq!(out, LIMIT, "{coding}: exactly what is allowed came out");
        assert!(body.stop_decoding().given < 64 * 1024, "{coding}: and no more was read than that takes");
    }
}

/// Blocks and frames in which nothing is cost their client as much as any other bytes.
#[test]
fn what_decodes_to_nothing_is_stopped_at_the_limit_of_the_wire() {
    const LIMIT: usize = 128 * 1024;
    let empty_block = Bytes::from([0, 0, 0, 0xff, 0xff].repeat(800));
    for (coding, head, again) in [
        (Coding::Deflate, vec![], empty_block.clone()),
        (Coding::Gzip, gzip(b"")[..10].to_vec(), empty_block),
        (Coding::Gzip, gzip(b""), gzip(b"").repeat(100).into()),
        (Coding::Gzip, [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0].to_vec(), vec![b'n'; 4000].into()),
        (Coding::Zstd, zstd(b""), zstd(b"").repeat(100).into()),
        (Coding::Zstd, vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3], vec![0; 3000].into()),
        (Coding::Zstd, [0x184d_2a50_u32.to_le_bytes(), u32::MAX.to_le_bytes()].concat(), vec![7; 4000].into()),
    ] {
        for is_batch in [false, true] {
            let mut body = Decoded::new(Endless { head: Some(head.clone().into()), again: again.clone(), given: 0 });
            body.decode(coding, LIMIT, Memory::default());
            if is_batch {
                body.is_batch(LIMIT);
            }
            let read = block_on(read_body(&mut body, LIMIT, Duration::from_secs(60)));
            match (read.map_err(Refusal::from).unwrap_err(), is_batch) {
                (Refusal::Body(BodyError::TooLarge { limit: LIMIT, .. }), false) => {}
                (Refusal::BatchTooLarge { unit: Unit::Bytes(Measured::Wire), limit: LIMIT, .. }, true) => {}
                (error, _) => panic!("{coding}: {error:?}"),
            }
            assert!(body.stop_decoding().given < LIMIT + 8192, "{coding}");
        }
    }
}

#[test]
fn a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let data = vec![b'x'; PIECE * 2];
    for (coding, encode) in FORMS {
        assert_eq!(decode(coding, in_one(&encode(&data)), data.len()).unwrap().len(), data.len());
        let error = decode(coding, in_one(&encode(&data)), data.len() - 1).unwrap_err();
        assert!(matches!(error, Refusal::DecodedTooLarge { .. }), "{coding}: {error:?}");
    }
}

#[test]
fn a_zstd_window_is_taken_from_the_memory_before_it_is_decoded() {
    let endless = [CParameter::ContentSizeFlag(false), CParameter::WindowLog(23)];
    let large = zstd_with(&vec![b'x'; 100_000], &endless);
    assert_eq!(decode(Coding::Zstd, in_one(&large), 100_000).unwrap().len(), 100_000, "8 MiB are allowed");
    let memory = Memory::new(0, 9 * 1024 * 1024);
    let body = |encoded: &[u8]| {
        let mut body = Decoded::new(in_one(encoded));
        body.decode(Coding::Zstd, 1_000_000, memory.clone());
        body
    };
    let (mut first, mut second, mut small) =
        (body(&large), body(&large), body(&zstd::bulk::compress(b"small", 3).unwrap()));
    block_on(async {
        use http_body_util::BodyExt;
        first.frame().await.unwrap().unwrap();
        assert!((8 << 20..9 << 20).contains(&memory.taken().1), "{:?}", memory.taken());
        let error = Refusal::from(BodyError::Broken(second.frame().await.unwrap().unwrap_err()));
        assert!(matches!(error, Refusal::Crowded), "{error:?}");
        small.frame().await.unwrap().unwrap();
    });
    drop((first, second, small));
    assert_eq!(memory.taken(), (0, 0));

    for (head, size) in [
        (&[0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1, 0, 0][..], 128 << 20),
        (&[0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3 | 1], 9 << 20),
        (&[0x28, 0xb5, 0x2f, 0xfd, 0, 0xff], 3840 << 30),
        (&[0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000, 0, 0, 0, 0, 0, 0, 0, 0x10], 1 << 60),
    ] {
        let error = decode(Coding::Zstd, in_one(head), 1000).unwrap_err();
        let window = matches!(error, Refusal::Undecodable(Undecodable::Window { size: told, .. }) if told == size);
        assert!(window, "{head:?}: {error:?}");
    }
}

/// Whoever has read it may keep it while its order waits for the broker.
#[test]
fn a_body_that_was_read_to_its_end_holds_nothing_of_the_decoders_memory() {
    let data = vec![b'x'; 100_000];
    for (coding, encode) in FORMS {
        let memory = Memory::default();
        let mut body = Decoded::new(in_one(&encode(&data)));
        body.decode(coding, data.len(), memory.clone());
        assert_eq!(block_on(read_body(&mut body, data.len(), Duration::from_secs(60))).unwrap(), data);
        assert_eq!(memory.taken(), (0, 0), "{coding:?}");
        let coded = body.coded.as_ref().unwrap();
        assert_eq!((coded.piece.capacity(), coded.decoder.is_none()), (0, true), "{coding:?}");
    }
}

#[test]
fn the_decoders_of_one_client_leave_room_for_those_of_another() {
    use http_body_util::BodyExt;

    use crate::body::Shares;

    let endless = [CParameter::ContentSizeFlag(false), CParameter::WindowLog(20)];
    let memory = Memory::new(1024 * 1024, 8 * 1024 * 1024);
    let (noisy, quiet) = (Shares::default(), Shares::default());
    for (coding, encoded) in [(Coding::Gzip, gzip(b"a")), (Coding::Zstd, zstd_with(&[b'x'; 100_000], &endless))] {
        let begin = |shares| {
            let mut body = Decoded::new(in_one(&encoded));
            body.decode(coding, 1_000_000, memory.for_client(Some(shares)));
            let first = block_on(body.frame()).unwrap();
            first.map(|_| body).map_err(|error| Refusal::from(BodyError::Broken(error)))
        };
        let mut held = Vec::new();
        let refusal = loop {
            match begin(&noisy) {
                Ok(body) => held.push(body),
                Err(refusal) => break refusal,
            }
        };
        assert!(matches!(refusal, Refusal::CrowdedByKey), "{coding:?}: {refusal:?}");
        assert!(1 < held.len(), "{coding:?}");
        assert!(begin(&quiet).is_ok(), "{coding:?}: there is room for another");
    }
    assert_eq!(memory.taken(), (0, 0));
}

#[test]
fn a_size_in_a_frame_that_lies_is_not_believed() {
    let mut encoded = zstd::bulk::compress(b"0123456789", 3).unwrap();
    // A single segment of one byte's size, right behind the descriptor.
    assert_eq!((encoded[4] & 0xe0, encoded[5]), (0x20, 10));
    for lie in [9, 11, 200] {
        encoded[5] = lie;
        let error = decode(Coding::Zstd, in_one(&encoded), 1000).unwrap_err();
        assert!(matches!(error, Refusal::Undecodable(_)), "{lie}: {error:?}");
    }
}

#[test]
fn decoding_lets_others_have_their_turn() {
    let data = vec![0; 4 * 1024 * 1024];
    let mut body = Decoded::new(in_one(&gzip(&data)));
    body.decode(Coding::Gzip, data.len(), Memory::default());
    let mut turns = 0;
    let decoded = block_on(async {
        let mut read = std::pin::pin!(read_body(&mut body, data.len(), Duration::from_secs(60)));
        std::future::poll_fn(|cx| {
            turns += 1;
            read.as_mut().poll(cx)
        })
        .await
    });
    assert_eq!((decoded.unwrap().len(), 1 < turns), (data.len(), true), "{turns} turns, though all of it was there");
}

#[test]
fn a_body_without_a_coding_is_handed_on_as_it_is() {
    let mut body = Decoded::new(http_body_util::Full::new(Bytes::from_static(b"plain")));
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(block_on(read_body(&mut body, 5, Duration::from_secs(9))).unwrap(), "plain");
    let plain = Memory::new(0, 0);
    let mut body = Decoded::new(in_one(b"never decoded"));
    body.decode(Coding::Gzip, 1000, plain);
    let error = block_on(read_body(&mut body, 1000, Duration::from_secs(9))).map_err(Refusal::from).unwrap_err();
    assert!(matches!(error, Refusal::Crowded), "no memory for a decoder: {error:?}");
}
