//! The block, and managers of services that answer what no real one does. Real ones are asked in `tests/system/remedy`.

use super::super::Action as _;
use super::*;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::time::timeout;

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn built(yaml: &str) -> Action {
    config(yaml).build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (yaml, path) in [
        ("{}", ""),
        ("{ systemd: a.service, pm2: b }", ""),
        ("{ systemd: banken.service }", "systemd"),
        ("{ systemd: ssh.service }", "systemd"),
        ("{ systemd: dbus.service }", "systemd"),
        ("{ systemd: systemd-logind.service }", "systemd"),
        ("{ systemd: bot }", "systemd"),
        ("{ systemd: bot.timer }", "systemd"),
        ("{ systemd: '-.slice' }", "systemd"),
        ("{ systemd: bot@.service }", "systemd"),
        ("{ systemd: 'a b.service' }", "systemd"),
        ("{ systemd: a.service, user: true, bus: 'unix:path=/x' }", "user"),
        ("{ systemd: a.service, bus: 'tcp:host=x' }", "bus"),
        ("{ systemd: a.service, home: /x }", "home"),
        ("{ systemd: a.service, socket: /x }", "socket"),
        ("{ pm2: a, user: true }", "user"),
        ("{ pm2: a, home: x }", "home"),
        ("{ pm2: all }", "pm2"),
        ("{ pm2: '' }", "pm2"),
        ("{ pm2: banken }", "pm2"),
        ("{ container: a/../b }", "container"),
        ("{ container: banken }", "container"),
        ("{ container: a, socket: x }", "socket"),
        ("{ container: a, stop_within: 1500ms }", "stop_within"),
        ("{ container: a, stop_within: 30s }", "stop_within"),
        ("{ supervisor: { program: 'all:*' } }", "supervisor.program"),
        ("{ supervisor: { program: banken } }", "supervisor.program"),
        ("{ supervisor: { program: a, socket: x } }", "supervisor.socket"),
        ("{ supervisor: { program: a, username: me } }", "supervisor"),
        ("{ argv: [ systemctl, restart, bot ] }", "argv"),
        ("{ argv: [ /bin/true ], start_stopped: true }", "start_stopped"),
        ("{ argv: [] }", "argv"),
    ] {
        let mistakes = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was taken"));
        assert_eq!(mistakes[0].path, path, "{yaml}: {mistakes:?}");
    }
}

#[tokio::test]
async fn an_own_command_is_run_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let action = built(&format!("{{ argv: [ /usr/bin/touch, '{}' ] }}", mark.display()));
    let lines = action.rehearse(&Scene::default()).await.unwrap();
    assert!(lines[0].starts_with("would run \"/usr/bin/touch\"") && !mark.exists(), "{lines:?}");
    action.act(&mut Scene::default()).await.unwrap();
    assert!(mark.exists());
}

/// What was asked for, and what is answered to it: the whole of an answer, and whether then to close.
type Manner = fn(&str) -> Vec<u8>;

/// Answers one question per connection at a socket; keeps the first line of each question, or the method of a call.
fn serve(socket: &Path, manner: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Arc<Mutex<Vec<String>>> {
    let listener = UnixListener::bind(socket).unwrap();
    let (manner, asked) = (Arc::new(manner), Arc::new(Mutex::new(Vec::new())));
    let questions = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (manner, questions) = (Arc::clone(&manner), Arc::clone(&questions));
            tokio::spawn(async move {
                let mut question = Vec::new();
                let mut buffer = [0; 4096];
                // A question comes at once, if perhaps in pieces.
                while let Ok(Ok(read @ 1..)) = timeout(Duration::from_millis(30), stream.read(&mut buffer)).await {
                    question.extend_from_slice(&buffer[..read]);
                }
                let question = String::from_utf8_lossy(&question).into_owned();
                let answer = manner(&question);
                questions.lock().unwrap().push(question);
                // It may not be read to its end.
                let _ = stream.write_all(&answer).await;
                if answer == CUT_OFF {
                    let _ = stream.read(&mut buffer).await;
                }
            });
        }
    });
    asked
}

/// What is begun so goes on for ever.
const CUT_OFF: &[u8] = b"HTTP/1.1 ";

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

const FALLEN: &str =
    r#"{"Id":"0123","Config":{},"State":{"Status":"exited","ExitCode":137,"StartedAt":"2026-01-01T00:00:00Z"}}"#;

async fn restarted(manner: Manner) -> (Result<Done, Setback>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let asked = serve(&socket, manner);
    let action = built(&format!("{{ container: bot, socket: '{}', stop_within: 1s, timeout: 3s }}", socket.display()));
    let outcome = action.act(&mut Scene::default()).await;
    let asked = asked.lock().unwrap().clone();
    (outcome, asked)
}

#[tokio::test]
async fn whatever_a_socket_of_docker_answers_ends_in_words_and_changes_nothing_by_mistake() {
    let cases: [(Manner, &str); 5] = [
        (|_| b"220 mail ready\r\n".to_vec(), "does not speak like Docker"),
        (|_| http("200 OK", "{}"), "not understood"),
        (|_| http("404 Not Found", r#"{"message":"no"}"#), "there is no container bot"),
        (|_| http("200 OK", &" ".repeat(5 << 20)), "cannot be read"),
        (|_| Vec::new(), "does not speak like Docker"),
    ];
    for (manner, words) in cases {
        let (outcome, asked) = restarted(manner).await;
        let Err(Setback::Failed(said)) = &outcome else { panic!("{words}: {outcome:?}") };
        assert!(said.contains(words), "{words}: {said}");
        assert!(asked.iter().all(|question| question.starts_with("GET ")), "{asked:?}");
    }
}

#[tokio::test]
async fn a_refusal_to_restart_and_a_container_that_does_not_start_are_told() {
    let (outcome, asked) = restarted(|question| match question.split(' ').next() {
        Some("POST") => http("500 Oops", r#"{"message":"driver failed\nprogramming"}"#),
        _ => http("200 OK", FALLEN),
    })
    .await;
    assert!(
        matches!(&outcome, Err(Setback::Failed(said)) if said.contains("driver failed programming")),
        "{outcome:?}"
    );
    // By its id, with the grace in seconds, and the past was looked at before.
    assert!(asked.iter().any(|question| question.starts_with("POST /containers/0123/restart?t=1 ")), "{asked:?}");
    assert!(asked.iter().any(|question| question.starts_with("GET /events?since=")), "{asked:?}");
    let (outcome, _) = restarted(|question| match question.split(' ').next() {
        Some("POST") => http("204 No Content", ""),
        _ => http("200 OK", FALLEN),
    })
    .await;
    assert!(matches!(&outcome, Err(Setback::Failed(said)) if said.contains("and not started")), "{outcome:?}");
}

#[tokio::test]
async fn a_docker_that_does_not_come_to_its_end_is_waited_for_no_longer_than_the_timeout() {
    let begun = Instant::now();
    let (outcome, _) = restarted(|question| match question.split(' ').next() {
        Some("POST") => CUT_OFF.to_vec(),
        _ => http("200 OK", FALLEN),
    })
    .await;
    assert!(matches!(&outcome, Err(Setback::Failed(said)) if said.contains("within 3s")), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

/// One message of PM2's protocol.
fn amp(json: &str) -> Vec<u8> {
    let parts = [format!("j:{json}"), "s:banken:0".to_owned()];
    let mut message = vec![1 << 4 | 2];
    for part in parts {
        message.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

#[tokio::test]
async fn an_app_that_does_not_come_up_and_noise_instead_of_an_answer_are_told() {
    fn app(status: &str) -> Vec<u8> {
        amp(&format!(r#"{{"args":[[{{"pm_id":3,"pid":0,"pm2_env":{{"name":"bot","status":"{status}"}}}}]]}}"#))
    }
    let cases: [(Manner, &str); 5] = [
        (|_| app("errored"), "instance 3 was restarted and is errored; restarted: no other instance"),
        (|_| b"[PM2] Spawning PM2 daemon with pm2_home=/x\n".to_vec(), "does not speak like PM2"),
        (|_| amp("{\"args\":[[]]}"), "knows no app bot"),
        (|_| amp("[PM2] hello"), "not understood"),
        (
            |question| {
                if question.contains("restartProcessId") {
                    amp(r#"{"error":"God db\nprocess"}"#)
                } else {
                    app("online")
                }
            },
            "instance 3: PM2 refused: God db process",
        ),
    ];
    for (manner, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        serve(&folder.path().join("rpc.sock"), manner);
        let outcome =
            built(&format!("{{ pm2: bot, home: '{}' }}", folder.path().display())).act(&mut Scene::default()).await;
        assert!(matches!(&outcome, Err(Setback::Failed(said)) if said.contains(words)), "{words}: {outcome:?}");
    }
}

fn info(state: u32, pid: u32) -> Vec<u8> {
    let member =
        |name: &str, value: u32| format!("<member><name>{name}</name><value><int>{value}</int></value></member>");
    xml(&format!("<struct>{}{}</struct>", member("state", state), member("pid", pid)))
}

fn xml(value: &str) -> Vec<u8> {
    http("200 OK", &format!("<methodResponse><params><param><value>{value}</value></param></params></methodResponse>"))
}

#[tokio::test]
async fn what_we_have_stopped_and_not_started_is_not_taken_for_stopped_by_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    // It runs until it is stopped, and then stops for ever.
    let state = Arc::new(AtomicU32::new(20));
    let known = Arc::clone(&state);
    let asked = serve(&socket, move |question| {
        if question.contains("stopProcess") {
            known.store(40, SeqCst);
            return xml("<boolean>1</boolean>");
        }
        if question.contains("startProcess") {
            known.store(20, SeqCst);
            return xml("<boolean>1</boolean>");
        }
        info(known.load(SeqCst), if known.load(SeqCst) == 20 { 4_000_000 } else { 0 })
    });
    let action = built(&format!("{{ supervisor: {{ program: web, socket: '{}' }} }}", socket.display()));
    let cut_off = timeout(Duration::from_millis(400), action.act(&mut Scene::default())).await;
    assert!(cut_off.is_err(), "it waits until it is stopped");
    assert!(matches!(action.rehearse(&Scene::default()).await, Err(Setback::Busy(_))), "it is STOPPING");
    state.store(0, SeqCst);
    let stranger = built(&format!("{{ supervisor: {{ program: web, socket: '{}' }} }}", socket.display()));
    assert!(
        matches!(stranger.rehearse(&Scene::default()).await, Err(Setback::Busy(_))),
        "for all it knows a person did"
    );
    action.act(&mut Scene::default()).await.unwrap();
    let starts = asked.lock().unwrap().iter().filter(|question| question.contains("startProcess")).count();
    assert_eq!(starts, 1);
    state.store(0, SeqCst);
    assert!(matches!(action.rehearse(&Scene::default()).await, Err(Setback::Busy(_))), "by now a person has");
}
