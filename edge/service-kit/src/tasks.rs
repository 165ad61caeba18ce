//! Tracked tasks: everything that runs in the background is started here, is told to stop, is waited for up to a
//! deadline, and is then cut, so that the exit is certain. It does not decide when to stop: see `signals`.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::task::{JoinError, JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A cheap handle on all tasks of one process.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
    broken: Arc<OnceLock<&'static str>>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drained {
    /// Every task finished by itself.
    Clean,
    /// The deadline passed; this many tasks were dropped where they stood.
    Cut(usize),
}

impl Tasks {
    /// An empty set of tasks that nobody has stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that the drain waits for. It answers `None` if it was cut before it finished.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(self.cut.clone().run_until_cancelled_owned(task))
    }

    /// Starts a task without which the process is of no use, such as an accept loop. Should it panic, or end before
    /// anybody told it to, the process is stopped in order and [`Tasks::broken`] names the task: `main` then fails, and
    /// whoever started the process starts it again. A panic alone would leave a process that lives on deaf.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (task, tasks) = (self.spawn(task), self.clone());
        self.spawn(async move {
            let reason = match task.await {
                Ok(Some(())) if tasks.is_stopping() => return,
                Ok(None) => return, // cut by the drain
                Ok(Some(())) => "it returned".to_owned(),
                Err(error) => panic_message(error),
            };
            tracing::error!(task = name, reason, "vital task ended, stopping the process");
            tasks.fail(name);
        });
    }

    /// Stops the process in order because this part of it is broken for good: `main` then fails by [`Tasks::broken`].
    pub fn fail(&self, part: &'static str) {
        // The first one is the cause of the others.
        let _ = self.broken.set(part);
        self.stop();
    }

    /// Stops the process in order when one of these other tasks breaks, which are told to stop later than ours.
    pub fn fail_with(&self, others: &Self) {
        let (tasks, others) = (self.clone(), others.clone());
        self.spawn(async move {
            let stopped = tasks.until_stop(others.stopping()).await;
            if let (Some(()), Some(part)) = (stopped, others.broken()) {
                tasks.fail(part);
            }
        });
    }

    /// The part that ended before its time or broke, if one did.
    #[must_use]
    pub fn broken(&self) -> Option<&'static str> {
        self.broken.get().copied()
    }

    /// Starts blocking work that the drain waits for. Blocking work cannot be cut: it must have its own deadline.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// Tells all tasks to take nothing new. Calling it again changes nothing.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether the process has been told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the process is told to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// The token behind `stopping`, for code that takes one.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a future until it is done or the process is told to stop, whichever comes first.
    pub async fn until_stop<F: Future>(&self, future: F) -> Option<F::Output> {
        self.stop.run_until_cancelled(future).await
    }

    /// How many tasks have not finished.
    #[must_use]
    pub fn open(&self) -> usize {
        self.tracker.len()
    }

    /// Stops, waits until every task has finished or `grace` is over, then cuts what is left.
    /// Tasks that are started while it waits are waited for as well.
    pub async fn drain(&self, grace: Duration) -> Drained {
        self.stop();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_ok() {
            return Drained::Clean;
        }
        let left = self.open();
        tracing::warn!(tasks.left = left, "grace period is over, dropping open tasks");
        self.cut.cancel();
        // A cut task ends at its next await; blocking work may not, so this wait has a bound too.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tracker.wait()).await;
        Drained::Cut(left)
    }
}

/// The message of a panic is ours; it goes to the log only.
fn panic_message(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "it was aborted".to_owned() };
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", message.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_what_was_begun() {
        let tasks = Tasks::new();
        let work = tasks.spawn(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            7
        });
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
        assert_eq!(work.await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn what_does_not_finish_in_time_is_cut() {
        let tasks = Tasks::new();
        let endless = tasks.spawn(std::future::pending::<()>());
        assert_eq!(tasks.drain(Duration::from_millis(50)).await, Drained::Cut(1));
        assert_eq!(endless.await.unwrap(), None);
        assert_eq!(tasks.open(), 0);
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_before_its_time_stops_the_process_and_is_named() {
        let tasks = Tasks::new();
        tasks.spawn_vital("panicking", async { panic!("of the test") });
        tasks.stopping().await;
        assert_eq!(tasks.broken(), Some("panicking"));
        let tasks = Tasks::new();
        tasks.spawn_vital("returning", std::future::ready(()));
        tasks.stopping().await;
        assert_eq!(tasks.broken(), Some("returning"));
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
    }

    #[tokio::test]
    async fn what_breaks_among_others_stops_these_and_their_own_stop_does_not_stop_the_others() {
        let (tasks, others) = (Tasks::new(), Tasks::new());
        tasks.fail_with(&others);
        others.spawn_vital("beside", async { panic!("of the test") });
        tokio::time::timeout(Duration::from_secs(20), tasks.stopping()).await.unwrap();
        assert_eq!(tasks.broken(), Some("beside"));
        let (tasks, others) = (Tasks::new(), Tasks::new());
        tasks.fail_with(&others);
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
        assert!(!others.is_stopping() && tasks.broken().is_none());
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_with_the_stop_is_not_broken() {
        let tasks = Tasks::new();
        let inner = tasks.clone();
        tasks.spawn_vital("watching", async move { inner.stopping().await });
        tasks.spawn_vital("endless", std::future::pending());
        assert_eq!(tasks.drain(Duration::from_millis(50)).await, Drained::Cut(2));
        assert_eq!(tasks.broken(), None);
    }

    #[tokio::test]
    async fn a_loop_that_watches_for_the_stop_ends_at_once() {
        let tasks = Tasks::new();
        let inner = tasks.clone();
        tasks.spawn(async move { inner.until_stop(std::future::pending::<()>()).await });
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
    }
}
