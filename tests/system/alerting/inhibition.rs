//! The graver alert speaks for the milder one of the same name and target, and for no other.

use super::servers::Alertmanager;
use super::{Office, alert, debian, of_the_project, shipped};
use crate::support::eventually;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels of metrics that name no target of an alert: what gathers targets, what says something about one, what is a value.
const NO_TARGETS: [&str; 18] = [
    "bound", "cause", "fstype", "group", "kind", "mode", "outcome", "phase", "reason", "result", "revision", "role",
    "rustc", "severity", "state", "status", "version", "window",
];

#[test]
fn every_label_that_names_a_target_must_be_equal() {
    let config: serde_yaml::Value = serde_yaml::from_str(&shipped()).unwrap();
    let rules = config["inhibit_rules"].as_sequence().unwrap();
    let equal = |rule: &serde_yaml::Value| -> BTreeSet<String> {
        rule["equal"].as_sequence().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(equal(&rules[0]), equal(&rules[1]));
    let equal = equal(&rules[0]);
    let pages = std::fs::read_to_string(of_the_project("docs/metrics.md")).unwrap();
    let rows = pages.lines().filter(|line| line.starts_with("| `"));
    let labels = rows.flat_map(|row| row.split('|').nth(3).unwrap().split(','));
    let labels: BTreeSet<_> = labels.map(str::trim).filter(|label| *label != "–").collect();
    for label in &labels {
        let (named, other) = (equal.contains(*label), NO_TARGETS.contains(label));
        assert!(
            named != other,
            "{label}: does it name a target? then alertmanager.yml needs it in `equal`, else NO_TARGETS"
        );
    }
    let gone: Vec<_> = NO_TARGETS.iter().filter(|label| !labels.contains(*label)).collect();
    assert!(gone.is_empty(), "no metric has {gone:?}");
    for label in ["alertname", "job", "instance"] {
        assert!(equal.contains(label));
    }
    for label in NO_TARGETS {
        assert!(!equal.contains(label));
    }
}

type Labels<'a> = &'a [(&'a str, &'a str)];

fn of_severity(name: &str, target: Labels, severity: &str) -> Value {
    let labels = [&[("alertname", name), ("severity", severity), ("job", "banken")][..], target].concat();
    alert(&labels, &[("summary", &format!("{name} {severity}"))])
}

#[tokio::test]
async fn the_graver_alert_silences_the_milder_one_of_the_same_target_and_nothing_else() {
    let office = Office::open("en").await;
    let alertmanager = office.alertmanager(|config| debian::hurried(&config)).await;
    let here = ("instance", "here:9810");
    // Name, target, the severities that fire there, and those of them that are not to be heard.
    let cases: [(&str, Labels, &[&str], &[&str]); 18] = [
        ("A", &[here, ("probe", "p")], &["critical", "warning", "info"], &["warning", "info"]),
        ("A", &[here, ("probe", "other")], &["warning", "info"], &["info"]),
        ("A", &[here, ("probe", "third")], &["info"], &[]),
        ("A", &[("instance", "there:9810"), ("probe", "p")], &["warning"], &[]),
        ("B", &[here, ("probe", "p")], &["warning"], &[]),
        ("Host", &[here], &["critical", "info"], &["info"]),
        ("Disk", &[here, ("mount", "/"), ("device", "sda1")], &["critical", "warning"], &["warning"]),
        ("Disk", &[here, ("mount", "/home"), ("device", "sda1")], &["warning"], &[]),
        ("Log", &[here, ("log", "app"), ("pattern", "oom")], &["critical"], &[]),
        ("Log", &[here, ("log", "app"), ("pattern", "error")], &["warning"], &[]),
        ("Job", &[here, ("task", "nightly")], &["critical", "warning"], &["warning"]),
        ("Job", &[here, ("task", "hourly")], &["warning", "info"], &["info"]),
        ("Field", &[here, ("probe", "p"), ("field", "price")], &["critical"], &[]),
        ("Field", &[here, ("probe", "p"), ("field", "mode")], &["warning"], &[]),
        ("Remedy", &[here, ("remedy", "restart")], &["critical", "info"], &["info"]),
        ("Remedy", &[here, ("remedy", "rotate")], &["info"], &[]),
        // Banken itself is down: what else is known is still said.
        ("BankenDown", &[here], &["critical"], &[]),
        ("C", &[here], &["warning"], &[]),
    ];
    let mut expected = BTreeMap::new();
    let mut alerts = Vec::new();
    for (name, target, severities, silenced) in &cases {
        for severity in *severities {
            let alert = of_severity(name, target, severity);
            let state = if silenced.contains(severity) { "suppressed" } else { "active" };
            expected.insert(alert["labels"].to_string(), state.to_owned());
            alerts.push(alert);
        }
    }
    alertmanager.post(&alerts).await;
    // It takes alerts in one after the other, and an alert is active until the graver one is known.
    eventually("every alert is as it should be", async || (states(&alertmanager).await == expected).then_some(()))
        .await;
    // What is silenced comes into no channel: each name is one message in its channel, and those that are wholly silenced are none.
    for (channel, severity, wanted) in [
        ("critical", "CRITICAL", &["A", "BankenDown", "Disk", "Field", "Host", "Job", "Log", "Remedy"][..]),
        ("administrator", "CRITICAL", &["A", "BankenDown", "Disk", "Field", "Host", "Job", "Log", "Remedy"]),
        ("warning", "WARNING", &["A", "B", "C", "Disk", "Field", "Job", "Log"]),
        ("info", "INFO", &["A", "Remedy"]),
    ] {
        let messages = office.until(channel, wanted.len()).await;
        let mut names: Vec<_> = messages.iter().map(|message| name_of(message.title())).collect();
        names.sort();
        assert_eq!(names, wanted, "{channel}");
        assert!(messages.iter().all(|message| message.title().contains(severity)), "{messages:#?}");
    }
    assert_eq!(states(&alertmanager).await, expected, "and it stays so");
}

/// What becomes of each alert, by its labels.
async fn states(alertmanager: &Alertmanager) -> BTreeMap<String, String> {
    let alerts = alertmanager.alerts().await;
    let state = |alert: &Value| alert["status"]["state"].as_str().unwrap().to_owned();
    alerts.iter().map(|alert| (alert["labels"].to_string(), state(alert))).collect()
}

/// `A` of `⚠️ WARNING ×2: A` and of `⚠️ WARNING: A warning`.
fn name_of(title: &str) -> String {
    title.split_once(": ").unwrap().1.split(' ').next().unwrap().to_owned()
}
