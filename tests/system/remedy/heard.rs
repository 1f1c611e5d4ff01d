//! Remedies that wait for what somebody else says: a line in a log with the daemon's own file of patterns, or Alertmanager.

use super::server::{QUICK, Server, happened, history, remedy, said, until_happened};
use crate::support::{Banken, client};
use serde_json::json;
use std::io::Write as _;

/// The file as the scripts before Banken have it, with its restart mapped to the server's script.
fn from_patterns(server: &Server, probe: &str) -> String {
    let (dir, port, script) = (server.path("").display().to_string(), server.port, server.script());
    let file = format!("{}/tests/fixtures/logs/error_patterns.json", env!("CARGO_MANIFEST_DIR"));
    format!(
        "state_dir: {dir}state\nhost: false\nprobes:\n  \
           - {{ name: web, {QUICK}, http: {{ url: 'http://127.0.0.1:{port}/' }} }}\n\
         logs:\n  - {{ name: app, paths: [ {dir}app.log ], patterns: [ {{ file: {file} }} ] }}\n\
         remedies:\n  - from_patterns:\n      file: {file}\n      log: app\n      {probe}\n      \
           services: {{ flask_app: {{ command: {{ argv: [ {script} ] }} }} }}\n    armed: true\n"
    )
}

fn write_line(server: &Server, line: &str) {
    let file = std::fs::File::options().append(true).create(true).open(server.path("app.log"));
    writeln!(file.unwrap(), "{line}").unwrap();
}

#[tokio::test]
async fn the_daemons_own_file_restarts_its_service_once_a_line_and_a_probe_agree() {
    let server = Server::start().await;
    write_line(&server, "started");
    let banken = server.guarded(&from_patterns(&server, "and_probe: web")).await;
    let listed = said(remedy(&banken, &["list"]));
    assert!(listed.contains("app-http_5xx") && !listed.contains("backup_failed"), "{listed}");
    // A line alone restarts nothing: the probe is fine.
    write_line(&server, "GET /x HTTP/1.1 500");
    crate::support::eventually("the line is counted", async || {
        let series = "banken_log_matches_total{log=\"app\",pattern=\"http_5xx\",severity=\"critical\"}";
        (banken.sample(series).await == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!((happened(&banken), server.starts()), (Vec::<String>::new(), 1));
    server.kill();
    let recovered = until_happened(&banken, "recovered", 1).await;
    assert_eq!(recovered["remedy"], "app-http_5xx", "{recovered}");
    assert_eq!(server.starts(), 2);
}

#[tokio::test]
async fn check_says_where_repairs_differ_from_what_the_file_says() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("banken.yml");
    std::fs::write(&path, from_patterns(&server, "leave_out: []")).unwrap();
    let output = Banken::command().args(["check", path.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    for words in [
        "remedies[0].from_patterns.file",
        "error_patterns[0].actions[0] (http_5xx): command interrupts something",
        "error_patterns[0].actions[1] (http_5xx): it is not said with what",
        "error_patterns[1].actions[0] (disk_full)",
        "nobody is told by \"email\"",
    ] {
        assert!(text.contains(words), "{words} is missing in: {text}");
    }
}

#[tokio::test]
async fn an_alert_of_alertmanager_is_taken_with_its_token_and_acted_on_while_the_probe_agrees() {
    let server = Server::start().await;
    let step = format!("- command: {{ argv: [ {} ] }}", server.script());
    let when = "when: { alert: { alertname: ApiDown }, and_probe: web }";
    let config = server.config_with(true, &step, "repair: { webhook_token: sesame-sesame }\n");
    let banken = server.guarded(&config.replace("when: { probe: web }", when)).await;
    let message = json!({ "version": "4", "status": "firing", "alerts": [ {
        "status": "firing", "labels": { "alertname": "ApiDown", "instance": "a" }, "annotations": {},
        "startsAt": "2026-11-28T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f1",
    } ] });
    let send = async |token: Option<&str>, body: String| {
        let request = client().post(format!("{}/api/v1/alerts", banken.base)).body(body);
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(None, message.to_string()).await, 401);
    assert_eq!(send(Some("open"), message.to_string()).await, 401);
    assert_eq!(send(Some("sesame-sesame"), "{}".into()).await, 400);
    assert_eq!(send(Some("sesame-sesame"), " ".repeat(600 * 1024)).await, 413);
    assert_eq!(send(Some("sesame-sesame"), message.to_string()).await, 200);
    assert_eq!(send(Some("sesame-sesame"), message.to_string()).await, 200, "the same once more is no mistake");
    // An alert alone restarts nothing: the probe is fine.
    assert_eq!((happened(&banken), server.starts()), (Vec::<String>::new(), 1));
    server.kill();
    until_happened(&banken, "recovered", 1).await;
    assert_eq!(server.starts(), 2);
    let text = format!("{:?}", history(&banken));
    assert!(!text.contains("sesame"), "{text}");
}
