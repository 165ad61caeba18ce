//! One running instance of a module: started, called, and thrown away after any fault.

use std::{sync::Arc, time::Duration};

use wasmtime::{Store, Trap};

use crate::{
    FaultKind, Module, Tables, bindings,
    state::{Spoken, State, cut},
};

/// Why a call failed. The instance is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) reason: String,
}

/// What a chain gives to a module.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) schema: String,
    pub(crate) parameters: Vec<(String, String)>,
}

pub(crate) struct Instance {
    store: Store<State>,
    exports: bindings::Transform,
    reason_bytes: usize,
    /// What starting it may use, on an engine that counts.
    start_fuel: Option<u64>,
}

/// Starting an instance gets so much fuel whatever a record gets: a thousand times what the shipped modules need.
const START_FUEL: u64 = 1_000_000_000;

impl Instance {
    /// Starts an instance and configures it.
    pub(crate) fn configured(module: &Module, settings: &Settings, tables: Arc<dyn Tables>) -> Result<Self, Fault> {
        let mut instance = Self::bare(module, tables)?;
        let settings = bindings::Settings { schema: settings.schema.clone(), parameters: settings.parameters.clone() };
        let start = module.engine().limits().start;
        let answer =
            instance.call(start, instance.start_fuel, |exports, store| exports.call_configure(store, &settings))?;
        match answer {
            Ok(()) => Ok(instance),
            Err(reason) => Err(Fault { kind: FaultKind::Rejected, reason: cut(reason, instance.reason_bytes) }),
        }
    }

    /// Starts an instance.
    pub(crate) fn bare(module: &Module, tables: Arc<dyn Tables>) -> Result<Self, Fault> {
        Self::start(module.engine(), module.pre(), tables)
    }

    /// Starts an instance of something that is not yet a module.
    pub(crate) fn start(
        engine: &crate::Engine,
        pre: &bindings::TransformPre<State>,
        tables: Arc<dyn Tables>,
    ) -> Result<Self, Fault> {
        let limits = engine.limits();
        let mut store = Store::new(engine.wasmtime(), State::new(Arc::clone(limits), tables));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.output_bytes);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().tick()));
        store.set_epoch_deadline(1);
        store.data_mut().begin(limits.start);
        let start_fuel = engine.fuel().map(|_| START_FUEL);
        fill(&mut store, start_fuel);
        let started = pre.instantiate(&mut store);
        match started {
            Ok(exports) => Ok(Self { store, exports, reason_bytes: limits.reason_bytes, start_fuel }),
            Err(error) => Err(fault(&error, store.data(), limits.reason_bytes)),
        }
    }

    /// What the module says of itself.
    pub(crate) fn describe(&mut self, time: Duration) -> Result<bindings::Description, Fault> {
        self.call(time, self.start_fuel, |exports, store| exports.call_describe(store))
    }

    /// Judges a batch frame. After an error the instance must not be called again.
    pub(crate) fn process(&mut self, engine: &crate::Engine, time: Duration, batch: &[u8]) -> Result<Vec<u8>, Fault> {
        let fuel = engine.fuel();
        let answer = self.call(time, fuel, |exports, store| exports.call_process(store, batch));
        if let Some(fuel) = fuel {
            engine.uses(fuel.saturating_sub(self.store.get_fuel().unwrap_or(fuel)));
        }
        answer
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes
    }

    pub(crate) fn take_spoken(&mut self) -> Spoken {
        std::mem::take(&mut self.store.data_mut().spoken)
    }

    fn call<R>(
        &mut self,
        time: Duration,
        fuel: Option<u64>,
        call: impl FnOnce(&bindings::Transform, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.store.data_mut().begin(time);
        fill(&mut self.store, fuel);
        // It counts from now: one tick, and then the state is asked at each.
        self.store.set_epoch_deadline(1);
        call(&self.exports, &mut self.store).map_err(|error| fault(&error, self.store.data(), self.reason_bytes))
    }
}

/// Gives a call its fuel; nothing where fuel is not counted.
fn fill(store: &mut Store<State>, fuel: Option<u64>) {
    if let Some(fuel) = fuel {
        // It fails only on an engine that does not count, and then there is no fuel to give.
        let _ = store.set_fuel(fuel);
    }
}

/// What wasmtime says of more instances, tables or memories than a store may have. It names the number, not the limit.
const COUNT: &str = " count too high at ";

/// Names what happened: what the host refused first, since it ends in a trap as well.
fn fault(error: &wasmtime::Error, state: &State, reason_bytes: usize) -> Fault {
    let (kind, reason) = match (&state.refused, error.downcast_ref::<Trap>()) {
        (Some(refused), _) => (FaultKind::Memory, refused.clone()),
        (None, Some(Trap::Interrupt)) => (FaultKind::Deadline, "it ran out of time".to_owned()),
        (None, Some(Trap::OutOfFuel)) => (FaultKind::Deadline, "it ran out of fuel".to_owned()),
        (None, Some(trap)) => (FaultKind::Trap, trap.to_string()),
        // Not a trap: it has too much at its start, or what it passed to the host could not be read.
        (None, None) => match (joined(error), state.counts()) {
            (said, counts) if said.contains(COUNT) => (FaultKind::Memory, format!("{said}; the limits are {counts}")),
            (said, _) => (FaultKind::Output, said),
        },
    };
    let reason = match &state.spoken.last_words {
        Some(words) => format!("{reason}; it said: {}", words.replace('\n', " ")),
        None => reason,
    };
    Fault { kind, reason: cut(reason, reason_bytes) }
}

/// An error with its causes, in one line.
pub(crate) fn joined(error: &wasmtime::Error) -> String {
    let causes: Vec<_> =
        error.chain().map(|cause| cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    causes.join(": ")
}
