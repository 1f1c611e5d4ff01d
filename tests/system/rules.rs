//! `banken rules`: what it prints and writes is what lies in `alert-rules/`, and a real Prometheus takes it.

use crate::prometheus::servers::Prometheus;
use crate::support::{Banken, client, eventually};
use banken::shipped::RULES;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn rules(arguments: &[&str]) -> Output {
    Banken::command().arg("rules").args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = rules(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = rules(arguments);
    assert!(!output.status.success(), "{arguments:?} were taken");
    String::from_utf8(output.stderr).unwrap()
}

/// What `promtool check rules` says, and whether it is content.
fn promtool(files: &[PathBuf]) -> (bool, String) {
    let output = Command::new("promtool").args(["check", "rules"]).args(files).output();
    let output = output.expect("promtool is not there; tests/run installs what is needed");
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// How many rules promtool finds in a text that it accepts.
fn accepted(text: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, text).unwrap();
    let (content, said) = promtool(&[file]);
    assert!(content, "{said}");
    let count = said.split("SUCCESS: ").nth(1).and_then(|said| said.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn group_names(groups: &Value) -> BTreeSet<String> {
    groups.as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect()
}

fn shipped_groups() -> BTreeSet<String> {
    RULES.iter().flat_map(|(_, text)| group_names(&yaml(text)["groups"])).collect()
}

#[test]
fn everything_that_is_printed_is_a_rule_file_that_promtool_accepts() {
    let count = accepted(&printed(&[]));
    let each: usize = RULES.iter().map(|(_, text)| accepted(text)).sum();
    assert_eq!(count, each);
    let urls = ["--banken-url", "https://banken.example/x/", "--grafana-url", "http://[::1]:3000"];
    let elsewhere = printed(&urls);
    assert_eq!(accepted(&elsewhere), count);
    assert!(!elsewhere.contains("http://localhost:"), "a link still leads to this host");
    assert!(elsewhere.contains("https://banken.example/x/runbooks/BankenProbeDown\n"));
    assert!(elsewhere.contains("'http://[::1]:3000/d/banken-check?var-job={{ $labels.job }}"));
}

#[test]
fn a_manifest_holds_the_same_rules() {
    let text = printed(&["--format", "kubernetes", "--namespace", "watch", "--label", "release=prometheus"]);
    let manifest = yaml(&text);
    assert_eq!(
        (&manifest["apiVersion"], &manifest["kind"]),
        (&"monitoring.coreos.com/v1".into(), &"PrometheusRule".into())
    );
    assert_eq!(manifest["metadata"]["namespace"], "watch");
    assert_eq!(manifest["metadata"]["labels"]["release"], "prometheus");
    let rules: usize =
        manifest["spec"]["groups"].as_array().unwrap().iter().map(|g| g["rules"].as_array().unwrap().len()).sum();
    assert_eq!(accepted(&serde_yaml::to_string(&manifest["spec"]).unwrap()), rules);
    assert_eq!(rules, accepted(&printed(&[])));
    // What etcd takes of one object, with room.
    let size = serde_json::to_string(&manifest).unwrap().len();
    assert!(size < 1024 * 1024, "the manifest has {size} bytes");
}

#[tokio::test]
async fn what_is_written_is_what_is_shipped_and_prometheus_loads_it() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("rules/banken");
    let said = printed(&["--output", below.to_str().unwrap()]);
    assert!(said.contains(&format!("{} rule files written", RULES.len())), "{said}");
    assert!(said.contains(&format!("{}/*.yml", below.display())), "{said}");
    let mut files = Vec::new();
    for (name, text) in RULES {
        let file = below.join(name);
        let written = std::fs::read_to_string(&file).unwrap();
        assert_eq!(written.split_once('\n').unwrap().1, *text, "{name}");
        files.push(file);
    }
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), RULES.len());
    let (content, said) = promtool(&files);
    assert!(content, "{said}");
    let prometheus = Prometheus::start(&format!("rule_files: [ '{}/*.yml' ]\n", below.display())).await;
    let url = format!("{}/api/v1/rules", prometheus.base());
    let loaded = eventually("Prometheus has the rules", async || {
        let answer: Value = client().get(&url).send().await.ok()?.json().await.ok()?;
        let groups = &answer["data"]["groups"];
        groups.as_array().is_some_and(|groups| !groups.is_empty()).then(|| group_names(groups))
    })
    .await;
    assert_eq!(loaded, shipped_groups());
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_file_that_was_changed_by_hand_is_kept_until_force_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    printed(&["--output", place]);
    let ours = text(folder.path(), "thresholds.yml");
    std::fs::write(folder.path().join("thresholds.yml"), ours.replace("vector(0.95)", "vector(0.97)")).unwrap();
    let said = refused(&["--output", place, "--banken-url", "http://b:1"]);
    assert!(
        said.contains("/thresholds.yml\n") && said.contains("--force") && said.contains("nothing was written"),
        "{said}"
    );
    assert!(!said.contains("/endpoints.yml"), "{said}");
    assert!(text(folder.path(), "thresholds.yml").contains("vector(0.97)"));
    assert!(text(folder.path(), "endpoints.yml").contains("http://localhost:9810/runbooks/"), "the others stay too");
    printed(&["--output", place, "--force"]);
    assert_eq!(text(folder.path(), "thresholds.yml"), ours);
    let said = printed(&["--output", place]);
    assert!(said.contains("0 rule files written"), "{said}");
}

#[test]
fn options_that_contradict_each_other_are_refused_with_a_remedy() {
    for (arguments, words) in [
        (&["--namespace", "watch"][..], "--format kubernetes"),
        (&["--label", "a=b"], "--format kubernetes"),
        (&["--format", "kubernetes", "--output", "/nowhere"], "redirect it"),
        (&["--force"], "--output"),
        (&["--banken-url", "banken.example"], "https://banken.example:9810"),
        (&["--grafana-url", "http://user:secret@grafana"], "without a password"),
        (&["--format", "kubernetes", "--label", "release"], "KEY=VALUE"),
        (&["--format", "kubernetes", "--namespace", "A"], "small letters"),
    ] {
        let said = refused(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
