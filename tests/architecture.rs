//! Holds the `use crate::` lines of every file against the house's table: nothing imports upward.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room, and what it may import inside the crate. `ARCHITECTURE.md` shows the same table to people.
const ROOMS: &[(&str, &[&str])] = &[
    ("observation", &[]),
    ("health", &["observation"]),
    ("values", &["health", "observation"]),
    ("net", &["observation", "values"]),
    ("fetch", &["net", "values", "observation"]),
    ("resp", &["net", "values", "observation"]),
    ("postgres", &["net", "values", "observation"]),
    ("machine", &["values", "observation"]),
    ("exposition", &[]),
    ("probe", &["observation", "values", "health", "net", "fetch", "resp", "postgres", "machine", "exposition"]),
    ("board", &["health", "observation"]),
    ("state", &["board"]),
    ("logs", &["state", "board", "machine", "values", "health", "observation"]),
    ("jobs", &["state", "board", "values", "health", "observation"]),
    (
        "remedy",
        &[
            "logs",
            "jobs",
            "state",
            "board",
            "machine",
            "resp",
            "postgres",
            "fetch",
            "net",
            "values",
            "health",
            "observation",
        ],
    ),
    ("metrics", &["machine", "board", "health", "observation"]),
    ("schedule", &["probe", "board", "health", "observation"]),
    ("config", &["remedy", "logs", "jobs", "probe", "values", "health", "observation"]),
    ("shipped", &[]),
    ("web", &["shipped", "remedy", "jobs", "metrics", "board", "probe", "health", "observation"]),
    (
        "app",
        &[
            "web",
            "config",
            "schedule",
            "remedy",
            "logs",
            "jobs",
            "state",
            "metrics",
            "probe",
            "board",
            "values",
            "health",
            "observation",
        ],
    ),
    ("demo", &[]),
    (
        "cli",
        &[
            "app",
            "config",
            "demo",
            "machine",
            "shipped",
            "schedule",
            "remedy",
            "logs",
            "jobs",
            "state",
            "metrics",
            "probe",
            "board",
            "values",
            "health",
            "observation",
        ],
    ),
];

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `src/probe/http/json.rs` stands in the room `probe`.
fn room_of(path: &Path) -> Option<String> {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    let room = first.trim_end_matches(".rs");
    (!matches!(room, "main" | "lib")).then(|| room.to_owned())
}

/// The rooms named after `crate::` in a text, also inside braces.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &code[at + "crate::".len()..];
            let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
            match rest.strip_prefix('{') {
                Some(list) => found.extend(list.split(',').map(|item| (number + 1, word(item.trim())))),
                None => found.push((number + 1, word(rest))),
            }
        }
    }
    found.retain(|(_, room)| !room.is_empty());
    found
}

#[test]
fn nothing_imports_upward() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut files = Vec::new();
    source_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let Some(room) = room_of(file) else { continue };
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("{}: the room {room} is not in the table", file.display()));
            continue;
        };
        for (line, import) in imports(&std::fs::read_to_string(file).unwrap()) {
            if import != room && !may.contains(&import.as_str()) {
                wrong.push(format!("{}:{line}: {room} must not import {import}", file.display()));
            }
        }
    }
    assert!(files.len() > 30, "the source was not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What changes something on this machine, as it is written where it is called.
const CHANGES: [&str; 3] = ["machine::pidfd", "machine::supervisor", "Restarted"];

#[test]
fn only_actions_change_what_runs_on_this_machine() {
    let mut files = Vec::new();
    source_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut users = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let changes = CHANGES.iter().find(|change| text.contains(**change));
        match (room_of(file).as_deref(), changes) {
            (Some("machine"), _) | (_, None) => {}
            (Some("remedy"), Some(_)) => users += 1,
            (_, Some(change)) => panic!("{} uses {change}, which only actions may", file.display()),
        }
    }
    assert!(users >= 3, "the actions were not found");
}

#[test]
fn kinds_of_probe_do_not_know_each_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe");
    let mut files = Vec::new();
    source_files(&folder, &mut files);
    let kind = |path: &Path| {
        let relative = path.strip_prefix(&folder).unwrap().to_owned();
        relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let kinds: Vec<String> = files.iter().map(|file| kind(file)).collect();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        for other in kinds.iter().filter(|other| **other != kind(file)) {
            for sibling in [format!("crate::probe::{other}::"), format!("super::{other}::")] {
                let nested = file.parent() != Some(folder.as_path()) && sibling.starts_with("super");
                assert!(nested || !text.contains(&sibling), "{} knows its sibling {other}", file.display());
            }
        }
    }
}

#[test]
fn the_map_names_every_room() {
    let map = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (room, _) in ROOMS {
        assert!(map.contains(&format!("`src/{room}.rs`")), "ARCHITECTURE.md does not show src/{room}.rs");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{board, health::State};\nlet x = crate::net::dial; // crate::web\nuse crate::probe::Kind;\n";
    let rooms: Vec<_> = imports(text).into_iter().map(|(_, room)| room).collect();
    assert_eq!(rooms, ["board", "health", "net", "probe"]);
}
