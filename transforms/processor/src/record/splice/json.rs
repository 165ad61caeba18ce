//! A value's bytes as JSON, with the same text as [`schemas::json`].

use std::io::Write as _;

use schemas::json::decimal_text;

use super::Shape;
use super::walk::Walk;

/// Appends the next value.
pub(super) fn write(walk: &mut Walk<'_>, shape: &Shape, out: &mut Vec<u8>) -> Option<()> {
    match shape {
        Shape::Boolean => out.extend_from_slice(if walk.boolean()? { b"true" } else { b"false" }),
        Shape::Int | Shape::Date => write!(out, "{}", walk.int()?).ok()?,
        Shape::Long | Shape::TimestampMillis | Shape::TimestampMicros => write!(out, "{}", walk.long()?).ok()?,
        Shape::Bytes => return None,
        Shape::Decimal { scale, .. } => out.extend_from_slice(decimal_text(walk.decimal()?, *scale)?.as_bytes()),
        Shape::Text => text(walk.text()?, out)?,
        Shape::Optional { null, some } => {
            if walk.is_some(*null)? {
                write(walk, some, out)?;
            } else {
                out.extend_from_slice(b"null");
            }
        }
        Shape::List(item) => {
            out.push(b'[');
            for at in 0..walk.count()? {
                comma(at == 0, out);
                write(walk, item, out)?;
            }
            walk.end_of_list()?;
            out.push(b']');
        }
        Shape::Record { fields, .. } => {
            out.push(b'{');
            for (at, (name, shape)) in fields.iter().enumerate() {
                comma(at == 0, out);
                text(name, out)?;
                out.push(b':');
                write(walk, shape, out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

fn comma(is_first: bool, out: &mut Vec<u8>) {
    if !is_first {
        out.push(b',');
    }
}

fn text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(out, text).ok()
}
