//! Segments of a path and parameters of a query, decoded.

/// A piece of an address without its percent signs; what is not valid stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, after) {
            (b'%', [high, low, behind @ ..]) if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                bytes.push(high * 16 + low);
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All values of a parameter.
pub(super) fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = String> + 'q {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| decoded(&value.replace('+', " ")))
}

/// A truth value as Connect reads it: everything but `true` is false; `absent` where it is not given.
pub(super) fn flag(query: &str, name: &str, absent: bool) -> bool {
    values(query, name).last().map_or(absent, |value| value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_decoded_and_what_is_not_valid_stays() {
        for (text, expected) in
            [("clean%401.0.0", "clean@1.0.0"), ("a%20b", "a b"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("", "")]
        {
            assert_eq!(decoded(text), expected);
        }
    }

    #[test]
    fn a_parameter_may_come_several_times_and_a_flag_is_true_or_not() {
        let query = "expand=status&expand=info&onlyFailed=TRUE&includeTasks=nope&empty";
        assert_eq!(values(query, "expand").collect::<Vec<_>>(), ["status", "info"]);
        assert_eq!(values(query, "empty").collect::<Vec<_>>(), [""]);
        assert!(flag(query, "onlyFailed", false) && !flag(query, "includeTasks", true));
        assert!(flag(query, "connectorsOnly", true) && !flag(query, "empty", true));
    }
}
