//! What a writer's schema may be, whatever the registry admits. apache-avro decodes along the schema by recursion, and
//! a stack that overflows ends the process with all its partitions; so the schema is walked once, before any datum.

use apache_avro::Schema;
use apache_avro::schema::{Name, NamesRef, NamespaceRef, ResolvedSchema};

use super::{SchemaError, avro};

/// Types inside each other; an order has three.
pub(super) const MAX_DEPTH: usize = 64;
/// Types in all, each counted where it is used; an order has about thirty.
pub(super) const MAX_TYPES: usize = 10_000;

/// Whether data of this schema can be decoded in bounded stack, time and memory.
pub(super) fn check(schema: &Schema) -> Result<(), SchemaError> {
    let resolved = ResolvedSchema::new(schema).map_err(avro)?;
    let mut walk = Walk { names: resolved.get_names(), enclosing: Vec::new(), depth: 0, types: 0 };
    walk.down(schema, None).map(drop)
}

struct Walk<'a> {
    names: &'a NamesRef<'a>,
    enclosing: Vec<Name>,
    depth: usize,
    types: usize,
}

impl Walk<'_> {
    /// Whether a datum of this type may take no bytes at all.
    fn down(&mut self, schema: &Schema, namespace: NamespaceRef<'_>) -> Result<bool, SchemaError> {
        self.types += 1;
        self.depth += 1;
        if MAX_TYPES < self.types || MAX_DEPTH < self.depth {
            return Err(SchemaError::TooLarge);
        }
        let empty = match schema {
            Schema::Null => true,
            Schema::Fixed(fixed) => fixed.size == 0,
            Schema::Record(record) => self.record(record, namespace)?,
            Schema::Array(array) if self.down(&array.items, namespace)? => return Err(SchemaError::EmptyItems),
            Schema::Map(map) => {
                self.down(&map.types, namespace)?;
                false
            }
            Schema::Union(union) => {
                union.variants().iter().try_for_each(|variant| self.down(variant, namespace).map(drop))?;
                false
            }
            Schema::Ref { name } => {
                let name = name.fully_qualified_name(namespace);
                let named = self.names.get(name.as_ref()).copied();
                self.depth -= 1; // a name is no level of its own
                let empty = named.map(|named| self.down(named, name.namespace())).transpose()?;
                self.depth += 1;
                empty.unwrap_or_default()
            }
            _ => false,
        };
        self.depth -= 1;
        Ok(empty)
    }

    fn record(
        &mut self,
        record: &apache_avro::schema::RecordSchema,
        namespace: NamespaceRef<'_>,
    ) -> Result<bool, SchemaError> {
        let name = record.name.fully_qualified_name(namespace).into_owned();
        if self.enclosing.contains(&name) {
            return Err(SchemaError::Recursive(name.to_string()));
        }
        self.enclosing.push(name.clone());
        let mut empty = true;
        for field in &record.fields {
            empty &= self.down(&field.schema, name.namespace())?;
        }
        self.enclosing.pop();
        Ok(empty)
    }
}
