//! Files that are read anew while the process runs: on SIGHUP every part that was added reads its own. A part that
//! cannot read its file keeps what it has, and the log says what is wrong. What the files hold is the parts' business.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::signal::unix::Signal;

use crate::Tasks;

/// Reads one part's file: what is in use now, in words for the log; or what is wrong, and then nothing has changed.
type Reload = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// The parts that can be read anew. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reloads(Arc<Mutex<Vec<(&'static str, Reload)>>>);

impl Reloads {
    /// One more part.
    pub fn add(&self, part: &'static str, reload: impl Fn() -> Result<String, String> + Send + Sync + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((part, Arc::new(reload)));
    }

    /// Reads all parts anew. Blocks on the file system. The faults, each with its part.
    #[must_use]
    pub fn run(&self) -> Vec<(&'static str, String)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut faults = Vec::new();
        for (part, reload) in parts {
            match reload() {
                Ok(now) => tracing::info!(part, now, "read anew"),
                Err(fault) => {
                    tracing::error!(part, fault, "cannot be read anew, what was read before stays in use");
                    faults.push((part, fault));
                }
            }
        }
        faults
    }

    /// Runs at each signal until the service stops.
    pub async fn at_each(self, mut signal: Signal, tasks: Tasks) {
        while tasks.until_stop(signal.recv()).await.flatten().is_some() {
            let parts = self.clone();
            let _ = tasks.spawn_blocking(move || parts.run()).await;
        }
    }
}

impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(parts.iter().map(|(part, _)| part)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_part_that_cannot_be_read_does_not_keep_the_others_from_it() {
        let reloads = Reloads::default();
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        reloads.add("keys", || Err("keys.json:3: no such thing".to_owned()));
        reloads.add("limits", move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok("5 limits".to_owned())
        });
        assert_eq!(reloads.run(), [("keys", "keys.json:3: no such thing".to_owned())]);
        assert_eq!(read.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_signal_that_comes_while_the_service_starts_is_kept() {
        let (tasks, reloads) = (Tasks::new(), Reloads::default());
        let (sent, mut read) = tokio::sync::mpsc::channel(8);
        reloads.add("limits", move || sent.try_send(()).map(|()| String::new()).map_err(|error| error.to_string()));
        let hangup = crate::signals::hangup().unwrap();
        let pid = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        tasks.spawn(reloads.at_each(hangup, tasks.clone()));
        tokio::time::timeout(std::time::Duration::from_secs(10), read.recv()).await.unwrap().unwrap();
        tasks.stop();
    }
}
