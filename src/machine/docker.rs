//! What Docker is asked over its Unix socket, or Podman, which speaks alike; and the one thing that it is told: to restart a
//! container.

mod container;
mod events;
mod history;

pub use container::{Health, Inspected, InspectedConfig, InspectedHealth, InspectedState, Listed, Stats};
pub use events::Events;
pub use history::Past;

use super::Errand;
use crate::observation::{Failure, Reason};
use crate::values::one_line;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Where Docker listens.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How long an answer may take to begin, and a short one to end.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is said about a container is not longer.
const MAX_ANSWER: usize = 4 << 20;

/// How much of an error's text people are shown.
const MAX_MESSAGE: usize = 300;

/// What is wanted of a log.
#[derive(Debug)]
pub struct Logs {
    /// Whether to go on with what is written from now on.
    pub follow: bool,
    /// From this second on, since the Unix epoch.
    pub since: Option<i64>,
    /// Only so many lines, the last ones.
    pub tail: Option<usize>,
}

/// Whether this can be a container's name.
///
/// # Errors
/// How a name is written.
pub fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(legal) {
        return Ok(());
    }
    Err(format!("{name:?} is not the name of a container: write it as docker ps shows it"))
}

/// Docker, or who speaks like it.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
}

impl Docker {
    /// Behind this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// What is known of a container, by its name or id.
    ///
    /// # Errors
    /// [`Reason::Missing`] without such a container; otherwise why Docker did not say.
    pub async fn inspect(&self, name: &str) -> Result<Inspected, Failure> {
        let answer = self.get(&format!("/containers/{name}/json"), name).await?;
        understood(&answer.text().await?, name)
    }

    /// What a container that runs uses now. Nothing if it has ended meanwhile.
    ///
    /// # Errors
    /// [`Reason::Missing`] without such a container; otherwise why Docker did not say.
    pub async fn stats(&self, id: &str) -> Result<Option<Stats>, Failure> {
        // Without one-shot Docker measures twice, a second apart.
        let path = format!("/containers/{id}/stats?stream=false&one-shot=true");
        let text = self.get(&path, id).await?.text().await?;
        if text.is_empty() {
            // As Podman says it.
            return Ok(None);
        }
        understood(&text, id).map(Some)
    }

    /// The containers that run.
    ///
    /// # Errors
    /// Why Docker did not say.
    pub async fn list(&self) -> Result<Vec<Listed>, Failure> {
        let answer = self.get("/containers/json", "any").await?;
        understood(&answer.text().await?, "its containers")
    }

    /// A container's log.
    ///
    /// # Errors
    /// [`Reason::Missing`] without such a container; otherwise why Docker did not answer.
    pub async fn logs(&self, id: &str, ask: &Logs) -> Result<Answer, Failure> {
        let follow = u8::from(ask.follow);
        let mut path = format!("/containers/{id}/logs?stdout=1&stderr=1&timestamps=1&follow={follow}");
        if let Some(since) = ask.since {
            path.push_str("&since=");
            path.push_str(&since.to_string());
        }
        if let Some(tail) = ask.tail {
            path.push_str("&tail=");
            path.push_str(&tail.to_string());
        }
        self.get(&path, id).await
    }

    /// Has a container stopped, if it runs, and started again; it is killed where it does not end within the grace. `patience`
    /// is how long Docker may take for all of it.
    ///
    /// # Errors
    /// [`Reason::Missing`] without such a container; otherwise why Docker did not do it.
    pub async fn restart(&self, id: &str, grace: Duration, patience: Duration) -> Result<(), Failure> {
        let path = format!("/containers/{id}/restart?t={}", grace.as_secs());
        let late = |_| Failure::new(Reason::Timeout, format!("Docker has not restarted {id} within {patience:?}"));
        let answer = timeout(patience, self.send(Method::POST, &path)).await.map_err(late)??;
        if answer.response.status().is_success() {
            return Ok(());
        }
        Err(refusal(answer, id).await)
    }

    async fn get(&self, path: &str, name: &str) -> Result<Answer, Failure> {
        let late = |_| Failure::new(Reason::Timeout, format!("Docker did not answer within {ANSWER_WITHIN:?}"));
        let answer = timeout(ANSWER_WITHIN, self.send(Method::GET, path)).await.map_err(late)??;
        if answer.response.status() == StatusCode::OK {
            return Ok(answer);
        }
        Err(refusal(answer, name).await)
    }

    async fn send(&self, method: Method, path: &str) -> Result<Answer, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let broken = |error: hyper::Error| {
            Failure::new(Reason::Protocol, format!("{} does not speak like Docker: {error}", self.socket.display()))
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // What is wrong with the connection is told by the answer too.
        let driver = Errand::spawn(async { drop(connection.await) });
        let request =
            Request::builder().method(method).uri(path).header(header::HOST, "docker").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| Failure::new(Reason::Local, format!("{path}: {error}")))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok(Answer { response, _driver: driver })
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            ErrorKind::NotFound => Failure::new(
                Reason::Connect,
                format!("there is no socket {socket}: start Docker, mount its socket read-only, or correct socket:"),
            ),
            ErrorKind::PermissionDenied => Failure::new(
                Reason::Auth,
                format!("the socket {socket} must not be used: add the user that runs Banken to its group (docker)"),
            ),
            _ => Failure::io(Reason::Connect, format_args!("nobody answers at {socket}: start Docker"), error),
        }
    }
}

fn understood<T: DeserializeOwned>(text: &[u8], of: &str) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        let error: String = one_line(&error.to_string()).chars().take(MAX_MESSAGE).collect();
        Failure::new(Reason::Json, format!("Docker says about {of} what is not understood: {error}"))
    })
}

/// Why Docker refused.
async fn refusal(answer: Answer, name: &str) -> Failure {
    #[derive(Default, Deserialize)]
    struct Refusal {
        #[serde(default)]
        message: String,
    }
    let status = answer.response.status();
    if status == StatusCode::NOT_FOUND {
        return Failure::new(
            Reason::Missing,
            format!("there is no container {name}: start it, or correct the name (docker ps --all shows them)"),
        );
    }
    let text = answer.text().await.unwrap_or_default();
    let refusal: Refusal = serde_json::from_slice(&text).unwrap_or_default();
    let message: String = one_line(&refusal.message).chars().take(MAX_MESSAGE).collect();
    let remedy = if message.contains("does not support reading") {
        ": use the logging driver json-file, local or journald"
    } else {
        ""
    };
    let reason =
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) { Reason::Auth } else { Reason::Status };
    Failure::new(reason, format!("Docker refused with {status}: {message}{remedy}"))
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Answer {
    response: Response<Incoming>,
    /// The connection ends with the answer.
    _driver: Errand,
}

impl Answer {
    /// Waits for more of the body; nothing at its end. It may be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// [`Reason::Connect`] when it is broken off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.response.body_mut().frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::new(Reason::Connect, format!("Docker broke its answer off: {error}")));
                }
                None => return Ok(None),
            }
        }
    }

    async fn text(mut self) -> Result<Bytes, Failure> {
        let body = Limited::new(self.response.body_mut(), MAX_ANSWER).collect();
        match timeout(ANSWER_WITHIN, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(Failure::new(Reason::Body, format!("Docker's answer cannot be read: {error}"))),
            Err(_) => Err(Failure::new(Reason::Timeout, "Docker's answer did not end in time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    /// What is made of an answer.
    async fn failure(answer: &'static str) -> Failure {
        let folder = tempfile::tempdir().unwrap();
        let docker = Docker::new(folder.path().join("socket"));
        let listener = UnixListener::bind(&docker.socket).unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(docker.inspect("bot"), serving).0.unwrap_err()
    }

    #[tokio::test]
    async fn every_refusal_says_what_to_do() {
        let answers = [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Reason::Missing, "docker ps --all"),
            (
                "HTTP/1.1 500 Oops\r\nContent-Length: 65\r\n\r\n\
                 {\"message\":\"configured logging driver does not support reading.\"}\n",
                Reason::Status,
                "json-file",
            ),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", Reason::Auth, "403"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Reason::Json, "not understood"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Reason::Body, "cannot be read"),
            ("220 mail ready\r\n", Reason::Protocol, "does not speak like Docker"),
        ];
        for (answer, reason, word) in answers {
            let failure = failure(answer).await;
            assert_eq!(failure.reason, reason, "{answer}: {failure}");
            assert!(failure.detail.contains(word), "{}", failure.detail);
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_or_not_ours_says_what_to_do() {
        let missing = Docker::new("/nowhere/docker.sock".into()).inspect("bot").await.unwrap_err();
        assert!(missing.reason == Reason::Connect && missing.detail.contains("mount"), "{missing}");
        let denied = Docker::new("/x".into()).unreachable(&ErrorKind::PermissionDenied.into());
        assert!(denied.reason == Reason::Auth && denied.detail.contains("group"), "{denied}");
    }
}
