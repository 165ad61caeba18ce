//! The folder of a stack: what lies where, made on first use, and moved aside where other users cannot reach it.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Service, StackError, user};

/// Where root keeps a stack whose own place the servers' users cannot enter, as with a checkout in /root.
const FALLBACK: &str = "/var/lib";

/// How long somebody who runs no stack may hold its lock: a sweep's end, and the wait for a supervisor's.
const MOMENT: Duration = Duration::from_secs(5);

/// The paths of one stack.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes the folder if need be. As root, a folder that other users cannot enter becomes a link to one that they can.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn prepare(dir: &Path) -> Result<Self, StackError> {
        if user::is_root() && !dir.exists() && !dir.is_symlink() {
            let parent = existing_ancestor(dir);
            if !user::others_can_reach(&parent) {
                let target = Path::new(FALLBACK).join(format!("orderflow-{:016x}", hash(dir)));
                fs::create_dir_all(&target).map_err(StackError::file("make", &target))?;
                if let Some(parent) = dir.parent() {
                    fs::create_dir_all(parent).map_err(StackError::file("make", parent))?;
                }
                symlink(&target, dir).map_err(StackError::file("make", dir))?;
            }
        }
        // A link whose target was removed.
        let real = fs::read_link(dir).unwrap_or_else(|_| dir.to_owned());
        fs::create_dir_all(&real).map_err(StackError::file("make", &real))?;
        let layout = Self::open(dir)?;
        if user::is_root() && !user::others_can_reach(&layout.dir) {
            return Err(StackError::Setting(format!(
                "root must not run the servers, and other users cannot enter {}; choose another place with ORDERFLOW_STACK_DIR, such as /var/lib/orderflow",
                layout.dir.display()
            )));
        }
        for part in ["data", "logs", "run", "config"] {
            let path = layout.dir.join(part);
            fs::create_dir_all(&path).map_err(StackError::file("make", &path))?;
        }
        Ok(layout)
    }

    /// The layout of a folder that is there.
    ///
    /// # Errors
    /// If it is not.
    pub fn open(dir: &Path) -> Result<Self, StackError> {
        let dir = fs::canonicalize(dir).map_err(|_| StackError::NotRunning(dir.to_owned()))?;
        Ok(Self { dir })
    }

    /// Taken by whoever brings this stack up, for as long as the file is open; `None` while another has it.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn try_up(&self) -> Result<Option<File>, StackError> {
        // Beside what a wipe removes: else two could have a lock of that name.
        try_lock(&self.dir.join("up.lock"))
    }

    /// The folder itself, without links.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A server's data.
    #[must_use]
    pub fn data(&self, service: Service) -> PathBuf {
        self.dir.join("data").join(service.name())
    }

    /// Whether a server has run here before.
    #[must_use]
    pub fn has_data(&self) -> bool {
        fs::read_dir(self.dir.join("data")).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Where a server puts what it needs while it runs: beside its data, since /tmp may be small, or swept.
    pub(crate) fn scratch(&self, service: Service) -> PathBuf {
        self.dir.join("data/tmp").join(service.name())
    }

    /// A server's rendered settings.
    #[must_use]
    pub fn config(&self, service: Service) -> PathBuf {
        self.dir.join("config").join(service.name())
    }

    /// A server's log.
    #[must_use]
    pub fn log(&self, service: Service) -> PathBuf {
        self.logs().join(format!("{}.log", service.name()))
    }

    /// All logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The supervisor's own log.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.logs().join("stack.log")
    }

    /// Class archives that make the next start quicker.
    #[must_use]
    pub fn class_archives(&self) -> PathBuf {
        self.dir.join("cds")
    }

    /// The built transforms.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.dir.join("modules")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub(crate) fn options(&self) -> PathBuf {
        self.run().join("options.json")
    }

    pub(crate) fn endpoints(&self) -> PathBuf {
        self.run().join("endpoints.json")
    }

    pub(crate) fn supervisor_pid(&self) -> PathBuf {
        self.run().join("supervisor.pid")
    }

    /// Held by the supervisor for as long as it lives: whoever gets it knows that none is running.
    ///
    /// # Errors
    /// If the lock file cannot be used; `Ok(None)` if another process holds it.
    pub(crate) fn try_own(&self) -> Result<Option<File>, StackError> {
        if !self.run().is_dir() {
            return Err(StackError::NotRunning(self.dir.clone()));
        }
        try_lock(&self.run().join("lock"))
    }

    /// [`Layout::try_own`] for who starts a stack. Others have it for a moment, to look whether one runs or to sweep up after
    /// one that has stopped: so it is asked for again before it counts as taken.
    pub(crate) fn own(&self) -> Result<Option<File>, StackError> {
        let end = Instant::now() + MOMENT;
        loop {
            let owned = self.try_own()?;
            if owned.is_some() || end <= Instant::now() {
                return Ok(owned);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The database password: made once, readable by the owner alone.
    pub(crate) fn password(&self) -> Result<String, StackError> {
        let path = self.dir.join("config/postgres-password");
        if let Ok(password) = fs::read_to_string(&path) {
            return Ok(password.trim().to_owned());
        }
        let password = random_hex()?;
        write_private(&path, &password)?;
        Ok(password)
    }

    /// Removes data, logs and settings; what was fetched and built stays.
    pub(crate) fn wipe(&self) -> Result<(), StackError> {
        for part in ["data", "logs", "run", "config"] {
            let path = self.dir.join(part);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StackError::file("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The locked file, made if need be; `None` if another process holds it.
fn try_lock(path: &Path) -> Result<Option<File>, StackError> {
    let file = File::options().create(true).append(true).open(path).map_err(StackError::file("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(StackError::file("lock", path)(error)),
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), StackError> {
    let write = || {
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(StackError::file("write", path))
}

fn random_hex() -> Result<String, StackError> {
    use std::io::Read;
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(StackError::file("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn existing_ancestor(dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    absolute.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn hash(dir: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_somebody_has_for_a_moment_is_waited_for() {
        let dir = std::env::temp_dir().join(format!("stack-layout-{}", std::process::id()));
        let layout = Layout::prepare(&dir).unwrap();
        let held = layout.try_own().unwrap().unwrap();
        assert!(layout.try_own().unwrap().is_none());
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        assert!(layout.own().unwrap().is_some());
        other.join().unwrap();
        fs::remove_dir_all(dir).unwrap();
    }
}
