//! Reading logs: the last lines, and following as they grow. Who writes and bounds them: `launch.rs`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// The part of a log that is read for its last lines.
const TAIL_BYTES: u64 = 256 << 10;

/// The last lines of a file; a file that is not there has none.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// Writes what is appended to a file, until nobody reads any more. A file that is turned over is read from its start.
///
/// # Errors
/// If the output is closed.
pub fn follow(path: &Path, out: &mut impl Write) -> std::io::Result<()> {
    let mut position = std::fs::metadata(path).map_or(0, |meta| meta.len());
    loop {
        if let Ok(mut file) = File::open(path) {
            let length = file.metadata()?.len();
            if length < position {
                position = 0;
            }
            file.seek(SeekFrom::Start(position))?;
            position += std::io::copy(&mut file.take(TAIL_BYTES), out)?;
            out.flush()?;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_last_lines_are_given_and_a_missing_file_has_none() {
        let path = std::env::temp_dir().join(format!("stack-tail-{}", std::process::id()));
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&path, 2), "b\nc");
        assert_eq!(tail(&path, 9), "a\nb\nc");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(tail(&path, 2), "");
    }
}
