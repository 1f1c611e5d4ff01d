//! `alert` before the real Alertmanager with the shipped configuration, and before a real mail server.

use super::{step, step_with};
use crate::alerting::Office;
use crate::postgres::server::Server;
use crate::support::{Process, eventually, free_port};
use banken::observation::{Failure, Reason};
use banken::remedy::action::{Action as _, Context, Finding, Scene, Setback};
use serde_json::Value;
use std::process::Command;

fn scene() -> Scene {
    Scene {
        remedy: "restart-dashboard".into(),
        incident: "restart-dashboard-1".into(),
        condition: "probe dashboard is unhealthy\r\nBcc: evil@example.org\r\n\r\n.\r\nQUIT 落ちた".into(),
        target: "dashboard".into(),
        failure: Some(Failure::new(Reason::Timeout, "no answer within 10s")),
        failing_since: banken::observation::unix_now() - 60.0,
        attempt: 1,
        findings: vec![Finding { action: "log_analysis", lines: vec!["app.log: 200 lines, http_5xx 12×".into()] }],
    }
}

#[tokio::test]
async fn the_shipped_alertmanager_routes_it_by_its_severity_and_hears_of_it_once() {
    let office = Office::open("en").await;
    let alertmanager = office.alertmanager(|config| config).await;
    for severity in ["critical", "critical", "warning"] {
        let action = step(&format!(
            "alert: {{ alertmanager: {{ url: '{}', group: bot, labels: {{ team: ops }} }}, severity: {severity} }}",
            alertmanager.url
        ));
        action.act(&mut scene()).await.unwrap();
    }
    let alerts = alertmanager.alerts().await;
    assert_eq!(alerts.len(), 2, "the same alert is one: {alerts:#?}");
    for alert in &alerts {
        assert_eq!(alert["labels"]["alertname"], "BankenRemedyAlert");
        assert_eq!(alert["labels"]["team"], "ops");
        assert!(alert["endsAt"].as_str() > alert["updatedAt"].as_str(), "{alert:#}");
        assert!(alert["annotations"]["description"].as_str().unwrap().contains("http_5xx 12×"), "{alert:#}");
    }
    let message = &office.until("critical", 1).await[0];
    assert!(message.title().contains("probe dashboard is unhealthy"), "{message:#?}");
    let description = message.description();
    assert!(description.contains("BankenRemedyAlert") && description.contains("http_5xx 12×"), "{message:#?}");
}

/// A mail server with a certificate of its own authority.
struct MailServer {
    process: Process,
    port: u16,
    folder: tempfile::TempDir,
}

impl MailServer {
    async fn start() -> Self {
        let python = Command::new(crate::alerting::of_the_project("tests/aiosmtpd")).output().unwrap();
        assert!(python.status.success(), "tests/aiosmtpd: {}", String::from_utf8_lossy(&python.stderr));
        let folder = tempfile::tempdir().unwrap();
        let _ = Server::tls(folder.path());
        let port = free_port();
        let mut command = Command::new(String::from_utf8(python.stdout).unwrap().trim());
        command.arg(crate::alerting::of_the_project("tests/system/remedy/mail_server.py")).arg(port.to_string());
        command.arg(folder.path().join("cert.pem")).arg(folder.path().join("key.pem"));
        let process = Process::start(&mut command);
        eventually("the mail server is ready", async || process.output().contains("ready").then_some(())).await;
        Self { process, port, folder }
    }

    fn action(&self, password: &str, trust: &str) -> banken::remedy::action::Worker {
        let yaml = format!(
            "alert: {{ mail: {{ server: '127.0.0.1:{}', {trust} from: banken@example.org, to: [ admin@example.org, \
             second@example.org ], username: banken, password: {password} }}, severity: critical, timeout: 20s }}",
            self.port
        );
        step_with(&yaml, &Context::default())
    }

    fn trust(&self) -> String {
        format!("trust: {{ ca: {{ file: {} }} }},", self.folder.path().join("ca.pem").display())
    }

    fn mails(&self) -> Vec<Value> {
        self.process.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

#[tokio::test]
async fn a_real_mail_server_takes_it_over_starttls_and_finds_no_header_of_a_stranger() {
    let server = MailServer::start().await;
    server.action("correct-horse", &server.trust()).act(&mut scene()).await.unwrap();
    let mail = eventually("the mail is there", async || server.mails().pop()).await;
    assert_eq!(mail["from"], "banken@example.org");
    assert_eq!(mail["to"], serde_json::json!(["admin@example.org", "second@example.org"]));
    assert_eq!((&mail["over_tls"], &mail["defects"]), (&Value::Bool(true), &serde_json::json!([])));
    let headers: Vec<_> = mail["headers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(!headers.contains(&"bcc") && headers.len() == 9, "{headers:?}");
    let subject = mail["subject"].as_str().unwrap();
    assert!(
        subject.starts_with("[critical] restart-dashboard: probe dashboard") && subject.ends_with("落ちた"),
        "{subject}"
    );
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("timeout: no answer within 10s") && text.contains("http_5xx 12×"), "{text}");
}

#[tokio::test]
async fn a_wrong_password_and_an_authority_that_nobody_trusts_are_told_without_the_password() {
    let server = MailServer::start().await;
    let cases =
        [("wrong-horse", server.trust(), "the login with 535"), ("correct-horse", String::new(), "certificate")];
    for (password, trust, words) in cases {
        let outcome = server.action(password, &trust).act(&mut scene()).await;
        let Err(Setback::Failed(said)) = &outcome else { panic!("{outcome:?}") };
        assert!(said.contains(words) && !said.contains("horse"), "{said}");
    }
    assert_eq!(server.mails().len(), 0);
}
