//! What supervisord is asked and told over its Unix socket: the state of a program, to stop it, to start it.
//!
//! It speaks XML-RPC over HTTP. A call returns at once (`wait` is false): supervisord looks whether what is waited for has come
//! only when something wakes it, which a question does.

mod xml;

use super::Errand;
use crate::observation::{Failure, Reason};
use crate::values::{Secret, one_line};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;
use xml::{Answer, Value};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What is said about one program is far shorter.
const MAX_ANSWER: usize = 256 << 10;

/// How much of an error's text people are shown.
const MAX_MESSAGE: usize = 200;

/// The state of a program, as supervisord has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A person has stopped it, or it was never started.
    Stopped,
    /// It was started and is not up for long enough.
    Starting,
    /// It is up.
    Running,
    /// It ended too soon and will be started again.
    Backoff,
    /// It is being stopped.
    Stopping,
    /// It ended by itself.
    Exited,
    /// It ended too soon too often, and is no longer started.
    Fatal,
    /// A mistake of supervisord's own.
    Unknown,
}

impl State {
    fn of(number: i64) -> Self {
        match number {
            0 => Self::Stopped,
            10 => Self::Starting,
            20 => Self::Running,
            30 => Self::Backoff,
            40 => Self::Stopping,
            100 => Self::Exited,
            200 => Self::Fatal,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Backoff => "BACKOFF",
            Self::Stopping => "STOPPING",
            Self::Exited => "EXITED",
            Self::Fatal => "FATAL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// What supervisord says of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its state.
    pub state: State,
    /// Its process, while it has one.
    pub pid: Option<i32>,
    /// How it ended last.
    pub exit_status: i64,
    /// Why it could not be started, in supervisord's words.
    pub trouble: String,
    /// Since when, in seconds since the Unix epoch.
    pub started: i64,
}

/// Why a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// supervisord answered that it will not, with its number and words.
    Fault(i64, String),
    /// It could not be asked.
    Failure(Failure),
}

/// The fault of a program that is up already.
pub const ALREADY_STARTED: i64 = 60;

/// The fault of a program that is not up.
pub const NOT_RUNNING: i64 = 70;

/// The fault of a supervisord that is about to end.
pub const SHUTTING_DOWN: i64 = 6;

/// No such program.
const BAD_NAME: i64 = 10;

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Trouble {
    /// As whoever has no use for the number is told it.
    pub fn into_failure(self) -> Failure {
        match self {
            Trouble::Failure(failure) => failure,
            Trouble::Fault(BAD_NAME, said) => Failure::new(
                Reason::Missing,
                format!("supervisor knows no such program ({said}): write it as supervisorctl status shows it"),
            ),
            Trouble::Fault(number, said) => {
                Failure::new(Reason::Protocol, format!("supervisor refused with fault {number}: {said}"))
            }
        }
    }
}

/// Whether this can be the name of one program, with its group or without.
///
/// # Errors
/// How a name is written.
pub fn check_program(name: &str) -> Result<(), String> {
    let legal = |part: &str| {
        !part.is_empty()
            && part.len() <= 128
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    let parts: Vec<&str> = name.split(':').collect();
    if parts.len() <= 2 && parts.iter().all(|part| legal(part)) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is not the name of one program: write it as supervisorctl status shows it, web or group:web_00"
    ))
}

/// The supervisord behind a socket.
#[derive(Debug, Clone)]
pub struct Supervisor {
    socket: PathBuf,
    authorization: Option<HeaderValue>,
}

impl Supervisor {
    /// Behind this socket, with the user and the password that it wants, if it wants any.
    pub fn new(socket: PathBuf, login: Option<(&str, &Secret)>) -> Self {
        let authorization = login.and_then(|(user, password)| {
            let text = STANDARD.encode(format!("{user}:{}", password.expose()));
            let mut value = HeaderValue::try_from(format!("Basic {text}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self { socket, authorization }
    }

    /// What it says of a program.
    ///
    /// # Errors
    /// [`Trouble::Fault`] without such a program; otherwise why it did not say.
    pub async fn info(&self, program: &str) -> Result<Info, Trouble> {
        let answer = self.call("supervisor.getProcessInfo", program, None).await?;
        let number = |name: &str| answer.member(name).and_then(Value::as_number);
        let Some(state) = number("state") else {
            let message = format!("what supervisor says of {program} has no state");
            return Err(Failure::new(Reason::Protocol, message).into());
        };
        let text = |name: &str| answer.member(name).and_then(Value::as_text).unwrap_or_default();
        Ok(Info {
            state: State::of(state),
            pid: number("pid").and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
            exit_status: number("exitstatus").unwrap_or(0),
            trouble: shown(text("spawnerr")),
            started: number("start").unwrap_or(0),
        })
    }

    /// Has it stop a program; it is not waited for.
    ///
    /// # Errors
    /// [`NOT_RUNNING`] where it is not up; otherwise why supervisord did not do it.
    pub async fn stop(&self, program: &str) -> Result<(), Trouble> {
        self.call("supervisor.stopProcess", program, Some(false)).await.map(|_| ())
    }

    /// Has it start a program; it is not waited for.
    ///
    /// # Errors
    /// [`ALREADY_STARTED`] where it is up; otherwise why supervisord did not do it.
    pub async fn start(&self, program: &str) -> Result<(), Trouble> {
        self.call("supervisor.startProcess", program, Some(false)).await.map(|_| ())
    }

    async fn call(&self, method: &str, program: &str, wait: Option<bool>) -> Result<Value, Trouble> {
        let late = |_| Failure::new(Reason::Timeout, format!("supervisor did not answer within {ANSWER_WITHIN:?}"));
        let text = timeout(ANSWER_WITHIN, self.exchange(xml::call(method, program, wait))).await.map_err(late)??;
        match xml::answer(&text) {
            Some(Answer::Value(value)) => Ok(value),
            Some(Answer::Fault(number, said)) => Err(Trouble::Fault(number, shown(&said))),
            None => Err(self.foreign("its answer is not one of XML-RPC").into()),
        }
    }

    async fn exchange(&self, body: String) -> Result<Bytes, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let broken = |error: hyper::Error| self.foreign(&error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let _driver = Errand::spawn(async { drop(connection.await) });
        let mut request = Request::post("/RPC2").header(header::HOST, "supervisor");
        request = request.header(header::CONTENT_TYPE, "text/xml");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| Failure::new(Reason::Local, error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => {
                let remedy = "write username and password as in its section [unix_http_server]";
                return Err(Failure::new(Reason::Auth, format!("supervisor wants another login: {remedy}")));
            }
            status => return Err(Failure::new(Reason::Status, format!("supervisor answered with {status}"))),
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Failure::new(Reason::Body, format!("supervisor's answer: {error}")))?;
        Ok(body.to_bytes())
    }

    fn foreign(&self, what: &str) -> Failure {
        let socket = self.socket.display();
        Failure::new(Reason::Protocol, format!("{socket} does not speak like supervisor: {}", shown(what)))
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            ErrorKind::NotFound => Failure::new(
                Reason::Connect,
                format!("there is no socket {socket}: start supervisor, or correct socket: as in [unix_http_server]"),
            ),
            ErrorKind::PermissionDenied => Failure::new(
                Reason::Auth,
                format!(
                    "the socket {socket} must not be used: set chmod= or chown= in [unix_http_server] for Banken's user"
                ),
            ),
            _ => Failure::io(Reason::Connect, format_args!("nobody answers at {socket}: start supervisor"), error),
        }
    }
}

fn shown(text: &str) -> String {
    one_line(text).chars().map(|c| if c.is_control() { '?' } else { c }).take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    /// What is made of an answer.
    async fn asked(answer: Vec<u8>, login: Option<(&str, &Secret)>) -> (Result<Info, Failure>, String) {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(folder.path().join("socket"), login);
        let listener = UnixListener::bind(&supervisor.socket).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 4096];
            let length = stream.read(&mut question).await.unwrap();
            // It may not read to the end.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&question[..length]).into_owned()
        };
        let (info, question) = tokio::join!(supervisor.info("web"), serving);
        (info.map_err(Trouble::into_failure), question)
    }

    fn ok(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_login_goes_along_and_is_never_shown() {
        let secret = Secret::from("hush-hush".to_owned());
        let supervisor = Supervisor::new("/x".into(), Some(("me", &secret)));
        assert!(!format!("{supervisor:?}").contains("bWU6"), "{supervisor:?}");
        let (_, question) = asked(ok(""), Some(("me", &secret))).await;
        assert!(question.contains("authorization: Basic bWU6aHVzaC1odXNo\r\n"), "{question}");
    }

    #[tokio::test]
    async fn whatever_is_answered_is_told_in_one_line() {
        let fault = |number: i64| {
            ok(&format!(
                "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>{number}\
                 </int></value></member><member><name>faultString</name><value><string>it\nis so</string></value></member>\
                 </struct></value></fault></methodResponse>"
            ))
        };
        let stateless =
            ok("<methodResponse><params><param><value><struct></struct></value></param></params></methodResponse>");
        let huge = format!("HTTP/1.1 200 OK\r\n\r\n{}", "<value>".repeat(100_000)).into_bytes();
        for (answer, reason, words) in [
            (fault(10), Reason::Missing, "knows no such program (it is so)"),
            (fault(6), Reason::Protocol, "fault 6: it is so"),
            (stateless, Reason::Protocol, "no state"),
            (ok("hello"), Reason::Protocol, "does not speak like supervisor"),
            (ok("<methodResponse>"), Reason::Protocol, "does not speak like supervisor"),
            (huge, Reason::Body, "supervisor's answer"),
            (b"220 mail ready\r\n".to_vec(), Reason::Protocol, "does not speak like supervisor"),
            (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_vec(), Reason::Auth, "[unix_http_server]"),
            (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec(), Reason::Status, "500"),
        ] {
            let failure = asked(answer, None).await.0.unwrap_err();
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(failure.detail.contains(words) && !failure.detail.contains('\n'), "{words}: {failure}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_or_not_ours_says_what_to_do() {
        let missing = Supervisor::new("/nowhere/supervisor.sock".into(), None).info("web").await.unwrap_err();
        let missing = missing.into_failure();
        assert!(missing.reason == Reason::Connect && missing.detail.contains("start supervisor"), "{missing}");
        let denied = Supervisor::new("/x".into(), None).unreachable(&ErrorKind::PermissionDenied.into());
        assert!(denied.reason == Reason::Auth && denied.detail.contains("chmod="), "{denied}");
    }

    #[test]
    fn only_one_program_can_be_named() {
        for name in ["web", "group:web_00", "a.b-c"] {
            assert_eq!(check_program(name), Ok(()), "{name}");
        }
        for name in ["", "all:*", "*", "a b", "a:b:c", "group:", "<x>", "web\n"] {
            assert!(check_program(name).is_err(), "{name}");
        }
    }
}
