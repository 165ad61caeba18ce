//! The one engine of a process: compiles modules and refuses what is not one of ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use wasmtime::{
    Config, WasmFeatures,
    component::{HasSelf, Linker},
};

use crate::{Limits, LoadError, Module, bindings, instance::joined, state::State};

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime does not take the settings on this machine.
    #[error("cannot start the WebAssembly engine: {0}")]
    Settings(String),
    /// The thread that watches deadlines cannot be started.
    #[error("cannot start the thread that watches deadlines")]
    Ticker(#[source] std::io::Error),
}

/// The WebAssembly engine with its limits and the thread that watches deadlines.
///
/// One a process: type indices of two engines must never meet. Dropping it, after the last module and chain, ends the
/// thread.
pub struct Engine {
    limits: Arc<Limits>,
    engine: wasmtime::Engine,
    linker: Linker<State>,
    ticker: Ticker,
    meter: Option<Meter>,
}

/// Fuel instead of time: what a call costs depends on nothing but the module and the record.
struct Meter {
    /// What a call gets.
    each: AtomicU64,
    /// What calls of `process` have used.
    used: AtomicU64,
}

impl Engine {
    /// Starts an engine.
    pub fn new(limits: Limits) -> Result<Arc<Self>, EngineError> {
        let config = config(&limits);
        Self::start(limits, &config, None)
    }

    /// An engine that counts what a call executes, for a replay that ends the same way on every machine. A call gets
    /// `fuel`, about one unit an instruction; set the times of `limits` so long that they never count.
    pub fn metered(limits: Limits, fuel: u64) -> Result<Arc<Self>, EngineError> {
        let mut config = config(&limits);
        config.consume_fuel(true);
        Self::start(limits, &config, Some(Meter { each: AtomicU64::new(fuel), used: AtomicU64::new(0) }))
    }

    /// An engine for a process that may open no file: an instance's memory is not begun from a file in memory, which
    /// costs a copy for each.
    pub fn without_files(limits: Limits) -> Result<Arc<Self>, EngineError> {
        let mut config = config(&limits);
        config.memory_init_cow(false);
        Self::start(limits, &config, None)
    }

    fn start(limits: Limits, config: &Config, meter: Option<Meter>) -> Result<Arc<Self>, EngineError> {
        let settings = |error: wasmtime::Error| EngineError::Settings(joined(&error));
        let engine = wasmtime::Engine::new(config).map_err(settings)?;
        let mut linker = Linker::new(&engine);
        bindings::Transform::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(settings)?;
        let ticker = Ticker::start(engine.clone(), limits.tick).map_err(EngineError::Ticker)?;
        Ok(Arc::new(Self { limits: Arc::new(limits), engine, linker, ticker, meter }))
    }

    /// Compiles a component and checks that it is one of ours. Takes tens of milliseconds and up: not for an async task.
    pub fn load(self: &Arc<Self>, wasm: &[u8]) -> Result<Arc<Module>, LoadError> {
        Module::load(self, wasm).map(Arc::new)
    }

    /// What a call gets from now on. Without effect on an engine that does not count.
    pub fn set_fuel(&self, fuel: u64) {
        if let Some(meter) = &self.meter {
            meter.each.store(fuel, Ordering::Relaxed);
        }
    }

    /// What modules have used to judge records since this was asked last; 0 on an engine that does not count.
    pub fn take_used(&self) -> u64 {
        self.meter.as_ref().map_or(0, |meter| meter.used.swap(0, Ordering::Relaxed))
    }

    /// What a call gets, if that is counted.
    pub(crate) fn fuel(&self) -> Option<u64> {
        self.meter.as_ref().map(|meter| meter.each.load(Ordering::Relaxed))
    }

    pub(crate) fn uses(&self, fuel: u64) {
        if let Some(meter) = &self.meter {
            meter.used.fetch_add(fuel, Ordering::Relaxed);
        }
    }

    /// What its modules may use.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.linker
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ticker.stop();
    }
}

/// As little of WebAssembly as today's Rust needs. Reference types and bulk memory must stay: Rust's code has them.
/// Exceptions, threads and component async are off already, since their cargo features are absent; so are GC's types, but
/// not all that belongs to them. A test holds each of them (`tests/it/features.rs`).
fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(limits.stack_bytes);
    // One answer for one input, on every machine.
    config.cranelift_nan_canonicalization(true);
    config.wasm_simd(false).wasm_relaxed_simd(false);
    config.wasm_tail_call(false).wasm_multi_memory(false).wasm_memory64(false).wasm_component_model_map(false);
    config.wasm_custom_page_sizes(false).wasm_wide_arithmetic(false);
    // Named all the same, so that no dependency of somebody else's turns one on.
    let off = WasmFeatures::GC
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::THREADS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::CM_ASYNC;
    config.wasm_features(off, false);
    config
}

/// The thread that moves the epoch.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine, tick: std::time::Duration) -> Result<Self, std::io::Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("wasm-ticker".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                std::thread::park_timeout(tick);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread cannot panic; there is nothing to learn from its result.
            let _ = thread.join();
        }
    }
}
