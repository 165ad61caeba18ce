//! A pipeline is tried before it is taken: its modules run on sample records with their parameters, with its tables as
//! they are and with its outputs, and what comes out must be writable where it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value;
use transform_host::{Options, Record};

use super::{Fault, Plan};
use crate::intake::refused::Refused;
use crate::intake::trial::{Around, Finding, Trial};
use crate::kafka::Input;
use crate::lookup::{Followed, SlotTables};
use crate::names::key;
use crate::record::finish::Output;
use crate::record::worker::{Named, options};
use crate::work::Factory;

/// Why a pipeline did not pass.
#[derive(Debug)]
pub enum Unrehearsed {
    /// Its config has a fault.
    Fault(Fault),
    /// It cannot be tried now; why.
    Later(String),
}

impl From<Fault> for Unrehearsed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Plan {
    /// Makes the chain once to see that the modules take their parameters, and runs it on sample records; not one that has
    /// `passed`, since what it makes of real records is known, and going back to it must not hang on samples. Ends soon
    /// once `stop` says so. Blocks.
    ///
    /// # Errors
    /// What the modules say or what else is wrong with the config, or why that cannot be found out now.
    pub fn rehearse(&self, passed: bool, stop: &dyn Fn() -> bool) -> Result<(), Unrehearsed> {
        let output = Output::new(self.pinned, &self.schema_text).map_err(|why| Fault::new(key::OUTPUT, why))?;
        let named = self.named()?;
        self.one_version(&output, &named)?;
        self.make().map_err(|error| Fault::new(key::TRANSFORMS, error.to_string()))?;
        if self.steps.is_empty() || passed {
            return Ok(());
        }
        self.nothing_is_missing()?;
        let tables = snapshot(&self.tables).map_err(Unrehearsed::Later)?;
        let misfit = |sample: &Record, made: &Record| self.misfit((&output, &named), sample, made);
        let topics = self.spec.topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
        let Options { single_output, outputs, tables } = options(&output, &named, tables as _);
        let around = Around { topics, outputs, tables, misfit: Some(&misfit), stop: Some(stop) };
        let (engine, steps, schema, stateful) = (&self.engine, self.steps.clone(), &*self.schema_text, self.stateful);
        let tried = Trial { engine, steps, schema, single_output, stateful }.run_in(&around);
        // What was cut off says nothing of the config.
        let why = |found: Finding| if stop() { Unrehearsed::Later(found.text) } else { fault_of(found).into() };
        tried.map(|_| ()).map_err(why)
    }

    /// Whether a sample goes to a named output is for the tables to say; that nothing ever could be written there shows
    /// without one.
    fn nothing_is_missing(&self) -> Result<(), Fault> {
        for (name, (_, schema)) in &self.named {
            if let Some(field) = missing(&self.schema_text, schema) {
                let message = format!(
                    "field {field} of its schema has no default and is not in that of {}; give it one",
                    self.spec.output
                );
                return Err(of_output(name, message));
            }
        }
        Ok(())
    }

    /// Why a record that the modules made of a sample could not be written where it goes.
    fn misfit(
        &self,
        (main, named): (&Output, &BTreeMap<String, Named>),
        sample: &Record,
        made: &Record,
    ) -> Option<String> {
        let input = input(sample);
        // A sample that could not be written as it came is no record that a slot gives to modules.
        main.framed(&sample.value, &input).ok()?;
        let Some(name) = &made.output else { return fault(main, &made.value, &input) };
        // The chain lets no other name through.
        let named = named.get(&**name)?;
        match named.reader.map(|reader| reader.resolve(&made.value)) {
            None => fault(&named.output, &made.value, &input),
            Some(Ok(datum)) => fault(&named.output, &datum, &input),
            Some(Err(error)) => {
                let unfit = self.named.get(&**name).and_then(|(_, own)| unfit(&self.schema_text, own, &made.value));
                Some(unfit.unwrap_or_else(|| error.to_string()))
            }
        }
    }
}

/// One snapshot for all runs: a table that changes between two would look like a module that remembers. One that was read
/// when the plan was made may be read anew by now.
fn snapshot(tables: &BTreeMap<String, Arc<Followed>>) -> Result<Arc<SlotTables>, String> {
    let tables = SlotTables::new(tables.clone());
    tables.begin().map_err(|reason| format!("lookup {reason}"))?;
    Ok(tables)
}

/// Why a datum cannot be finished; the field stands in it.
fn fault(output: &Output, datum: &[u8], input: &Input) -> Option<String> {
    output.framed(datum, input).err().map(|reason| reason.message)
}

/// Where a sample would have come from.
fn input(sample: &Record) -> Input {
    Input {
        topic: sample.topic.clone().unwrap_or_else(|| Arc::from("")),
        partition: 0,
        offset: 0,
        timestamp_ms: Some(sample.timestamp_ms),
        key: sample.key.clone(),
        value: None,
        headers: Vec::new(),
    }
}

/// What the sample shows. Of a module that remembers, with the way out that an upload is told; but this one is here
/// already, so it needs another version.
fn fault_of(found: Finding) -> Fault {
    if let Some(name) = &found.output {
        return of_output(name, found.text.clone());
    }
    if !found.impure {
        return Fault::new(key::TRANSFORMS, found.text);
    }
    let Refused { text, way_out, .. } = found.into();
    let message = format!("{text}; {way_out}. A version never changes: raise it, and push it with --stateful");
    Fault::new(key::TRANSFORMS, message)
}

fn of_output(name: &str, message: String) -> Fault {
    Fault::new(format!("{}.{name}.topic", key::OUTPUTS), message)
}

/// The first field of `reader` that no datum of `writer` gives a value.
fn missing(writer: &str, reader: &str) -> Option<String> {
    let (Schema::Record(writer), Schema::Record(reader)) = (plain(writer)?, plain(reader)?) else { return None };
    let missing =
        reader.fields.into_iter().find(|field| field.default.is_none() && !writer.lookup.contains_key(&field.name));
    missing.map(|field| field.name)
}

/// The first field of `reader` that cannot be had from a datum of `writer`: apache-avro itself does not name it.
fn unfit(writer: &str, reader: &str, mut datum: &[u8]) -> Option<String> {
    let (writer, reader) = (plain(writer)?, plain(reader)?);
    let whole = GenericDatumReader::builder(&writer).human_readable(false).build().ok()?;
    let value = whole.read_value(&mut datum).ok()?;
    let Schema::Record(record) = &reader else { return None };
    let names = ResolvedSchema::new(&reader).ok()?;
    let unfit = record.fields.iter().find(|field| {
        let mut alone = record.clone();
        alone.fields = vec![(*field).clone()];
        value.clone().resolve_with_names(&Schema::Record(alone), names.get_names()).is_err()
    })?;
    let what = if is_null(&value, &unfit.name) { "null" } else { "what the record has there" };
    Some(format!("field {} has no place for {what}", unfit.name))
}

fn is_null(record: &Value, name: &str) -> bool {
    let Value::Record(fields) = record else { return false };
    fields.iter().any(|(own, value)| match value {
        Value::Union(_, inner) => own == name && **inner == Value::Null,
        value => own == name && *value == Value::Null,
    })
}

/// The schema with decimals as the bytes that they are, which is how they are resolved: see [`schemas::resolution`].
fn plain(text: &str) -> Option<Schema> {
    let mut json = serde_json::from_str(text).ok()?;
    undress(&mut json);
    Schema::parse(&json).ok()
}

fn undress(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(fields) => {
            if fields.get("logicalType").is_some_and(|kind| kind == "decimal") {
                fields.remove("logicalType");
            }
            fields.values_mut().for_each(undress);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(undress),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use schemas::contracts::ORDER_PLACED_AVSC;

    use super::*;
    use crate::intake::samples;
    use crate::lookup::table::Table;
    use crate::pipeline::spec::Lookup;

    /// A sample order by its name.
    fn order(name: &str) -> Vec<u8> {
        let samples = samples::of(ORDER_PLACED_AVSC).unwrap();
        samples.all.into_iter().find(|sample| sample.name == name).unwrap().record.value
    }

    /// Some fields of an order, the first of them an amount, which apache-avro alone would not resolve.
    fn schema(fields: &str) -> String {
        let amount = r#"{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":15,"scale":2}}"#;
        format!(r#"{{"type":"record","name":"orderflow.Order","fields":[{amount},{fields}]}}"#)
    }

    #[test]
    fn the_field_that_an_output_cannot_hold_is_named() {
        let email = schema(r#"{"name":"email","type":"string"},{"name":"customer","type":"string"}"#);
        assert_eq!(unfit(ORDER_PLACED_AVSC, &email, &order("amount-one-cent")), None);
        let told = unfit(ORDER_PLACED_AVSC, &email, &order("email-none"));
        assert_eq!(told.as_deref(), Some("field email has no place for null"));
        let number = schema(r#"{"name":"customer","type":"long"}"#);
        let told = unfit(ORDER_PLACED_AVSC, &number, &order("plain"));
        assert_eq!(told.as_deref(), Some("field customer has no place for what the record has there"));
    }

    #[test]
    fn a_table_that_is_read_anew_is_no_fault_of_the_config() {
        let lookup = Lookup { topic: "customer-tiers".to_owned(), max_bytes: 1, max_entries: 1 };
        let table = Arc::new(Followed::new(lookup));
        let tables = BTreeMap::from([("tiers".to_owned(), Arc::clone(&table))]);
        let words = "lookup tiers: topic customer-tiers is being read, 0 records so far";
        assert_eq!(snapshot(&tables).err().as_deref(), Some(words));
        table.publish(Table::new(1, 1).snapshot());
        assert!(snapshot(&tables).is_ok());
    }

    #[test]
    fn a_field_that_nothing_fills_is_found_without_a_record() {
        let absent = schema(r#"{"name":"loyalty","type":"string"}"#);
        assert_eq!(missing(ORDER_PLACED_AVSC, &absent).as_deref(), Some("loyalty"));
        let default = schema(r#"{"name":"loyalty","type":"string","default":""}"#);
        assert_eq!(missing(ORDER_PLACED_AVSC, &default), None);
    }
}
