//! The commands, as a shell and a script see them.

use crate::support::{Banken, Process, eventually, page_of};
use crate::targets::{Target, response};
use std::path::Path;
use tempfile::TempDir;

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a command to its end in this folder.
async fn run(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Banken::command();
    command.args(arguments).current_dir(folder);
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn folder(yaml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("banken.yml"), yaml).unwrap();
    folder
}

/// A good target, one that answers 500, and a configuration of both.
async fn good_and_bad() -> (Target, Target, TempDir) {
    let good = Target::http(|_| response("200 OK", r#"{"price": 3.5}"#)).await;
    let bad = Target::http(|_| response("500 Oops", "out of order")).await;
    let yaml = format!(
        "host: false\nprobes:\n  - {{ name: good, thresholds: {{ duration: {{ info: 1us }} }}, http: {{ url: '{}', \
         json: [ {{ field: price, path: $.price, export: true }} ] }} }}\n  \
         - {{ name: bad, http: {{ url: '{}' }} }}\n",
        good.url(),
        bad.url()
    );
    (good, bad, folder(&yaml))
}

#[tokio::test]
async fn check_counts_what_is_right_and_warns_on_standard_error() {
    let folder = folder("probes:\n  - { name: a, interval: 5s, timeout: 10s, tcp: { address: 127.0.0.1:80 } }\n");
    for arguments in [&["check"][..], &["check", "banken.yml"], &["check", "--config", "banken.yml"]] {
        let ended = run(folder.path(), arguments).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.out.starts_with("banken.yml: ok: 2 probes, about "), "{}", ended.out);
        assert_eq!(ended.out.lines().count(), 1);
        assert!(ended.err.starts_with("banken.yml:2:5: probes[0]: the timeout (10s)"), "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1);
    }
}

#[tokio::test]
async fn check_says_every_problem_once_and_ends_with_2() {
    let text = "listen: nowhere\nprobes:\n  - { name: UP, tcp: { address: 127.0.0.1:80 } }\n  - name: b\n    \
                http: { url: 'ftp://x' }\n  - { name: c, intervall: 3s, tcp: { address: 127.0.0.1:80 } }\n";
    let folder = folder(text);
    let ended = run(folder.path(), &["check"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    let places: Vec<_> = ended.err.lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "banken.yml:1:9 listen",
        "banken.yml:3:13 probes[0].name",
        "banken.yml:5:18 probes[1].http.url",
        "banken.yml:6:16 probes[2].intervall",
    ];
    assert_eq!(places, expected, "{}", ended.err);
    assert!(ended.err.contains("did you mean \"interval\"?"));
}

#[tokio::test]
async fn once_prints_the_report_in_three_forms_and_its_exit_code_is_the_verdict() {
    let (_good, _bad, folder) = good_and_bad().await;
    let json = run(folder.path(), &["once"]).await;
    assert_eq!((json.code, json.err.as_str()), (Some(1), ""));
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["overall_status"], "unhealthy");
    assert_eq!(report["checks"]["good"]["status"], "healthy");
    assert_eq!(report["checks"]["bad"]["reason"], "status");

    let text = run(folder.path(), &["once", "--format", "text"]).await;
    assert_eq!(text.code, Some(1));
    let lines: Vec<_> = text.out.lines().collect();
    assert!(lines[0].starts_with("unhealthy  bad   status: ") && lines[0].contains("500"), "{}", text.out);
    assert!(lines[1].starts_with("healthy    good  ok in "), "{}", text.out);
    assert_eq!(lines[2..], ["unhealthy"]);

    let metrics = run(folder.path(), &["once", "--format", "metrics"]).await;
    assert_eq!(metrics.code, Some(1));
    assert!(metrics.out.contains("\nbanken_probe_success{probe=\"good\",kind=\"http\"} 1\n"), "{}", metrics.out);
    assert!(metrics.out.contains("\nbanken_probe_success{probe=\"bad\",kind=\"http\"} 0\n"));
}

#[tokio::test]
async fn once_ends_with_0_when_all_is_healthy() {
    let good = Target::saying("fine").await;
    let folder = folder(&format!("probes:\n  - {{ name: good, http: {{ url: '{}' }} }}\n", good.url()));
    let ended = run(folder.path(), &["once"]).await;
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, Some(0), "{report:#}");
    assert!(report["metrics"]["cpu"]["usage_percent"].is_f64(), "one run is enough for the CPU: {report:#}");
}

#[tokio::test]
async fn probe_shows_phases_readings_and_why_it_failed() {
    let (good, _bad, folder) = good_and_bad().await;
    let shown = run(folder.path(), &["probe", "good"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    let address = format!("address   {}", good.address);
    for part in [
        "good (http)\n",
        "result    success in ",
        &address,
        "phase     connect",
        "phase     wait",
        "threshold duration",
    ] {
        assert!(shown.out.contains(part), "{part} is not in {}", shown.out);
    }
    assert!(shown.out.contains("reading   banken_probe_json_value{field=\"price\"} 3.5 "), "{}", shown.out);

    let failed = run(folder.path(), &["probe", "bad"]).await;
    assert_eq!(failed.code, Some(1));
    for part in ["result    FAILURE after ", "reason    status\n", "out of order", "banken_probe_http_status_code 500"]
    {
        assert!(failed.out.contains(part), "{part} is not in {}", failed.out);
    }

    let unknown = run(folder.path(), &["probe", "ugly"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    assert_eq!(unknown.err, "banken: banken.yml has no probe \"ugly\"; it has good, bad\n");
}

#[tokio::test]
async fn kinds_are_listed_and_described_and_their_examples_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let list = run(folder.path(), &["kinds"]).await;
    let names: Vec<_> = list.out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(["http", "tcp", "tls", "process", "host"].iter().all(|kind| names.contains(kind)), "{names:?}");
    for name in names {
        let ended = run(folder.path(), &["kinds", name]).await;
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.starts_with(&format!("{name}: ")), "{}", ended.out);
        assert!(ended.out.contains("\nFails with\n"), "{}", ended.out);
        assert_eq!(ended.out.contains("\nMetrics of its own\n"), name != "tcp", "{}", ended.out);
    }
    let http = run(folder.path(), &["kinds", "http"]).await;
    assert!(http.out.contains("banken_probe_http_status_code (gauge)"), "{}", http.out);
    let unknown = run(folder.path(), &["kinds", "gopher"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("there is no kind \"gopher\""), "{}", unknown.err);
}

#[tokio::test]
async fn the_schema_is_a_json_schema_of_draft_7() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(folder.path(), &["schema"]).await;
    let schema: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    let validator = jsonschema::draft7::new(&schema).unwrap();
    assert!(validator.is_valid(&serde_json::json!({ "probes": [{ "name": "a", "tcp": { "address": "b:1" } }] })));
    assert!(!validator.is_valid(&serde_json::json!({ "probes": [{ "name": "a", "tpc": { "address": "b:1" } }] })));
}

#[tokio::test]
async fn the_version_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["--version"], ["-V"]] {
        assert_eq!(run(folder.path(), &arguments).await.out, format!("banken {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_changes_no_exit_code() {
    let (_good, _bad, right) = good_and_bad().await;
    let wrong = folder("probes: [ { nam: a }, { nam: b } ]\n");
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let code = async |folder: &TempDir, arguments: &[&str]| {
        let mut command = Banken::command();
        command.args(arguments).current_dir(folder.path()).stdout(gone()).stderr(gone());
        tokio::process::Command::from(command).status().await.unwrap().code()
    };
    for arguments in [&["schema"][..], &["kinds"], &["check"], &["probe", "good"]] {
        assert_eq!(code(&right, arguments).await, Some(0), "{arguments:?}");
    }
    assert_eq!(code(&right, &["once"]).await, Some(1));
    assert_eq!(code(&right, &["probe", "nobody"]).await, Some(1));
    assert_eq!(code(&wrong, &["check"]).await, Some(2));
    assert_eq!(code(&wrong, &[]).await, Some(2));
}

#[tokio::test]
async fn without_a_configuration_it_watches_this_host() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Banken::command();
    command.current_dir(folder.path()).env("BANKEN_LISTEN", "127.0.0.1:0");
    let process = Process::start(&mut command);
    let base = page_of(&process).await;
    assert!(process.output().contains("no banken.yml found: watching this host and Banken itself"));
    let text = eventually("the host's metrics appear", async || {
        let answer = crate::support::client().get(format!("{base}/metrics")).send().await.ok()?;
        let text = answer.text().await.ok()?;
        (text.contains("\nbanken_host_memory_total_bytes ") && text.contains("banken_process_up{probe=\"banken\"} 1"))
            .then_some(text)
    })
    .await;
    assert!(text.contains("\nbanken_host_disk_size_bytes{mount="), "{text}");
}
