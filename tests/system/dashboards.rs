//! The dashboards of Grafana: they are what their builder writes, and a real Prometheus with the shipped rules answers every query.

use crate::support::left_out;
use std::path::Path;
use std::process::Command;

/// Runs a program in the folder of the repository. Whether it was content, and everything it printed.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}; tests/run installs what is needed"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// A Python that has Grafana's builders as `grafana/requirements.txt` pins them.
fn python_with_builders() -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/python")).output().unwrap();
    assert!(output.status.success(), "grafana/python: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn the_committed_dashboards_are_what_their_builder_writes() {
    let (good, said) = run(&python_with_builders(), &["grafana/build.py", "--check"]);
    assert!(good, "{said}");
}

#[test]
fn every_query_of_every_dashboard_answers_and_mistakes_are_found() {
    let (good, said) = run("python3", &["grafana/prove.py", "--banken", env!("CARGO_BIN_EXE_banken"), "--bite"]);
    assert!(good, "{said}");
    let proved = |what: &str| said.lines().any(|line| line.starts_with(what) && line.ends_with("proved"));
    assert!(proved("static (7 dashboards") && proved("live ("), "{said}");
    assert!(said.contains("bites of the static proof") && said.contains("bites of the live proof"), "{said}");
    for line in said.lines().filter(|line| line.starts_with("left out")) {
        left_out(&format!("queries of dashboards, {line}"));
    }
}
