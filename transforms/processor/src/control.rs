//! What the slots of a pipeline are told: stop, pause, start over, and which work to do. Slots look between two
//! transactions; nobody waits for them here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::kafka::Gap;
use crate::work::{Factory, Work, Works};

/// Called when a client hangs for good: the process should end and be started again.
pub type Alarm = Arc<dyn Fn(&str) + Send + Sync>;

/// The controls of one pipeline's slots.
pub struct Control {
    stopped: AtomicBool,
    paused: AtomicBool,
    restarts: AtomicU64,
    accepted: Mutex<Vec<Gap>>,
    order: Mutex<Order>,
    version: AtomicU64,
    changed: (Mutex<()>, Condvar),
    alarm: Alarm,
}

/// Which work is to be done.
struct Order {
    version: u64,
    factory: Arc<dyn Factory>,
    /// Work that was made already, so that a slot need not stand still for it.
    ready: Works,
}

impl Control {
    /// Slots that do this work, unless paused.
    #[must_use]
    pub fn new(factory: Arc<dyn Factory>, paused: bool, alarm: Alarm) -> Self {
        Self {
            stopped: AtomicBool::new(false),
            paused: AtomicBool::new(paused),
            restarts: AtomicU64::new(0),
            accepted: Mutex::default(),
            order: Mutex::new(Order { version: 0, factory, ready: Vec::new() }),
            version: AtomicU64::new(0),
            changed: (Mutex::new(()), Condvar::new()),
            alarm,
        }
    }

    /// Ends the slots after the transaction they are in.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Stops or resumes the flow; the slots stay in the group.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
        self.notify();
    }

    /// Makes the slots start over with new clients, failed ones too.
    pub fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
        self.notify();
    }

    /// As [`Control::restart`], and these gaps are passed over; others stop their partitions as ever.
    pub fn accept_gaps(&self, gaps: Vec<Gap>) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = gaps;
        self.restart();
    }

    /// Gives the slots other work, from their next transaction on. What is `ready` of it they take; the rest they make.
    pub fn assign(&self, factory: Arc<dyn Factory>, ready: Works) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.version += 1;
        (order.factory, order.ready) = (factory, ready);
        self.version.store(order.version, Ordering::SeqCst);
        drop(order);
        self.notify();
    }

    /// Work that was made before the slots start.
    pub fn prepare(&self, ready: Works) {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).ready = ready;
    }

    pub(crate) fn order(&self) -> (u64, Arc<dyn Factory>, Option<Box<dyn Work>>) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        (order.version, Arc::clone(&order.factory), order.ready.pop())
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::SeqCst)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Whether the flow is held by an operator.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn accepted_gaps(&self) -> Vec<Gap> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits, but not longer than until somebody changes something.
    pub(crate) fn wait(&self, time: Duration) {
        let guard = self.changed.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopped() {
            drop(self.changed.1.wait_timeout(guard, time));
        }
    }

    pub(crate) fn hung(&self, what: &str) {
        (self.alarm)(what);
    }

    /// Lets the slots look at once at what they were told.
    pub(crate) fn wake(&self) {
        self.notify();
    }

    fn notify(&self) {
        drop(self.changed.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.1.notify_all();
    }
}
