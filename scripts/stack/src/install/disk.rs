//! Room on the disk, looked at before something is begun that would fail half-way.

use std::path::Path;

use crate::StackError;

/// Fetching and unpacking: the local Maven repository may lie on the same disk.
pub(crate) const INSTALLING_MB: u64 = 2_500;
/// Starting: the servers' first files and some orders.
pub(crate) const RUNNING_MB: u64 = 700;

/// The setting for where a stack lies.
pub(crate) const STACK_DIR: &str = "ORDERFLOW_STACK_DIR";
/// The settings for where the fetching tools keep what they fetched, or unpack it.
pub(super) const MAVEN_DIR: &str = "<localRepository> in ~/.m2/settings.xml";
pub(super) const PIP_DIR: &str = "TMPDIR and PIP_CACHE_DIR";

/// Whether a tool's own words say that a disk is full.
pub(crate) fn says_full(output: &str) -> bool {
    output.contains("No space left on device") || output.contains("Disk quota exceeded")
}

/// The fault, with what is free now.
pub(crate) fn full(path: &Path, needed_mb: u64, elsewhere: &'static str) -> StackError {
    StackError::DiskFull { path: path.to_owned(), free_mb: free_mb(path).unwrap_or(0), needed_mb, elsewhere }
}

/// Refuses a disk with less room than that.
pub(crate) fn check(path: &Path, needed_mb: u64) -> Result<(), StackError> {
    let free_mb = free_mb(path).map_err(|error| StackError::file("look at the disk of", path)(error))?;
    if free_mb < needed_mb {
        return Err(StackError::DiskFull { path: path.to_owned(), free_mb, needed_mb, elsewhere: STACK_DIR });
    }
    Ok(())
}

/// What an ordinary user may still write, in MB; for a path that is not there yet, where it would be.
pub(crate) fn free_mb(path: &Path) -> std::io::Result<u64> {
    let there = path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_too_little_room_is_refused_with_both_numbers() {
        let fault = check(Path::new("/tmp/not/there/yet"), u64::MAX).unwrap_err().to_string();
        assert!(fault.contains("MB are needed") && fault.contains("ORDERFLOW_STACK_DIR"), "{fault}");
        check(Path::new("/"), 0).unwrap();
    }
}
