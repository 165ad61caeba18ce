//! Waits that last as long as they should although somebody sets the clock. librdkafka makes a time of day of each wait
//! (its issue 2145): if the clock is set back by an hour meanwhile, a poll of 100 ms lasts an hour more unless something
//! comes, and so do its heartbeats. It waits by C11's `cnd_timedwait`; the program's own, here, goes before the C library's.
//!
//! And waits that end although librdkafka gives them no end: see [`at_most`].

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec};

/// Whoever looks at the clock just before it is set waits no longer than this for nothing. To be told too early that the
/// time is over is nothing to librdkafka, which looks how long it has waited and waits for the rest.
const SLICE: Duration = Duration::from_secs(1);

// Of glibc's <threads.h> and <errno.h>.
const SUCCESS: c_int = 0;
const ERROR: c_int = 2;
const TIMED_OUT: c_int = 4;
const ETIMEDOUT: c_int = rustix::io::Errno::TIMEDOUT.raw_os_error();

unsafe extern "C" {
    /// glibc's since 2.30.
    fn pthread_cond_clockwait(
        condition: *mut c_void,
        mutex: *mut c_void,
        clock: c_int,
        until: *const Timespec,
    ) -> c_int;
    fn pthread_cond_wait(condition: *mut c_void, mutex: *mut c_void) -> c_int;
    // rustix's own begins by reading the vDSO, which valgrind hides: no program of ours would run under it.
    fn clock_gettime(clock: c_int, now: *mut Timespec) -> c_int;
}

thread_local! {
    /// When a wait of this thread's ends that has no end.
    static END: Cell<Option<Timespec>> = const { Cell::new(None) };
}

/// Makes a call of librdkafka's that takes a time-out and does not keep it, or takes none; after `time` it is answered as if
/// the time were over. `send_offsets_to_transaction` is such a call (its issue 5456): a broker that begins anew answers three
/// questions for the group's coordinator with "not available" within milliseconds, then nobody asks again, and it waits for
/// ever. A consumer's commit is another, where a broker hangs.
///
/// What was begun goes on behind it: whoever uses the client again may meet it, and must close it instead. A consumer with
/// a commit under way does not close before that has ended.
pub fn at_most<T>(time: Duration, call: impl FnOnce() -> T) -> T {
    /// Also where the call panics.
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            END.set(None);
        }
    }
    END.set(Some(steady() + Timespec::try_from(time).unwrap_or_default()));
    let _ends = Ends;
    call()
}

/// Waits for the condition; in [`at_most`] no longer than that says.
///
/// # Safety
/// As C11 has it: an initialised condition, and a mutex that is held by this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cnd_wait(condition: *mut c_void, mutex: *mut c_void) -> c_int {
    // SAFETY: as below.
    answer(unsafe {
        match END.get() {
            None => pthread_cond_wait(condition, mutex),
            Some(end) => pthread_cond_clockwait(condition, mutex, ClockId::Monotonic as c_int, &raw const end),
        }
    })
}

/// Waits for the condition, until a time of day as it is understood now, and no longer than a second.
///
/// # Safety
/// As C11 has it: an initialised condition, a mutex that is held by this thread, and a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cnd_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const Timespec) -> c_int {
    // SAFETY: the caller's promise; glibc's conditions and mutexes of C11 are those of POSIX under another name.
    answer(unsafe {
        let until = by_the_steady_clock(&*until);
        pthread_cond_clockwait(condition, mutex, ClockId::Monotonic as c_int, &raw const until)
    })
}

fn answer(ended: c_int) -> c_int {
    match ended {
        0 => SUCCESS,
        ETIMEDOUT => TIMED_OUT,
        _ => ERROR,
    }
}

fn by_the_steady_clock(until: &Timespec) -> Timespec {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = Duration::try_from(*until).unwrap_or_default();
    let left = Timespec::try_from(until.saturating_sub(now).min(SLICE)).unwrap_or_default();
    steady() + left
}

fn steady() -> Timespec {
    let mut now = Timespec::default();
    // SAFETY: a place for a time. There is no system without this clock.
    unsafe { clock_gettime(ClockId::Monotonic as c_int, &raw mut now) };
    now
}

#[cfg(test)]
mod tests {
    use std::cell::UnsafeCell;
    use std::time::Instant;

    use super::*;

    // As whoever links this crate: by name, with nothing of Rust's between.
    unsafe extern "C" {
        #[link_name = "cnd_timedwait"]
        fn wait(condition: *mut c_void, mutex: *mut c_void, until: *const Timespec) -> c_int;
        #[link_name = "cnd_wait"]
        fn wait_for_ever(condition: *mut c_void, mutex: *mut c_void) -> c_int;
        fn cnd_broadcast(condition: *mut c_void) -> c_int;
        fn mtx_lock(mutex: *mut c_void) -> c_int;
        fn mtx_unlock(mutex: *mut c_void) -> c_int;
    }

    /// Zeroes are an initialised one, of either kind.
    #[repr(align(16))]
    struct Room(UnsafeCell<[u8; 64]>);

    // SAFETY: only C11's calls, which are made for that, look into it.
    unsafe impl Sync for Room {}

    impl Room {
        const fn new() -> Self {
            Self(UnsafeCell::new([0; 64]))
        }

        fn at(&self) -> *mut c_void {
            self.0.get().cast()
        }
    }

    fn waited(left: Duration, condition: &Room) -> (c_int, Duration) {
        let (mutex, begun) = (Room::new(), Instant::now());
        let until = Timespec::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left).unwrap();
        // SAFETY: both are initialised, and the mutex is ours alone.
        let ended = unsafe {
            assert_eq!(mtx_lock(mutex.at()), SUCCESS);
            let ended = wait(condition.at(), mutex.at(), &raw const until);
            assert_eq!(mtx_unlock(mutex.at()), SUCCESS);
            ended
        };
        (ended, begun.elapsed())
    }

    #[test]
    fn a_wait_until_a_time_of_day_lasts_as_long_as_it_was_when_it_began_or_a_second() {
        let nothing = Room::new();
        // As long as one that the clock was set back by an hour in.
        for (left, lasts) in [(Duration::from_hours(1), SLICE), (Duration::from_millis(60), Duration::from_millis(60))]
        {
            let (ended, took) = waited(left, &nothing);
            assert_eq!(ended, TIMED_OUT);
            assert!(lasts <= took && took < lasts + SLICE, "{took:?} of {lasts:?}");
        }
        assert_eq!(waited(Duration::ZERO, &nothing).0, TIMED_OUT);
    }

    #[test]
    fn a_wait_ends_when_it_is_told() {
        let condition = Room::new();
        std::thread::scope(|scope| {
            // A machine that stands still meanwhile lets one wait run out, but not all.
            let waiting = scope.spawn(|| (0..20).any(|_| waited(Duration::from_millis(900), &condition).0 == SUCCESS));
            while !waiting.is_finished() {
                std::thread::sleep(Duration::from_millis(20));
                // SAFETY: it is initialised.
                assert_eq!(unsafe { cnd_broadcast(condition.at()) }, SUCCESS);
            }
            assert!(waiting.join().unwrap(), "nobody was told");
        });
    }

    #[test]
    fn a_wait_without_an_end_has_one_in_a_call_that_is_given_one() {
        let (condition, mutex, begun) = (Room::new(), Room::new(), Instant::now());
        let time = Duration::from_millis(60);
        // SAFETY: both are initialised, and the mutex is this thread's alone.
        unsafe { assert_eq!(mtx_lock(mutex.at()), SUCCESS) };
        // SAFETY: as above.
        let ended = at_most(time, || unsafe { wait_for_ever(condition.at(), mutex.at()) });
        assert_eq!(ended, TIMED_OUT);
        assert!(time <= begun.elapsed(), "{:?}", begun.elapsed());
        // Outside of it, it lasts until it is told; another thread waits as long as it likes.
        assert!(END.get().is_none());
        let told = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mutex = Room::new();
                // SAFETY: as above.
                unsafe {
                    assert_eq!(mtx_lock(mutex.at()), SUCCESS);
                    wait_for_ever(condition.at(), mutex.at())
                }
            });
            at_most(time, || std::thread::sleep(time * 2));
            assert!(!waiting.is_finished(), "nobody told it");
            while !waiting.is_finished() {
                // SAFETY: it is initialised.
                assert_eq!(unsafe { cnd_broadcast(condition.at()) }, SUCCESS);
                std::thread::sleep(Duration::from_millis(10));
            }
            waiting.join().unwrap()
        });
        assert_eq!(told, SUCCESS);
    }
}
