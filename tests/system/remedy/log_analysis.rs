//! `log_analysis` of a real journal.

use super::step;
use banken::remedy::action::{Action as _, Scene, Setback};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// A journal in a folder, with these messages of one identifier; none where journald's tool is not there.
fn journal(folder: &std::path::Path, messages: &[&str]) {
    let mut records = String::new();
    for (number, message) in messages.iter().enumerate() {
        records.push_str(&format!(
            "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
             SYSLOG_IDENTIFIER=bot\nMESSAGE={message}\n\n",
            1_764_336_000_000_000_u64 + 60_000_000 * number as u64
        ));
    }
    let mut child = Command::new("/lib/systemd/systemd-journal-remote")
        .arg(format!("--output={}", folder.join("a.journal").display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("systemd-journal-remote is not there; tests/run installs what is needed");
    child.stdin.take().unwrap().write_all(records.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn the_last_records_of_a_journal_are_counted_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut messages = vec!["nothing at all"; 30];
    messages.push("MemoryError: out of memory, password=hunter2");
    messages.push("the end");
    journal(folder.path(), &messages);
    let yaml = |more: &str| {
        let at = folder.path().display();
        format!("log_analysis: {{ journald: {{ identifier: bot, directory: {at} }}, {more} }}")
    };
    let mut scene = Scene { failing_since: 1_764_336_000.0 + 60.0 * 30.0, ..Scene::default() };
    let done = step(&yaml("lines: 10")).act(&mut scene).await.unwrap();
    assert!(done.detail.starts_with("looked at 10 lines: "), "{}", done.detail);
    let lines = scene.findings[0].lines.join("\n");
    assert!(lines.contains("password=[hidden]") && lines.ends_with("| the end"), "{lines}");
    let done = step(&yaml("around: 90s")).act(&mut scene).await.unwrap();
    assert!(done.detail.starts_with("looked at 3 lines: "), "{}", done.detail);
    let outcome = step(&yaml("lines: 5").replace("bot", "nobody")).act(&mut scene).await;
    assert!(matches!(&outcome, Ok(done) if done.detail.starts_with("looked at 0 lines")), "{outcome:?}");
    let yaml = "log_analysis: { journald: { identifier: bot, directory: /nowhere } }";
    let outcome = step(yaml).act(&mut scene).await;
    assert!(matches!(&outcome, Err(Setback::Failed(said)) if said.contains("directory")), "{outcome:?}");
}
