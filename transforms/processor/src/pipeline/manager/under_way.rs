//! What is under way: for each pipeline one task at a time, and those of different pipelines beside each other.

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use service_kit::Tasks;
use tokio::task::{JoinError, JoinSet};

/// The tasks that have begun, by name. As many as there are names.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Whether somebody asked for it again since it began.
    open: BTreeMap<String, bool>,
    ends: JoinSet<(String, Result<Option<()>, JoinError>)>,
}

impl UnderWay {
    /// Begins the work of this name. While it is under way, it is noted that it must be looked at again.
    pub(super) fn start<W>(&mut self, tasks: &Tasks, name: &str, work: impl FnOnce() -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        if let Some(again) = self.open.get_mut(name) {
            *again = true;
            return;
        }
        self.open.insert(name.to_owned(), false);
        let (task, name) = (tasks.spawn(work()), name.to_owned());
        self.ends.spawn(async move { (name, task.await) });
    }

    /// Waits until one has ended. Its name, when it must be looked at again.
    pub(super) async fn ended(&mut self) -> Option<String> {
        match self.ends.join_next().await? {
            Ok((name, Ok(_))) => self.open.remove(&name).unwrap_or_default().then_some(name),
            // As if it had happened to whoever waits here.
            Ok((name, Err(error))) => {
                self.open.remove(&name);
                panicked(error)
            }
            Err(error) => panicked(error),
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// One that was cut off needs nothing.
fn panicked(error: JoinError) -> Option<String> {
    error.try_into_panic().map_or(None, |panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_never_ends_holds_up_nothing_of_another_name() {
        let (tasks, mut under_way) = (Tasks::new(), UnderWay::default());
        under_way.start(&tasks, "endless", pending);
        for name in ["a", "b"] {
            under_way.start(&tasks, name, || ready(()));
            assert_eq!(timeout(PATIENCE, under_way.ended()).await.unwrap(), None);
        }
        assert!(!under_way.is_empty(), "the first one");
    }

    #[tokio::test]
    async fn of_one_name_there_is_one_at_a_time_and_what_came_meanwhile_is_one_more() {
        let (tasks, mut under_way) = (Tasks::new(), UnderWay::default());
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
            }
        };
        for _ in 0..3 {
            under_way.start(&tasks, "p", work);
        }
        go.notify_one();
        assert_eq!(timeout(PATIENCE, under_way.ended()).await.unwrap().as_deref(), Some("p"));
        assert_eq!(begun.load(Ordering::SeqCst), 1, "the others waited");
        under_way.start(&tasks, "p", work);
        go.notify_one();
        assert_eq!(timeout(PATIENCE, under_way.ended()).await.unwrap(), None, "nothing came meanwhile");
        assert_eq!((begun.load(Ordering::SeqCst), under_way.is_empty()), (2, true));
    }

    #[tokio::test]
    async fn a_panic_is_not_swallowed() {
        let tasks = Tasks::new();
        let inner = tasks.clone();
        let waiting = tasks.spawn(async move {
            let mut under_way = UnderWay::default();
            under_way.start(&inner, "p", || async { panic!("of the test") });
            under_way.ended().await
        });
        assert!(waiting.await.unwrap_err().is_panic());
    }
}
