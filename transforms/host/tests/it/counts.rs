//! What is counted, at its default, with guests that no compiler makes: each has as much as it may have, or one more.

use std::{collections::BTreeMap, sync::Arc};

use transform_host::{Chain, Engine, FaultKind, Limits, LoadError, Step, Verdict};
use wasm_encoder::{MemorySection, Module, TableSection};

use crate::{
    faults::survived,
    features::PLAIN,
    guests::{TEXT_SCHEMA, batch, engine, patient, single, text, wasm},
    load::refusal,
    rewrite::{beside, growing, own, table},
};

/// The guest that is rewritten: it does nothing wrong, and calls `metric` for the key `evil`.
fn probe() -> &'static [u8] {
    wasm("probe")
}

fn instances(count: usize) -> Vec<u8> {
    beside(probe(), &Module::new(), count)
}

fn tables(count: usize) -> Vec<u8> {
    beside(probe(), &with_tables(count, 0), 1)
}

fn table_elements(count: usize) -> Vec<u8> {
    beside(probe(), &with_tables(1, count), 1)
}

/// A memory each, since a core module may have no more than one.
fn memories(count: usize) -> Vec<u8> {
    beside(probe(), &with_memories(1), count)
}

fn with_tables(count: usize, elements: usize) -> Module {
    let mut tables = TableSection::new();
    for _ in 0..count {
        tables.table(table(elements));
    }
    let mut module = Module::new();
    module.section(&tables);
    module
}

fn with_memories(count: usize) -> Module {
    let mut memories = MemorySection::new();
    for _ in 0..count {
        memories.memory(PLAIN);
    }
    let mut module = Module::new();
    module.section(&memories);
    module
}

fn chain(engine: &Arc<Engine>, wasm: &[u8]) -> Chain {
    let module = engine.load(wasm).unwrap_or_else(|error| panic!("{error}"));
    let step = Step::new("rewritten", module, BTreeMap::new());
    Chain::with_options(engine, vec![step], TEXT_SCHEMA, single()).unwrap_or_else(|error| panic!("{error}"))
}

/// It does what the probe does: to be rewritten is no fault.
fn judges(name: &str, wasm: &[u8]) {
    let verdicts = chain(&engine(), wasm).apply(&batch(3, &[1], "x")).unwrap();
    let good = Verdict::Emit(vec![text("good", "fine")]);
    let [first, Verdict::Reject(found), last] = &verdicts[..] else { panic!("{name}: {verdicts:?}") };
    assert_eq!((first, last), (&good, &good), "{name}");
    assert_eq!((found.kind, found.reason.as_str()), (FaultKind::Rejected, "[None, None]"), "{name}");
}

#[test]
fn what_is_counted_is_refused_one_above_its_default() {
    let (limits, own) = (Limits::default(), own(probe()));
    for (name, room, rewritten, words) in [
        (
            "instances",
            limits.instances - own.instances,
            instances as fn(usize) -> Vec<u8>,
            "instance count too high at 17; the limits are 16 instances, 8 tables and 2 memories",
        ),
        ("tables", limits.tables - own.tables, tables, "table count too high at 9; the limits are 16 instances"),
        (
            "memories",
            limits.memories - own.memories,
            memories,
            "memory count too high at 3; the limits are 16 instances",
        ),
        (
            "table elements",
            limits.table_elements - own.table_elements,
            table_elements,
            "it wanted 10001 table elements, the limit is 10000",
        ),
    ] {
        judges(name, &rewritten(room));
        let error = refusal(&rewritten(room + 1));
        assert!(matches!(&error, LoadError::Describe(reason) if reason.contains(words)), "{name}: {error}");
    }
}

#[test]
fn several_memories_in_one_core_module_are_refused_before_they_are_counted() {
    judges("one memory", &beside(probe(), &with_memories(1), 1));
    let error = refusal(&beside(probe(), &with_memories(3), 1));
    assert!(matches!(&error, LoadError::NotAComponent(reason) if reason.contains("multiple memories")), "{error}");
}

#[test]
fn a_table_that_grows_above_its_default_costs_its_own_record() {
    let room = Limits::default().table_elements - own(probe()).table_elements;
    judges("grown", &growing(probe(), room));
    let rejection = survived(chain(&patient(), &growing(probe(), room + 1)), "probe", "x");
    let words = "it wanted 10001 table elements, the limit is 10000";
    assert_eq!((rejection.kind, rejection.reason.as_str()), (FaultKind::Memory, words));
}
