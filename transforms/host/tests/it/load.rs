//! What is refused when it is uploaded, and with which words.

use transform_host::{Chain, ConfigureError, Engine, Limits, LoadError, Payload};

use crate::guests::{TEXT_SCHEMA, engine, module, step, wasm};

/// Why the engine with the default limits does not take it.
pub(crate) fn refusal(wasm: &[u8]) -> LoadError {
    engine().load(wasm).expect_err("refused")
}

#[test]
fn what_is_no_component_is_refused() {
    for (bytes, words) in [
        (&b""[..], "not a WebAssembly component"),
        (b"\x7fELF\x02\x01\x01", "not a WebAssembly component"),
        (b"PK\x03\x04 a zip", "not a WebAssembly component"),
        (b"(component)", "not a WebAssembly component"),
        // A core module: its header, and nothing else.
        (b"\0asm\x01\0\0\0", "not a WebAssembly component"),
    ] {
        let error = refusal(bytes);
        assert!(matches!(error, LoadError::NotAComponent(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// A component with nothing but this core module in it.
fn around(sections: &[(u8, &[u8])]) -> Vec<u8> {
    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        assert!(body.len() < 128, "one byte of length");
        [&[id, body.len() as u8], body].concat()
    }
    let sections = sections.iter().flat_map(|(id, body)| section(*id, body));
    let core: Vec<u8> = b"\0asm\x01\0\0\0".iter().copied().chain(sections).collect();
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &core)].concat()
}

#[test]
fn what_of_webassembly_is_switched_off_is_refused_by_its_name() {
    // One function `() -> ()` with this body.
    let code = |body: &[u8]| [&[1, body.len() as u8 + 2, 0], body, &[0x0b]].concat();
    let function = |body: &[u8]| around(&[(1, &[1, 0x60, 0, 0]), (3, &[1, 0]), (10, &code(body))]);
    assert!(matches!(refusal(&around(&[(5, &[1, 0, 1])])), LoadError::Export(_)), "a memory is no fault");
    assert!(matches!(refusal(&function(&[])), LoadError::Export(_)), "nor is a function");
    for (component, words) in [
        (around(&[(5, &[1, 4, 1])]), "memory64"),
        (around(&[(5, &[1, 3, 1, 1])]), "threads"),
        (around(&[(5, &[2, 0, 1, 0, 1])]), "multi"),
        (around(&[(1, &[1, 0x5f, 0])]), "gc"),
        (around(&[(1, &[1, 0x60, 0, 0]), (13, &[1, 0, 0])]), "exceptions"),
        (function(&[0x12, 0]), "tail calls"),
        (function(&[[0xfd, 12].as_slice(), &[0; 16], &[0x1a]].concat()), "SIMD"),
    ] {
        let error = refusal(&component);
        assert!(matches!(error, LoadError::NotAComponent(_)), "{words}: {error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn a_truncated_component_is_refused_at_every_length() {
    let whole = wasm("clean");
    for cut in [1, 8, 9, 100, 1_000, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&whole[..cut]);
        assert!(matches!(error, LoadError::NotAComponent(_) | LoadError::Export(_)), "{cut}: {error}");
    }
}

#[test]
fn a_component_that_is_too_large_is_refused_before_it_is_read() {
    let size = Limits::default().module_bytes + 1;
    assert_eq!(refusal(&vec![0; size]), LoadError::TooLarge { size, limit: size - 1 });
}

#[test]
fn an_import_of_wasi_is_refused_by_name() {
    assert_eq!(refusal(wasm("wasi")), LoadError::Import("wasi:clocks/monotonic-clock@0.2.0".to_owned()));
}

#[test]
fn wrong_exports_are_refused() {
    let error = refusal(wasm("wrong-exports"));
    assert!(matches!(&error, LoadError::Export(_)), "{error}");
    assert!(error.to_string().contains("orderflow:transform@1.1.0"), "{error}");
}

#[test]
fn a_module_that_needs_more_than_the_limits_to_start_is_refused() {
    // Lowered: it is the setting that counts, and a shipped module's own need. `counts.rs` tries the defaults.
    for (limits, words) in [
        (Limits { memory_bytes: 1 << 20, ..Limits::default() }, "bytes of memory, the limit is 1048576"),
        (Limits { table_elements: 4, ..Limits::default() }, "table elements, the limit is 4"),
        (Limits { instances: 0, ..Limits::default() }, "instance count too high"),
        (Limits { tables: 0, ..Limits::default() }, "table count too high"),
        (Limits { memories: 0, ..Limits::default() }, "memory count too high"),
    ] {
        let error = Engine::new(limits).unwrap().load(wasm("clean")).expect_err("refused");
        assert!(matches!(&error, LoadError::Describe(reason) if reason.contains(words)), "{error}");
    }
}

#[test]
fn a_module_that_never_starts_is_refused_in_time() {
    let error = refusal(wasm("spin-describe"));
    assert_eq!(error, LoadError::Describe("it ran out of time".to_owned()));
    let error = Chain::new(&engine(), vec![step(&engine(), "spin-configure", &[])], TEXT_SCHEMA).err().unwrap();
    let words = "cannot be started: it ran out of time";
    assert!(matches!(error, ConfigureError::Start { .. }) && error.to_string().contains(words), "{error}");
}

#[test]
fn a_good_module_tells_who_it_is() {
    let clean = module(&engine(), "clean");
    let description = clean.description();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("clean", "1.0.1"));
    assert_eq!(description.payload, Payload::Avro);
    assert!(description.schema.as_deref().is_some_and(|schema| schema.contains("orderflow")));
    assert_eq!(clean.digest().len(), 64);
    assert_eq!(clean.label(), format!("clean@1.0.1+sha256:{}", &clean.digest()[..12]));
    let names: Vec<_> = description.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["items.sum"]);
    let enrich = module(&engine(), "enrich");
    let parameters: Vec<_> = enrich
        .description()
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), parameter.default.as_deref()))
        .collect();
    assert_eq!(
        parameters,
        [("home.currency", Some("USD")), ("rates", Some("")), ("bands", Some("low:0,mid:50,high:500"))]
    );
}
