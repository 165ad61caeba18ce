//! Uploads that are wrong, or mean harm: each is refused by the check that is for it, while others are answered. What
//! a bomb costs is in `tests/memory.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use service_kit::Tokens;

use super::{World, cluster, wasm};

/// A core module with nothing in it.
const CORE: &[u8] = b"\0asm\x01\0\0\0";
/// A component with that in it.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\x01\x08\0asm\x01\0\0\0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_upload_is_refused_by_its_check_and_a_neighbour_is_answered() {
    let cluster = cluster();
    let world = World::start(&cluster, Tokens::default()).await;
    let good = wasm("panic");
    let own = std::fs::read("/proc/self/exe").unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (asking, http, url) = (Arc::clone(&done), world.http.clone(), format!("{}/modules", world.url));
    let mut neighbour = tokio::task::JoinSet::new();
    neighbour.spawn(async move {
        let (mut longest, mut answers) = (Duration::ZERO, 0);
        while !asking.load(Ordering::Relaxed) {
            let begun = Instant::now();
            assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
            (longest, answers) = (longest.max(begun.elapsed()), answers + 1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (longest, answers)
    });
    for (name, bytes, status, check, words) in [
        ("empty", Vec::new(), 422, "magic", "this is empty"),
        ("native program", own[..4096.min(own.len())].to_vec(), 422, "magic", "this is an ELF program"),
        ("core module", CORE.to_vec(), 422, "magic", "this is a core WebAssembly module"),
        ("truncated", good[..good.len() / 2].to_vec(), 422, "validation", "not a WebAssembly component"),
        ("last byte gone", good[..good.len() - 1].to_vec(), 422, "validation", "not a WebAssembly component"),
        ("nothing in it", COMPONENT.to_vec(), 422, "exports", "exports are not those of orderflow:transform@1.1.0"),
        ("wasi", wasm("wasi"), 422, "imports", "imports `wasi:clocks/monotonic-clock@0.2.0`"),
        ("wrong exports", wasm("wrong-exports"), 422, "exports", "exports are not those of"),
        ("old world", wasm("old-world"), 422, "world", "built for `orderflow:transform@0.9.0`"),
        ("spins", wasm("spin-describe"), 422, "describe", "it ran out of time"),
        ("too large", vec![0; (8 << 20) + 1], 413, "size", "more than 8388608 bytes"),
    ] {
        let (found, refused) = world.upload("", bytes).await;
        assert_eq!((found, &refused["check"]), (status, &json!(check)), "{name}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(words), "{name}: {refused} lacks {words}");
        assert!(refused["way_out"].as_str().is_some_and(|way| !way.is_empty()), "{name}: {refused}");
    }
    assert_eq!(world.upload("", good).await.0, 201, "a good one is taken after all that");
    done.store(true, Ordering::Relaxed);
    let (longest, answers) = neighbour.join_next().await.unwrap().unwrap();
    assert!(answers > 20 && longest < Duration::from_secs(10), "{answers} answers, the longest after {longest:?}");
    world.tasks.drain(super::PATIENCE).await;
}
