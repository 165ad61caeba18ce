//! A consumer of another make reads `order_placed` and sees what our readers see.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use promise::fieldset::{self, Raw};
use promise::row::Version;
use serde::Deserialize;

use crate::house::{House, root, scratch};

#[derive(Deserialize)]
struct Line {
    partition: i32,
    offset: i64,
    key: String,
    modules: String,
    row: Raw,
}

/// confluent-kafka for Python with its AvroDeserializer through the registry's Confluent API.
pub(crate) fn python(house: &mut House) {
    let world = house.world();
    let mut command = Command::new(environment().join("bin/python"));
    command.arg(root().join("scripts/promise/consumer/read_order_placed.py"));
    command.args(["--kafka", &house.places.kafka, "--registry", &house.places.registry]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut theirs = BTreeMap::new();
    for text in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Line = serde_json::from_str(text).unwrap();
        theirs.insert(Version { partition: line.partition, offset: line.offset }, line);
    }
    assert_eq!(theirs.len(), world.placed.len());
    for ours in &world.placed {
        let line = &theirs[&ours.at];
        let row = fieldset::row(&line.row);
        assert_eq!(&row, ours.row.as_ref().unwrap(), "{}", ours.at);
        assert_eq!(Some(line.key.as_bytes()), ours.key.as_deref());
        assert_eq!(Some(&line.modules), ours.modules().as_ref());
    }
    println!("confluent-kafka for Python read {} records of order_placed, equal field for field", theirs.len());
}

/// A virtual environment with the pinned packages; made once for each version of the list.
fn environment() -> PathBuf {
    let list = root().join("scripts/promise/consumer/requirements.txt");
    let dir = scratch("consumer-venv");
    let (wanted, mark) = (std::fs::read_to_string(&list).unwrap(), dir.join("installed.txt"));
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return dir;
    }
    let run = |command: &mut Command| {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; it needs python3 and python3-venv"));
        assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir));
    run(Command::new(dir.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list));
    std::fs::write(&mark, wanted).unwrap();
    dir
}
