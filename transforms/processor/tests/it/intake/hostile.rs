//! Uploads that mean harm, or are just wrong: each is refused by the check that is for it, within bounds, while others are
//! answered and this process stays as large as it was.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use service_kit::Tokens;
use transforms::intake::child::{Bounds, Child};
use wasm_encoder::{
    CodeSection, Function, FunctionSection, Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

use super::{World, cluster, wasm};

/// A component with this core module in it and nothing else.
fn component(core: &Module) -> Vec<u8> {
    let core = core.as_slice();
    let mut bytes = b"\0asm\x0d\0\x01\0\x01".to_vec();
    let mut rest = core.len();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(core);
    bytes
}

/// A core module of these functions from nothing to an i32, with a memory.
fn functions(bodies: impl Iterator<Item = Function>) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    let (mut list, mut code) = (FunctionSection::new(), CodeSection::new());
    for body in bodies {
        list.function(0);
        code.function(&body);
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut module = Module::new();
    module.section(&types).section(&list).section(&memories).section(&code);
    module
}

/// One function of so many steps, each of which needs what the last one made, over many locals.
fn huge(steps: usize) -> Vec<u8> {
    let mut body = Function::new([(400, ValType::I32)]);
    for step in 0..steps {
        let local = |at: usize| u32::try_from(at % 400).unwrap();
        body.instruction(&Instruction::LocalGet(local(step)));
        body.instruction(&Instruction::LocalGet(local(step * 7 + 3)));
        body.instruction(&Instruction::I32Mul);
        body.instruction(&Instruction::If(wasm_encoder::BlockType::Result(ValType::I32)));
        body.instruction(&Instruction::LocalGet(local(step * 13 + 5)));
        body.instruction(&Instruction::Else);
        body.instruction(&Instruction::LocalGet(local(step * 3 + 1)));
        body.instruction(&Instruction::End);
        body.instruction(&Instruction::LocalSet(local(step + 1)));
    }
    body.instruction(&Instruction::LocalGet(0));
    body.instruction(&Instruction::End);
    component(&functions(std::iter::once(body)))
}

/// So many functions.
fn many(count: usize) -> Vec<u8> {
    let body = |at: usize| {
        let mut body = Function::new([]);
        for _ in 0..2 {
            body.instruction(&Instruction::I32Const(i32::try_from(at).unwrap()));
            body.instruction(&Instruction::Drop);
        }
        body.instruction(&Instruction::I32Const(1));
        body.instruction(&Instruction::End);
        body
    };
    component(&functions((0..count).map(body)))
}

fn child(bounds: Bounds) -> Child {
    Child::new(env!("CARGO_BIN_EXE_transforms").into(), bounds)
}

/// What this process takes, in bytes.
fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_upload_is_refused_by_its_check_and_a_neighbour_is_answered() {
    let cluster = cluster();
    let world = World::start(&cluster, Tokens::default()).await;
    let good = wasm("panic");
    let core = functions(std::iter::empty()).finish();
    let own = std::fs::read("/proc/self/exe").unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (asking, http, url) = (Arc::clone(&done), world.http.clone(), format!("{}/modules", world.url));
    let mut neighbour = tokio::task::JoinSet::new();
    neighbour.spawn(async move {
        let (mut longest, mut answers) = (Duration::ZERO, 0);
        while !asking.load(Ordering::Relaxed) {
            let begun = Instant::now();
            assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
            (longest, answers) = (longest.max(begun.elapsed()), answers + 1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (longest, answers)
    });
    for (name, bytes, status, check, words) in [
        ("empty", Vec::new(), 422, "magic", "this is empty"),
        ("native program", own[..4096.min(own.len())].to_vec(), 422, "magic", "this is an ELF program"),
        ("core module", core, 422, "magic", "this is a core WebAssembly module"),
        ("truncated", good[..good.len() / 2].to_vec(), 422, "validation", "not a WebAssembly component"),
        ("last byte gone", good[..good.len() - 1].to_vec(), 422, "validation", "not a WebAssembly component"),
        (
            "nothing in it",
            component(&Module::new()),
            422,
            "exports",
            "exports are not those of orderflow:transform@1.0.0",
        ),
        ("wasi", wasm("wasi"), 422, "imports", "imports `wasi:clocks/monotonic-clock@0.2.0`"),
        ("wrong exports", wasm("wrong-exports"), 422, "exports", "exports are not those of"),
        ("old world", wasm("old-world"), 422, "world", "built for `orderflow:transform@0.9.0`"),
        ("spins", wasm("spin-describe"), 422, "describe", "it ran out of time"),
        ("too large", vec![0; (8 << 20) + 1], 413, "size", "more than 8388608 bytes"),
    ] {
        let (found, refused) = world.upload("", bytes).await;
        assert_eq!((found, &refused["check"]), (status, &json!(check)), "{name}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(words), "{name}: {refused} lacks {words}");
        assert!(refused["way_out"].as_str().is_some_and(|way| !way.is_empty()), "{name}: {refused}");
    }
    assert_eq!(world.upload("", good).await.0, 201, "a good one is taken after all that");
    done.store(true, Ordering::Relaxed);
    let (longest, answers) = neighbour.join_next().await.unwrap().unwrap();
    assert!(answers > 20 && longest < Duration::from_secs(10), "{answers} answers, the longest after {longest:?}");
    world.tasks.drain(super::PATIENCE).await;
}

#[test]
fn a_compile_bomb_costs_its_bounds_and_nothing_of_this_process() {
    let small = Bounds { cpu: Duration::from_secs(3), memory: 192 << 20, wall: Duration::from_secs(40) };
    let bombs = [("huge function", huge(300_000)), ("many functions", many(300_000))];
    let before = rss();
    for (name, bomb) in bombs {
        assert!(bomb.len() < 8 << 20, "{name} has {} bytes", bomb.len());
        let begun = Instant::now();
        let refused = child(small.clone()).prove(&bomb).expect_err(name);
        assert_eq!(refused.check.name(), "compile", "{name}: {refused:?}");
        assert!(refused.text.contains("more than"), "{name}: {refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(45), "{name} took {:?}", begun.elapsed());
    }
    let grown = rss().saturating_sub(before);
    assert!(grown < 32 << 20, "this process has grown by {grown} bytes");
}

#[test]
fn a_child_is_killed_when_its_time_is_up_and_dies_with_its_parent() {
    let impatient = Bounds { wall: Duration::from_millis(300), ..Bounds::default() };
    let refused = child(impatient).prove(&huge(300_000)).unwrap_err();
    assert!(refused.text.contains("took longer than"), "{refused:?}");
    // Nobody else may start it: it would outlive nobody.
    let program = env!("CARGO_BIN_EXE_transforms");
    let arguments = ["check-upload", "--parent", "1", "--cpu", "1", "--memory", "100000000"];
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("the parent is gone"));
    // A shell that starts it and is killed takes it along: it waits for an upload that never comes.
    let fifo = fifo();
    let script =
        format!("{program} check-upload --parent $$ --cpu 5 --memory 100000000 < '{}' & echo $!; wait", fifo.display());
    let mut shell = Command::new("sh").args(["-c", &script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
    let pid: u32 = line.trim().parse().unwrap();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.trim().is_empty())
    };
    let limited = || {
        std::fs::read_to_string(format!("/proc/{pid}/limits"))
            .is_ok_and(|limits| limits.contains("Max open files            3"))
    };
    let until = Instant::now() + super::PATIENCE;
    while !limited() {
        assert!(Instant::now() < until, "it does not bound itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    while alive() {
        assert!(Instant::now() < until, "it outlives its parent");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A pipe in the file system that this process holds open for both sides, so that its reader waits.
fn fifo() -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("intake-fifo-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let held = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    std::mem::forget(held);
    path
}
