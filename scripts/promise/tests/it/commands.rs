//! What the README says, word for word, on a stack of its own: up, curl, psql, `_search`, the deploy by hand, down, and
//! up again.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use stack::Stack;

use crate::faults::wait_for;
use crate::house::{assert_gone, processes_of, root, scratch};

/// From the POST to both stores.
const VISIBLE: Duration = Duration::from_secs(5);
/// The second `scripts/up`, as the project says it.
const AGAIN: Duration = Duration::from_secs(30);
const SELECT: &str = "SELECT * FROM order_placed ORDER BY created_at DESC LIMIT 10;";

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let dir = scratch("commands");
    Stack::wipe(&dir).unwrap();
    let begun = Instant::now();
    let said = run(&dir, "scripts/up --free-ports --fast-jvm");
    println!("scripts/up: {:.1} s, with all that it needs there\n{said}", begun.elapsed().as_secs_f32());
    let line =
        said.lines().map(str::trim).find(|line| line.starts_with("curl -i ")).expect("it ends with the curl line");
    let posted = Instant::now();
    let answer = run(&dir, line);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let stack = Stack::attach(&dir).unwrap();
    let search = format!("curl -s '{}/order_placed/_search?pretty'", stack.endpoints().elasticsearch);
    let stored = || {
        let row = run(&dir, &format!("scripts/psql -c '{SELECT}'"));
        row.contains("my-order-123") && row.contains("clean@1") && run(&dir, &search).contains("my-order-123")
    };
    wait_for("the order in both stores", VISIBLE, Duration::from_millis(50), stored);
    println!("scripts/psql and _search show it {:.1} s after the POST", posted.elapsed().as_secs_f32());

    let batch = section(&readme(), "   printf '", "--data-binary @-").replace("localhost:8080", edge(&stack));
    let receipts = run(&dir, &batch);
    println!("a batch, one line of it bad:\n{receipts}");
    let [good, bad] = receipts.lines().collect::<Vec<_>>()[..] else { panic!("two receipts, not {receipts}") };
    assert!(good.contains(r#""orderId":"a-1""#) && good.contains(r#""status":202"#), "{good}");
    assert!(bad.contains(r#""persisted":"no""#) && bad.contains("/amount"), "{bad}");

    // An edited file is deployed by hand; what is the same stays as it is.
    let by_hand =
        r#"eval "$(target/release/stack env)" && target/release/connectors apply && target/release/connectors status"#;
    println!("{}", run(&dir, &in_target(by_hand)));

    let status = stack.status().unwrap();
    let pids: Vec<u32> = status.iter().filter_map(|status| status.pid).collect();
    let ports: Vec<u16> = status.iter().flat_map(|status| status.ports.clone()).collect();
    run(&dir, "scripts/down");
    assert_gone(&pids, &ports, &dir);

    let begun = Instant::now();
    run(&dir, "scripts/up --free-ports --fast-jvm");
    let took = begun.elapsed();
    println!("scripts/up again: {:.1} s", took.as_secs_f32());
    assert!(took < AGAIN, "the second scripts/up took {took:?}");
    let stack = Stack::attach(&dir).unwrap();
    let search = format!("curl -s '{}/order_placed/_search?pretty'", stack.endpoints().elasticsearch);
    let row = run(&dir, &format!("scripts/psql -c '{SELECT}'"));
    assert!(row.contains("my-order-123"), "the table is as it was: {row}");
    assert!(run(&dir, &search).contains("my-order-123"), "the index is as it was");

    run(&dir, "scripts/down --wipe");
    assert_eq!(processes_of(&dir), Vec::<String>::new());
    assert!(!dir.join("data").exists(), "--wipe removes the data");
}

/// What stands in the README from `begin` to `end`, both with it.
fn section<'a>(readme: &'a str, begin: &str, end: &str) -> &'a str {
    let from = readme.find(begin).expect("it is there");
    let to = readme[from..].find(end).expect("it has an end") + end.len();
    &readme[from..from + to]
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// Where this stack's edge listens, as a user writes it.
fn edge(stack: &Stack) -> &str {
    stack.endpoints().edge.trim_start_matches("http://")
}

/// Types a line as a user does, in the checkout, with nothing of the test's environment but where things are; answers
/// what it prints.
fn run(dir: &Path, line: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(root()).env_clear().env("ORDERFLOW_STACK_DIR", dir);
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same line where the build lies elsewhere.
fn in_target(line: &str) -> String {
    match std::env::var("CARGO_TARGET_DIR") {
        Ok(target) => line.replace("target/release", &format!("{target}/release")),
        Err(_) => line.to_owned(),
    }
}
