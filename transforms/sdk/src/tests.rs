//! The SDK: decimals are exact, the generated codec reads what it writes, a batch becomes verdicts.

mod lookups;

use proptest::prelude::*;
use transform_frame::{BatchWriter, RecordParts, Verdict as Framed, Verdicts};

use crate::{Datum as _, DatumError, DecimalError, Transform as _, prelude::*};

/// What a pipeline may set on the transform of these tests.
#[derive(Debug, PartialEq, Parameters)]
struct Config {
    /// Amounts below it are dropped.
    #[parameter(name = "min.amount", default = "1.50")]
    min_amount: Decimal,
    /// No default, not needed.
    note: Option<String>,
    /// Must be set.
    max_count: i64,
    #[parameter(default = "false")]
    strict: bool,
}

#[transform(schema = "src/tests/everything.avsc", name = "everything")]
fn judge(mut record: Everything, config: &Config, input: &Input<'_>) -> Verdict<Everything> {
    match record.text.as_str() {
        "split" => {
            emit_all(vec![input.with(record.clone()), Emitted { key: Some(b"other".to_vec()), ..input.with(record) }])
        }
        "reject" => reject("as asked"),
        "elsewhere" => emit_to("vip", record),
        "both" => emit_all(vec![input.with(record.clone()), input.with(record).to("vip")]),
        "too precise" => {
            record.amount = "1.234".parse().unwrap();
            emit(record)
        }
        _ if record.amount < config.min_amount => drop_record(),
        _ => emit(record),
    }
}

fn config() -> Config {
    Config::parse(&[("max.count".to_owned(), "7".to_owned())]).unwrap()
}

fn bytes_of(record: &Everything) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.write(&mut crate::Writer(&mut bytes)).unwrap();
    bytes
}

fn judged(values: &[Vec<u8>]) -> Vec<String> {
    let mut batch = BatchWriter::with_capacity(0);
    for value in values {
        let headers = [("h", Some(&b"v"[..]))];
        batch.record(&RecordParts { key: Some(b"k"), value, timestamp_ms: 9, headers }).unwrap();
    }
    let frame = crate::process::<__transform>(&config(), &batch.finish()).unwrap();
    let verdicts = Verdicts::parse(&frame).unwrap();
    verdicts
        .map(|verdict| match verdict.unwrap() {
            Framed::Drop => "drop".to_owned(),
            Framed::Reject(reason) => reason.to_owned(),
            Framed::Replace(value) => format!("replace {}", values.iter().position(|given| given == value).unwrap()),
            Framed::Emit { records, .. } => {
                let keys = records.map(|record| {
                    let record = record.unwrap();
                    assert_eq!((record.timestamp_ms, record.headers.count()), (9, 1));
                    String::from_utf8_lossy(record.key.unwrap()).into_owned()
                });
                keys.collect::<Vec<_>>().join("+")
            }
            Framed::Route { output, value } => {
                format!("{output} {}", values.iter().position(|given| given == value).unwrap())
            }
            Framed::RouteEach { records, .. } => {
                let outputs = records.map(|(output, record)| {
                    assert_eq!((record.key, record.timestamp_ms, record.headers.count()), (Some(&b"k"[..]), 9, 1));
                    output.unwrap_or("main").to_owned()
                });
                outputs.collect::<Vec<_>>().join("+")
            }
        })
        .collect()
}

#[test]
fn a_batch_becomes_one_verdict_a_record() {
    let record = |text: &str, amount: &str| {
        bytes_of(&Everything { text: text.into(), amount: amount.parse().unwrap(), ..Everything::default() })
    };
    let values = [
        record("x", "1.50"),
        record("x", "1.49"),
        record("split", "0"),
        record("reject", "0"),
        record("too precise", "2"),
        vec![9; 3],
        record("elsewhere", "0"),
        record("both", "0"),
    ];
    assert_eq!(
        judged(&values),
        [
            "replace 0",
            "drop",
            "k+other",
            "as asked",
            "cannot write the record: amount: 1.234: the number has more than 2 decimals; round it first",
            "cannot read the record: expected a boolean at byte 0 of the datum",
            "vip 6",
            "main+vip",
        ]
    );
}

#[test]
fn the_module_tells_its_name_version_and_schema() {
    assert_eq!((__transform::NAME, __transform::VERSION), ("everything", env!("CARGO_PKG_VERSION")));
    assert_eq!(Everything::SCHEMA, include_str!("tests/everything.avsc"));
}

#[test]
fn defaults_are_the_schemas() {
    let made = Everything::default();
    assert_eq!((made.int, made.long, made.text.as_str(), made.flag), (-1, 7, "none", true));
    assert_eq!((made.colour, made.maybe, made.list.len()), (Colour::DarkBlue, None, 0));
}

#[test]
fn parameters_are_described_and_read() {
    let described = Config::describe();
    let described: Vec<_> = described.iter().map(|p| (p.name, p.kind, p.required, p.default, p.description)).collect();
    assert_eq!(
        described,
        [
            ("min.amount", Kind::Decimal, false, Some("1.50"), "Amounts below it are dropped."),
            ("note", Kind::Text, false, None, "No default, not needed."),
            ("max.count", Kind::Whole, true, None, "Must be set."),
            ("strict", Kind::Boolean, false, Some("false"), ""),
        ]
    );
    assert_eq!(config(), Config { min_amount: Decimal::new(15, 1), note: None, max_count: 7, strict: false });
    assert_eq!(Config::parse(&[]).unwrap_err(), "max.count: it must be set");
    let set = [("max.count".to_owned(), "x".to_owned())];
    assert_eq!(Config::parse(&set).unwrap_err(), "max.count: `x` is not a whole number of 64 bits");
}

prop_compose! {
    fn everything()(
        flag in any::<bool>(), int in any::<i32>(), long in any::<i64>(), double in -1e300..1e300_f64, float in -1e30..1e30_f32,
        bytes in prop::collection::vec(any::<u8>(), 0..5), text in ".{0,5}", maybe in prop::option::of(".{0,3}"),
        cents in -9_999_999_999_i128..9_999_999_999, fee in prop::option::of(-999_i128..999), small in -99_999_i128..99_999,
        inner in prop::collection::vec((any::<i32>(), ".{0,3}"), 0..4),
        map in prop::collection::btree_map(".{0,3}", prop::option::of(any::<i64>()), 0..3), fixed in any::<[u8; 3]>(), dark in any::<bool>(),
    ) -> Everything {
        Everything {
            flag, int, long, double, float, bytes, text, maybe,
            amount: Decimal::new(cents, 2), fee: fee.map(|fee| Decimal::new(fee, 1)), small: Decimal::new(small, 0),
            list: inner.into_iter().map(|(number, label)| Inner { number, label, r#type: None }).collect(),
            map, fixed, colour: if dark { Colour::DarkBlue } else { Colour::Red },
        }
    }
}

/// Numbers of every width, and most of all around the ends of 64 bits.
fn wide() -> impl Strategy<Value = i128> {
    let near = |end: i128| (-3_i128..4).prop_map(move |off| end + off);
    prop_oneof![
        any::<i64>().prop_map(i128::from),
        (any::<i128>(), 0_u32..127).prop_map(|(number, shift)| number >> shift),
        near(i64::MAX.into()),
        near(i64::MIN.into()),
        near(u64::MAX.into()),
        near(0),
    ]
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(record in everything()) {
        let bytes = bytes_of(&record);
        let mut input = crate::Reader::new(&bytes);
        prop_assert_eq!(&Everything::read_some(&mut input), &record);
        prop_assert_eq!(input.finish(), Ok(()));
        prop_assert_eq!(Everything::read(&bytes), Ok(record));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Everything::read(&bytes);
    }

    #[test]
    fn a_changed_byte_never_panics_nor_goes_on_for_ever(
        record in everything(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = bytes_of(&record);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Everything::read(&bytes);
    }

    #[test]
    fn a_record_that_is_cut_short_or_goes_on_does_not_count(record in everything(), cut in any::<prop::sample::Index>()) {
        let mut bytes = bytes_of(&record);
        prop_assert!(Everything::read(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        let at = bytes.len() - 1;
        prop_assert_eq!(Everything::read(&bytes), Err(DatumError::Read { expected: "the end", at }));
    }

    #[test]
    fn sums_products_and_orders_are_those_of_whole_numbers(a in -1_000_000_i128..1_000_000, b in -1_000_000_i128..1_000_000) {
        let (left, right) = (Decimal::new(a, 2), Decimal::new(b, 2));
        prop_assert_eq!(left.checked_add(right), Ok(Decimal::new(a + b, 2)));
        prop_assert_eq!(left.checked_mul(right), Ok(Decimal::new(a * b, 4)));
        prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        prop_assert_eq!(Decimal::new(a, 2).cmp(&Decimal::new(b, 4)), (a * 100).cmp(&b));
    }

    // Around 64 bits another code takes over.
    #[test]
    fn wide_numbers_are_as_exact_as_narrow_ones(
        a in wide(), b in wide(), digits in 0_u32..39, bytes in prop::collection::vec(any::<u8>(), 0..18),
    ) {
        let product = Decimal::new(a, 2).checked_mul(Decimal::new(b, 2)).ok().map(|product| product.unscaled());
        prop_assert_eq!(product, a.checked_mul(b));
        let scaled = Decimal::new(a, 0).with_scale(digits).ok().map(|scaled| scaled.unscaled());
        prop_assert_eq!(scaled, 10_i128.checked_pow(digits).and_then(|power| a.checked_mul(power)));
        let power = 10_i128.checked_pow(digits).unwrap_or(i128::MAX);
        let floor = Decimal::new(a, digits).with_scale(0).ok().map(|whole| whole.unscaled());
        prop_assert_eq!(floor, (a % power == 0).then_some(a / power));
        prop_assert_eq!(Decimal::new(a, 0).precision() as usize, a.unsigned_abs().to_string().len());
        let (mut wrote, mut long) = (Vec::new(), Vec::new());
        crate::Writer(&mut wrote).decimal(Decimal::new(a, 0), 39, 0, "a").unwrap();
        let read = |bytes: &[u8]| {
            let mut input = crate::Reader::new(bytes);
            let number = input.decimal(0).unscaled();
            input.finish().map(|()| number).ok()
        };
        prop_assert_eq!(read(&wrote), Some(a));
        crate::Writer(&mut long).bytes(&bytes);
        let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
        let expected = (1..=16).contains(&bytes.len()).then(|| bytes.iter().fold(sign, |all, byte| all << 8 | i128::from(*byte)));
        prop_assert_eq!(read(&long), expected);
    }

    #[test]
    fn half_even_is_the_nearest(unscaled in any::<i64>(), digits in 0_u32..25) {
        let number = Decimal::new(unscaled.into(), digits);
        let rounded = number.round_half_even(2).unwrap();
        // |number - rounded| is at most half of a cent.
        let difference = number.checked_add(Decimal::new(-rounded.unscaled(), 2)).unwrap();
        let half = Decimal::new(5, 3);
        prop_assert!(difference <= half && difference >= Decimal::new(-5, 3));
        if difference == half || difference == Decimal::new(-5, 3) {
            prop_assert_eq!(rounded.unscaled() % 2, 0);
        }
    }

    #[test]
    fn a_decimal_reads_back_from_its_text(unscaled in -999_999_999_999_999_i128..999_999_999_999_999, scale in 0_u32..15) {
        let number = Decimal::new(unscaled, scale);
        prop_assert_eq!(number.to_string().parse(), Ok(number));
    }
}

#[test]
fn texts_that_are_no_decimal_are_refused() {
    for text in ["", "-", "+1", ".5", "5.", "1e3", "1,5", " 1", "1_000", "--1", "0x1", "1234567890123456", "\u{663}"] {
        assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Text), "{text}");
    }
}

#[test]
fn decimals_show_all_their_digits() {
    for (number, text) in [
        (Decimal::new(150, 2), "1.50"),
        (Decimal::new(-5, 2), "-0.05"),
        (Decimal::new(0, 2), "0.00"),
        (Decimal::new(7, 0), "7"),
    ] {
        assert_eq!(number.to_string(), text);
    }
    assert!(Decimal::new(i128::MAX, 0) > Decimal::new(1, 30));
    assert!(Decimal::new(i128::MIN, 0) < Decimal::new(1, 30));
    assert_eq!(Decimal::new(1, 60).round_half_even(2), Ok(Decimal::ZERO));
    assert_eq!(Decimal::new(i128::MAX, 0).checked_add(Decimal::from(1)), Err(DecimalError::Overflow));
}

#[test]
fn decimals_are_written_in_the_fewest_bytes() {
    for (unscaled, expected) in [
        (0, &[2, 0][..]),
        (127, &[2, 0x7f]),
        (128, &[4, 0, 0x80]),
        (-1, &[2, 0xff]),
        (-128, &[2, 0x80]),
        (-129, &[4, 0xff, 0x7f]),
    ] {
        let mut bytes = Vec::new();
        crate::Writer(&mut bytes).decimal(Decimal::new(unscaled, 2), 5, 2, "f").unwrap();
        assert_eq!(bytes, expected);
    }
    let mut bytes = Vec::new();
    let error = crate::Writer(&mut bytes).decimal(Decimal::new(100_000, 2), 5, 2, "f").unwrap_err();
    assert_eq!(error.to_string(), "f: 1000.00 has more than 5 digits with 2 decimals");
}

/// The greatest count that ten bytes say, and the least.
const MOST: [u8; 10] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
const LEAST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];

#[test]
fn a_failure_ends_the_reading_and_the_first_one_is_told() {
    type Read = fn(&mut crate::Reader<'_>);
    let ints: Read = |input| drop(input.array(crate::Reader::int));
    let lists: Read = |input| drop(input.array(|input| input.array(crate::Reader::int)));
    let map: Read = |input| drop(input.map(crate::Reader::string));
    let long: Read = |input| assert_eq!(input.long(), 0);
    let two: Read = |input| drop((input.boolean(), input.string()));
    for (read, bytes, expected, at) in [
        (ints, &MOST[..], "a long", 10),
        (ints, &LEAST, "a long", 10),
        (ints, &[&MOST[..], &[2, 4]].concat(), "a long", 12),
        (ints, &[3], "a long", 1), // a negative count without the block's size
        (ints, &[2, 0xff, 0xff, 0xff, 0xff, 0x1f], "an int", 1),
        (lists, &[&MOST[..], &MOST].concat(), "a long", 20),
        (map, &MOST, "a long", 10),
        (map, &[&MOST[..], &[2, b'a', 2, 0xff]].concat(), "a string in UTF-8", 12),
        (long, &[0x80], "a long", 0),
        (long, &[0xff; 11], "a long", 0),
        (long, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2], "a long", 0),
        (two, &[2, 2, 0xff], "a boolean", 0),
    ] {
        let mut input = crate::Reader::new(bytes);
        read(&mut input);
        assert_eq!(input.finish(), Err(DatumError::Read { expected, at }), "{bytes:02x?}");
    }
}
