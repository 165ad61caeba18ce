//! Not hostile: uses what is allowed, so that tests see the imports work. Looks the value up in the table `things`,
//! logs, counts, and rejects with what it found.
#![cfg(target_arch = "wasm32")]

use evil_kit::bindings;

evil_kit::guest!(process);

fn process(batch: &[u8]) -> Vec<u8> {
    evil_kit::judge(batch, |record, out| {
        bindings::log(bindings::Level::Info, "looking");
        bindings::metric("lookups", 1);
        let found = bindings::lookup("things", &[record.value.to_vec(), b"nothing".to_vec()]);
        let answer = match found {
            Ok(values) => format!(
                "{:?}",
                values.iter().map(|value| value.as_deref().map(String::from_utf8_lossy)).collect::<Vec<_>>()
            ),
            Err(error) => format!("{error:?}"),
        };
        out.reject(&answer).expect("small");
    })
}
