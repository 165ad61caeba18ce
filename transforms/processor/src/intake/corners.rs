//! Data of any Avro schema, written by hand: for each type a few values at its ends, and the n-th datum takes the n-th of
//! each. Bytes and not values, because every schema that parses can be walked, also one that contains itself.

use std::cell::Cell;
use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};
use schemas::codec::{put_bytes, put_long};

/// So many data, so that each end of each type is met.
const DATA: usize = 8;
/// A type within a type within …: deeper than this, what can be empty is.
const DEPTH: usize = 4;
/// Types that one datum may have: a short schema can name itself into a huge one.
const MOST: usize = 50_000;
/// A schema deeper than this is taken to contain itself without an end.
const MAX_DEPTH: usize = 32;

const TEXTS: [&str; 5] = ["", "a", "\u{e9}\u{5e97}\u{1f6d2}", " A  b\t", "0123456789012345678901234567890123456789"];
const LONGS: [i64; 5] = [0, 1, -1, i64::MAX, i64::MIN];
const INTS: [i32; 5] = [0, 1, -1, i32::MAX, i32::MIN];
const DOUBLES: [f64; 5] = [0.0, 1.5, -0.1, f64::MAX, f64::MIN_POSITIVE];
/// 2000-01-01, and what calendars stumble over.
const TIMES: [i64; 3] = [946_684_800_000, 1_709_164_800_000, 4_102_444_799_999];
const UUID: &str = "123e4567-e89b-12d3-a456-426614174000";

/// The data; each once.
///
/// # Errors
/// When the schema has none.
pub(super) fn of(schema: &Schema) -> Result<Vec<Vec<u8>>, String> {
    let mut named = HashMap::new();
    collect(schema, &mut named);
    let mut data: Vec<Vec<u8>> = Vec::new();
    for turn in 0..DATA {
        let mut out = Vec::new();
        Writer { named: &named, turn, left: Cell::new(MOST) }.write(schema, 0, &mut out)?;
        if !data.contains(&out) {
            data.push(out);
        }
    }
    Ok(data)
}

fn collect<'s>(schema: &'s Schema, named: &mut HashMap<String, &'s Schema>) {
    if let Some(name) = schema.name()
        && !matches!(schema, Schema::Ref { .. })
    {
        named.insert(name.to_string(), schema);
    }
    match schema {
        Schema::Array(array) => collect(&array.items, named),
        Schema::Map(map) => collect(&map.types, named),
        Schema::Union(union) => union.variants().iter().for_each(|branch| collect(branch, named)),
        Schema::Record(record) => record.fields.iter().for_each(|field| collect(&field.schema, named)),
        _ => {}
    }
}

struct Writer<'n, 's> {
    named: &'n HashMap<String, &'s Schema>,
    turn: usize,
    left: Cell<usize>,
}

impl Writer<'_, '_> {
    /// The turn's one of these.
    fn pick<T: Copy + Default>(&self, of: &[T]) -> T {
        of.get(self.turn % of.len().max(1)).copied().unwrap_or_default()
    }

    fn write(&self, schema: &Schema, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("the schema contains itself in a way that never ends, so no datum of it can be".to_owned());
        }
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| format!("a datum of the schema has more than {MOST} values"))?);
        match schema {
            Schema::Null => {}
            Schema::Boolean => out.push(u8::from(self.turn % 2 == 1)),
            Schema::Int => put_long(out, i64::from(self.pick(&INTS))),
            Schema::Date => put_long(out, self.pick(&[0, 11_016, 47_481])),
            Schema::TimeMillis => put_long(out, self.pick(&[0, 1, 86_399_999])),
            Schema::Long => put_long(out, self.pick(&LONGS)),
            Schema::TimeMicros => put_long(out, self.pick(&[0, 1, 86_399_999_999])),
            Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => put_long(out, self.pick(&TIMES)),
            Schema::Float => {
                let number = self.pick(&[0.0_f32, 1.5, -0.1, f32::MAX]);
                out.extend(number.to_le_bytes());
            }
            Schema::Double => out.extend(self.pick(&DOUBLES).to_le_bytes()),
            Schema::Bytes => put_bytes(out, self.pick(&TEXTS).as_bytes()),
            Schema::String => put_bytes(out, self.pick(&TEXTS).as_bytes()),
            Schema::Uuid(UuidSchema::String) => put_bytes(out, UUID.as_bytes()),
            Schema::Uuid(UuidSchema::Bytes) => put_bytes(out, &[7; 16]),
            // Zero with a scale of zero.
            Schema::BigDecimal => put_bytes(out, &[2, 0, 0]),
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                out.extend(std::iter::repeat_n(self.pick(&[0_u8, 1]), fixed.size));
            }
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => put_bytes(out, &[self.pick(&[0_u8, 1, 0xff, 9])]),
                InnerDecimalSchema::Fixed(fixed) => out.extend(std::iter::repeat_n(0, fixed.size)),
            },
            Schema::Enum(symbols) => put_long(out, self.index(symbols.symbols.len())),
            Schema::Array(_) | Schema::Map(_) | Schema::Union(_) | Schema::Record(_) | Schema::Ref { .. } => {
                return self.nested(schema, depth + 1, out);
            }
        }
        Ok(())
    }

    fn nested(&self, schema: &Schema, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let count = if depth > DEPTH { 0 } else { self.pick(&[0_usize, 1, 3]) };
        match schema {
            Schema::Ref { name } => {
                let meant = self.named.get(&name.to_string()).ok_or_else(|| format!("unknown type {name}"))?;
                self.write(meant, depth, out)?;
            }
            Schema::Record(record) => {
                for field in &record.fields {
                    self.write(&field.schema, depth, out)?;
                }
            }
            Schema::Union(union) => {
                let branches = union.variants();
                let null = branches.iter().position(|branch| matches!(branch, Schema::Null));
                let deep = null.filter(|_| depth > DEPTH).and_then(|at| i64::try_from(at).ok());
                let at = deep.unwrap_or_else(|| self.index(branches.len()));
                put_long(out, at);
                if let Some(branch) = usize::try_from(at).ok().and_then(|at| branches.get(at)) {
                    self.write(branch, depth, out)?;
                }
            }
            Schema::Array(array) => {
                self.block(count, out, |out, _| self.write(&array.items, depth, out))?;
            }
            Schema::Map(map) => {
                self.block(count, out, |out, at| {
                    put_bytes(out, format!("key-{at}").as_bytes());
                    self.write(&map.types, depth, out)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn block(
        &self,
        count: usize,
        out: &mut Vec<u8>,
        mut one: impl FnMut(&mut Vec<u8>, usize) -> Result<(), String>,
    ) -> Result<(), String> {
        if count > 0 {
            put_long(out, i64::try_from(count).unwrap_or_default());
            for at in 0..count {
                one(out, at)?;
            }
        }
        put_long(out, 0);
        Ok(())
    }

    fn index(&self, of: usize) -> i64 {
        i64::try_from(self.turn % of.max(1)).unwrap_or_default()
    }
}
