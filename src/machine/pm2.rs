//! What the daemon of PM2 is asked over its socket, and the one thing that it is told: to restart an app.
//!
//! `pm2 jlist` asks the same question, but starts Node.js for it, prints other things before the answer, and starts a daemon
//! where none runs. Here nothing is started: where nobody listens, there is no daemon.
//!
//! The socket speaks AMP: a byte with the version and the number of arguments, then each argument after its length in four
//! bytes; `j:` begins JSON and `s:` a text. A question is a call of a method and an id, the answer comes with the same id.

mod home;

pub use home::resolve_home;

use crate::observation::{Failure, Reason};
use crate::values::one_line;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The answer holds the whole environment of each app, so it is long.
const MAX_ANSWER: u32 = 32 << 20;

/// How much of an error's text people are shown.
const MAX_MESSAGE: usize = 200;

/// The version of AMP, and the number of arguments of a question and of an answer.
const AMP_HEAD: u8 = 1 << 4 | 2;

/// By which the answer is known as ours.
const ID: &[u8] = b"s:banken:0";

/// The longest that we wait for a restart, which the app itself may hold up.
const RESTART_WITHIN: Duration = Duration::from_secs(300);

/// One instance of an app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct App {
    /// Its number.
    pub id: u64,
    /// What it is called; several instances can have one name.
    pub name: String,
    /// In PM2's words: `online`, `stopping`, `stopped`, `launching`, `errored`, `one-launch-status`, `waiting restart`.
    pub status: String,
    /// Its process, while it has one.
    pub pid: Option<i32>,
    /// How often PM2 has started it again since it was told to start it.
    pub restarts: u64,
    /// How often in a row it ended too soon after its start.
    pub unstable_restarts: u64,
    /// When it was started last, in seconds since the Unix epoch.
    pub started_at: Option<f64>,
    /// Resident memory in bytes.
    pub memory: f64,
    /// Cores used since somebody last asked PM2; 0 where that was more than a minute ago.
    pub cpu_ratio: f64,
    /// How it ended last.
    pub exit_code: Option<i64>,
}

/// The daemon of one home.
#[derive(Debug, Clone)]
pub struct Pm2 {
    home: PathBuf,
}

impl Pm2 {
    /// Of this `PM2_HOME`.
    pub fn new(home: PathBuf) -> Self {
        Self { home }
    }

    /// Every instance that it knows.
    ///
    /// # Errors
    /// [`Reason::Missing`] where no daemon runs, [`Reason::Auth`] where we may not ask it; otherwise why it did not answer.
    pub async fn apps(&self) -> Result<Vec<App>, Failure> {
        let answer = self.answer("getMonitorData", json!({}), ANSWER_WITHIN).await?;
        let reply: Reply<Vec<Said>> = understood(&answer)?;
        match reply.args.into_iter().next() {
            Some(apps) => Ok(apps.into_iter().map(App::from).collect()),
            None => Err(Failure::new(Reason::Json, "the answer of PM2 holds no list of apps")),
        }
    }

    /// Has it stop one instance, if it runs, and start it again; done once PM2 calls it online, which for an app that says when it
    /// is ready is then. No daemon is ever started for it.
    ///
    /// # Errors
    /// As [`Pm2::apps`]; [`Reason::Protocol`] where PM2 refused.
    pub async fn restart(&self, id: u64) -> Result<(), Failure> {
        let answer = self.answer("restartProcessId", json!({ "id": id }), RESTART_WITHIN).await?;
        understood::<IgnoredAny>(&answer).map(|_| ())
    }

    async fn answer(&self, method: &str, argument: Value, within: Duration) -> Result<Vec<u8>, Failure> {
        let home = self.home.display();
        timeout(within, self.call(method, argument)).await.map_err(|_| {
            Failure::new(Reason::Timeout, format!("the daemon of PM2 in {home} did not answer within {within:?}"))
        })?
    }

    async fn call(&self, method: &str, argument: Value) -> Result<Vec<u8>, Failure> {
        let mut stream =
            UnixStream::connect(self.home.join("rpc.sock")).await.map_err(|error| self.unreachable(&error))?;
        let call = format!("j:{}", json!({ "type": "call", "method": method, "args": [argument] }));
        let broken = |error: io::Error| match error.kind() {
            ErrorKind::UnexpectedEof => Failure::new(Reason::Protocol, "the daemon of PM2 broke its answer off"),
            _ => Failure::io(Reason::Protocol, "the connection to the daemon of PM2 broke", &error),
        };
        stream.write_all(&message(&[call.as_bytes(), ID])).await.map_err(broken)?;
        let foreign = |what: &str| {
            let socket = self.home.join("rpc.sock");
            Failure::new(Reason::Protocol, format!("{} does not speak like PM2: {what}", socket.display()))
        };
        if stream.read_u8().await.map_err(broken)? != AMP_HEAD {
            return Err(foreign("its answer is no message of two parts"));
        }
        let answer = part(&mut stream).await.map_err(broken)?.ok_or_else(|| foreign("its answer is too long"))?;
        let id = part(&mut stream).await.map_err(broken)?;
        if id.as_deref() != Some(ID) {
            return Err(foreign("it answers somebody else's question"));
        }
        answer.strip_prefix(b"j:").map(<[u8]>::to_vec).ok_or_else(|| foreign("its answer is not JSON"))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let home = self.home.display();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Failure::new(
                Reason::Missing,
                format!("no daemon of PM2 runs with {home}: start its apps (pm2 resurrect), or correct home:"),
            ),
            ErrorKind::ConnectionRefused => Failure::new(
                Reason::Missing,
                format!("the daemon of PM2 in {home} has gone without a word: start its apps again (pm2 resurrect)"),
            ),
            ErrorKind::PermissionDenied => Failure::new(
                Reason::Auth,
                format!("the socket of PM2 in {home} must not be used: run Banken as the user that runs PM2"),
            ),
            // Its queue is full of connections that it does not take.
            ErrorKind::WouldBlock => {
                Failure::new(Reason::Timeout, format!("the daemon of PM2 in {home} takes no connections any more"))
            }
            _ => Failure::io(Reason::Missing, format_args!("the daemon of PM2 in {home} cannot be asked"), error),
        }
    }
}

fn message(parts: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![AMP_HEAD];
    for part in parts {
        message.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

/// One argument; nothing if it is too long.
async fn part(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let length = stream.read_u32().await?;
    if length > MAX_ANSWER {
        return Ok(None);
    }
    let mut part = Vec::new();
    // What is not sent takes no memory, however long it is said to be.
    stream.take(length.into()).read_to_end(&mut part).await?;
    if part.len() < length as usize { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(Some(part)) }
}

/// Reads an answer that is no refusal.
fn understood<T: DeserializeOwned>(answer: &[u8]) -> Result<Reply<T>, Failure> {
    let wrong = |error| Failure::new(Reason::Json, format!("the answer of PM2 is not understood: {error}"));
    let refusal: Refusal = serde_json::from_slice(answer).map_err(wrong)?;
    if let Some(error) = refusal.error.filter(|error| !error.is_null()) {
        let message: String = one_line(&text(error)).chars().take(MAX_MESSAGE).collect();
        return Err(Failure::new(Reason::Protocol, format!("PM2 refused: {message}")));
    }
    serde_json::from_slice(answer).map_err(wrong)
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Reply<T> {
    #[serde(default = "Vec::new")]
    args: Vec<T>,
}

/// What is read of an app. Nothing of its environment is kept, which is most of the answer and full of secrets.
#[derive(Deserialize)]
struct Said {
    pm_id: u64,
    #[serde(default, deserialize_with = "lenient")]
    pid: Option<f64>,
    pm2_env: SaidEnv,
    #[serde(default)]
    monit: SaidMonit,
}

#[derive(Deserialize)]
struct SaidEnv {
    name: Value,
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    restart_time: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    unstable_restarts: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pm_uptime: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    exit_code: Option<f64>,
}

#[derive(Default, Deserialize)]
struct SaidMonit {
    #[serde(default, deserialize_with = "lenient")]
    memory: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    cpu: Option<f64>,
}

/// A number, where one is written: JavaScript writes what it has.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_f64())
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl From<Said> for App {
    fn from(said: Said) -> Self {
        let env = said.pm2_env;
        let count = |number: Option<f64>| number.unwrap_or(0.0).max(0.0) as u64;
        Self {
            id: said.pm_id,
            name: text(env.name),
            status: env.status,
            pid: said.pid.map(|pid| pid as i32).filter(|pid| *pid > 0),
            restarts: count(env.restart_time),
            unstable_restarts: count(env.unstable_restarts),
            started_at: env.pm_uptime.map(|millis| millis / 1000.0),
            memory: said.monit.memory.unwrap_or(0.0),
            cpu_ratio: said.monit.cpu.unwrap_or(0.0) / 100.0,
            exit_code: env.exit_code.map(|code| code as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    /// What is made of an answer.
    async fn answered(answer: Vec<u8>) -> Result<Vec<App>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("rpc.sock")).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 1024];
            let length = stream.read(&mut question).await.unwrap();
            let question = String::from_utf8_lossy(&question[..length]);
            assert!(
                question.contains(r#""method":"getMonitorData""#) && question.ends_with("s:banken:0"),
                "{question}"
            );
            stream.write_all(&answer).await.unwrap();
        };
        let pm2 = Pm2::new(folder.path().to_owned());
        tokio::join!(pm2.apps(), serving).0
    }

    fn reply(json: &str) -> Vec<u8> {
        message(&[format!("j:{json}").as_bytes(), ID])
    }

    #[tokio::test]
    async fn an_app_is_read_without_its_environment() {
        let json = r#"{"args":[[
            {"pid":77,"name":"bot","pm_id":3,"pm2_env":{"name":"bot","status":"online","restart_time":2,
             "unstable_restarts":1,"pm_uptime":1700000000500,"exit_code":1,"env":{"TOKEN":"hunter2"}},
             "monit":{"memory":4096,"cpu":12.5}},
            {"pid":0,"pm_id":4,"pm2_env":{"name":7,"status":"stopped","restart_time":null,"exit_code":"x"}}
        ], "more"]}"#;
        // Only what is a list of apps is one.
        assert_eq!(answered(reply(json)).await.unwrap_err().reason, Reason::Json);
        let apps = answered(reply(&json.replace(r#", "more"]"#, "]"))).await.unwrap();
        let bot = App {
            id: 3,
            name: "bot".into(),
            status: "online".into(),
            pid: Some(77),
            restarts: 2,
            unstable_restarts: 1,
            started_at: Some(1_700_000_000.5),
            memory: 4096.0,
            cpu_ratio: 0.125,
            exit_code: Some(1),
        };
        let other = App { id: 4, name: "7".into(), status: "stopped".into(), ..App::default() };
        assert_eq!(apps, [bot, other]);
        assert_eq!(answered(reply(r#"{"args":[[]]}"#)).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn whatever_else_is_answered_is_told() {
        let whole = reply(r#"{"args":[[]]}"#);
        let answers = [
            (
                reply(r#"{"error":"method does not\nexist","stack":"…"}"#),
                Reason::Protocol,
                "refused: method does not exist",
            ),
            (reply("{}"), Reason::Json, "no list of apps"),
            (reply("[PM2] Spawning PM2 daemon"), Reason::Json, "not understood"),
            (reply(r#"{"args":[[{"pm_id":1}]]}"#), Reason::Json, "pm2_env"),
            (b"[PM2] hello {}".to_vec(), Reason::Protocol, "does not speak like PM2"),
            (vec![], Reason::Protocol, "broke its answer off"),
            (whole[..20].to_vec(), Reason::Protocol, "broke its answer off"),
            (whole[..whole.len() - 1].to_vec(), Reason::Protocol, "broke its answer off"),
            (message(&[b"j:{}", b"s:other"]), Reason::Protocol, "somebody else's"),
            (message(&[b"s:text", ID]), Reason::Protocol, "not JSON"),
            ([&[AMP_HEAD][..], &[0xff; 4], b"j:"].concat(), Reason::Protocol, "too long"),
        ];
        for (answer, reason, words) in answers {
            let failure = answered(answer).await.unwrap_err();
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(failure.detail.contains(words) && !failure.detail.contains('\n'), "{words}: {failure}");
        }
    }

    #[tokio::test]
    async fn a_restart_names_the_instance_and_a_refusal_is_told() {
        for (reply, expected) in [
            (r#"{"args":[{"pm2_env":{"status":"online"}}]}"#, Ok(())),
            (r#"{"args":null,"error":null}"#, Err(Reason::Json)),
            (r#"{"error":"God db process id\nunknown"}"#, Err(Reason::Protocol)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(folder.path().join("rpc.sock")).unwrap();
            let serving = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut question = [0; 1024];
                let length = stream.read(&mut question).await.unwrap();
                let question = String::from_utf8_lossy(&question[..length]).into_owned();
                stream.write_all(&super::tests::reply(reply)).await.unwrap();
                question
            };
            let pm2 = Pm2::new(folder.path().to_owned());
            let (restarted, question) = tokio::join!(pm2.restart(3), serving);
            assert_eq!(restarted.map_err(|failure| failure.reason), expected, "{reply}");
            assert!(
                question.contains(r#""method":"restartProcessId""#) && question.contains(r#"[{"id":3}]"#),
                "{question}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_does_not_answer_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(folder.path().join("rpc.sock")).unwrap();
        let failure = Pm2::new(folder.path().to_owned()).apps().await.unwrap_err();
        assert!(failure.reason == Reason::Timeout && failure.detail.contains("5s"), "{failure}");
    }

    #[tokio::test]
    async fn where_no_daemon_runs_nothing_is_started_and_the_remedy_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let pm2 = Pm2::new(folder.path().to_owned());
        let failure = pm2.apps().await.unwrap_err();
        assert!(failure.reason == Reason::Missing && failure.detail.contains("pm2 resurrect"), "{failure}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // A daemon that was killed leaves its socket.
        drop(UnixListener::bind(folder.path().join("rpc.sock")).unwrap());
        let failure = pm2.apps().await.unwrap_err();
        assert!(failure.reason == Reason::Missing && failure.detail.contains("without a word"), "{failure}");
        let denied = pm2.unreachable(&ErrorKind::PermissionDenied.into());
        assert!(denied.reason == Reason::Auth && denied.detail.contains("as the user"), "{denied}");
        assert_eq!(pm2.unreachable(&ErrorKind::WouldBlock.into()).reason, Reason::Timeout);
    }
}
