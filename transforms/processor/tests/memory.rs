//! What an upload costs the process that checks it. Alone in its process, because it measures memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::process::Command;
use std::time::{Duration, Instant};

use transform_host::Limits;
use transforms::intake::child::Child;
use wasm_encoder::{
    CodeSection, Function, FunctionSection, Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// Longer than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

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

fn child(limits: Limits) -> Child {
    Child::new(env!("CARGO_BIN_EXE_transforms").into(), limits)
}

/// What this process takes, in bytes.
fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_compile_bomb_costs_its_bounds_and_nothing_of_this_process() {
    let within = |cpu, compile_memory, wall| Limits {
        compile_cpu: Duration::from_secs(cpu),
        compile_memory,
        compile_wall: Duration::from_secs(wall),
        ..Limits::default()
    };
    let small = within(3, 192 << 20, 40);
    let bombs = [("huge function", huge(300_000)), ("many functions", many(300_000))];
    let before = rss();
    for (name, bomb) in bombs {
        assert!(bomb.len() < small.module_bytes, "{name} has {} bytes", bomb.len());
        let begun = Instant::now();
        let refused = child(small.clone()).prove(&bomb).expect_err(name);
        assert_eq!(refused.check.name(), "compile", "{name}: {refused:?}");
        assert!(refused.text.contains("more than"), "{name}: {refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(45), "{name} took {:?}", begun.elapsed());
        // The bound that it breaks where it has the time.
        let refused = child(within(60, 64 << 20, PATIENCE.as_secs())).prove(&bomb).expect_err(name);
        assert!(refused.text.contains("bytes of memory"), "{name}: {refused:?}");
    }
    let grown = rss().saturating_sub(before);
    assert!(grown < 32 << 20, "this process has grown by {grown} bytes");
}

#[test]
fn a_child_is_killed_when_its_time_is_up_and_dies_with_its_parent() {
    let impatient = Limits { compile_wall: Duration::from_millis(300), ..Limits::default() };
    let refused = child(impatient).prove(&huge(300_000)).unwrap_err();
    assert!(refused.text.contains("took longer than"), "{refused:?}");
    // Nobody else may start it: it would outlive nobody.
    let program = env!("CARGO_BIN_EXE_transforms");
    let arguments = ["check-upload", "--parent", "1", "--cpu", "1", "--memory", "100000000", "--file-bytes", "0"];
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("the parent is gone"));
    // A shell that starts it and is killed takes it along: it waits for an upload that never comes.
    let fifo = fifo();
    let bounds = "--cpu 5 --memory 100000000 --file-bytes 0";
    let script = format!("{program} check-upload --parent $$ {bounds} < '{}' & echo $!; wait", fifo.display());
    let mut shell = Command::new("sh").args(["-c", &script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
    let pid: u32 = line.trim().parse().unwrap();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.trim().is_empty())
    };
    let limited = || {
        std::fs::read_to_string(format!("/proc/{pid}/limits")).is_ok_and(|limits| {
            ["Max open files            3 ", "Max file size             0 "].iter().all(|line| limits.contains(line))
        })
    };
    let until = Instant::now() + PATIENCE;
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
