//! Gets the servers onto the disk, once: fetched by their coordinates, checked against the lock, unpacked, stamped.
//!
//! What is to be fetched stands in the `pom.xml` files of `scripts/stack/servers/` and `connectors/plugins/`;
//! that it is what it was when somebody last looked, in `scripts/stack/servers/servers.lock`.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::launch::Launch;
use crate::progress::Progress;
use crate::{Options, StackError};

pub mod disk;
pub mod jdk;
mod lock;
mod maven;
mod unpack;

/// Raised when the layout of the unpacked servers changes.
const LAYOUT: &str = "1";
/// In the stamped folder: says what it was made from.
const STAMP: &str = "STAMP";

/// The folders of plugins that Kafka Connect loads; each has a `pom.xml` of that name in `connectors/plugins/`.
const PLUGINS: [&str; 3] = ["debezium-connector-jdbc", "camel-elasticsearch", "apicurio-avro"];

fn coordinates(root: &Path) -> PathBuf {
    root.join("scripts/stack/servers")
}

fn lock_file(root: &Path) -> PathBuf {
    coordinates(root).join("servers.lock")
}

/// Fetches and unpacks what is not there yet. A second caller waits for the first.
///
/// # Errors
/// If it cannot be fetched, is not what the lock names, or does not fit on the disk.
pub fn ensure(options: &mut Options, progress: &Progress) -> Result<(), StackError> {
    options.resolve()?;
    let parent = parent_of_servers(options);
    // Before anything is fetched, also the JDK: two runs would remove each other's half-made folders.
    let _turn = take_turn(&parent, progress)?;
    jdk::ensure(options, progress)?;
    let stamp = stamp(&options.root)?;
    if fs::read_to_string(options.servers.join(STAMP)).is_ok_and(|found| found == stamp) {
        progress.say("servers: fetched and unpacked already");
        return Ok(());
    }
    // Now, before minutes of fetching; and held until they are replaced.
    let _unused = replaceable(&options.servers)?;
    disk::check(&parent, disk::INSTALLING_MB)?;
    let new = parent.join("servers.new");
    clear(&new)?;
    let fetched = new.join("fetched");
    maven::fetch(&coordinates(&options.root), &fetched, &parent.join("logs/fetch.log"), progress)?;
    progress.say("servers: checking the digests");
    lock::check(&lock_file(&options.root), &fetched)?;
    progress.say("servers: unpacking");
    assemble(&fetched, &new)?;
    fs::remove_dir_all(&fetched).map_err(StackError::file("remove", &fetched))?;
    sync_manifests(options, &new)?;
    fs::write(new.join(STAMP), stamp).map_err(StackError::file("write", &new))?;
    clear(&options.servers)?;
    // What was archived of the old jars does not fit the new ones.
    clear(&parent.join("cds"))?;
    fs::create_dir_all(parent.join("cds")).map_err(StackError::file("make", &parent))?;
    crate::user::give(&parent.join("cds"), crate::launch::unprivileged()?.as_ref())?;
    fs::rename(&new, &options.servers).map_err(StackError::file("rename", &new))?;
    progress.say("servers: ready to start");
    Ok(())
}

/// Writes the lock anew from what the coordinates give today.
///
/// # Errors
/// If it cannot be fetched or written.
pub fn write_lock(options: &mut Options, progress: &Progress) -> Result<PathBuf, StackError> {
    options.resolve()?;
    let parent = parent_of_servers(options);
    let _turn = take_turn(&parent, progress)?;
    disk::check(&parent, disk::INSTALLING_MB)?;
    let fetched = parent.join("servers.lock.new");
    clear(&fetched)?;
    maven::fetch(&coordinates(&options.root), &fetched, &parent.join("logs/fetch.log"), progress)?;
    let path = lock_file(&options.root);
    lock::write(&path, &fetched)?;
    clear(&fetched)?;
    Ok(path)
}

/// Refuses to start a Java server whose files are not there.
pub(crate) fn check_installed(options: &Options) -> Result<(), StackError> {
    if options.servers.join(STAMP).is_file() {
        return Ok(());
    }
    Err(StackError::Missing {
        what: format!("the servers' files in {}", options.servers.display()),
        remedy: "scripts/up fetches them, or `stack fetch` alone".to_owned(),
    })
}

/// Held for as long as a stack runs from these files: whoever would replace them sees it. Their stamp is the lock, so that
/// a stack need not be able to write there.
pub(crate) fn hold(options: &Options) -> Result<File, StackError> {
    let path = options.servers.join(STAMP);
    let stamp = File::open(&path).map_err(StackError::file("open", &path))?;
    match stamp.try_lock_shared() {
        Ok(()) => Ok(stamp),
        Err(TryLockError::WouldBlock) => Err(StackError::Setting(format!(
            "the servers in {} are being replaced by another run; start again when it is done",
            options.servers.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StackError::file("lock", &path)(error)),
    }
}

/// Refuses to take the files from under a stack that runs from them.
fn replaceable(servers: &Path) -> Result<Option<File>, StackError> {
    let path = servers.join(STAMP);
    let Ok(stamp) = File::open(&path) else { return Ok(None) };
    match stamp.try_lock() {
        Ok(()) => Ok(Some(stamp)),
        Err(TryLockError::WouldBlock) => Err(StackError::Setting(format!(
            "the servers in {} are of an earlier version, and a stack runs from them; stop it first: scripts/down (a private one: `stack --dir DIR down`)",
            servers.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StackError::file("lock", &path)(error)),
    }
}

/// What is fetched once lies beside the servers: the JDK, class archives, the fetch log.
fn parent_of_servers(options: &Options) -> PathBuf {
    options.servers.parent().unwrap_or(Path::new("/")).to_owned()
}

fn take_turn(parent: &Path, progress: &Progress) -> Result<File, StackError> {
    let path = parent.join("fetch.lock");
    let file = File::options().create(true).append(true).open(&path).map_err(StackError::file("open", &path))?;
    if file.try_lock().is_err() {
        progress.say("servers: another run is fetching, waiting for it");
        file.lock().map_err(StackError::file("lock", &path))?;
    }
    Ok(file)
}

/// The lock and every coordinate file; a changed one means another set of servers.
fn stamp(root: &Path) -> Result<String, StackError> {
    let mut digest = Sha256::new();
    digest.update(LAYOUT);
    let mut files = vec![lock_file(root)];
    files.extend(["kafka", "registry", "elasticsearch"].map(|name| coordinates(root).join(name).join("pom.xml")));
    files.extend(PLUGINS.map(|name| root.join("connectors/plugins").join(name).join("pom.xml")));
    for file in files {
        digest.update(fs::read(&file).map_err(StackError::file("read", &file))?);
    }
    Ok(lock::hex(&digest.finalize()))
}

fn assemble(fetched: &Path, new: &Path) -> Result<(), StackError> {
    let move_to = |from: &str, to: &str| {
        let (from, to) = (fetched.join(from), new.join(to));
        fs::rename(&from, &to).map_err(StackError::file("move", &from))
    };
    fs::create_dir_all(new.join("plugins")).map_err(StackError::file("make", new))?;
    move_to("kafka", "kafka")?;
    for plugin in PLUGINS.iter().skip(1) {
        move_to(plugin, &format!("plugins/{plugin}"))?;
    }
    unpack::tar(&unpack::only_file(&fetched.join("debezium-connector-jdbc"))?, &new.join("plugins"))?;
    unpack::remove_drivers(&new.join("plugins/debezium-connector-jdbc"))?;
    unpack::tar(&unpack::only_file(&fetched.join("registry"))?, &new.join("registry"))?;
    unpack::zip_without_top(&unpack::only_file(&fetched.join("elasticsearch"))?, &new.join("elasticsearch"))
}

/// Lets Connect find plugins by their manifests: up in 2 s instead of 9, with half the memory.
fn sync_manifests(options: &Options, new: &Path) -> Result<(), StackError> {
    let home = jdk::find(options)?;
    Launch::new(home.join("bin/java"), new)
        .arg("-XX:TieredStopAtLevel=1")
        .arg("-cp")
        .arg(new.join("kafka/*"))
        .args(["org.apache.kafka.tools.ConnectPluginPath", "sync-manifests", "--plugin-path"])
        .arg(new.join("plugins"))
        .run(new)
}

fn clear(path: &Path) -> Result<(), StackError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StackError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Service;

    #[test]
    fn servers_from_which_a_stack_runs_are_not_replaced() {
        let dir = std::env::temp_dir().join(format!("stack-replace-{}", std::process::id()));
        let mut options = Options::private(&dir, [Service::Kafka]);
        options.servers = dir.join("servers");
        assert!(replaceable(&options.servers).unwrap().is_none(), "there are none yet");
        fs::create_dir_all(&options.servers).unwrap();
        fs::write(options.servers.join(STAMP), "of an earlier version").unwrap();
        let (one, other) = (hold(&options).unwrap(), hold(&options).unwrap());
        drop(one);
        let fault = replaceable(&options.servers).unwrap_err().to_string();
        assert!(fault.contains("scripts/down") && fault.contains("servers"), "{fault}");
        drop(other);
        let replacing = replaceable(&options.servers).unwrap();
        let fault = hold(&options).unwrap_err().to_string();
        assert!(replacing.is_some() && fault.contains("are being replaced"), "{fault}");
        fs::remove_dir_all(dir).unwrap();
    }
}
