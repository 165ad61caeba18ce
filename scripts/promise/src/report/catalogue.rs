//! What `scripts/faults` takes: every number of the catalogue, which says the truth about where each fault is tried.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The last number.
const LAST: usize = 41;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Its exit code, what it says, and what it complains of.
fn faults(words: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(root().join("scripts/faults")).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

/// Rows of the catalogue, by columns.
fn rows() -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(root().join("scripts/promise/FAULTS.md")).unwrap();
    let (catalogue, _) = page.split_once("## Three brokers").unwrap();
    let rows = catalogue.lines().filter(|line| line.starts_with("| F"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_number_is_taken_and_runs_something() {
    let numbers: Vec<String> = (1..=LAST).map(|number| format!("F{number}")).collect();
    assert_eq!(rows().iter().map(|row| row[0].clone()).collect::<Vec<_>>(), numbers, "the catalogue has each once");
    for number in &numbers {
        let (code, out, err) = faults(&[number, "--seed", "7", "--dry-run"]);
        assert_eq!(code, Some(0), "{number}: {err}");
        let runs = out.lines().filter(|line| !line.starts_with('#'));
        let runs: Vec<&str> = runs.filter(|line| line.contains("cargo test")).collect();
        assert!(!runs.is_empty() && runs.iter().all(|run| run.contains(&format!("# {number} "))), "{number}: {out}");
    }
    let (_, listed, _) = faults(&["--list"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with('F')).count(), LAST, "{listed}");
    let (code, all, err) = faults(&["all", "--dry-run"]);
    let missing: Vec<_> = numbers.iter().filter(|number| !all.contains(&format!("# {number} "))).collect();
    assert!(code == Some(0) && missing.is_empty() && all.contains("faults\\ meet"), "{missing:?}: {err}");
}

#[test]
fn the_real_ones_come_first_in_one_run_with_the_seed_and_the_minutes() {
    let (code, out, err) = faults(&["F7", "F6", "F36", "F9", "--seed", "7", "--seconds", "10", "--dry-run"]);
    assert_eq!(code, Some(0), "{err}");
    let runs: Vec<&str> = out.lines().skip(1).collect();
    let [real, brokers, test] = runs[..] else { panic!("{out}") };
    assert!(real.contains("PROMISE_SEED=7 PROMISE_FAULTS=F6,F9 PROMISE_HOLD=10 "), "{real}");
    assert!(brokers.contains("PROMISE_STAGE=three\\ brokers PROMISE_SEED=7 PROMISE_FAULTS=F36 "), "{brokers}");
    assert!(test.starts_with("cargo test ") && test.contains("members::"), "{test}");
    let (_, one, _) = faults(&["F6", "--minutes", "10", "--dry-run"]);
    assert!(one.contains("PROMISE_MINUTES=10"), "rounds on one stack: {one}");
    let (_, several, _) = faults(&["F6", "F7", "--minutes", "10", "--dry-run"]);
    assert!(several.contains("again until 10 minutes") && !several.contains("PROMISE_MINUTES"), "{several}");
    let by_flags = ["combined", "--minutes", "2", "--seed", "7", "--rate", "70", "--brokers", "3", "--dry-run"];
    let (_, flags, _) = faults(&by_flags);
    let (_, words, _) = faults(&["combined", "2", "7", "70", "--brokers", "3", "--dry-run"]);
    assert_eq!(flags.lines().nth(1), words.lines().nth(1), "flags and words say the same");
    assert!(flags.contains("PROMISE_SEED=7 PROMISE_SECONDS=120 PROMISE_RATE=70 "), "{flags}");
    let (_, defects, _) = faults(&["defects", "--seed", "7", "--dry-run"]);
    assert!(defects.contains("deliberate\\ defects PROMISE_SEED=7 "), "{defects}");
}

#[test]
fn what_is_no_word_of_the_lab_is_refused_before_anything_runs() {
    for (words, complaint) in [
        ("F42", "F42 is not in the catalogue"),
        ("F1 F999", "F999 is not in the catalogue"),
        ("F1 --seed x", "\"x\" stands where a number belongs (seed)"),
        ("F1 --minutes 601", "minutes: 601 is not within 1 to 600"),
        ("combined 601", "minutes: 601 is not within 1 to 600"),
        ("F1 --seconds 86401", "seconds: 86401 is not within 1 to 86400"),
        ("links 0", "seconds: 0 is not within 1 to 86400"),
        ("5 10001", "rate: 10001 is not within 1 to 10000"),
        ("F1 --rounds 5000000000", "rounds: 5000000000 is not within 1 to 1000"),
        ("5 x", "\"x\" stands where a number belongs"),
        ("links x", "\"x\" stands where a number belongs (seconds)"),
        ("brokers x", "\"x\" stands where a number belongs (seconds)"),
        ("poison --seed 7", "--seed means nothing to \"poison\""),
        ("combined --brokers 4", "not \"4\""),
        ("--often", "--often is no flag"),
        ("nonsense", "nonsense is no part of the lab"),
    ] {
        let (code, out, err) = faults(&words.split(' ').chain(["--dry-run"]).collect::<Vec<_>>());
        assert!(code == Some(2) && out.is_empty() && err.contains(complaint), "{words}: {code:?}, {err}{out}");
    }
}

#[test]
fn each_file_stage_and_test_that_the_catalogue_names_is_there() {
    let stages = std::fs::read_to_string(root().join("scripts/promise/tests/it/main.rs")).unwrap();
    let tests: Vec<(PathBuf, String)> = ["edge", "connectors", "transforms/host", "transforms/processor"]
        .iter()
        .flat_map(|package| sources(&root().join(package).join("tests/it")))
        .collect();
    for row in rows() {
        let [number, _, place, runs] = &row[..] else { panic!("{row:?}") };
        for path in quoted(place).into_iter().filter(|text| text.contains('/') && !text.contains(' ')) {
            assert!(path.starts_with("/dev/") || root().join(path).exists(), "{number}: there is no {path}");
        }
        for run in quoted(runs) {
            let (kind, names) = run.split_once(' ').unwrap_or((run, ""));
            match kind {
                "lab" | "brokers" => assert!(names.is_empty(), "{number}: {run}"),
                "stage" => assert!(stages.contains(names), "{number}: no stage is named {names}"),
                "test" => names.split(' ').for_each(|name| {
                    assert!(tests.iter().any(|(file, text)| has(file, text, name)), "{number}: no test is {name}");
                }),
                _ => panic!("{number}: {run}"),
            }
        }
    }
}

/// Whether the file is the test's module and has the test; a name that ends with `::` is all of a module.
fn has(file: &Path, text: &str, name: &str) -> bool {
    let (module, test) = name.rsplit_once("::").unwrap();
    let path = format!("{}.rs", module.replace("::", "/"));
    file.ends_with(Path::new("tests/it").join(path)) && text.contains(&format!("fn {test}"))
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| {
        if path.is_dir() {
            return sources(&path);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        vec![(path, text)]
    };
    entries.flat_map(of).collect()
}
