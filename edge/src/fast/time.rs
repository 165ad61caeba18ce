//! The common forms of RFC 3339, as `timestamp` reads them, without a call into its crate. Anything else is left to it:
//! leap seconds, other separators.

use crate::timestamp::MAX_TEXT;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Milliseconds since 1970.
pub(super) fn millis(text: &[u8]) -> Option<i64> {
    if MAX_TEXT < text.len() {
        return None;
    }
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't', rest @ ..] = text else { return None };
    let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
    let days = days(year, two(*m1, *m2)?, two(*d1, *d2)?)?;
    let [h1, h2, b':', n1, n2, b':', s1, s2, rest @ ..] = rest else { return None };
    let (hour, minute, second) = (two(*h1, *h2)?, two(*n1, *n2)?, two(*s1, *s2)?);
    if 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    let (millis, rest) = fraction(rest)?;
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', n1, n2] => {
            let (hours, minutes) = (two(*h1, *h2)?, two(*n1, *n2)?);
            if 23 < hours || 59 < minutes {
                return None;
            }
            let offset = hours * HOUR + minutes * MINUTE;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some((days * DAY + hour * HOUR + minute * MINUTE + second - offset) * 1000 + millis)
}

/// The milliseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = text else { return Some((0, text)) };
    let (mut millis, mut unit, mut rest) = (0, 100, digits);
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        millis += i64::from(digit - b'0') * unit;
        unit /= 10; // 0 behind the third digit: the rest is cut
        rest = behind;
    }
    (rest.len() < digits.len()).then_some((millis, rest))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Days from 1970-01-01 to a date that exists.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leaps = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leaps),
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Counted from 1 March, so that the leap day is the last of its year.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let years = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(years + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp;

    #[test]
    fn every_day_of_eight_centuries_is_the_day_that_the_library_says() {
        for year in 1600..2400 {
            for month in 0..=13 {
                for day in 0..=32 {
                    let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
                    let theirs = timestamp::parse(&text).map(|time| time.0);
                    assert_eq!(millis(text.as_bytes()), theirs, "{text}");
                }
            }
        }
    }

    #[test]
    fn the_common_forms_are_read_as_the_library_reads_them_and_no_other_is_read() {
        for (text, is_read) in [
            ("2024-05-06T07:08:09Z", true),
            ("2024-05-06t07:08:09z", true),
            ("2024-05-06T07:08:09.1Z", true),
            ("2024-05-06T07:08:09.0129999999999Z", true),
            ("2024-05-06T07:08:09+23:59", true),
            ("2024-05-06T07:08:09.5-00:00", true),
            ("2024-05-06T00:00:00+14:00", true),
            ("2024-05-06T07:08:09+24:00", false),
            ("2024-05-06T07:08:09+00:60", false),
            ("2024-05-06T07:08:09+0000", false),
            ("2024-05-06T24:00:00Z", false),
            ("2024-05-06T07:60:00Z", false),
            ("2024-05-06T07:08:09.Z", false),
            ("2024-05-06T07:08:09", false),
            ("2024-05-06T07:08:09Z ", false),
            ("2024-05-06T07:08:09,5Z", false),
        ] {
            let ours = millis(text.as_bytes());
            assert_eq!(ours.is_some(), is_read, "{text}");
            assert_eq!(ours, timestamp::parse(text).map(|time| time.0), "{text}");
        }
        for left in ["2016-12-31T23:59:60Z", "2024-05-06 07:08:09Z", "2024-05-06é07:08:09Z"] {
            assert_eq!(millis(left.as_bytes()), None, "{left} is left to the library");
        }
    }
}
