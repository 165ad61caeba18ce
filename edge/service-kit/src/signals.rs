//! Signals: SIGTERM or SIGINT stops the service in order; a second one ends the process at once; SIGHUP reads files anew.
//! It does not drain: the owner of `main` does, after `Tasks::stopping`.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Tasks;

/// The exit code after a second signal, as a shell shows it for SIGINT.
const EXIT_AT_ONCE: i32 = 130;

/// Starts watching; must be called inside a runtime.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn watch(tasks: &Tasks) -> io::Result<()> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let tasks = tasks.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it must outlive the drain to hear the second signal, so the drain must not wait for it"
    )]
    tokio::spawn(listen(tasks, terminate, interrupt));
    Ok(())
}

/// From now on SIGHUP no longer ends the process, but is kept for `Reloads::at_each`. To be called before a start that
/// takes time; must be called inside a runtime.
///
/// # Errors
/// When the handler cannot be installed.
pub fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

async fn listen(tasks: Tasks, mut terminate: Signal, mut interrupt: Signal) {
    next(&mut terminate, &mut interrupt).await;
    tracing::info!("told to stop, finishing what was begun");
    tasks.stop();
    next(&mut terminate, &mut interrupt).await;
    tracing::warn!("told to stop again, exiting at once");
    std::process::exit(EXIT_AT_ONCE);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
