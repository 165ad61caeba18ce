//! The frame: what is written reads back; what is broken is refused by name; no bytes make it panic.
extern crate std;

use alloc::{string::String, vec::Vec};

use proptest::prelude::*;

use crate::*;

/// An owned record, to compare with.
#[derive(Clone, Debug, PartialEq)]
struct Owned {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    timestamp_ms: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Clone, Debug, PartialEq)]
enum OwnedVerdict {
    Drop,
    Reject(String),
    Replace(Vec<u8>),
    Emit(Vec<Owned>),
    Route(String, Vec<u8>),
    RouteEach(Vec<(Option<String>, Owned)>),
}

type Pair<'a> = (&'a str, Option<&'a [u8]>);

impl Owned {
    fn pairs(&self) -> Vec<Pair<'_>> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }

    fn parts<'a>(
        &'a self,
        pairs: &'a [Pair<'a>],
    ) -> RecordParts<'a, core::iter::Copied<core::slice::Iter<'a, Pair<'a>>>> {
        RecordParts {
            key: self.key.as_deref(),
            value: &self.value,
            timestamp_ms: self.timestamp_ms,
            headers: pairs.iter().copied(),
        }
    }

    fn of(record: Record<'_>) -> Self {
        Self {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.to_vec(),
            timestamp_ms: record.timestamp_ms,
            headers: record.headers.map(|header| (header.name.into(), header.value.map(<[u8]>::to_vec))).collect(),
        }
    }
}

fn batch(records: &[Owned]) -> Vec<u8> {
    let mut writer = BatchWriter::with_capacity(0);
    for record in records {
        writer.record(&record.parts(&record.pairs())).unwrap();
    }
    writer.finish()
}

fn verdicts(verdicts: &[OwnedVerdict]) -> Vec<u8> {
    let mut writer = VerdictWriter::with_capacity(0);
    for verdict in verdicts {
        match verdict {
            OwnedVerdict::Drop => writer.drop_record(),
            OwnedVerdict::Reject(reason) => writer.reject(reason),
            OwnedVerdict::Replace(value) => writer.replace(|out| out.extend_from_slice(value)),
            OwnedVerdict::Emit(records) => {
                let pairs: Vec<_> = records.iter().map(Owned::pairs).collect();
                let parts: Vec<_> = records.iter().zip(&pairs).map(|(record, pairs)| record.parts(pairs)).collect();
                writer.emit(&parts)
            }
            OwnedVerdict::Route(output, value) => writer.route(output, |out| out.extend_from_slice(value)),
            OwnedVerdict::RouteEach(records) => {
                let pairs: Vec<_> = records.iter().map(|(_, record)| record.pairs()).collect();
                let parts = records.iter().zip(&pairs);
                let parts: Vec<_> =
                    parts.map(|((output, record), pairs)| (output.as_deref(), record.parts(pairs))).collect();
                writer.route_each(&parts)
            }
        }
        .unwrap();
    }
    writer.finish()
}

fn read_batch(frame: &[u8]) -> Result<Vec<Owned>, FrameError> {
    Batch::parse(frame)?.records().map(|record| record.map(Owned::of)).collect()
}

fn read_verdicts(frame: &[u8]) -> Result<Vec<OwnedVerdict>, FrameError> {
    Verdicts::parse(frame)?
        .map(|verdict| {
            Ok(match verdict? {
                Verdict::Drop => OwnedVerdict::Drop,
                Verdict::Reject(reason) => OwnedVerdict::Reject(reason.into()),
                Verdict::Replace(value) => OwnedVerdict::Replace(value.to_vec()),
                Verdict::Emit { records, .. } => {
                    OwnedVerdict::Emit(records.map(|record| record.map(Owned::of)).collect::<Result<_, _>>()?)
                }
                Verdict::Route { output, value } => OwnedVerdict::Route(output.into(), value.to_vec()),
                Verdict::RouteEach { records, .. } => OwnedVerdict::RouteEach(
                    records.map(|(output, record)| (output.map(String::from), Owned::of(record))).collect(),
                ),
            })
        })
        .collect()
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..8).prop_map(|chars| chars.into_iter().collect())
}

prop_compose! {
    fn record()(
        key in prop::option::of(bytes()),
        value in bytes(),
        timestamp_ms in any::<i64>(),
        headers in prop::collection::vec((text(), prop::option::of(bytes())), 0..4),
    ) -> Owned {
        Owned { key, value, timestamp_ms, headers }
    }
}

fn records() -> impl Strategy<Value = Vec<Owned>> {
    prop::collection::vec(record(), 0..6)
}

fn verdict() -> impl Strategy<Value = OwnedVerdict> {
    prop_oneof![
        Just(OwnedVerdict::Drop),
        text().prop_map(OwnedVerdict::Reject),
        bytes().prop_map(OwnedVerdict::Replace),
        records().prop_map(OwnedVerdict::Emit),
        (text(), bytes()).prop_map(|(output, value)| OwnedVerdict::Route(output, value)),
        prop::collection::vec((prop::option::of(text()), record()), 0..6).prop_map(OwnedVerdict::RouteEach),
    ]
}

proptest! {
    #[test]
    fn a_batch_reads_back_as_it_was_written(records in records()) {
        prop_assert_eq!(read_batch(&batch(&records)), Ok(records));
    }

    #[test]
    fn verdicts_read_back_as_they_were_written(list in prop::collection::vec(verdict(), 0..6)) {
        prop_assert_eq!(read_verdicts(&verdicts(&list)), Ok(list));
    }

    #[test]
    fn a_shortened_frame_is_refused(records in prop::collection::vec(record(), 1..4), cut in 1_usize..30) {
        let frame = batch(&records);
        let kept = frame.len().saturating_sub(cut);
        let shortened = frame.get(..kept).unwrap();
        prop_assert!(read_batch(shortened).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut noise in prop::collection::vec(any::<u8>(), 0..200), framed in any::<bool>()) {
        if framed && noise.len() > 4 {
            // A plausible head, so that the noise reaches the records.
            noise.splice(..5, [VERSION, 3, 0, 0, 0]);
        }
        let _ = read_batch(&noise);
        let _ = read_verdicts(&noise);
    }

    #[test]
    fn a_changed_byte_never_panics(list in prop::collection::vec(verdict(), 1..6), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = verdicts(&list);
        let at = at.index(frame.len());
        *frame.get_mut(at).unwrap() = byte;
        let _ = read_verdicts(&frame);
    }
}

#[test]
fn broken_frames_are_refused_by_name() {
    let huge = [VERSION, 255, 255, 255, 255];
    for (frame, expected) in [
        (&[][..], FrameError::Truncated { at: 0 }),
        (&[2, 0, 0, 0, 0], FrameError::Version(2)),
        (&[VERSION, 0, 0], FrameError::Truncated { at: 1 }),
        (&[VERSION, 0, 0, 0, 0, 9, 9], FrameError::Trailing { bytes: 2 }),
        (&[VERSION, 1, 0, 0, 0], FrameError::Truncated { at: 5 }),
        (&[VERSION, 1, 0, 0, 0, 7], FrameError::Tag { at: 5, tag: 7 }),
        (&[VERSION, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0xff], FrameError::Text { at: 6 }),
        // Lengths and counts that would be gigabytes are read as "ends early", without an allocation.
        (&[VERSION, 1, 0, 0, 0, 2, 254, 255, 255, 255], FrameError::Truncated { at: 10 }),
        (&[VERSION, 1, 0, 0, 0, 3, 255, 255, 255, 255], FrameError::Truncated { at: 10 }),
        (&[VERSION, 1, 0, 0, 0, 4, 1, 0, 0, 0, 0xff], FrameError::Text { at: 6 }),
        (&[VERSION, 1, 0, 0, 0, 4, 1, 0, 0, 0, b'o'], FrameError::Truncated { at: 11 }),
        (&[VERSION, 1, 0, 0, 0, 5, 1, 0, 0, 0, 1, 0, 0, 0, 0xff], FrameError::Text { at: 10 }),
        (&[VERSION, 1, 0, 0, 0, 5, 255, 255, 255, 255], FrameError::Truncated { at: 10 }),
        (&huge, FrameError::Truncated { at: 5 }),
    ] {
        assert_eq!(read_verdicts(frame), Err(expected), "{frame:?}");
    }
    assert_eq!(read_batch(&[VERSION, 0, 0, 0, 0, 1]), Err(FrameError::Trailing { bytes: 1 }));
}

#[test]
fn the_layout_is_the_one_in_the_wit_file() {
    let record = Owned {
        key: Some(b"k".to_vec()),
        value: b"vv".to_vec(),
        timestamp_ms: 1,
        headers: [("h".into(), None)].into(),
    };
    assert_eq!(
        batch(std::slice::from_ref(&record)),
        [
            &[1, 1, 0, 0, 0][..],                                // version, count
            &[1, 0, 0, 0, b'k', 2, 0, 0, 0, b'v', b'v'],         // key, value
            &[1, 0, 0, 0, 0, 0, 0, 0],                           // timestamp
            &[1, 0, 0, 0, 1, 0, 0, 0, b'h', 255, 255, 255, 255], // one header without a value
        ]
        .concat()
    );
    let list = [
        OwnedVerdict::Drop,
        OwnedVerdict::Reject("r".into()),
        OwnedVerdict::Replace(b"v".to_vec()),
        OwnedVerdict::Emit(Vec::new()),
        OwnedVerdict::Route("o".into(), b"v".to_vec()),
        OwnedVerdict::RouteEach([(None, record.clone()), (Some("o".into()), record.clone())].into()),
    ];
    let record = [
        &[1, 0, 0, 0, b'k', 2, 0, 0, 0, b'v', b'v'][..], // key, value
        &[1, 0, 0, 0, 0, 0, 0, 0],                       // timestamp
        &[1, 0, 0, 0, 1, 0, 0, 0, b'h', 255, 255, 255, 255],
    ]
    .concat();
    assert_eq!(
        verdicts(&list),
        [
            &[1, 6, 0, 0, 0][..],
            &[0],
            &[1, 1, 0, 0, 0, b'r'],
            &[2, 1, 0, 0, 0, b'v'],
            &[3, 0, 0, 0, 0],
            &[4, 1, 0, 0, 0, b'o', 1, 0, 0, 0, b'v'],
            &[5, 2, 0, 0, 0],
            &[255, 255, 255, 255],
            &record,
            &[1, 0, 0, 0, b'o'],
            &record,
        ]
        .concat()
    );
}
