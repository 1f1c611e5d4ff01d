//! What a configuration may say, and what it is told when it is wrong.

use super::*;
use crate::board::CaptureUsage;
use crate::observation::Gravity;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Builds from an entry of `logs:`, with its mistakes by path.
fn build(entry: &serde_json::Value) -> (Patterns, Vec<(String, String)>) {
    let list = |key: &str| entry.get(key).cloned().unwrap_or_else(|| json!([]));
    let sources: Vec<Source> = serde_json::from_value(list("patterns")).unwrap();
    let rules: Vec<Rule> = serde_json::from_value(list("rules")).unwrap();
    let mut invalid = Vec::new();
    let patterns = Patterns::build(&sources, &rules, Vec::new(), &mut invalid);
    (patterns, invalid.into_iter().map(|mistake| (mistake.path, mistake.message)).collect())
}

fn rule_mistakes(rule: &serde_json::Value) -> Vec<(String, String)> {
    build(&json!({ "rules": [rule] })).1
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error_patterns.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

const USERS_FILE: &str = include_str!("../../../tests/fixtures/logs/error_patterns.json");

#[test]
fn a_users_file_is_read_as_it_is_and_takes_the_place_of_built_in_patterns() {
    let (_folder, path) = file(USERS_FILE);
    let (patterns, mistakes) = build(&json!({ "patterns": ["builtin", { "file": path }] }));
    assert_eq!(mistakes, []);
    let descriptors = patterns.descriptors();
    let of = |id: &str| descriptors.iter().position(|pattern| pattern.id == id).unwrap();
    let http = &descriptors[of("http_5xx")];
    assert_eq!((http.name.as_str(), http.gravity), ("HTTP 5xxエラー", Gravity::Critical));
    assert_eq!(patterns.texts()[of("http_5xx")], "HTTP/[0-9.]+ 5[0-9]{2}");
    assert_eq!(descriptors.iter().filter(|pattern| pattern.id == "http_5xx").count(), 1);
    let own = &descriptors[of("backup_failed")];
    assert_eq!((own.name.as_str(), own.gravity), ("バックアップ失敗", Gravity::Error));
    assert_eq!(of("python_exception"), 2, "the built-in one stays where the file has none");
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_place_its_pattern_and_a_remedy() {
    let pattern =
        |pattern: &str| format!("{{\"error_patterns\": [\n {{\"id\": \"a\", \"pattern\": \"x\"}},\n {pattern}]}}");
    for (text, expected) in [
        (pattern(r#"{"id": "db", "pattern": "(?<!x)y"}"#), "3:35: error_patterns[1].pattern (\"db\"): ".to_owned()),
        (pattern(r#"{"id": "db", "pattern": "(?<!x)y"}"#), "look-around is not possible in linear time: match".into()),
        (pattern(r#"{"id": "db", "pattern": "(a)\\1"}"#), "write the repeated text out".into()),
        (pattern(r#"{"id": "db", "pattern": "(?P<a>x)(?P=a)"}"#), "write the repeated text out".into()),
        (pattern(r#"{"id": "db", "pattern": "(?>a)b"}"#), "write (?:…) instead of (?>…)".into()),
        (pattern(r#"{"id": "db", "pattern": "end\\Z"}"#), r"write $ or \z instead of \Z".into()),
        (pattern(r#"{"id": "db", "pattern": "a{1000}{1000}"}"#), "exceeds size limit".into()),
        (pattern(r#"{"id": "db", "pattern": "x", "severity": "fatal"}"#), "error_patterns[1].severity (\"db\")".into()),
        (pattern(r#"{"id": "", "pattern": "x"}"#), "cannot be a label".into()),
        (pattern(r#"{"id": "db"}"#), "missing field `pattern`".into()),
        ("{\"error_patterns\": [\n  {,".into(), ":2:4: ".into()),
        ("[]".into(), ":1:".into()),
    ] {
        let (_folder, path) = file(&text);
        let message = PatternFile::read(&path).unwrap_err();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        assert!(message.contains(&expected), "{message} lacks {expected}");
    }
    assert!(PatternFile::read(Path::new("/nowhere.json")).unwrap_err().contains("check the path"));
    let (folder, _) = file("");
    assert!(PatternFile::read(folder.path()).unwrap_err().contains("not a regular file"));
}

#[test]
fn a_set_of_patterns_that_is_unknown_is_told_what_there_is() {
    let message = |source: serde_json::Value| serde_json::from_value::<Source>(source).unwrap_err().to_string();
    assert!(message(json!("buildin")).contains("write builtin, or { file: PATH }"));
    assert!(message(json!({ "path": "x" })).contains("unknown field `path`"));
    assert!(message(json!({})).contains("missing field `file`"));
}

#[test]
fn a_rule_says_what_becomes_of_its_groups() {
    let (patterns, mistakes) = build(&json!({ "rules": [{
        "id": "pattern_detected", "name": "Pattern detected", "severity": "info",
        "pattern": r"Pattern detected: (?P<shape>\w+) at (?P<price>[0-9.]+) in (?P<took>[0-9.]+) s(?P<more>!)?",
        "captures": {
            "shape": { "values": ["double_top", "flag"] }, "price": { "gauge": true }, "took": { "histogram": [0.5, 1] },
        },
    }] }));
    assert_eq!(mistakes, []);
    let descriptor = &patterns.descriptors()[0];
    assert_eq!((descriptor.name.as_str(), descriptor.gravity), ("Pattern detected", Gravity::Info));
    let usages: Vec<_> = descriptor.captures.iter().map(|capture| (capture.name.as_str(), &capture.usage)).collect();
    let values = CaptureUsage::Counts(vec!["double_top".into(), "flag".into()]);
    let expected =
        [("price", &CaptureUsage::Latest), ("shape", &values), ("took", &CaptureUsage::Histogram(vec![0.5, 1.0]))];
    assert_eq!(usages, expected);
    let captured = patterns.captures(0, b"Pattern detected: flag at 1.5 in 0.2 s");
    let expected = [("price", "1.5"), ("shape", "flag"), ("took", "0.2")];
    assert_eq!(captured, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
}

#[test]
fn a_captured_text_is_cut_and_need_not_be_utf_8() {
    let (patterns, _) = build(&json!({ "rules": [{ "id": "a", "pattern": "(?-u)x(?P<rest>.*)" }] }));
    let line = [b"x\xff".as_slice(), &[b'a'; 1000]].concat();
    let captured = &patterns.captures(0, &line)["rest"];
    assert!(captured.starts_with("\u{fffd}aaa") && captured.len() == 255 + 3, "{}", captured.len());
    assert!(patterns.captures(0, b"no").is_empty() && patterns.captures(7, b"x").is_empty());
}

#[test]
fn each_mistake_of_a_rule_has_its_path_and_a_remedy() {
    let rule = |captures: serde_json::Value| json!({ "id": "a", "pattern": "(?P<x>[0-9])", "captures": captures });
    let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    for (rule, path, remedy) in [
        (json!({ "id": "A b", "pattern": "x" }), "rules[0].id", "begin with a lower-case letter"),
        (rule(json!({ "y": { "gauge": true } })), "rules[0].captures.y", "it has x): write (?P<y>…)"),
        (rule(json!({ "x": {} })), "rules[0].captures.x", "exactly one of"),
        (rule(json!({ "x": { "gauge": true, "values": ["a"] } })), "rules[0].captures.x", "exactly one of"),
        (rule(json!({ "x": { "gauge": false } })), "rules[0].captures.x.gauge", "write true"),
        (rule(json!({ "x": { "values": [] } })), "rules[0].captures.x.values", "list 1 to 100"),
        (rule(json!({ "x": { "values": many } })), "rules[0].captures.x.values", "101 values: list 1 to 100"),
        (rule(json!({ "x": { "values": ["a", "a"] } })), "rules[0].captures.x.values", "listed twice"),
        (rule(json!({ "x": { "values": ["other"] } })), "rules[0].captures.x.values", "leave it out"),
        (rule(json!({ "x": { "values": [""] } })), "rules[0].captures.x.values", "1 to 256 bytes"),
        (rule(json!({ "x": { "histogram": [] } })), "rules[0].captures.x.histogram", "list 1 to 30"),
        (rule(json!({ "x": { "histogram": [1, 1] } })), "rules[0].captures.x.histogram", "that rise"),
    ] {
        let mistakes = rule_mistakes(&rule);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert_eq!(mistakes[0].0, path);
        assert!(mistakes[0].1.contains(remedy), "{mistakes:?}");
    }
}

#[test]
fn two_patterns_with_one_id_are_a_mistake_that_names_both_places() {
    let (_folder, path) = file(r#"{"error_patterns": [{"id": "a", "pattern": "x"}]}"#);
    let rule = |id: &str| json!({ "id": id, "pattern": "y" });
    let (_, mistakes) = build(
        &json!({ "patterns": ["builtin", { "file": path }], "rules": [rule("a"), rule("disk_full"), rule("b"), rule("b")] }),
    );
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert_eq!(mistakes[0].0, "rules[0].id");
    assert!(mistakes[0].1.contains(&format!("error_patterns[0] of {} and rules[0]", path.display())), "{mistakes:?}");
    assert!(mistakes[1].1.contains("rules[2] and rules[3]"), "{mistakes:?}");
}

#[test]
fn too_many_patterns_are_refused() {
    let rules: Vec<_> = (0..501).map(|n| json!({ "id": format!("p{n}"), "pattern": "x" })).collect();
    let (patterns, mistakes) = build(&json!({ "rules": rules }));
    assert_eq!(mistakes, [("patterns".to_owned(), "501 patterns in one log: at most 500 are possible".to_owned())]);
    assert!(patterns.descriptors().is_empty());
}

#[test]
fn hooks_are_found_too_and_come_after_what_the_board_knows() {
    let rules: Vec<Rule> = serde_json::from_value(json!([{ "id": "a", "pattern": "begun" }])).unwrap();
    let hook = Hook { id: "job".into(), pattern: serde_json::from_value(json!("(?P<id>[0-9]+) begun")).unwrap() };
    let patterns = Patterns::build(&[], &rules, vec![hook], &mut Vec::new());
    let mut found = Vec::new();
    patterns.scan(b"7 begun\n", None, &mut |index, line| found.push((index, patterns.captures(index, line))));
    assert_eq!(found, [(0, BTreeMap::new()), (1, [("id".to_owned(), "7".to_owned())].into())]);
    assert_eq!((patterns.hook(0), patterns.hook(1), patterns.hook(2)), (None, Some("job"), None));
    assert_eq!(patterns.descriptors().len(), 1);
}

#[test]
fn patterns_are_the_same_if_their_texts_and_severities_are() {
    let rule = |text: &str, severity: &str| {
        build(&json!({ "rules": [{ "id": "a", "pattern": text, "severity": severity }] })).0
    };
    assert_eq!(rule("x", "info"), rule("x", "info"));
    assert_ne!(rule("x", "info"), rule("y", "info"));
    assert_ne!(rule("x", "info"), rule("x", "error"));
}

#[test]
fn the_last_record_may_still_grow_but_is_not_waited_for_without_end() {
    let (patterns, _) = build(&json!({}));
    let start: Pattern = serde_json::from_value(json!("^[0-9]")).unwrap();
    let complete = |text: &[u8]| patterns.complete(text, Some(&start));
    assert_eq!(patterns.complete(b"1 a\nb\nc", None), 6);
    assert_eq!(complete(b"1 a\n b\n2 c\n d\n e"), 7);
    assert_eq!(complete(b"1 a\n b\n"), 0);
    assert_eq!(complete(b"1 a"), 0);
    assert_eq!(complete(b" rest of another\n1 a\n"), 17);
    let long = [b"1 a\n".as_slice(), &b" b\n".repeat(400_000), b" c"].concat();
    assert_eq!(complete(&long), long.len() - 2);
}
