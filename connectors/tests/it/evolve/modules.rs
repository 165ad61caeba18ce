//! `evolve --module`: the module that fills the field, from its file to the pipeline that runs it.

use std::fs;

use serde_json::json;

use super::{ADD, FILES, LABEL, Room, pipeline};

#[tokio::test]
async fn a_module_is_uploaded_first_named_in_its_pipelines_file_and_runs_when_all_else_is_in_place() {
    let room = Room::new("module").await;
    let (wasm, before) = (room.folder.0.join("gift-note.wasm"), pipeline(&room.folder));
    let file = wasm.display().to_string();
    let look = ["--add", ADD, "--without-rehearsal", "--wait", "5", "--module", &file];
    let done = [&look[..], &["--yes"]].concat();
    let refused = async |words: &str| {
        let (code, told, err) = room.run(&done).await;
        assert!(code == Some(1) && told.contains(words), "{words:?} is not in\n{told}{err}");
        assert_eq!((room.written(), pipeline(&room.folder)), (vec![], before.clone()));
    };
    fs::write(&wasm, b"\0asm \"gift_note_too\" gift_note").unwrap();
    refused("was built for a schema without gift_note").await;
    fs::write(&wasm, b"\0asm \"gift_note\"").unwrap();
    room.held.lock().unwrap().refuses = Some("this is a script");
    refused("gift-note.wasm: this is a script").await;
    room.held.lock().unwrap().refuses = None;
    let optional =
        std::mem::replace(&mut room.held.lock().unwrap().parameters, json!([{ "name": "greeting", "required": true }]));
    refused("does not start without greeting").await;
    room.held.lock().unwrap().parameters = optional;

    let (code, told, err) = room.run(&look).await;
    assert_eq!(code, Some(2), "{told}{err}");
    for words in [
        r#"+    "transforms.gift-note.type": "gift-note@1.0.0","#,
        "~ transforms: clean,enrich -> clean,enrich,gift-note",
        "is given its file, and takes the new one",
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    assert!(room.written().is_empty());
    let (code, told, err) = room.run(&done).await;
    assert_eq!(code, Some(0), "{told}{err}");
    assert_eq!(room.written(), ["module", "table", "index", "subject", "pipeline"], "{told}");
    assert!(told.contains(&format!("gift_note is in place, and {LABEL} runs behind it")), "{told}");
    assert_eq!(room.held.lock().unwrap().settings["transforms"], "clean,enrich,gift-note");
    let (code, told, err) = room.run(&done).await;
    assert_eq!((code, room.written().len()), (Some(0), 5), "again is no change: {told}{err}");
}

/// Where a module is given that is built for the new field, all the arguments.
fn with_module(room: &Room) -> Vec<String> {
    let wasm = room.folder.0.join("gift-note.wasm");
    fs::write(&wasm, b"\0asm \"gift_note\"").unwrap();
    let args = ["--add", ADD, "--without-rehearsal", "--wait", "1", "--yes", "--module"];
    args.iter().map(|arg| (*arg).to_owned()).chain([wasm.display().to_string()]).collect()
}

#[tokio::test]
async fn a_module_that_is_sent_back_or_waits_for_its_pipeline_is_not_said_to_run() {
    let runs = format!("{LABEL} runs behind it");
    let room = Room::new("sent-back").await;
    room.held.lock().unwrap().sent_back = Some("DEGRADED: version w failed on its first records");
    let args = with_module(&room);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, told, err) = room.run(&args).await;
    assert_eq!(code, Some(1), "{told}{err}");
    assert!(err.contains("DEGRADED: version w failed") && !told.contains(&runs), "{told}{err}");

    let room = Room::new("held").await;
    room.held.lock().unwrap().state = "PAUSED";
    let args = with_module(&room);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, told, err) = room.run(&args).await;
    assert_eq!(code, Some(0), "{told}{err}");
    assert!(told.contains(&format!("orders-transforms is held, and {runs} when that is resumed")), "{told}");
}

#[tokio::test]
async fn what_somebody_edits_meanwhile_is_not_written_over() {
    for file in [FILES[1], "connectors/orders-transforms.json", "schemas/versions/order_placed.v2.avsc"] {
        let room = Room::new("meddled").await;
        let path = room.folder.0.join(file);
        room.held.lock().unwrap().meddles = Some((path.clone(), "somebody's own"));
        let args = with_module(&room);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let before = room.texts();
        let (code, told, err) = room.run(&args).await;
        assert!(code == Some(1) && err.contains(file) && err.contains("run it again"), "{file}: {told}{err}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's own");
        assert_eq!((room.written(), &room.texts()[0]), (vec![], &before[0]), "{file}: the others are as they were");
    }
}

#[tokio::test]
async fn a_pipeline_that_the_module_cannot_be_put_into_is_told_with_both_of_its_lines() {
    let room = Room::new("module-by-hand").await;
    let path = room.folder.0.join("connectors/orders-transforms.json");
    let text = fs::read_to_string(&path).unwrap();
    let half =
        text.replacen("\"transforms\"", "\"transforms.gift-note.type\": \"gift-note@0.9.0\",\n    \"transforms\"", 1);
    fs::write(&path, &half).unwrap();
    let args = with_module(&room);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, told, err) = room.run(&args).await;
    assert_eq!((code, room.written()), (Some(1), vec![]), "{told}{err}");
    for words in ["\"transforms.ALIAS.type\": \"gift-note@1.0.0\"", "the ALIAS into \"transforms\"", "the same command"]
    {
        assert!(err.contains(words), "{words:?} is not in\n{err}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), half);
}
