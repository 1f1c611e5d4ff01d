//! The scenarios that the shipped examples promise to repair, each once, with real processes under each manager of services. The
//! stage, the faults and the figures are those of `tests/soak/repairs.py`, which measures what is only shown to work here.

use crate::support::left_out;
use std::process::{Command, Stdio};

/// Longer than any machine needs: what is measured is measured elsewhere.
const BOUND: &str = "110";

/// Every lane of a manager, once. So many there must be.
fn scenarios(manager: &str, lanes: usize) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soak/repairs.py");
    let mut command = Command::new("python3");
    command.arg(script).args(["--runs", "1", "--workers", "4", "--limit", "600", "--bound", BOUND]);
    command.args(["--lanes", &format!(": {manager}"), "--binary", env!("CARGO_BIN_EXE_banken")]);
    let output = command.stdin(Stdio::null()).output().expect("python3 is there; tests/run installs what is needed");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if let Some(line) = said.lines().find(|line| line.starts_with("LEFT OUT: ")) {
        left_out(line.trim_start_matches("LEFT OUT: "));
        return;
    }
    // Shown with --nocapture: how long each of them took.
    println!("{said}");
    assert!(output.status.success(), "{said}");
    let (_, report) = said.split_once("fault → serving").unwrap();
    assert_eq!(report.matches("  1 runs  serving ").count(), lanes, "{said}");
}

#[test]
fn what_plain_scripts_start_is_repaired() {
    scenarios("argv", 11);
}

#[test]
fn what_pm2_keeps_is_repaired_and_not_disturbed_where_pm2_is_faster() {
    scenarios("PM2", 7);
}

#[test]
fn what_supervisor_keeps_is_repaired() {
    scenarios("supervisor", 6);
}

#[test]
fn what_systemd_keeps_is_repaired() {
    scenarios("systemd", 10);
}

#[test]
fn what_docker_keeps_is_repaired() {
    scenarios("Docker", 6);
}
