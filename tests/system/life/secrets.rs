//! Credentials are sent to their target, and shown nowhere, even when the target throws them back.

use crate::support::Banken;
use crate::targets::{Target, response};
use base64::Engine as _;
use std::sync::{Arc, Mutex};

const PASSWORD: &str = "hunter2-correct-horse";
const TOKEN: &str = "tok_9f8e7d6c5b4a";
const HEADER: &str = "key-0123456789abcdef";

#[tokio::test]
async fn no_secret_is_in_any_output() {
    let seen = Arc::new(Mutex::new(String::new()));
    // Fails, and says everything it was sent.
    let echo = Target::http({
        let seen = Arc::clone(&seen);
        move |head| {
            seen.lock().unwrap().push_str(head);
            response("401 No", head)
        }
    })
    .await;
    let token = base64::engine::general_purpose::STANDARD.encode(format!("admin:{PASSWORD}"));
    let url = echo.url();
    let yaml = format!(
        "host: false\ndefaults: {{ interval: 200ms, timeout: 5s, retry_interval: 100ms }}\nprobes:\n  \
         - {{ name: basic, http: {{ url: '{url}', auth: {{ basic: {{ username: admin, password: {PASSWORD} }} }} }} }}\n  \
         - {{ name: bearer, http: {{ url: '{url}', auth: {{ bearer: {{ file: token }} }} }} }}\n  \
         - {{ name: header, http: {{ url: '{url}', headers: {{ x-key: {HEADER} }}, expect: {{ status: [401], body_matches: absent }} }} }}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    let yaml = yaml.replace("file: token", &format!("file: {}", folder.path().join("token").display()));
    let banken = Banken::start_with(&yaml, &["--log-level", "trace"]).await;
    let mut shown = String::new();
    for probe in ["basic", "bearer", "header"] {
        shown += &banken.until_status(probe, "unhealthy").await.to_string();
        let mut command = Banken::command();
        command.arg("--config").arg(banken.config_file()).args(["--log-level", "trace", "probe", probe]);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        shown += &String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    }
    for path in ["/", "/metrics", "/api/v1/status"] {
        shown += &banken.get(path).await.text().await.unwrap();
    }
    shown += &banken.process.output();
    let seen = seen.lock().unwrap().clone();
    for secret in [token.as_str(), TOKEN, HEADER] {
        assert!(seen.contains(secret), "{secret} was never sent");
    }
    for secret in [PASSWORD, token.as_str(), TOKEN, HEADER] {
        let at = shown.find(secret);
        assert!(at.is_none(), "{secret} is shown: {}", &shown[at.unwrap().saturating_sub(300)..][..400]);
    }
    assert!(shown.contains("[hidden]"), "what the target said is told, without the secret");
}
