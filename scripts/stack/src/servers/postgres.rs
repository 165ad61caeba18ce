//! PostgreSQL from the system's packages: a cluster of its own, SCRAM, one role that owns one database.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::Context;
use crate::launch::Launch;
use crate::layout::write_private;
use crate::ports::PortName;
use crate::user::User;
use crate::{Service, StackError, processes, user};

/// Where Debian and its like put them, one folder a major version.
const PACKAGED: &str = "/usr/lib/postgresql";

pub(super) fn launch(context: &Context) -> Result<Launch, StackError> {
    let binaries = binaries()?;
    let user = user::run_as(user::POSTGRES)?;
    let data = context.data_of(Service::Postgres, user.as_ref())?;
    if data.join("PG_VERSION").exists() {
        check_version(&data, &binaries)?;
        clear_stale_lock(context.layout.dir(), &data)?;
    } else {
        make_cluster(context, &binaries, &data, user.as_ref())?;
    }
    Ok(Launch::new(binaries.join("postgres"), &data)
        .arg("-D")
        .arg(&data)
        .args(["-p", &context.ports.get(PortName::Postgres).to_string()])
        // Loopback by TCP only: a socket file would need a folder that both users can enter.
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        .run_as(user))
}

/// The newest installed server binaries.
pub(crate) fn binaries() -> Result<PathBuf, StackError> {
    let versions = fs::read_dir(PACKAGED).into_iter().flatten().flatten();
    let packaged = versions.filter_map(|entry| {
        let major: u32 = entry.file_name().to_str()?.parse().ok()?;
        let bin = entry.path().join("bin");
        (bin.join("postgres").is_file() && bin.join("initdb").is_file()).then_some((major, bin))
    });
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|dir| dir.join("postgres").is_file() && dir.join("initdb").is_file())
    };
    packaged.max().map(|(_, bin)| bin).or_else(in_path).ok_or_else(|| StackError::Missing {
        what: "PostgreSQL's server".to_owned(),
        remedy: "as root: apt-get install -y --no-install-recommends postgresql".to_owned(),
    })
}

/// Data of another major version would only be refused by the server, in its log.
fn check_version(data: &Path, binaries: &Path) -> Result<(), StackError> {
    let path = data.join("PG_VERSION");
    let made_by = fs::read_to_string(&path).map_err(StackError::file("read", &path))?;
    let installed = binaries.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    if installed.parse::<u32>().is_ok() && installed != made_by.trim() {
        return Err(StackError::Setting(format!(
            "the database in {} was made by PostgreSQL {}, but {installed} is installed; install that version, or start empty with `scripts/down --wipe`",
            data.display(),
            made_by.trim()
        )));
    }
    Ok(())
}

/// Removes the lock file of a server that is dead. The server itself would; but it takes a zombie that nobody reaps, as in
/// a container whose first process does not, or a stranger with the dead one's number, for a living server.
fn clear_stale_lock(stack: &Path, data: &Path) -> Result<(), StackError> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let owner = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
    // Whatever may be a server of this folder, or a child that outlived it, is for the server to judge.
    if owner.is_some_and(processes::is_postgres) || !processes::of_stack(stack, Some(Service::Postgres)).is_empty() {
        return Ok(());
    }
    fs::remove_file(&path).map_err(StackError::file("remove", &path))
}

/// Makes the cluster in a folder beside, so that a half-made one is never taken for a whole.
fn make_cluster(context: &Context, binaries: &Path, data: &Path, user: Option<&User>) -> Result<(), StackError> {
    let new = data.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(StackError::file("remove", &new))?;
    }
    fs::create_dir(&new).map_err(StackError::file("make", &new))?;
    let password = &context.endpoints.postgres.password;
    let password_file = new.with_extension("password");
    write_private(&password_file, password)?;
    user::give(&new, user)?;
    user::give(&password_file, user)?;
    let made = Launch::new(binaries.join("initdb"), context.layout.dir())
        .arg("-D")
        .arg(&new)
        .arg("--pwfile")
        .arg(&password_file)
        .args(["-U", "postgres", "-A", "scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"])
        .run_as(user.cloned())
        .run(context.layout.dir());
    fs::remove_file(&password_file).map_err(StackError::file("remove", &password_file))?;
    made?;
    make_database(context, &binaries.join("postgres"), &new, user)?;
    fs::remove_dir(data).map_err(StackError::file("replace", data))?;
    fs::rename(&new, data).map_err(StackError::file("rename", &new))
}

/// The role and its database, in single-user mode: no server has to run and no password has to be sent.
fn make_database(context: &Context, postgres: &Path, data: &Path, user: Option<&User>) -> Result<(), StackError> {
    let endpoint = &context.endpoints.postgres;
    // The names are constants and the password is hexadecimal: nothing to quote.
    let sql = format!(
        "CREATE ROLE {user} LOGIN PASSWORD '{password}';\nCREATE DATABASE {database} OWNER {user};\n",
        user = endpoint.user,
        password = endpoint.password,
        database = endpoint.database
    );
    let failed = |output: String| StackError::Tool { program: "postgres --single".to_owned(), output };
    let mut command = std::process::Command::new("setpriv");
    if let Some(user) = user {
        command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid), "--clear-groups".to_owned()]);
    }
    command.arg("--").arg(postgres).args(["--single", "-j", "-D"]).arg(data).arg("postgres");
    command.env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.current_dir(context.layout.dir()).spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // With -j a statement ends at a semicolon and an empty line.
        stdin.write_all(sql.replace(";\n", ";\n\n").as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().find(|line| line.contains("ERROR") || line.contains("FATAL")) {
        Some(line) => Err(failed(line.to_owned())),
        None if output.status.success() => Ok(()),
        None => Err(failed(output.status.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::{MARK, SERVICE_MARK, lives};

    #[test]
    fn a_lock_is_kept_while_a_process_of_the_server_lives_and_removed_after_it() {
        let data = std::env::temp_dir().join(format!("stack-postgres-lock-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let lock = data.join("postmaster.pid");
        let kept = |pid: u32| {
            fs::write(&lock, format!("{pid}\n{}\n", data.display())).unwrap();
            clear_stale_lock(&data, &data).unwrap();
            lock.exists()
        };
        let mut server = std::process::Command::new("sleep");
        server.arg("60").env(MARK, &data).env(SERVICE_MARK, Service::Postgres.name());
        let mut server = server.spawn().unwrap();
        // The kernel shows the environment a moment after the start.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while processes::of_stack(&data, Some(Service::Postgres)).is_empty() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        assert!(kept(server.id()), "it lives");
        server.kill().unwrap();
        while lives(server.id()) {
            std::thread::yield_now();
        }
        assert!(!kept(server.id()), "it is dead, though nobody has reaped it");
        assert!(!kept(std::process::id()), "a stranger has its number");
        server.wait().unwrap();
        clear_stale_lock(&data, &data).unwrap();
        fs::remove_dir_all(&data).unwrap();
    }
}
