//! `banken scan`, as a shell and a script see it, held against the real `grep`.

use crate::support::Banken;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The count of a pattern in the JSON output.
    fn count(&self, id: &str) -> u64 {
        let document = self.json();
        let patterns = document["patterns"].as_array().unwrap();
        patterns.iter().find(|pattern| pattern["id"] == id).unwrap()["count"].as_u64().unwrap()
    }
}

/// Runs `banken scan` in a folder with something on its standard input.
fn scan(folder: &Path, arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = Banken::command();
    command.arg("scan").args(arguments).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// What `grep -c` counts, byte by byte as Banken does.
fn grep(expression: &str, file: &Path) -> u64 {
    let output = Command::new("grep").env("LC_ALL", "C").args(["-cE", "-e", expression]).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/logs");

/// Every sample of the fixtures between many lines without errors, of several buffers.
fn folder_with_log() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    names.sort();
    let samples: Vec<_> = names.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut text = String::new();
    for number in 0..30_000 {
        writeln!(text, "2026-11-22 07:00:00,{number} - bot - [INFO] - took {number} ms, 404 bytes, 注文 完了").unwrap();
        if number % 1000 == 0 {
            text.push_str(&samples.concat());
        }
    }
    std::fs::write(folder.path().join("app.log"), text).unwrap();
    folder
}

#[test]
fn the_counts_of_each_pattern_are_those_of_grep() {
    let folder = folder_with_log();
    let log = folder.path().join("app.log");
    let ended = scan(folder.path(), &["--format", "json", "app.log"], b"");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let document = ended.json();
    let patterns = document["patterns"].as_array().unwrap();
    assert_eq!(patterns.len(), 13);
    for pattern in patterns {
        let expected = grep(pattern["pattern"].as_str().unwrap(), &log);
        assert!(expected >= 30, "{} is not in the samples", pattern["id"]);
        assert_eq!(pattern["count"].as_u64().unwrap(), expected, "{}", pattern["id"]);
    }
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(document["bytes"], text.len());
    assert_eq!(document["lines"], text.lines().count());
}

#[test]
fn a_table_goes_to_standard_output_and_the_speed_to_standard_error() {
    let folder = folder_with_log();
    let ended = scan(folder.path(), &["app.log"], b"");
    let lines: Vec<_> = ended.out.lines().collect();
    assert!(lines[0].starts_with("PATTERN") && lines[0].ends_with("LAST MATCH"), "{}", lines[0]);
    let disk = lines.iter().find(|line| line.starts_with("disk_full ")).unwrap();
    let words: Vec<_> = disk.split_whitespace().collect();
    let count = grep(r"No space left on device|\[Errno 28\]", &folder.path().join("app.log")).to_string();
    assert_eq!(words[..3], ["disk_full", "critical", &count]);
    assert!(disk.contains("No space left on device"));
    // One line, and no bar: it is not a terminal.
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(ended.err.starts_with("1 file, 4") && ended.err.contains(" MB/s"), "{}", ended.err);
    assert!(!ended.err.contains('\u{1b}') && !ended.err.contains('\r'));
}

#[test]
fn standard_input_and_compressed_files_are_read_too() {
    let folder = folder_with_log();
    let text = std::fs::read(folder.path().join("app.log")).unwrap();
    let file = std::fs::File::create(folder.path().join("old.log.gz")).unwrap();
    let mut compressed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    compressed.write_all(&text[..text.len() / 2]).unwrap();
    // Two members, as `cat a.gz b.gz` makes them.
    let mut second = flate2::write::GzEncoder::new(compressed.finish().unwrap(), flate2::Compression::fast());
    second.write_all(&text[text.len() / 2..]).unwrap();
    second.finish().unwrap();
    let plain = scan(folder.path(), &["--format", "json", "app.log"], b"");
    let all = scan(folder.path(), &["--format", "json", "--by-file", "app.log", "-", "old.log.gz"], &text);
    assert_eq!(all.code, Some(0), "{}", all.err);
    assert_eq!(all.count("python_exception"), 3 * plain.count("python_exception"));
    let document = all.json();
    let files = document["by_file"].as_array().unwrap();
    for (file, name) in files.iter().zip(["app.log", "-", "old.log.gz"]) {
        assert_eq!(file["file"], name);
        assert_eq!(file["lines"], plain.json()["lines"]);
        assert_eq!(file["counts"]["disk_full"], plain.count("disk_full"));
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_others_are_still_counted() {
    let folder = folder_with_log();
    std::fs::write(folder.path().join("broken.gz"), "not compressed").unwrap();
    let ended = scan(folder.path(), &["--format", "json", "gone.log", ".", "broken.gz", "app.log"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("banken: gone.log: cannot be opened: No such file"), "{}", ended.err);
    assert!(ended.err.contains("banken: .: it is a folder: name the files in it"), "{}", ended.err);
    assert!(ended.err.contains("banken: broken.gz: cannot be read: "), "{}", ended.err);
    assert!(ended.count("disk_full") > 0);
}

#[test]
fn patterns_come_from_files_and_from_a_log_of_the_configuration() {
    let folder = folder_with_log();
    let path = format!("{FIXTURES}/error_patterns.json");
    let text = "バックアップに失敗\nerror\nNo space left on device\n".as_bytes();
    let ended = scan(folder.path(), &["--format", "json", "--no-builtin", "--patterns", &path, "-"], text);
    assert_eq!((ended.count("backup_failed"), ended.count("disk_full")), (1, 1), "{}", ended.err);
    assert_eq!(ended.json()["patterns"].as_array().unwrap().len(), 3);

    let config = "host: false\nlogs:\n  - name: app\n    paths: [ app.log ]\n    patterns: [ builtin ]\n    \
                  multiline: { start: '^[0-9]{4}-' }\n    \
                  rules: [ { id: pattern_detected, pattern: 'Pattern detected: (?P<p>\\w+)', severity: info } ]\n";
    std::fs::write(folder.path().join("banken.yml"), config).unwrap();
    let text = b"2026-1 failed\nTraceback (most recent call last):\nTraceback (most recent call last):\n2026-2 Pattern detected: x\n";
    let ended = scan(folder.path(), &["--log", "app", "--format", "json", "-"], text);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!((ended.count("python_exception"), ended.count("pattern_detected")), (1, 1));
    let ended = scan(folder.path(), &["--log", "web", "-"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("there is no log \"web\": the configuration has app"), "{}", ended.err);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_remedy() {
    let folder = folder_with_log();
    std::fs::write(folder.path().join("bad.json"), r#"{"error_patterns": [{"id": "a", "pattern": "(?!x)"}]}"#).unwrap();
    let ended = scan(folder.path(), &["--patterns", "bad.json", "app.log"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("bad.json:1:") && ended.err.contains("look-around is not possible"), "{}", ended.err);
    let ended = scan(folder.path(), &["--no-builtin", "app.log"], b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("add --patterns FILE"), "{}", ended.err);
}
