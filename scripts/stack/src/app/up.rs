//! `stack up`: from whatever is there to orders that flow. A first start that fails leaves nothing running; a stack that
//! has data runs on where only the deploy step fails.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use stack::deploy::{self, Held};
use stack::layout::Layout;
use stack::progress::Progress;
use stack::{Options, Service, Stack, StackError, State, install};

use super::{stop, words};
use crate::cli::UpArgs;

/// How long another `up` is waited for: a first one fetches a JDK and the servers and builds the modules, each with a
/// deadline of its own, and this is above their sum.
const ANOTHER: Duration = Duration::from_secs(60 * 60);

pub(super) fn up(options: Options, arguments: &UpArgs) -> anyhow::Result<ExitCode> {
    let progress = Progress::default();
    let _alone = alone(&options.dir, ANOTHER, &progress)?;
    match running(&options.dir, &progress)? {
        Some(stack) => up_again(&options, &stack, arguments, &progress),
        None => start(options, arguments, &progress),
    }
}

/// Waits until no other `up` works on the stack: the one that comes second finds what the first has started.
fn alone(dir: &Path, within: Duration, progress: &Progress) -> anyhow::Result<File> {
    let (layout, end) = (Layout::prepare(dir)?, Instant::now() + within);
    let mut said = false;
    loop {
        if let Some(lock) = layout.try_up()? {
            return Ok(lock);
        }
        if Instant::now() >= end {
            bail!(
                "another scripts/up still works on {} after {} s; wait for it or end it",
                dir.display(),
                within.as_secs()
            );
        }
        if !said {
            progress.say("another scripts/up works on this stack, waiting for it");
            said = true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The stack that runs there. One that is stopping takes no orders, and is waited for.
fn running(dir: &Path, progress: &Progress) -> anyhow::Result<Option<Stack>> {
    let end = Instant::now() + stack::DOWN;
    let mut said = false;
    loop {
        match Stack::attach(dir) {
            Err(StackError::NotRunning(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(stack) if !stack.is_stopping()? => return Ok(Some(stack)),
            Ok(_) => {}
        }
        if Instant::now() >= end {
            bail!("the stack in {} is still stopping after {} s; scripts/down", dir.display(), stack::DOWN.as_secs());
        }
        if !said {
            progress.say("a stack is stopping there (or has just begun to start), waiting for it");
            said = true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start(mut options: Options, arguments: &UpArgs, progress: &Progress) -> anyhow::Result<ExitCode> {
    // Before the look at the ports: one of ours that is dying may still hold one.
    let left = Stack::clear_leftovers(&options.dir)?;
    if left > 0 {
        progress.say(&format!("killed what an earlier run had left behind (processes: {left})"));
    }
    let deploys = arguments.deploys(&options.services);
    let layout = Layout::prepare(&options.dir)?;
    options.dir = layout.dir().to_owned();
    options.check_machine()?;
    if options.services.iter().any(|service| service.is_java()) {
        install::ensure(&mut options, progress)?;
    }
    if deploys {
        deploy::build_modules(&options, &layout.modules(), progress)?;
    }
    let had_data = layout.has_data();
    progress.say("starting the services");
    // Until it is released, the stack ends with this process, however that ends: nothing half-started is left.
    let mut stack = Stack::begin(options.clone())?;
    if let Err(fault) = wait(&stack, progress) {
        return give_up(stack, &fault, progress);
    }
    if had_data {
        stack = released(stack)?;
    }
    let held = match deploys.then(|| deploy(&options, &stack, progress)).transpose() {
        Ok(held) => held.unwrap_or_default(),
        Err(fault) if had_data => return Err(runs_on(&fault)),
        Err(fault) => return give_up(stack, &fault, progress),
    };
    if !had_data {
        stack = released(stack)?;
    }
    progress.say("up");
    goodbye(&stack, &held)?;
    Ok(ExitCode::SUCCESS)
}

fn released(stack: Stack) -> Result<Stack, StackError> {
    let dir = stack.layout().dir().to_owned();
    stack.release()?;
    Stack::attach(&dir)
}

/// What was deployed before takes orders meanwhile: a fault in one file must not stop that.
fn runs_on(fault: &StackError) -> anyhow::Error {
    anyhow::anyhow!("{fault}\nthe stack runs on with what was deployed before; mend it and run scripts/up again")
}

/// The reason first: to stop everything takes a while.
fn give_up(stack: Stack, fault: &StackError, progress: &Progress) -> anyhow::Result<ExitCode> {
    progress.say(&format!("FAILED: {fault}"));
    progress.say("stopping what was started");
    stop(stack, progress, Stack::abandon)?;
    progress.say("stopped; the reason stands above");
    Ok(ExitCode::FAILURE)
}

/// On a stack that runs: starts what is down, replaces what was built anew, deploys what was edited.
fn up_again(options: &Options, stack: &Stack, arguments: &UpArgs, progress: &Progress) -> anyhow::Result<ExitCode> {
    let dir = stack.layout().dir().display();
    let others = arguments.differences(stack.options())?;
    if !others.is_empty() {
        bail!("the stack in {dir} runs with other settings ({}); scripts/down first", others.join(", "));
    }
    progress.say(&format!("already running in {dir}"));
    for status in stack.status()? {
        if matches!(status.state, State::Stopped | State::Failed) {
            progress.say(&stack.start_again(status.service)?);
        } else if status.runs_an_old_build() {
            progress.say(&format!("{} was built anew: {}", status.service, stack.restart(status.service)?));
        }
    }
    let deploys = arguments.deploys(stack.services());
    if deploys {
        deploy::build_modules(options, &stack.layout().modules(), progress)?;
    }
    wait(stack, progress)?;
    let held = deploys.then(|| deploy(options, stack, progress)).transpose().map_err(|fault| runs_on(&fault))?;
    goodbye(stack, &held.unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

fn wait(stack: &Stack, progress: &Progress) -> Result<(), StackError> {
    stack.wait_all_ready(|status| match status.state {
        State::Ready => progress.say(&format!("{} is ready (port {})", status.service, words(&status.ports))),
        State::Pausing => progress.say(&format!("{} died ({}) and is started again", status.service, status.note)),
        State::Waiting | State::Starting | State::Stopped | State::Failed => {}
    })
}

fn deploy(options: &Options, stack: &Stack, progress: &Progress) -> Result<Vec<Held>, StackError> {
    deploy::apply(options, stack, progress)?;
    deploy::wait_for_path(options, stack, progress)
}

/// The last lines of `up`: where everything is and what to type next.
fn goodbye(stack: &Stack, held: &[Held]) -> anyhow::Result<()> {
    let (endpoints, mut out) = (stack.endpoints(), std::io::stdout());
    let local = |url: &str| url.replace("127.0.0.1", "localhost");
    let postgres = format!("{}:{} (scripts/psql)", endpoints.postgres.host, endpoints.postgres.port);
    for (service, name, url) in [
        (Service::Edge, "orders", format!("{}/api/orders", local(&endpoints.edge))),
        (Service::Transforms, "transforms", local(&endpoints.transforms)),
        (Service::Connect, "Kafka Connect", local(&endpoints.connect)),
        (Service::Registry, "schema registry", local(&endpoints.registry)),
        (Service::Kafka, "Kafka", endpoints.kafka.clone()),
        (Service::Postgres, "PostgreSQL", postgres),
        (Service::Elasticsearch, "Elasticsearch", local(&endpoints.elasticsearch)),
    ] {
        if stack.services().contains(&service) {
            writeln!(out, "{name:16} {url}")?;
        }
    }
    if stack.services().contains(&Service::Edge) {
        let edge = local(&endpoints.edge).replace("http://", "");
        writeln!(
            out,
            "\nPost an order:\n  curl -i {edge}/api/orders -H 'content-type: application/json' -d '{{\"orderId\":\"my-order-123\",\"amount\":99.99,\"customer\":\"john_doe\"}}'"
        )?;
        writeln!(out, "  scripts/psql -c 'SELECT * FROM order_placed ORDER BY created_at DESC LIMIT 10;'")?;
        let elasticsearch = local(&endpoints.elasticsearch).replace("http://", "");
        writeln!(out, "  curl '{elasticsearch}/order_placed/_search?pretty'")?;
    }
    for Held { sink, state } in held {
        let connect = local(&endpoints.connect);
        writeln!(out, "\n{sink} is held by operator ({state}) and stores nothing; to let it run again:")?;
        writeln!(out, "  curl -X PUT {connect}/connectors/{sink}/resume")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_second_waits_for_the_first_and_not_for_ever() {
        let dir = std::env::temp_dir().join(format!("stack-up-{}", std::process::id()));
        let (progress, short) = (Progress::default(), Duration::from_millis(200));
        let first = alone(&dir, short, &progress).unwrap();
        let late = alone(&dir, short, &progress).unwrap_err().to_string();
        assert!(late.contains("another scripts/up still works on"), "{late}");
        let begun = Instant::now();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(first);
        });
        drop(alone(&dir, Duration::from_secs(30), &progress).unwrap());
        assert!(Duration::from_millis(200) < begun.elapsed(), "it went before the first had ended");
        ends.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
