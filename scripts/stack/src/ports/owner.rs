//! Who listens on a port, as /proc tells it. Best effort: another user's process stays unnamed.

use std::fs;
use std::path::Path;

/// Words for the listener of a port: "pid 4242 (java)", or that it is unknown.
pub(super) fn of(port: u16) -> String {
    let sockets = listening(port);
    let unknown = || "a process that cannot be named (another user's, or out of sight of this container)".to_owned();
    let Ok(processes) = fs::read_dir("/proc") else { return unknown() };
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if holds_any(&process.path(), &sockets) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return format!("pid {pid} ({})", name.trim());
        }
    }
    unknown()
}

/// Whether anything listens there, also on an address that a bind to loopback does not clash with.
pub(super) fn listens(port: u16) -> bool {
    !listening(port).is_empty()
}

/// The inodes of the sockets that listen on a port.
fn listening(port: u16) -> Vec<String> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields.as_slice()
                && local.rsplit_once(':').is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port))
            {
                inodes.push(format!("socket:[{inode}]"));
            }
        }
    }
    inodes
}

fn holds_any(process: &Path, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}
