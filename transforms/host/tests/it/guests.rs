//! The guests of this run: built once, through the same function as everybody's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use transform_host::{Chain, Engine, Limits, Module, Options, Record, Step, build};

/// The schema of the hostile guests: one text, so that a value is a length and letters.
pub(crate) const TEXT_SCHEMA: &str = r#"{"type":"record","name":"Text","fields":[{"name":"text","type":"string"}]}"#;

/// The schema of the shipped modules: the version that they were written for.
pub(crate) const ORDER_SCHEMA: &str = include_str!("../../../../schemas/versions/order_placed.v1.avsc");

/// Where the rooms of the transforms are.
pub(crate) fn transforms() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where this run puts components.
pub(crate) fn out(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn build(name: &str) -> BTreeMap<String, Vec<u8>> {
    let files = build::guests(&transforms().join(name), &out(name)).unwrap_or_else(|error| panic!("{error}"));
    let stem = |file: &PathBuf| file.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|file| (stem(file), std::fs::read(file).unwrap())).collect()
}

/// One component, by its name.
pub(crate) fn wasm(name: &str) -> &'static [u8] {
    static EVIL: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| build("evil"));
    static SHIPPED: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| build("modules"));
    let found = if ["clean", "customer-tier", "enrich"].contains(&name) { SHIPPED.get(name) } else { EVIL.get(name) };
    found.unwrap_or_else(|| panic!("no guest {name}"))
}

/// The engine with the default limits that most tests share.
pub(crate) fn engine() -> Arc<Engine> {
    static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| Engine::new(Limits::default()).unwrap());
    Arc::clone(&ENGINE)
}

/// An engine that waits long: for attacks that must meet another limit than time, on a machine that is busy. Its answers
/// are small.
pub(crate) fn patient() -> Arc<Engine> {
    static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
        let long = Duration::from_secs(2);
        let limits = Limits { call_base: long, call_max: long, hunt: 10 * long, ..Limits::default() };
        Engine::new(Limits { output_bytes: 512 << 10, ..limits }).unwrap()
    });
    Arc::clone(&ENGINE)
}

/// A guest, loaded.
pub(crate) fn module(engine: &Arc<Engine>, name: &str) -> Arc<Module> {
    engine.load(wasm(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A step with these parameters.
pub(crate) fn step(engine: &Arc<Engine>, name: &str, parameters: &[(&str, &str)]) -> Step {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Step::new(name, module(engine, name), parameters.iter().map(pair).collect())
}

/// A chain of hostile guests.
pub(crate) fn chain(engine: &Arc<Engine>, names: &[&str], options: Options) -> Chain {
    let steps = names.iter().map(|name| step(engine, name, &[])).collect();
    Chain::with_options(engine, steps, TEXT_SCHEMA, options).unwrap_or_else(|error| panic!("{error}"))
}

/// One output a record, as into `order_placed`.
pub(crate) fn single() -> Options {
    Options { single_output: true, ..Options::default() }
}

/// A record of the text schema.
pub(crate) fn text(key: &str, text: &str) -> Record {
    assert!(text.len() < 64, "one byte of length");
    let mut value = vec![text.len() as u8 * 2];
    value.extend_from_slice(text.as_bytes());
    let headers = vec![("trace".to_owned(), Some(b"7".to_vec())), ("empty".to_owned(), None)];
    let key = Some(key.as_bytes().to_vec());
    Record { key, value, timestamp_ms: 1_700_000_000_000, headers, ..Record::default() }
}

/// This many good records, with the one that is attacked at these places.
pub(crate) fn batch(len: usize, evil: &[usize], value: &str) -> Vec<Record> {
    (0..len).map(|index| if evil.contains(&index) { text("evil", value) } else { text("good", "fine") }).collect()
}
