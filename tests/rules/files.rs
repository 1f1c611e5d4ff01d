//! The rule files and their promtool tests, read as what they say.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One rule: an alert, or a recorded series.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The file that it stands in.
    #[serde(skip)]
    pub file: String,
    /// The name of an alert.
    pub alert: Option<String>,
    /// The name of a recorded series.
    pub record: Option<String>,
    /// What is asked.
    pub expr: String,
    /// How long it must be so.
    #[serde(rename = "for")]
    pub hold: Option<String>,
    /// What is put on the result.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Words for a person.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

/// What a promtool test expects of one alert at one time.
#[derive(Debug, Deserialize)]
pub struct Expectation {
    /// The alert.
    pub alertname: String,
    /// Which of it fire; none when it should be quiet.
    #[serde(default)]
    pub exp_alerts: Vec<Firing>,
}

/// An alert that should fire.
#[derive(Debug, Deserialize)]
pub struct Firing {
    /// Its labels.
    #[serde(default)]
    pub exp_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<TestGroup>,
}

/// What a promtool test file looks at.
#[derive(Debug, Deserialize)]
pub struct TestGroup {
    /// Alerts, whole.
    #[serde(default)]
    pub alert_rule_test: Vec<Expectation>,
    /// Expressions, some of them about `ALERTS`.
    #[serde(default)]
    pub promql_expr_test: Vec<ExpressionTest>,
}

/// What a promtool test expects of an expression.
#[derive(Debug, Deserialize)]
pub struct ExpressionTest {
    /// The expression.
    pub expr: String,
    /// What it gives.
    #[serde(default)]
    pub exp_samples: Vec<Sample>,
}

/// A sample that an expression should give.
#[derive(Debug, Deserialize)]
pub struct Sample {
    /// Its labels, as they are written in PromQL.
    #[serde(default)]
    pub labels: String,
}

impl Rule {
    /// The label `severity`, or nothing.
    pub fn severity(&self) -> &str {
        self.labels.get("severity").map_or("", String::as_str)
    }

    /// Where it stands, for a message.
    pub fn place(&self) -> String {
        let name = self.alert.as_deref().or(self.record.as_deref()).unwrap_or("?");
        format!("{}: {name} {}", self.file, self.severity())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of one ending in a folder, in order.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    assert!(!paths.is_empty(), "{folder} holds no .{extension}");
    paths
}

fn parsed<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every rule of every file.
pub fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for path in files("alert-rules", "yml") {
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for group in parsed::<RuleFile>(&path).groups {
            assert!(group.name.starts_with(&format!("banken-{file}")), "{file}: a group is called {}", group.name);
            rules.extend(group.rules.into_iter().map(|rule| Rule { file: file.clone(), ..rule }));
        }
    }
    rules
}

/// Every group of promtool tests.
pub fn promtool_tests() -> Vec<TestGroup> {
    files("alert-rules/tests", "yml").into_iter().flat_map(|path| parsed::<TestFile>(&path).tests).collect()
}
