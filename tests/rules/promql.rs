//! Just enough of PromQL to see which series, labels and numbers an expression names.

use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A series as an expression names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// The name of a family, or the expression that names several (`__name__=~`).
    pub name: String,
    /// The labels that it is chosen by.
    pub labels: BTreeSet<String>,
}

static SELECTOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{(?P<matchers>[^{}]*)\}|(?P<bare>[a-zA-Z_:][a-zA-Z0-9_:]*)")
        .unwrap()
});
static MATCHER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).unwrap());
static LABEL_LIST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:on|by|without|ignoring|group_left|group_right)\s*\(([^()]*)\)").unwrap());
static STRING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""[^"]*""#).unwrap());
static DEFAULT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:\* 0 \+ |vector\()([0-9.]+(?: \* [0-9.]+)*)\)").unwrap());

/// Names of families and recorded series; functions and keywords are left out by their form.
fn is_series(name: &str) -> bool {
    name.contains(':') || name.starts_with("banken_") || name.ends_with("_total") || name == "up" || name == "ALERTS"
}

/// Every series that the expression reads.
pub fn selectors(expr: &str) -> BTreeSet<Selector> {
    let mut found = BTreeSet::new();
    for captures in SELECTOR.captures_iter(expr) {
        if let Some(bare) = captures.name("bare") {
            if is_series(bare.as_str()) {
                found.insert(Selector { name: bare.as_str().to_owned(), labels: BTreeSet::new() });
            }
            continue;
        }
        let mut name = captures.name("name").map(|name| name.as_str().to_owned());
        let mut labels = BTreeSet::new();
        for matcher in MATCHER.captures_iter(&captures["matchers"]) {
            match &matcher[1] {
                "__name__" => name = Some(matcher[2].to_owned()),
                label => {
                    labels.insert(label.to_owned());
                }
            }
        }
        found.insert(Selector { name: name.unwrap_or_else(|| panic!("a selector without a name: {expr}")), labels });
    }
    found
}

/// Labels that the expression joins or gathers by.
pub fn joined_labels(expr: &str) -> BTreeSet<String> {
    let expr = STRING.replace_all(expr, "\"\"");
    let lists = LABEL_LIST.captures_iter(&expr).map(|captures| captures[1].to_owned()).collect::<Vec<_>>();
    let labels = lists.iter().flat_map(|list| list.split(',')).map(|label| label.trim().to_owned());
    labels.filter(|label| !label.is_empty()).collect()
}

/// The default number that a rule of thresholds.yml records, if it records one.
pub fn default_number(expr: &str) -> Option<f64> {
    let captures = DEFAULT.captures(expr)?;
    Some(captures[1].split(" * ").map(|factor| factor.parse::<f64>().unwrap()).product())
}

#[test]
fn series_labels_and_numbers_of_an_expression_are_seen() {
    let expr = r#"(last_over_time(banken_a{x="1", y=~"z{2}"}[3m]) * 0 + 2 * 1024) unless on (job, probe) banken:b:c == bool 0"#
        .replace("z{2}", "z");
    let names: Vec<_> = selectors(&expr).into_iter().map(|selector| (selector.name, selector.labels.len())).collect();
    assert_eq!(names, [("banken:b:c".to_owned(), 0), ("banken_a".to_owned(), 2)]);
    assert_eq!(joined_labels(&expr), BTreeSet::from(["job".to_owned(), "probe".to_owned()]));
    assert_eq!(default_number(&expr), Some(2048.0));
    assert_eq!(default_number("vector(0.95)"), Some(0.95));
    assert_eq!(default_number("vector(time())"), None);
}
