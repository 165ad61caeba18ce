//! Building guests: once is enough, and what cannot be built is named.

use std::path::Path;

use transform_host::build::{BuildError, guests};

use crate::guests::{out, transforms, wasm};

#[test]
fn a_fresh_component_is_not_written_again() {
    wasm("clean");
    let modified = || std::fs::metadata(out("modules").join("clean.wasm")).unwrap().modified().unwrap();
    let before = modified();
    let files = guests(&transforms().join("modules"), &out("modules")).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["clean.wasm", "customer-tier.wasm", "enrich.wasm"]);
    assert_eq!(modified(), before);
}

#[test]
fn what_is_no_workspace_is_named() {
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such-folder");
    let error = guests(&nowhere, &out("nowhere")).unwrap_err();
    assert!(matches!(&error, BuildError::Io { .. }) && error.to_string().contains("no-such-folder"), "{error}");
}
