//! The texts: rule files with links that lead to the right place, all of them as one file, all of them as a manifest.

use anyhow::Context as _;
use serde::Serialize;
use serde_yaml::Value;
use std::fmt::Write as _;
use std::str::FromStr;

/// How links to runbooks and to dashboards begin in the rule files.
const RUNBOOKS: (&str, &str) = ("http://localhost:9810", "/runbooks/");
const DASHBOARDS: (&str, &str) = ("http://localhost:3000", "/d/");

/// What links begin with: scheme, host and perhaps a path. It is put into YAML and into a template of Prometheus, so it has
/// no character that means something there.
#[derive(Debug, Clone)]
pub struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "write it as in https://banken.example:9810, without a query and without a password".to_owned();
        let uri: http::Uri = text.parse().map_err(|_| wanted())?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        if !has_scheme || uri.host().is_none_or(str::is_empty) || !text.chars().all(is_plain) {
            return Err(wanted());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// Where links lead; as in the rule files where nothing else is said.
pub struct Links<'a> {
    pub banken: Option<&'a Prefix>,
    pub grafana: Option<&'a Prefix>,
}

impl Links<'_> {
    pub fn replace(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for ((default, path), wanted) in [(RUNBOOKS, self.banken), (DASHBOARDS, self.grafana)] {
            if let Some(Prefix(prefix)) = wanted {
                text = text.replace(&format!("{default}{path}"), &format!("{prefix}{path}"));
            }
        }
        text
    }
}

/// A label of an object in Kubernetes.
#[derive(Debug, Clone)]
pub struct Label(String, String);

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE, as in release=prometheus")?;
        let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
        if !is_word(name) || prefix.is_some_and(|prefix| !is_domain(prefix)) {
            return Err(format!("{key:?} is no key of a label in Kubernetes"));
        }
        if !value.is_empty() && !is_word(value) {
            return Err(format!("{value:?} is no value of a label in Kubernetes"));
        }
        Ok(Self(key.to_owned(), value.to_owned()))
    }
}

/// A name of a namespace: a label of a domain (RFC 1123).
pub fn namespace(text: &str) -> Result<String, String> {
    if text.contains('.') || text.len() > 63 || !is_domain(text) {
        return Err("a namespace has small letters, digits and hyphens, 63 at most".into());
    }
    Ok(text.to_owned())
}

/// Up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_word(text: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(is_inside)
        && ends_well(text.chars().next())
        && ends_well(text.chars().next_back())
}

fn is_domain(text: &str) -> bool {
    let is_small = |c: char| !c.is_ascii_uppercase() && c != '_';
    text.len() <= 253 && text.chars().all(is_small) && text.split('.').all(is_word)
}

/// All files as one: what stands below their `groups:`, with their comments.
pub fn one_file(files: &[(&str, String)]) -> String {
    let mut text = format!("# All alert rules of Banken {}.\ngroups:\n", env!("CARGO_PKG_VERSION"));
    for (name, file) in files {
        let lines = file.lines().filter(|line| *line != "groups:");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n# {name}");
        lines.for_each(|line| text.extend([line, "\n"]));
    }
    text
}

/// What stands below the head of a manifest.
#[derive(Serialize)]
struct Body {
    spec: Spec,
}

#[derive(Serialize)]
struct Spec {
    groups: Vec<Value>,
}

/// All files as one manifest of the Prometheus Operator, with what anchors stand for written out.
///
/// # Errors
/// When a shipped file is no rule file, which is a defect of Banken.
pub fn manifest(files: &[(&str, String)], namespace: Option<&str>, labels: &[Label]) -> anyhow::Result<String> {
    let mut groups = Vec::new();
    for (name, text) in files {
        groups.extend(groups_of(text).with_context(|| format!("{name} is no rule file, which is a defect of Banken"))?);
    }
    let mut head = format!("# The alert rules of Banken {}: printed by `banken rules`.\n", env!("CARGO_PKG_VERSION"));
    head.push_str("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: banken\n");
    // In quotes: whoever reads YAML 1.1, as kubectl does, takes a bare yes for a boolean.
    if let Some(namespace) = namespace {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(head, "  namespace: '{namespace}'");
    }
    head.push_str("  labels:\n    'app.kubernetes.io/name': 'banken'\n");
    for Label(key, value) in labels {
        let _ = writeln!(head, "    '{key}': '{value}'");
    }
    Ok(head + &serde_yaml::to_string(&Body { spec: Spec { groups } })?)
}

fn groups_of(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut document: Value = serde_yaml::from_str(text)?;
    document.apply_merge()?;
    let groups = document.get_mut("groups").and_then(Value::as_sequence_mut).context("there are no groups")?;
    Ok(std::mem::take(groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped::RULES;

    fn shipped() -> Vec<(&'static str, String)> {
        RULES.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
    }

    fn groups(text: &str) -> Vec<Value> {
        groups_of(text).unwrap()
    }

    #[test]
    fn every_rule_file_begins_its_groups_on_a_line_that_says_nothing_else() {
        for (name, text) in RULES {
            assert_eq!(text.lines().filter(|line| *line == "groups:").count(), 1, "{name}");
            assert!(
                text.lines().all(|line| line == "groups:" || line.is_empty() || line.starts_with([' ', '#'])),
                "{name}"
            );
        }
    }

    #[test]
    fn one_file_and_the_manifest_hold_the_groups_of_all_files_in_their_order() {
        let all: Vec<Value> = RULES.iter().flat_map(|(_, text)| groups(text)).collect();
        assert!(all.len() >= RULES.len() && all.len() > 1);
        assert_eq!(groups(&one_file(&shipped())), all);
        let manifest: Value = serde_yaml::from_str(&manifest(&shipped(), None, &[]).unwrap()).unwrap();
        assert_eq!(manifest["spec"]["groups"].as_sequence().unwrap(), &all);
        let mut names: Vec<_> = all.iter().map(|group| group["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len(), "a group's name is its own: {names:?}");
    }

    #[test]
    fn one_file_keeps_the_comments() {
        let one = one_file(&shipped());
        for (name, text) in RULES {
            assert!(one.contains(&format!("\n# {name}\n")));
            for comment in text.lines().filter(|line| line.trim_start().starts_with('#')) {
                assert!(one.contains(&format!("\n{comment}\n")), "{name}: {comment}");
            }
        }
    }

    #[test]
    fn a_manifest_has_no_anchors_and_merges_what_was_merged() {
        let file = "groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: up\n        annotations: &words { summary: s }\n      \
                    - alert: B\n        expr: up == 0\n        annotations: { <<: *words, description: d }\n";
        let text = manifest(&[("a.yml", file.to_owned())], None, &[]).unwrap();
        assert!(!text.contains("&words") && !text.contains("<<"), "{text}");
        let rule: Value = serde_yaml::from_str(&text).unwrap();
        let rule = &rule["spec"]["groups"][0]["rules"][1];
        assert_eq!((&rule["annotations"]["summary"], &rule["annotations"]["description"]), (&"s".into(), &"d".into()));
        let error = manifest(&[("bad.yml", "rules: []\n".to_owned())], None, &[]).unwrap_err();
        assert!(error.to_string().contains("bad.yml"), "{error}");
    }

    #[test]
    fn a_manifest_carries_the_namespace_and_the_labels_as_words() {
        let labels = ["release=prometheus", "example.org/on=yes", "count=1", "none="];
        let labels: Vec<Label> = labels.map(|label| label.parse().unwrap()).into();
        let text = manifest(&shipped(), Some("monitoring"), &labels).unwrap();
        let document: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(document["metadata"]["namespace"], "monitoring");
        for (key, value) in [
            ("release", "prometheus"),
            ("example.org/on", "yes"),
            ("count", "1"),
            ("none", ""),
            ("app.kubernetes.io/name", "banken"),
        ] {
            assert_eq!(document["metadata"]["labels"][key], value);
        }
        assert!(text.contains("'example.org/on': 'yes'"), "{text}");
    }

    #[test]
    fn no_word_of_a_manifest_is_something_else_in_yaml_1_1() {
        let text = manifest(&shipped(), Some("monitoring"), &[]).unwrap();
        let word = regex::Regex::new(r"(?im): (y|n|yes|no|on|off|0o?[0-7]+|[0-9_]+(:[0-5]?[0-9])+)$").unwrap();
        assert!(word.find(&text).is_none(), "{:?}", word.find(&text));
        assert!(word.is_match("a: on\n") && word.is_match("for: 1:30\n"));
    }

    #[test]
    fn links_are_replaced_in_annotations_and_nothing_else_is() {
        let (banken, grafana): (Prefix, Prefix) =
            ("https://b.example/banken/".parse().unwrap(), "http://[::1]:3000".parse().unwrap());
        let links = Links { banken: Some(&banken), grafana: Some(&grafana) };
        for (name, text) in RULES {
            assert_eq!(Links { banken: None, grafana: None }.replace(text), *text);
            let (before, after) = (groups(text), groups(&links.replace(text)));
            for (before, after) in before.iter().zip(&after) {
                for (before, after) in
                    before["rules"].as_sequence().unwrap().iter().zip(after["rules"].as_sequence().unwrap())
                {
                    let mut wanted = before.clone();
                    if let Some(annotations) = wanted.get_mut("annotations") {
                        let alert = before["alert"].as_str().unwrap();
                        annotations["runbook_url"] = format!("https://b.example/banken/runbooks/{alert}").into();
                        let dashboard = annotations["dashboard_url"].as_str().unwrap();
                        let rest = dashboard.strip_prefix("http://localhost:3000").unwrap();
                        annotations["dashboard_url"] = format!("http://[::1]:3000{rest}").into();
                    }
                    assert_eq!(*after, wanted, "{name}");
                }
            }
        }
    }

    #[test]
    fn only_a_plain_url_is_a_prefix() {
        for good in ["http://localhost:9810", "https://x.example/a/b/", "http://[2001:db8::1]:80", "http://10.0.0.1"] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost:9810",
            "/path",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x/?a=b",
            "http://x/#f",
            "http://x/'y",
            "http://x/ y",
            "http://x/{{y}}",
            "http://x/\"",
            "http://x/日本",
        ] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_and_namespaces_are_those_of_kubernetes() {
        let long = "x".repeat(64);
        for good in ["a=b", "a.b/c=D_e-f.g", "A=", "a=1"] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["a", "=b", "a=b c", "-a=b", "a=b-", "a/b/c=d", "A.b/c=d", "/a=b", "a=日", &format!("a={long}")] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
        assert!(namespace("monitoring-2").is_ok());
        for bad in ["", "Monitoring", "a.b", "a_b", "-a", &long] {
            assert!(namespace(bad).is_err(), "{bad}");
        }
    }
}
