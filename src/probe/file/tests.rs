//! Against real files, with the times that a test gives them.

use super::families::{ALL, MATCHES, MODIFIED, NEWEST, OLDEST, SIZE, TOTAL};
use super::*;
use crate::observation::Family;
use crate::probe::Probe as _;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

struct Scene {
    folder: tempfile::TempDir,
    probe: Probe,
}

impl Scene {
    /// A probe whose path begins in a folder of the test's own: `DIR` stands for it.
    fn with(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let yaml = yaml.replace("DIR", &folder.path().display().to_string());
        let probe = config(&yaml).build(&Context::default()).unwrap_or_else(|error| panic!("{yaml}: {error:?}"));
        Self { folder, probe }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that was written so many seconds ago.
    fn write(&self, name: &str, text: &str, age: u64) {
        fs::write(self.path(name), text).unwrap();
        self.set_age(name, age);
    }

    fn set_age(&self, name: &str, age: u64) {
        let at = SystemTime::now() - Duration::from_secs(age);
        File::options().append(true).open(self.path(name)).unwrap().set_modified(at).unwrap();
    }

    async fn run(&mut self) -> (Result<(), Failure>, Readings) {
        let mut out = Readings::default();
        out.begin(tokio::time::Instant::now() + Duration::from_secs(30), None);
        let outcome = self.probe.run(&mut out).await;
        (outcome, out)
    }

    async fn ok(&mut self) -> Readings {
        let (outcome, out) = self.run().await;
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
        out
    }

    async fn fails(&mut self, reason: Reason, words: &str) -> Readings {
        let (outcome, out) = self.run().await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.detail.contains(words), "{words:?} is not in {failure}");
        out
    }
}

fn value(out: &Readings, family: &'static Family) -> f64 {
    out.value(family).unwrap_or_else(|| panic!("{} was not written", family.name))
}

fn is_about(value: f64, expected: f64) -> bool {
    (value - expected).abs() < 20.0
}

#[tokio::test]
async fn a_backup_is_judged_by_its_newest_file() {
    let mut scene = Scene::with("{ path: DIR/*.dump, max_age: 26h, min_size: 5 }");
    let out = scene.fails(Reason::Missing, "no file matches ").await;
    assert!((value(&out, &MATCHES) - 0.0).abs() < f64::EPSILON);
    assert_eq!(out.value(&MODIFIED), None);
    scene.write("old.dump", "x", 200_000);
    scene.write("new.dump", "xxxxx", 90_000);
    let out = scene.ok().await;
    assert!((value(&out, &MATCHES) - 2.0).abs() < f64::EPSILON);
    assert!((value(&out, &SIZE) - 5.0).abs() < f64::EPSILON);
    assert!((value(&out, &TOTAL) - 6.0).abs() < f64::EPSILON);
    assert!(is_about(unix_now() - value(&out, &NEWEST), 90_000.0));
    assert!(is_about(unix_now() - value(&out, &OLDEST), 200_000.0));
    assert!(is_about(unix_now() - value(&out, &MODIFIED), 90_000.0));
    scene.set_age("new.dump", 94_000);
    scene.fails(Reason::Stale, "new.dump was written 1day 2h 6m ago, at most 1day 2h was expected").await;
    scene.write("newest.dump", "x", 10);
    scene.fails(Reason::Limit, "newest.dump has 1 B, at least 5 B are expected").await;
}

#[tokio::test]
async fn a_half_written_backup_is_passed_over_until_it_is_settled() {
    let mut scene = Scene::with("{ path: DIR/*.dump, max_age: 26h, min_size: 5, settled: 1m }");
    scene.write("new.dump", "x", 5);
    scene.fails(Reason::Missing, "; 1 may still be written to").await;
    scene.write("done.dump", "xxxxx", 3600);
    let out = scene.ok().await;
    assert!((value(&out, &MATCHES) - 1.0).abs() < f64::EPSILON);
    scene.set_age("new.dump", 70);
    scene.fails(Reason::Limit, "new.dump has 1 B").await;
}

#[tokio::test]
async fn of_all_files_the_worst_is_told_for_each_bound() {
    let mut scene = Scene::with("{ path: DIR/*, which: all, max_age: 1h, min_age: 1m, min_size: 2, max_size: 4 }");
    scene.write("a", "xx", 100);
    scene.write("b", "xxxx", 200);
    let out = scene.ok().await;
    assert!(is_about(unix_now() - value(&out, &MODIFIED), 200.0));
    assert!((value(&out, &SIZE) - 4.0).abs() < f64::EPSILON);
    scene.write("old", "xxx", 4000);
    scene.write("young", "xxx", 2);
    scene.write("large", "xxxxx", 100);
    scene.write("small", "x", 100);
    scene.fails(Reason::Stale, "old was written 1h 6m").await;
    let detail = scene.run().await.0.unwrap_err().detail;
    for part in [
        "/young was written ",
        " ago, at least 1m was expected",
        "/large has 5 B, at most 4 B are expected",
        "/small has 1 B, at least 2 B are expected",
    ] {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
}

#[tokio::test]
async fn the_oldest_file_can_be_the_one_that_counts() {
    let mut scene = Scene::with("{ path: DIR/*, which: oldest, min_age: 6days }");
    scene.write("new", "x", 60);
    scene.fails(Reason::Limit, "new was written ").await;
    scene.write("old", "x", 600_000);
    scene.ok().await;
}

#[tokio::test]
async fn files_are_counted_in_both_directions() {
    let mut scene = Scene::with("{ path: DIR/*, min_count: 2, max_count: 3 }");
    for (name, outcome) in [("a", Some(Reason::Missing)), ("b", None), ("c", None), ("d", Some(Reason::Limit))] {
        scene.write(name, "", 1);
        assert_eq!(scene.run().await.0.err().map(|failure| failure.reason), outcome, "{name}");
    }
    let mut none = Scene::with("{ path: DIR/*, min_count: 0 }");
    none.ok().await;
}

#[tokio::test]
async fn what_must_not_be_there_fails_whatever_it_is() {
    let mut scene = Scene::with("{ path: DIR/flag, absent: true }");
    scene.ok().await;
    scene.write("flag", "", 1);
    scene.fails(Reason::Limit, "flag is there and should not be").await;
    fs::remove_file(scene.path("flag")).unwrap();
    fs::create_dir(scene.path("flag")).unwrap();
    scene.fails(Reason::Limit, "flag is there and should not be").await;
    fs::remove_dir(scene.path("flag")).unwrap();
    std::os::unix::fs::symlink("nowhere", scene.path("flag")).unwrap();
    scene.fails(Reason::Limit, "flag is there and should not be").await;
}

#[tokio::test]
async fn what_is_no_regular_file_is_missing_and_told() {
    let mut scene = Scene::with("{ path: DIR/a.json, syntax: json }");
    scene.fails(Reason::Missing, "a.json is not there").await;
    fs::create_dir(scene.path("a.json")).unwrap();
    scene.fails(Reason::Missing, "a.json is a folder").await;
}

#[tokio::test]
async fn what_is_parsed_and_did_not_change_is_not_read_again() {
    let mut scene = Scene::with("{ path: DIR/a.json, syntax: json }");
    scene.write("a.json", "{}", 100);
    let out = scene.ok().await;
    assert!((value(&out, &VALID) - 1.0).abs() < f64::EPSILON);
    // A verdict that lasts is believed: here it is a wrong one.
    let known = scene.probe.known.values_mut().next().unwrap();
    assert!(!known.lasts, "the file has only just changed");
    known.lasts = true;
    known.mistake = Some(Failure::new(Reason::Json, "remembered"));
    let out = scene.fails(Reason::Json, "remembered").await;
    assert!((value(&out, &VALID) - 0.0).abs() < f64::EPSILON);
    scene.write("a.json", "{} ", 100);
    scene.ok().await;
    fs::remove_file(scene.path("a.json")).unwrap();
    let out = scene.fails(Reason::Missing, "is not there").await;
    assert!(scene.probe.known.is_empty() && out.value(&VALID).is_none());
}

#[tokio::test]
async fn each_file_of_a_pattern_is_parsed_and_all_mistakes_are_told() {
    let mut scene = Scene::with("{ path: DIR/*.yml, which: all, syntax: yaml }");
    for (name, text) in [("a.yml", "a: 1"), ("b.yml", "a: ["), ("c.yml", "a: 1\na: 2"), ("d.txt", "[")] {
        scene.write(name, text, 10);
    }
    let out = scene.fails(Reason::Body, "c.yml is not YAML: the key \"a\" stands twice").await;
    assert!((value(&out, &VALID) - 0.0).abs() < f64::EPSILON);
    let failure = scene.run().await.0.unwrap_err();
    assert!(failure.detail.contains("b.yml is not YAML: ") && !failure.detail.contains("a.yml"), "{failure}");
    for index in 0..MAX_PARSED {
        scene.write(&format!("{index}.yml"), "", 10);
    }
    scene.fails(Reason::Limit, "of which at most 1000 are parsed").await;
}

#[tokio::test]
async fn only_declared_families_are_written() {
    let mut scene = Scene::with("{ path: DIR/a.json, syntax: json, max_size: 1 }");
    scene.write("a.json", "{}", 10);
    let out = scene.fails(Reason::Limit, "a.json has 2 B").await;
    assert_eq!(out.gauges().len(), ALL.len());
    assert!(out.notes().iter().any(|(what, fact)| *what == "file" && Path::new(fact) == scene.path("a.json")));
    let signals: Vec<_> = out.signals().iter().map(|(signal, _)| signal.key).collect();
    assert_eq!(signals, ["age", "size"]);
}

#[test]
fn mistakes_are_named_with_their_key_and_a_remedy() {
    let cases = [
        ("{ path: a.json }", "path", "begin it with '/'"),
        ("{ path: '' }", "path", "name a file"),
        ("{ path: /backup/ }", "path", "is a folder"),
        ("{ path: '/backup/[z' }", "path", "is not a pattern"),
        ("{ path: /a, absent: true, max_age: 1h, syntax: json }", "absent", "remove max_age, syntax"),
        ("{ path: /a, min_age: 2h, max_age: 1h }", "max_age", "below min_age"),
        ("{ path: /a, min_size: 2, max_size: 1 }", "max_size", "below min_size"),
        ("{ path: /a/*, min_count: 2, max_count: 1 }", "max_count", "below min_count"),
        ("{ path: /a, max_count: 0 }", "max_count", "absent: true"),
        ("{ path: /a, syntax: json, max_parse: 0 }", "max_parse", "1 to 256MiB"),
        ("{ path: /a, syntax: json, max_parse: 257MiB }", "max_parse", "1 to 256MiB"),
        ("{ path: /a, settled: 1m }", "settled", "remove it"),
        ("{ path: /a/*, max_size: 1MB }", "which", "which: all"),
        ("{ path: /a/*, syntax: yaml }", "which", "which: newest"),
    ];
    for (yaml, path, words) in cases {
        let invalid = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was built"));
        assert_eq!(invalid.len(), 1, "{yaml}: {invalid:?}");
        assert_eq!(invalid[0].path, path, "{yaml}");
        assert!(invalid[0].message.contains(words), "{yaml}: {}", invalid[0].message);
    }
    for yaml in ["{ path: /a/*, max_count: 0, min_count: 0 }", "{ path: /a, max_size: 1MB, syntax: json }"] {
        assert!(config(yaml).build(&Context::default()).is_ok(), "{yaml}");
    }
}
