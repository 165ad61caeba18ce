//! Unpacks the archives, and leaves out what is not used.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk;
use crate::StackError;

/// Drivers of other databases in the JDBC sink's archive.
const OTHER_DRIVERS: [&str; 4] = ["mariadb-", "mssql-", "mysql-", "ojdbc"];

/// The one file in a folder.
pub(super) fn only_file(folder: &Path) -> Result<PathBuf, StackError> {
    let mut files = fs::read_dir(folder).map_err(StackError::file("read", folder))?.flatten().map(|entry| entry.path());
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        _ => Err(StackError::Lock(format!("{} should hold one archive", folder.display()))),
    }
}

/// Unpacks a tar.gz into a folder.
pub(super) fn tar(archive: &Path, into: &Path) -> Result<(), StackError> {
    fs::create_dir_all(into).map_err(StackError::file("make", into))?;
    let failed = |output: String| StackError::Tool { program: format!("tar xzf {}", archive.display()), output };
    let output = Command::new("tar").args(["xzf"]).arg(archive).arg("--no-same-owner").arg("-C").arg(into).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if disk::says_full(&said) {
        return Err(disk::full(into, disk::INSTALLING_MB, disk::STACK_DIR));
    }
    Err(failed(said.lines().next_back().unwrap_or_default().to_owned()))
}

/// Unpacks a zip whose files all lie in one top folder, without that folder.
pub(super) fn zip_without_top(archive: &Path, into: &Path) -> Result<(), StackError> {
    let fault = |error: io::Error| StackError::file("unpack", archive)(error);
    let file = File::open(archive).map_err(fault)?;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| fault(error.into()))?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| fault(error.into()))?;
        // None for a name that would lead out of the folder.
        let Some(name) = entry.enclosed_name() else { continue };
        let path: PathBuf = into.join(name.components().skip(1).collect::<PathBuf>());
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(StackError::file("make", &path))?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(StackError::file("make", parent))?;
        }
        let mut out = File::create(&path).map_err(StackError::file("write", &path))?;
        io::copy(&mut entry, &mut out).map_err(StackError::file("write", &path))?;
        let mode = if path.parent().is_some_and(|parent| parent.ends_with("bin")) { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(StackError::file("write", &path))?;
    }
    Ok(())
}

/// The sink writes to PostgreSQL; 20 MB of other drivers need not be loaded.
pub(super) fn remove_drivers(plugin: &Path) -> Result<(), StackError> {
    for entry in fs::read_dir(plugin).map_err(StackError::file("read", plugin))?.flatten() {
        let name = entry.file_name();
        if OTHER_DRIVERS.iter().any(|driver| name.to_string_lossy().starts_with(driver)) {
            fs::remove_file(entry.path()).map_err(StackError::file("remove", &entry.path()))?;
        }
    }
    Ok(())
}
