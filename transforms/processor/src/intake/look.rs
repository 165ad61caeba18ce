//! Says by the first bytes what an upload is, so that who uploaded the wrong file hears which file it was. Nothing is
//! parsed here; what begins like a component may still be none.

use super::refused::{Check, Refused};

/// A module begins so: `\0asm`, then version 13 in layer 1.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const CORE: &[u8] = b"\0asm\x01\0\0\0";
/// The OS in the header of what `wasmtime compile` writes.
const WASMTIME_OS: u8 = 200;

/// Lets a component pass.
///
/// # Errors
/// Names what else it is.
pub fn check(bytes: &[u8]) -> Result<(), Refused> {
    if bytes.starts_with(COMPONENT) {
        return Ok(());
    }
    let (what, way_out) = named(bytes);
    let first: String = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Err(Refused::new(Check::Magic, format!("this is {what}, not a WebAssembly component"), way_out)
        .value(first)
        .limit("0061736d0d000100"))
}

/// What it is, and what to do.
fn named(bytes: &[u8]) -> (String, &'static str) {
    const BUILD: &str = "build the module with `transforms build` and upload the .wasm file that it names";
    const COMPONENTIZE: &str =
        "a core module is only half of it: `transforms build` makes a component of it, `wasm-tools component new` too";
    const UPLOAD: &str = "send the file's bytes as the body, such as with `transforms push FILE`";
    const UNPACK: &str = "unpack it and upload the .wasm file in it";
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if bytes.is_empty() {
        return ("empty".to_owned(), UPLOAD);
    }
    if starts(b"\x7fELF") {
        return match bytes.get(7) {
            Some(&WASMTIME_OS) => (
                "an artefact of `wasmtime compile` (machine code in an ELF file)".to_owned(),
                "machine code is never taken; upload the component it was made of",
            ),
            _ => (format!("an ELF {} of machine code{}", elf_kind(bytes), elf_machine(bytes)), BUILD),
        };
    }
    let text = |opening: &[u8]| bytes.trim_ascii_start().starts_with(opening);
    let known: [(bool, &str, &str); 13] = [
        (starts(CORE), "a core WebAssembly module", COMPONENTIZE),
        (starts(b"\0asm") && bytes.len() < 8, "a WebAssembly header cut short", UPLOAD),
        (starts(b"\0asm"), "WebAssembly of a version that is not known here", BUILD),
        (b"\0asm".starts_with(bytes), "a WebAssembly header cut short", UPLOAD),
        (
            text(b"(component") || text(b"(module"),
            "WebAssembly's text format",
            "assemble it first (`wasm-tools parse`)",
        ),
        (starts(b"MZ"), "a Windows program", BUILD),
        (starts(b"\xcf\xfa\xed\xfe") || starts(b"\xca\xfe\xba\xbe"), "a macOS program or a Java class", BUILD),
        (starts(b"!<arch>"), "a library archive", BUILD),
        (starts(b"PK\x03\x04"), "a zip archive", UNPACK),
        (starts(b"\x1f\x8b"), "gzip-compressed", UNPACK),
        (starts(b"\x28\xb5\x2f\xfd"), "zstd-compressed", UNPACK),
        (starts(b"#!"), "a script", BUILD),
        (text(b"{") || text(b"["), "JSON", UPLOAD),
    ];
    let found = known.iter().find(|(fits, _, _)| *fits);
    found
        .map_or_else(|| ("of no kind that is known here".to_owned(), BUILD), |(_, what, way)| ((*what).to_owned(), way))
}

fn elf_kind(bytes: &[u8]) -> &'static str {
    match bytes.get(16) {
        Some(1) => "object file",
        Some(3) => "program or shared library",
        _ => "program",
    }
}

fn elf_machine(bytes: &[u8]) -> &'static str {
    match bytes.get(18) {
        Some(0x3e) => " for x86-64",
        Some(0xb7) => " for aarch64",
        Some(0xf3) => " for RISC-V",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_called_by_its_name() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        for (bytes, words) in [
            (&b""[..], "empty"),
            (&own[..], "an ELF program"),
            (b"\x7fELF\x02\x01\x01\xc8", "wasmtime compile"),
            (b"\0as", "cut short"),
            (b"\0asm\x0d\0", "cut short"),
            (b"\0asm\x01\0\0\0\0", "a core WebAssembly module"),
            (b"\0asm\x0a\0\x01\0", "of a version that is not known here"),
            (b" (component)", "text format"),
            (b"MZ\x90", "a Windows program"),
            (b"PK\x03\x04", "a zip archive"),
            (b"\x1f\x8b\x08", "gzip-compressed"),
            (b"#!/bin/sh", "a script"),
            (b"{\"a\":1}", "JSON"),
            (b"not wasm", "of no kind"),
        ] {
            let refused = check(bytes).unwrap_err();
            assert!(
                refused.text.contains(words) && refused.text.contains("not a WebAssembly component"),
                "{refused:?}"
            );
            assert_eq!(refused.check.name(), "magic");
        }
        assert_eq!(check(COMPONENT), Ok(()));
    }
}
