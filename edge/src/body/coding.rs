//! Content codings (RFC 9110, section 8.4): which are taken, and what the header says.

use std::fmt;

use http::{HeaderMap, header};

use crate::refusal::Refusal;

/// What a client may send, for `Accept-Encoding` (RFC 7694).
pub const ACCEPTED: &str = "gzip, deflate, zstd, identity";

/// A content coding that is undone here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    /// RFC 1952, in one member or several.
    Gzip,
    /// RFC 1950, as the standard says, or RFC 1951 alone, as many clients send under this name.
    Deflate,
    /// RFC 8878, in one frame or several, with the window of RFC 9659.
    Zstd,
}

/// The coding of the body; `None` if it has none. Several on top of each other are not taken: nobody needs them, and
/// each would multiply what a small body can grow to.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Coding>, Refusal> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| Refusal::Encoding)?.split(',').map(str::trim) {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let coding = match () {
                () if name.is_empty() || is("identity") => continue,
                () if is("gzip") || is("x-gzip") => Coding::Gzip,
                () if is("deflate") => Coding::Deflate,
                () if is("zstd") => Coding::Zstd,
                () => return Err(Refusal::Encoding),
            };
            if found.replace(coding).is_some() {
                return Err(Refusal::Encoding);
            }
        }
    }
    Ok(found)
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coding(values: &[&'static str]) -> Result<Option<Coding>, Refusal> {
        of(&values.iter().map(|value| (header::CONTENT_ENCODING, value.parse().unwrap())).collect())
    }

    #[test]
    fn one_coding_is_taken_and_identity_is_none() {
        for (values, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&["GZip"], Some(Coding::Gzip)),
            (&["x-gzip"], Some(Coding::Gzip)),
            (&["deflate, identity"], Some(Coding::Deflate)),
            (&["identity", " zstd ,"], Some(Coding::Zstd)),
        ] {
            assert_eq!(coding(values).unwrap(), expected, "{values:?}");
        }
        for values in [&["gzip, gzip"][..], &["gzip", "gzip"], &["zstd,deflate"], &["br"], &["gzip;q=1"], &["*"]] {
            assert!(matches!(coding(values), Err(Refusal::Encoding)), "{values:?}");
        }
        for name in ACCEPTED.split(", ") {
            assert!(coding(&[name]).is_ok(), "{name}");
        }
    }
}
