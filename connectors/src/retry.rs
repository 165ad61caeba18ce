//! Asking again while servers come up: growing pauses, one deadline. Does not decide what is transient.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

/// An error that knows whether asking again can help.
pub trait Transient {
    /// True where the same request may succeed later without anybody changing anything.
    fn is_transient(&self) -> bool;
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A person who waits is told after this long what is waited for.
const SAY_AFTER: Duration = Duration::from_secs(3);

/// Calls `ask` until it succeeds, fails for good, or `deadline` has passed; then its last error is returned.
///
/// # Errors
/// The first error that is not transient, or the last one before the deadline.
pub async fn until<T, E, F, Fut>(deadline: Instant, what: &str, ask: F) -> Result<T, E>
where
    E: Transient + std::error::Error,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    paced(deadline, FIRST_PAUSE, what, ask).await
}

async fn paced<T, E, F, Fut>(deadline: Instant, mut pause: Duration, what: &str, mut ask: F) -> Result<T, E>
where
    E: Transient + std::error::Error,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let mut said = false;
    loop {
        let err = match ask().await {
            Ok(value) => return Ok(value),
            Err(err) => err,
        };
        if !err.is_transient() || deadline <= Instant::now() + pause {
            return Err(err);
        }
        if !said && SAY_AFTER <= started.elapsed() {
            said = true;
            info!(error = %err, "waiting for {what}");
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    struct No(bool);
    impl Transient for No {
        fn is_transient(&self) -> bool {
            self.0
        }
    }

    async fn calls_until(transient: bool, succeed_at: u32) -> (u32, bool) {
        let mut calls = 0;
        let result = paced(Instant::now() + LIMIT, Duration::from_millis(1), "a test", || {
            calls += 1;
            let outcome = if succeed_at <= calls { Ok(()) } else { Err(No(transient)) };
            async move { outcome }
        })
        .await;
        (calls, result.is_ok())
    }

    #[tokio::test]
    async fn a_transient_error_is_asked_again_and_a_final_one_is_not() {
        assert_eq!(calls_until(true, 4).await, (4, true));
        assert_eq!(calls_until(false, 4).await, (1, false));
    }

    #[tokio::test]
    async fn the_deadline_ends_it_and_the_pauses_grow() {
        let (calls, ok) = calls_until(true, u32::MAX).await;
        assert!(!ok && calls <= 7, "{calls} calls in {LIMIT:?} with pauses that double from a millisecond");
    }
}
