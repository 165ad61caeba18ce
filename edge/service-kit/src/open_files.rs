//! The process's limit of open files, raised to what the system allows, so that connections of clients cannot take
//! the handles that the service itself needs (to its broker, above all).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Handles that are kept for the service's own use.
const RESERVE: u64 = 256;

/// Raises the limit and gives back how many connections of clients fit under it, at most `wanted`.
#[must_use]
pub fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // `None` means without a limit.
    let places = files.map_or(wanted, |files| fit(files, wanted));
    if places < wanted {
        tracing::warn!(
            files.limit = files,
            connections = places,
            "few files may be open, so few connections are taken"
        );
    }
    places
}

fn fit(files: u64, wanted: usize) -> usize {
    let free = usize::try_from(files.saturating_sub(RESERVE)).unwrap_or(usize::MAX);
    // A service that takes no connection at all would be no help to anyone.
    free.clamp(16, wanted.max(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_keeps_handles_for_itself() {
        for (files, wanted, expected) in [(1024, 4096, 768), (100_000, 4096, 4096), (100, 4096, 16), (4352, 4096, 4096)]
        {
            assert_eq!(fit(files, wanted), expected, "{files}");
        }
    }
}
