//! Uploads every `*.wasm` of a folder to `transforms`; the same digest again is a no-op there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ApplyError, Change, Line, Out, Target};
use crate::retry;

/// `transforms` takes no more.
const MODULE_LIMIT: u64 = 8 * 1024 * 1024;

/// Uploads all of them, in the order of their names.
///
/// # Errors
/// [`ApplyError`] at the first that `transforms` refuses.
pub async fn apply(target: &Target, folder: &Path, out: Out<'_>) -> Result<(), ApplyError> {
    for path in listed(folder).map_err(|source| ApplyError::ModuleFile { path: folder.to_owned(), source })? {
        let bytes = read(&path).map_err(|source| ApplyError::ModuleFile { path: path.clone(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        out(push(target, &name, &bytes).await?);
    }
    Ok(())
}

/// Uploads one, called so in an error.
pub(crate) async fn push(target: &Target, name: &str, wasm: &[u8]) -> Result<Line, ApplyError> {
    let pushed = retry::until(target.deadline(), "transforms", || target.transforms.push_module(wasm.to_vec())).await;
    let failed = |source| ApplyError::Connect { kind: "module", name: name.to_owned(), source };
    let (module, new) = pushed.map_err(failed)?;
    let change = if new { Change::Created } else { Change::Unchanged };
    Ok(Line::new("module", &module.label, change, String::new()))
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the folder has no *.wasm; build the modules first"));
    }
    Ok(paths)
}

/// A module's bytes, as many as a module may have.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if MODULE_LIMIT < size {
        let words = format!("is {size} bytes, a module has at most {MODULE_LIMIT}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    fs::read(path)
}
