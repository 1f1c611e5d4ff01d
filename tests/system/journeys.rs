//! Probes that log in and then use what they were given, against a small server with sessions.

use crate::support::{Banken, eventually, value_of};
use crate::targets::{Target, response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Never to be seen anywhere but at the server that gave it.
const TOKEN: &str = "t0ken-that-nobody-may-see";
const SESSION: &str = "5ession-that-nobody-may-see";

/// What the server does with those who are logged in: 0 answers, 1 refuses and says why, 2 says nothing.
type Mood = Arc<AtomicUsize>;

async fn server(mood: Mood) -> Target {
    Target::start(move |mut stream| {
        let mood = Arc::clone(&mood);
        async move {
            use tokio::io::AsyncWriteExt as _;
            let head = crate::targets::head_of(&mut stream).await.to_lowercase();
            let logged_in = head.contains(&format!("authorization: bearer {TOKEN}\r\n"))
                && head.contains(&format!("cookie: session={SESSION}\r\n"));
            let answer = if head.starts_with("post /login ") && head.contains("\r\nx-password: pw\r\n") {
                let body = format!("{{\"access_token\":\"{TOKEN}\"}}");
                let cookie = format!("200 OK\r\nSet-Cookie: session={SESSION}; HttpOnly");
                response(&cookie, &body)
            } else if !head.starts_with("get /me ") || !logged_in {
                response("401 Unauthorized", "who are you?")
            } else {
                match mood.load(Ordering::SeqCst) {
                    0 => response("200 OK", "{\"open_orders\": 3}"),
                    1 => response("403 Forbidden", &format!("{TOKEN} of {SESSION} has expired")),
                    _ => std::future::pending().await,
                }
            };
            // Whoever asked may have gone.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn config(target: &Target) -> String {
    let url = target.url();
    format!(
        "
host: false
defaults: {{ interval: 200ms, retry_interval: 100ms, timeout: 2s }}
probes:
  - name: account
    http:
      steps:
        - name: login
          method: POST
          url: {url}login
          headers: {{ x-password: '${{WATCHDOG_PASSWORD:-pw}}' }}
          take: {{ token: {{ json: $.access_token }} }}
        - name: me
          url: {url}me
          auth: {{ bearer: '{{{{token}}}}' }}
          json: [ {{ field: open_orders, path: $.open_orders, max: 10, export: true }} ]
"
    )
}

fn step(scrape: &str, family: &str, name: &str) -> Option<f64> {
    let labels = format!("probe=\"account\",kind=\"http\",step=\"{name}\"");
    value_of(scrape, &format!("banken_probe_http_step_{family}{{{labels}}}"))
}

/// Everything that Banken tells anybody.
async fn everything(banken: &Banken) -> String {
    let mut told = banken.process.output();
    for path in ["/", "/metrics", "/api/v1/status", "/api/v1/probes/account"] {
        told.push_str(&banken.get(path).await.text().await.unwrap());
    }
    told
}

#[tokio::test]
async fn a_login_is_watched_step_by_step_and_its_token_is_told_to_nobody() {
    let mood = Mood::default();
    let target = server(Arc::clone(&mood)).await;
    let banken = Banken::start(&config(&target)).await;
    banken.until_status("account", "healthy").await;
    let scrape = banken.metrics().await;
    for name in ["login", "me"] {
        assert_eq!(step(&scrape, "success", name), Some(1.0), "{name}");
        assert!(step(&scrape, "duration_seconds", name).is_some_and(|seconds| seconds > 0.0), "{name}");
    }
    let orders = "banken_probe_json_value{probe=\"account\",kind=\"http\",field=\"open_orders\"}";
    assert_eq!(value_of(&scrape, orders), Some(3.0));
    assert_eq!(value_of(&scrape, "banken_probe_http_connection_reused{probe=\"account\",kind=\"http\"}"), None);

    mood.store(1, Ordering::SeqCst);
    banken.until_status("account", "unhealthy").await;
    let detail = banken.until_reason("account", "auth").await;
    let message = detail["message"].as_str().unwrap();
    assert!(message.starts_with("auth: me: HTTP 403 where 2xx was expected"), "{message}");
    assert!(message.ends_with("[hidden] of [hidden] has expired"), "{message}");
    let scrape = banken.metrics().await;
    assert_eq!([step(&scrape, "success", "login"), step(&scrape, "success", "me")], [Some(1.0), Some(0.0)]);

    mood.store(2, Ordering::SeqCst);
    let detail = banken.until_reason("account", "timeout").await;
    let message = detail["message"].as_str().unwrap();
    assert!(message.starts_with("timeout: me: not done within 2s"), "{message}");
    assert_eq!(step(&banken.metrics().await, "success", "me"), Some(0.0));

    let told = everything(&banken).await;
    assert!(told.contains("[hidden]") || told.contains("me: not done"), "{told}");
    assert!(!told.contains(TOKEN) && !told.contains(SESSION), "{told}");
}

#[tokio::test]
async fn a_step_that_was_not_reached_has_no_series_although_it_had_one_before() {
    let mood = Mood::default();
    let target = server(Arc::clone(&mood)).await;
    let banken = Banken::start(&config(&target)).await;
    banken.until_status("account", "healthy").await;
    assert_eq!(step(&banken.metrics().await, "success", "me"), Some(1.0));
    drop(target);
    let scrape = eventually("the login fails", async || {
        let scrape = banken.metrics().await;
        (step(&scrape, "success", "login") == Some(0.0)).then_some(scrape)
    })
    .await;
    assert_eq!([step(&scrape, "success", "me"), step(&scrape, "duration_seconds", "me")], [None, None]);
    let message = banken.until_reason("account", "connect").await["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("connect: login: "), "{message}");
}

#[tokio::test]
async fn one_probe_shows_its_steps_on_the_command_line() {
    let target = server(Mood::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("banken.yml");
    std::fs::write(&file, config(&target)).unwrap();
    let mut command = tokio::process::Command::from(Banken::command());
    let output = command.args(["probe", "account", "--config"]).arg(&file).output().await.unwrap();
    let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{shown}");
    for step in ["login", "me"] {
        assert!(shown.contains(&format!("step=\"{step}\"")) || shown.contains(step), "{shown}");
    }
    assert!(!shown.contains(TOKEN) && !shown.contains(SESSION), "{shown}");
}
