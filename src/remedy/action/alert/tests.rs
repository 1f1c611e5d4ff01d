//! Stand-ins that answer as they are told; the real Alertmanager and a real mail server are in `tests/system/remedy`.

use super::*;
use crate::observation::{Failure, Reason};
use crate::remedy::action::{Action as _, Finding};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Heard = Arc<Mutex<Vec<String>>>;

/// Answers each connection by what `serve` makes of it, and keeps what it heard.
struct StandIn {
    port: u16,
    heard: Heard,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl StandIn {
    async fn start<F: Future<Output = ()> + Send>(
        serve: impl Fn(TcpStream, usize, Heard) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Heard::default();
        let told = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, number, Arc::clone(&told)).await;
            }
        });
        Self { port, heard, serving }
    }

    /// Takes requests of HTTP, and answers with these heads, the last of them again and again.
    async fn http(answers: &'static [&'static str]) -> Self {
        Self::start(move |stream, number, heard| async move {
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            heard.lock().unwrap().push(head + &String::from_utf8(body).unwrap());
            let answer = answers[number.min(answers.len() - 1)];
            stream.write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        })
        .await
    }

    /// Speaks SMTP: each rule is the beginning of a command and the answers to it, the last of them again and again.
    async fn smtp(rules: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self::start(move |stream, number, heard| async move {
            let mut stream = BufReader::new(stream);
            let _ = stream.write_all(b"220 stand-in\r\n").await;
            let mut in_data = false;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                heard.lock().unwrap().push(line.trim_end().to_owned());
                if in_data && line != ".\r\n" {
                    continue;
                }
                let rule = rules.iter().find(|(begin, _)| line.starts_with(begin));
                let answer = match rule {
                    Some((_, answers)) => answers[number.min(answers.len() - 1)],
                    None if line.starts_with("DATA") => "354 go on",
                    None if line.starts_with("EHLO") => "250-stand-in\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
                    None if line.starts_with("AUTH") => "235 welcome",
                    None => "250 fine",
                };
                in_data = answer.starts_with("354");
                let _ = stream.write_all(format!("{answer}\r\n").as_bytes()).await;
            }
        })
        .await
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn build(yaml: &str) -> Action {
    let config: Config = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

fn scene() -> Scene {
    Scene {
        remedy: "restart-dashboard".into(),
        incident: "restart-dashboard-1-1".into(),
        condition: "probe dashboard is unhealthy".into(),
        target: "dashboard".into(),
        failure: Some(Failure::new(Reason::Timeout, "no answer within 10s @everyone **bold**")),
        failing_since: 1_764_336_000.0,
        attempt: 1,
        findings: vec![Finding {
            action: "log_analysis",
            lines: vec!["app.log: 200 lines, http_5xx 12×".into(), "  | ``` @everyone token=hunter2".into()],
        }],
    }
}

/// The body of a request, which is JSON.
fn body(heard: &str) -> serde_json::Value {
    serde_json::from_str(heard.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn alertmanager_is_told_again_and_the_alert_ends_by_itself() {
    let server = StandIn::http(&["200 OK"]).await;
    let action = build(&format!(
        "{{ alertmanager: {{ url: 'http://127.0.0.1:{}/am/', labels: {{ team: ops }} }}, severity: critical }}",
        server.port
    ));
    assert!(action.rehearse(&scene()).await.unwrap()[0].contains("Alertmanager at 127.0.0.1"));
    assert_eq!(server.heard().len(), 0, "a rehearsal tells nobody");
    for _ in 0..2 {
        action.act(&mut scene()).await.unwrap();
    }
    let heard = server.heard();
    assert_eq!(heard.len(), 2);
    assert!(heard[0].starts_with("POST /am/api/v2/alerts HTTP/1.1\r\n"), "{}", heard[0]);
    assert!(heard[0].to_ascii_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{}", heard[0]);
    let alert = &body(&heard[0])[0];
    assert_eq!(alert["labels"]["alertname"], "BankenRemedyAlert");
    for (label, value) in
        [("severity", "critical"), ("remedy", "restart-dashboard"), ("target", "dashboard"), ("team", "ops")]
    {
        assert_eq!(alert["labels"][label], value);
    }
    assert_eq!(alert["startsAt"], "2025-11-28T13:20:00Z");
    assert!(alert["endsAt"].as_str().unwrap() > alert["startsAt"].as_str().unwrap());
    let description = alert["annotations"]["description"].as_str().unwrap();
    assert!(description.contains("timeout: no answer") && description.contains("http_5xx 12×"), "{description}");
    assert!(!heard[0].contains("hunter2"), "{}", heard[0]);
}

#[tokio::test]
async fn discord_gets_a_message_within_its_limits_in_which_nobody_is_called() {
    let server = StandIn::http(&["204 No Content"]).await;
    let action = build(&format!("{{ webhook: {{ url: 'http://127.0.0.1:{}/x', form: discord }} }}", server.port));
    let mut scene = Scene { condition: "it is broken ".repeat(100), ..scene() };
    scene.findings[0].lines.extend(vec!["ü``` long ".repeat(40); 200]);
    action.act(&mut scene).await.unwrap();
    let message = body(&server.heard()[0]);
    let embed = &message["embeds"][0];
    let characters = |value: &serde_json::Value| value.as_str().unwrap().chars().count();
    assert!(characters(&embed["title"]) <= 256 && characters(&embed["description"]) <= 4096, "{message:#}");
    let description = embed["description"].as_str().unwrap();
    assert!(description.ends_with("\n```") && description.matches("```").count() == 2, "{description}");
    assert!(description.contains("\\*\\*bold\\*\\*"), "{description}");
    assert_eq!(message["allowed_mentions"]["parse"], serde_json::json!([]));
    assert_eq!(message["content"], "");
}

#[tokio::test]
async fn the_same_news_is_told_once_and_another_cause_is_news() {
    let server = StandIn::http(&["200 OK"]).await;
    let action = build(&format!("{{ webhook: {{ url: 'http://127.0.0.1:{}/x' }} }}", server.port));
    let mut again = Scene { attempt: 2, ..scene() };
    action.act(&mut scene()).await.unwrap();
    let done = action.act(&mut again).await.unwrap();
    assert!(done.detail.contains("knows of this incident already"), "{}", done.detail);
    assert!(action.rehearse(&again).await.unwrap()[0].contains("nothing"));
    again.failure = Some(Failure::new(Reason::Connect, "refused"));
    action.act(&mut again).await.unwrap();
    action.act(&mut Scene { incident: "another".into(), ..scene() }).await.unwrap();
    let heard = server.heard();
    let told: Vec<_> =
        heard.iter().map(|heard| (body(heard)["incident"].clone(), body(heard)["reason"].clone())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(body(&heard[0])["findings"][0]["action"], "log_analysis");
}

#[tokio::test]
async fn a_webhook_that_is_busy_is_tried_again_and_its_secret_is_in_no_word() {
    let busy =
        StandIn::http(&["429 Too Many Requests\r\nRetry-After: 0.2\r\nContent-Length: 0", "204 No Content"]).await;
    let yaml = |port: u16| {
        format!(
            "{{ webhook: {{ url: 'http://127.0.0.1:{port}/api/webhooks/12345678/s3cret-token?wait=s3cret-query' }}, attempts: 2, timeout: 5s }}"
        )
    };
    build(&yaml(busy.port)).act(&mut scene()).await.unwrap();
    assert_eq!(busy.heard().len(), 2);
    let gone = StandIn::http(&["404 Not Found\r\nContent-Length: 12\r\n\r\ns3cret-token"]).await;
    let action = build(&yaml(gone.port));
    let Err(setback) = action.act(&mut scene()).await else { panic!("it was taken") };
    assert!(setback.to_string().contains("HTTP 404") && !setback.to_string().contains("s3cret"), "{setback}");
    assert_eq!(gone.heard().len(), 1, "a refusal for good is not tried again");
    // What was not told is news the next time.
    assert!(action.act(&mut scene()).await.is_err());
    assert_eq!(gone.heard().len(), 2);
    let broken = StandIn::http(&["500 Oops\r\nContent-Length: 0"]).await;
    let Err(setback) = build(&yaml(broken.port)).act(&mut scene()).await else { panic!("it was taken") };
    assert!(setback.to_string().contains("(2 attempts)"), "{setback}");
    let redirect = StandIn::http(&["302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0"]).await;
    assert!(build(&yaml(redirect.port)).act(&mut scene()).await.is_err());
    assert_eq!(redirect.heard().len(), 1);
}

fn mail(port: u16, more: &str) -> String {
    format!(
        "{{ mail: {{ server: '127.0.0.1:{port}', tls: none, from: a@example.org, to: [ b@example.org, c@example.org ] {more} }}, timeout: 8s }}"
    )
}

#[tokio::test]
async fn a_mail_is_handed_over_and_grey_listing_is_waited_for() {
    let server = StandIn::smtp(&[
        ("RCPT TO:<b", &["451 try again later", "250 fine"]),
        ("RCPT TO:<c", &["451 later", "550 unknown"]),
    ])
    .await;
    let done = build(&mail(server.port, ", username: me, password: hunter2-long")).act(&mut scene()).await.unwrap();
    assert!(done.detail.contains("but the server refused the receiver c@example.org with 550"), "{}", done.detail);
    let heard = server.heard();
    assert_eq!(heard.iter().filter(|line| line.starts_with("MAIL FROM:<a@example.org>")).count(), 2);
    assert_eq!(heard.iter().filter(|line| line.as_str() == "DATA").count(), 1);
    assert_eq!(heard.iter().filter(|line| line.as_str() == ".").count(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_told_once_and_never_shown() {
    let server = StandIn::smtp(&[("AUTH", &["535 5.7.8 no AG1lAGh1bnRlcjItbG9uZw== for hunter2-long"])]).await;
    let Err(setback) = build(&mail(server.port, ", username: me, password: hunter2-long")).act(&mut scene()).await
    else {
        panic!("it was taken")
    };
    assert!(setback.to_string().contains("the login with 535"), "{setback}");
    assert!(!setback.to_string().contains("hunter2") && !setback.to_string().contains("AG1l"), "{setback}");
    assert_eq!(server.heard().iter().filter(|line| line.starts_with("AUTH")).count(), 1);
}

#[tokio::test]
async fn a_server_without_starttls_is_not_told_the_password() {
    let server = StandIn::smtp(&[]).await;
    let yaml = mail(server.port, ", username: me, password: hunter2-long").replace("tls: none", "tls: starttls");
    let Err(setback) = build(&yaml).act(&mut scene()).await else { panic!("it was taken") };
    assert!(setback.to_string().contains("does not offer STARTTLS"), "{setback}");
    assert!(!server.heard().iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
    let pushy = StandIn::smtp(&[("EHLO", &["250-x\r\n250 STARTTLS"]), ("STARTTLS", &["220 go\r\n250 injected"])]).await;
    let Err(setback) = build(&yaml.replace(&server.port.to_string(), &pushy.port.to_string())).act(&mut scene()).await
    else {
        panic!("it was taken")
    };
    assert!(setback.to_string().contains("in clear after STARTTLS"), "{setback}");
}

#[tokio::test]
async fn a_server_that_says_something_else_or_nothing_ends_in_time() {
    let http = StandIn::start(|mut stream, _, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let endless =
        StandIn::start(
            |mut stream, _, _| async move { while stream.write_all(b"220-more and more\r\n").await.is_ok() {} },
        )
        .await;
    let silent = StandIn::start(|stream, _, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    for (server, words) in [(&http, "does not speak SMTP"), (&endless, "does not end"), (&silent, "no answer in time")]
    {
        let begun = std::time::Instant::now();
        let action = build(&mail(server.port, "").replace("timeout: 8s", "timeout: 2s, attempts: 1"));
        let Err(setback) = action.act(&mut scene()).await else { panic!("it was taken") };
        assert!(setback.to_string().contains(words), "{words}: {setback}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{words}");
    }
}

#[test]
fn mistakes_have_their_place_and_show_no_secret() {
    let cases = [
        ("{}", ""),
        ("{ webhook: { url: 'http://a/' }, alertmanager: { url: 'http://a' } }", ""),
        ("{ webhook: { url: 's3cret' } }", "webhook.url"),
        ("{ webhook: { url: 'https://me:s3cret@host/x' } }", "webhook.url"),
        ("{ webhook: { url: 'http://a/', mention: '@everyone' } }", "webhook.mention"),
        ("{ webhook: { url: 'http://a/', headers: { \"X\\n\": s3cret } } }", "webhook.headers.X\n"),
        ("{ alertmanager: { url: 'http://a', labels: { severity: x } } }", "alertmanager.labels.severity"),
        ("{ alertmanager: { url: 'http://a', labels: { a-b: x } } }", "alertmanager.labels.a-b"),
        ("{ alertmanager: { url: 'http://a', expires: 5s } }", "alertmanager.expires"),
        ("{ mail: { server: 'a:25', from: x, to: [ a@b ] } }", "mail.from"),
        ("{ mail: { server: 'a:25', from: a@b, to: [ \"c@d\\r\\nDATA\" ] } }", "mail.to[0]"),
        ("{ mail: { server: 'a:25', from: a@b, to: [] } }", "mail.to"),
        ("{ mail: { server: 'a:25', from: a@b, to: [ a@b ], username: me } }", "mail.password"),
        ("{ mail: { server: 'a:25', from: a@b, to: [ a@b ], tls: none, username: me, password: s3cret } }", "mail.tls"),
        ("{ alertmanager: { url: 'http://a' }, attempts: 0 }", "attempts"),
    ];
    for (yaml, path) in cases {
        let config: Config = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        let mistakes = config.build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} is accepted"));
        assert_eq!(mistakes[0].path, path, "{yaml}: {mistakes:?}");
        assert!(!format!("{mistakes:?}{config:?}").contains("s3cret"), "{yaml}: {mistakes:?}");
    }
}
