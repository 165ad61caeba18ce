//! Who runs a server: as root, the ones that refuse root get a user of their own; as anybody else, all run as that user.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use crate::StackError;

/// A user of this machine to run a server as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Login name.
    pub(crate) name: String,
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
}

/// PostgreSQL's user comes with its package, `nobody` with the system; both only matter to root.
pub(crate) const POSTGRES: &str = "postgres";
pub(crate) const UNPRIVILEGED: &str = "nobody";

/// Whether we are root, and must give servers another user.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user to become, or none if we are not root and stay who we are.
pub(crate) fn run_as(name: &str) -> Result<Option<User>, StackError> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = Path::new("/etc/passwd");
    let text = fs::read_to_string(passwd).map_err(StackError::file("read", passwd))?;
    find(&text, name).map(Some).ok_or_else(|| StackError::Missing {
        what: format!("the user `{name}`"),
        remedy: format!("root must not run this server; create the user with `useradd --system {name}`, or run the stack as an ordinary user"),
    })
}

fn find(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [login, _, uid, gid, ..] if *login == name => {
                Some(User { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            }
            _ => None,
        }
    })
}

/// Gives a folder and all in it to a user.
pub(crate) fn give(path: &Path, user: Option<&User>) -> Result<(), StackError> {
    let Some(user) = user else { return Ok(()) };
    chown(path, Some(user.uid), Some(user.gid)).map_err(StackError::file("change the owner of", path))?;
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(StackError::file("read", path))? {
            let entry = entry.map_err(StackError::file("read", path))?.path();
            if !entry.is_symlink() {
                give(&entry, Some(user))?;
            }
        }
    }
    Ok(())
}

/// Whether users other than the owner can reach a path: every folder on the way may be entered.
pub(crate) fn others_can_reach(path: &Path) -> bool {
    path.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| !meta.is_dir() || meta.mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres-old:x:9:9::/:/bin/sh\npostgres:x:101:104::/var/lib:/bin/sh\n";
        assert_eq!(find(passwd, "postgres"), Some(User { name: "postgres".to_owned(), uid: 101, gid: 104 }));
        assert_eq!(find(passwd, "post"), None);
    }
}
