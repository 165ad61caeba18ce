//! The machine that a process runs on.

use std::fs;

/// The host's name as the kernel has it; `None` if it has none, or does not tell.
#[must_use]
pub fn name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
