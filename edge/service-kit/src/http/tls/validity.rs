//! From when until when a certificate is valid. Rustls does not look at that in our own one, and clients would be the
//! first to notice; so its two dates are read here, and nothing else of X.509.

use time::{PrimitiveDateTime, UtcDateTime, macros::format_description};

/// The dates of one certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) from: UtcDateTime,
    pub(super) until: UtcDateTime,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// Of a certificate in DER; `None` if it is none.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        // Certificate { tbs { version?, serial, algorithm, issuer, validity { from, until }, … }, … }
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut tbs, _) = element(certificate, SEQUENCE)?;
        if let Some((_, rest)) = element(tbs, VERSION) {
            tbs = rest;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, tbs) = element(tbs, tag)?;
        }
        let (validity, _) = element(tbs, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }
}

/// The content of the first element, if it has this tag, and what follows it.
fn element(der: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag != expected {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(first.into());
    }
    let (size, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if 4 < size.len() {
        return None;
    }
    let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
    rest.split_at_checked(size)
}

/// RFC 5280, 4.1.2.5: two digits of the year up to 2049, four from then on; always UTC, always with seconds.
fn time(der: &[u8]) -> Option<(UtcDateTime, &[u8])> {
    let (text, rest, century) = match (element(der, UTC_TIME), element(der, GENERALIZED_TIME)) {
        (Some((text, rest)), _) => (text, rest, if text.first()? < &b'5' { "20" } else { "19" }),
        (_, Some((text, rest))) => (text, rest, ""),
        _ => return None,
    };
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let format = format_description!("[year][month][day][hour][minute][second]Z");
    let time = PrimitiveDateTime::parse(&text, format).ok()?;
    Some((time.as_utc(), rest))
}

#[cfg(test)]
mod tests {
    use time::macros::utc_datetime;

    use super::*;

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1999, 12, 31);
        params.not_after = rcgen::date_time_ymd(2051, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let expected = Validity { from: utc_datetime!(1999-12-31 0:00), until: utc_datetime!(2051-02-03 0:00) };
        assert_eq!(Validity::of(certificate.der()), Some(expected));
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        for end in 0..150 {
            assert_eq!(Validity::of(&certificate.der()[..end]), None, "{end}");
        }
        assert_eq!(Validity::of(&[0x30, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
