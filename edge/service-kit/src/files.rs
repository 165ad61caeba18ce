//! Files that an operator names: certificates, keys, schemas. One that is no file, or far larger than any of its kind, is
//! another one, and neither keeps the process waiting nor fills its memory.

use std::{fs, io::Read, path::Path};

/// The content of a file of at most so many bytes.
///
/// # Errors
/// In words that go after the file's name.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("cannot be read: {error}");
    // Asked before it is opened, because opening a pipe waits for whoever writes it.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("cannot be read: it is not a file".to_owned());
    }
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(cannot)?;
    if limit < content.len() as u64 {
        return Err(format!("has more than {limit} bytes, which is the limit"));
    }
    Ok(content)
}

/// The same as text.
///
/// # Errors
/// Likewise.
pub fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    String::from_utf8(read(path, limit)?).map_err(|_| "cannot be read: it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_told_and_not_waited_for() {
        let folder = std::env::temp_dir().join(format!("service-kit-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (pipe, file) = (folder.join("pipe"), folder.join("file"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(&file, "12345").unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        let path = pipe;
        std::thread::spawn(move || done.send(read(&path, 5)));
        let of_pipe = is_done.recv_timeout(std::time::Duration::from_secs(10)).expect("an answer in time");
        let found = [of_pipe, read(&folder, 5), read(Path::new("/dev/zero"), 5), read(&file, 4)];
        let (whole, text) = (read(&file, 5), read_text(&file, 5));
        fs::remove_dir_all(&folder).unwrap();
        for (found, expected) in found.into_iter().zip(["not a file", "not a file", "not a file", "more than 4 bytes"])
        {
            let fault = found.unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
        assert_eq!((whole.unwrap(), text.unwrap()), (b"12345".to_vec(), "12345".to_owned()));
    }
}
