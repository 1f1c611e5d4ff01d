//! Holds the rule files against the catalogue of metrics, the runbooks, what was promised, and promtool.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod files;
mod promises;
mod promql;

use banken::metrics::docs::{every_probe, other_sections};
use banken::observation::{Family, FamilyType};
use banken::probe::{DURATION, KINDS};
use files::{Rule, files, promtool_tests, rules};
use promises::{ALERTS, THRESHOLDS, WAITS};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// From the mildest to the gravest.
const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
/// What a rule says to people.
const ANNOTATIONS: [&str; 6] =
    ["dashboard_url", "description", "description_ja", "runbook_url", "summary", "summary_ja"];
/// The dashboards that an alert may lead to.
const DASHBOARDS: [&str; 7] = [
    "banken-overview",
    "banken-check",
    "banken-alerts",
    "banken-performance",
    "banken-databases",
    "banken-host",
    "banken-exporter",
];
/// Series that Prometheus and Alertmanager publish themselves.
const OF_OTHERS: [&str; 4] =
    ["up", "ALERTS", "alertmanager_notifications_failed_total", "prometheus_rule_evaluation_failures_total"];
/// Labels of those.
const LABELS_OF_OTHERS: [&str; 4] = ["job", "instance", "integration", "rule_group"];
/// Recorded series of which a smaller value is graver.
const SMALLER_IS_GRAVER: [&str; 6] = [
    "banken:probe_success_ratio:threshold",
    "banken:certificate_remaining_seconds:threshold",
    "banken:job_success_ratio:threshold",
    "banken:trading_win_ratio:threshold",
    "banken:trading_sharpe_ratio:threshold",
    "banken:trading_kelly_ratio:threshold",
];

fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.alert.is_some()).collect()
}

/// Every family that Banken publishes, with the labels that its samples may carry.
fn catalogue() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let of_kinds = KINDS
        .iter()
        .flat_map(|kind| kind.families.iter().copied().chain(kind.signals.iter().map(|signal| signal.threshold)));
    let others = other_sections().into_iter().chain([every_probe()]).flat_map(|section| section.families);
    let families: Vec<&'static Family> = of_kinds.chain(others).chain([DURATION.threshold]).collect();
    let mut catalogue = BTreeMap::new();
    for family in families {
        let labels: BTreeSet<_> = family.scope.labels().iter().chain(family.labels).copied().collect();
        if family.family_type == FamilyType::Histogram {
            for name in
                [format!("{}_bucket", family.name), format!("{}_sum", family.name), format!("{}_count", family.name)]
            {
                let labels = labels.iter().copied().chain(["le"]).collect();
                catalogue.insert(&*name.leak(), labels);
            }
        }
        catalogue.insert(family.name, labels);
    }
    catalogue
}

fn recorded(rules: &[Rule]) -> BTreeSet<&str> {
    rules.iter().filter_map(|rule| rule.record.as_deref()).collect()
}

#[test]
fn every_promised_alert_is_there_with_its_severities() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for alert in alerts() {
        let severities = found.entry(alert.alert.clone().unwrap()).or_default();
        assert!(SEVERITIES.contains(&alert.severity()), "{}: not a severity", alert.place());
        severities.insert(alert.severity().to_owned());
    }
    let missing: Vec<_> = ALERTS
        .iter()
        .flat_map(|(name, severities)| severities.iter().map(move |severity| (*name, *severity)))
        .filter(|(name, severity)| !found.get(*name).is_some_and(|severities| severities.contains(*severity)))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(found.keys().all(|name| name.starts_with("Banken")), "{found:?}");
}

#[test]
fn each_figure_of_the_requirements_stands_in_the_rules() {
    let rules = rules();
    for (row, series, which, number) in THRESHOLDS {
        let name = format!("banken:{series}");
        let place = rules.iter().find(|rule| {
            rule.record.as_deref() == Some(&name)
                && promql::default_number(&rule.expr).is_some()
                && (which.is_empty() || rule.labels.values().any(|value| value == which))
        });
        let place = place.unwrap_or_else(|| panic!("{row}: there is no default of {name} for {which}"));
        let found = promql::default_number(&place.expr).unwrap();
        assert!((found - number).abs() < 1e-9, "{row}: {name} for {which} is {found}, promised was {number}");
        assert!(reads(&rules, &name), "{row}: no alert compares with {name}");
    }
    for (row, name, severity, hold) in WAITS {
        let holds =
            alerts().into_iter().filter(|rule| rule.alert.as_deref() == Some(name) && rule.severity() == *severity);
        let holds: Vec<_> = holds.map(|rule| rule.hold.unwrap_or_default()).collect();
        assert!(
            !holds.is_empty() && holds.iter().all(|found| found == hold),
            "{row}: {name} {severity} waits {holds:?}"
        );
    }
}

/// Whether some rule reads a series.
fn reads(rules: &[Rule], name: &str) -> bool {
    rules.iter().any(|rule| promql::selectors(&rule.expr).iter().any(|selector| selector.name == name))
}

#[test]
fn a_threshold_stands_in_one_file_and_is_read() {
    let rules = rules();
    for rule in &rules {
        let Some(name) = rule.record.as_deref() else { continue };
        let is_default =
            ["threshold", "bound", "minimum", "objective"].iter().any(|last| name.ends_with(&format!(":{last}")));
        assert_eq!(is_default, rule.file == "thresholds", "{} is in the wrong file", rule.place());
        // An objective is drawn beside what was reached; most are no reason to wake anybody.
        let is_read = name.ends_with(":objective") || reads(&rules, name);
        assert!(!is_default || is_read, "{}: nobody reads it", rule.place());
    }
}

#[test]
fn a_graver_severity_has_a_stricter_threshold_or_waits_longer() {
    let rules = rules();
    let mut defaults: BTreeMap<&str, Vec<(usize, f64)>> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.file == "thresholds" && !rule.labels.contains_key("window")) {
        let severity = SEVERITIES.iter().position(|severity| *severity == rule.severity());
        if let (Some(severity), Some(number)) = (severity, promql::default_number(&rule.expr)) {
            defaults.entry(rule.record.as_deref().unwrap()).or_default().push((severity, number));
        }
    }
    assert!(defaults.len() > 15, "{defaults:?}");
    for (name, mut levels) in defaults {
        levels.sort_by_key(|level| level.0);
        let sign = if SMALLER_IS_GRAVER.contains(&name) { -1.0 } else { 1.0 };
        for pair in levels.windows(2) {
            let stricter = sign * (pair[1].1 - pair[0].1);
            // The same share of the CPU is graver when it lasts longer.
            let waits_longer = name == "banken:process_cpu_ratio:threshold";
            assert!(stricter > 0.0 || (waits_longer && stricter == 0.0), "{name}: {levels:?}");
        }
    }
}

#[test]
fn every_metric_and_label_in_the_rules_exists() {
    let rules = rules();
    let (catalogue, recorded) = (catalogue(), recorded(&rules));
    let mut labels: BTreeSet<String> = catalogue.values().flatten().map(|label| (*label).to_owned()).collect();
    labels.extend(LABELS_OF_OTHERS.map(str::to_owned));
    labels.extend(rules.iter().flat_map(|rule| rule.labels.keys().cloned()));
    let mut read = BTreeSet::new();
    for rule in &rules {
        for selector in promql::selectors(&rule.expr) {
            if selector.name.contains(':') {
                assert!(recorded.contains(&*selector.name), "{}: nothing records {}", rule.place(), selector.name);
                continue;
            }
            if OF_OTHERS.contains(&&*selector.name) {
                continue;
            }
            let pattern = Regex::new(&format!("^(?:{})$", selector.name)).unwrap();
            let matching: Vec<_> = catalogue.iter().filter(|(name, _)| pattern.is_match(name)).collect();
            let wanted = expanded(&selector.name);
            let missing: Vec<_> = wanted.iter().filter(|name| !catalogue.contains_key(name.as_str())).collect();
            assert!(missing.is_empty() && !matching.is_empty(), "{}: Banken has no {missing:?}", rule.place());
            for label in &selector.labels {
                let known = ["job", "instance"].contains(&&**label)
                    || matching.iter().all(|(_, labels)| labels.contains(&**label));
                assert!(known, "{}: {} has no label {label}", rule.place(), selector.name);
            }
            read.extend(wanted);
        }
        for label in promql::joined_labels(&rule.expr) {
            let made = rule.expr.contains(&format!("\"{label}\"")) && rule.expr.contains("label_");
            assert!(labels.contains(&label) || made, "{}: there is no label {label}", rule.place());
        }
    }
    assert!(read.len() > 40, "{read:?}");
}

/// The names that a pattern such as `banken_(process|pm2)_memory_threshold_bytes` stands for.
fn expanded(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('(') else {
        return pattern.split('|').map(str::to_owned).collect();
    };
    let (choices, after) = rest.split_once(')').unwrap();
    choices.split('|').flat_map(|choice| expanded(&format!("{before}{choice}{after}"))).collect()
}

#[test]
fn every_alert_says_what_it_is_in_two_languages_and_leads_to_its_runbook_and_a_dashboard() {
    let japanese = Regex::new(r"[\p{Hiragana}\p{Katakana}\p{Han}]").unwrap();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = alert.alert.clone().unwrap();
        let keys: Vec<_> = alert.annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ANNOTATIONS, "{}", alert.place());
        assert!(alert.annotations.values().all(|text| !text.trim().is_empty()), "{}", alert.place());
        for key in ["summary_ja", "description_ja"] {
            assert!(japanese.is_match(&alert.annotations[key]), "{}: {key} is not Japanese", alert.place());
        }
        assert_eq!(alert.annotations["runbook_url"], format!("http://localhost:9810/runbooks/{name}"));
        let dashboard = alert.annotations["dashboard_url"].strip_prefix("http://localhost:3000/d/");
        let uid = dashboard.unwrap_or_default().split('?').next().unwrap();
        assert!(DASHBOARDS.contains(&uid), "{}: there is no dashboard {uid:?}", alert.place());
        names.insert(name);
    }
    let mut runbooks = BTreeSet::new();
    for path in files("docs/runbooks", "md").into_iter().filter(|path| !path.ends_with("README.md")) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("# {name}\n")), "{} has another title", path.display());
        for heading in ["What it means", "Look first", "What usually helps", "When it is noise"] {
            assert!(text.contains(&format!("\n## {heading}\n")), "{} has no {heading:?}", path.display());
        }
        runbooks.insert(name);
    }
    assert_eq!(names, runbooks, "alerts and runbooks differ");
}

#[test]
fn every_alert_and_severity_has_a_test_that_sees_it_fire_and_one_that_sees_it_quiet() {
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    let alertname = Regex::new(r#"alertname="(\w+)""#).unwrap();
    let severity = Regex::new(r#"severity="(\w+)""#).unwrap();
    let captured = |regex: &Regex, text: &str| regex.captures(text).map(|captures| captures[1].to_owned());
    for group in promtool_tests() {
        for test in group.promql_expr_test.into_iter().filter(|test| test.expr.contains("ALERTS")) {
            let asked = captured(&alertname, &test.expr);
            for sample in test.exp_samples.iter().filter(|sample| !sample.labels.contains("\"pending\"")) {
                let name = captured(&alertname, &sample.labels).or_else(|| asked.clone());
                fires.extend(name.zip(captured(&severity, &sample.labels)));
            }
            // What such a test does not name is quiet.
            quiet.extend(asked);
        }
        for expectation in group.alert_rule_test {
            if expectation.exp_alerts.is_empty() {
                quiet.insert(expectation.alertname.clone());
            }
            let severities =
                expectation.exp_alerts.into_iter().filter_map(|mut firing| firing.exp_labels.remove("severity"));
            fires.extend(severities.map(|severity| (expectation.alertname.clone(), severity)));
        }
    }
    for alert in alerts() {
        let name = alert.alert.clone().unwrap();
        assert!(fires.contains(&(name.clone(), alert.severity().to_owned())), "{} is never seen firing", alert.place());
        // The dead man's switch always fires: that is all there is to it.
        assert!(quiet.contains(&name) || name == "BankenWatchdog", "{} is never seen quiet", alert.place());
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let start = |arguments: &[&str], paths: &[PathBuf]| {
        let mut promtool = Command::new("promtool");
        promtool.args(arguments).args(paths).stdout(Stdio::piped()).stderr(Stdio::piped());
        promtool.spawn().expect("promtool comes with Debian's package prometheus")
    };
    let tests = files("alert-rules/tests", "yml");
    // Each file is a run of its own: on every core there is one.
    let tests = tests.chunks(1).map(|path| start(&["test", "rules"], path));
    for promtool in
        std::iter::once(start(&["check", "rules"], &files("alert-rules", "yml"))).chain(tests).collect::<Vec<_>>()
    {
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}
