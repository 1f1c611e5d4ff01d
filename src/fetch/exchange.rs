//! One request and its answer, over a kept connection or a new one. Everything happens in the task that asks: when it is
//! dropped (the runner's timeout), the connection and all that belongs to it are gone.

use super::body;
use super::connection::{Connection, Way};
use super::request::Hop;
use super::session::CONNECTION_REUSED;
use crate::observation::{Failure, Phase, Readings, Reason};
use bytes::Bytes;
use http::{Response, response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::error::Error;

/// The head of an answer, and its body still on the way.
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    body: Incoming,
    has_ended: bool,
    connection: Connection,
    /// Under which name the connection may be kept.
    pub(super) home: Option<String>,
}

/// Asks and waits for the head of the answer: over the kept connection if it is still good, else over a new one.
///
/// # Errors
/// As of dialling and of the TLS handshake, and [`Reason::Protocol`] when the target does not speak HTTP or breaks off.
pub(super) async fn exchange(
    hop: &Hop,
    way: &Way<'_>,
    kept: Option<Connection>,
    out: &mut Readings,
) -> Result<Answer, Failure> {
    if let Some(kept) = kept
        && let Some(answer) = ask_kept(hop, way, kept, out).await?
    {
        return Ok(answer);
    }
    if way.counts_reuse {
        out.flag(&CONNECTION_REUSED, false);
    }
    let mut connection = Connection::open(hop, way, out).await?;
    let response = connection.ask(hop, way).await.map_err(|error| failure(&error, "no answer"))?;
    out.enter(Phase::Transfer);
    Ok(Answer::begin(response, connection))
}

/// Asks over a connection that was kept. No answer if it had been closed meanwhile, which is no fault of the target:
/// nobody promised to wait for us.
async fn ask_kept(
    hop: &Hop,
    way: &Way<'_>,
    mut connection: Connection,
    out: &mut Readings,
) -> Result<Option<Answer>, Failure> {
    if !connection.can_go_on().await {
        out.note("connection", "opened anew: the kept one was closed or too old");
        return Ok(None);
    }
    if out.value(&CONNECTION_REUSED).is_none() {
        out.flag(&CONNECTION_REUSED, true);
    }
    connection.note(out);
    out.enter(Phase::Wait);
    match connection.ask(hop, way).await {
        Ok(response) => {
            connection.write_certificate(out);
            out.enter(Phase::Transfer);
            Ok(Some(Answer::begin(response, connection)))
        }
        Err(error) if connection.may_ask_again(hop) => {
            out.note(
                "connection",
                format!("asked once more over a new one: {}", failure(&error, "the kept one broke").detail),
            );
            Ok(None)
        }
        Err(error) => Err(failure(&error, "no answer over the kept connection")),
    }
}

impl Answer {
    fn begin(response: Response<Incoming>, connection: Connection) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body, has_ended: false, connection, home: None }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Reads the body; the first `keep` bytes of it are put into `kept`. Gives its size after inflating.
    ///
    /// # Errors
    /// [`Reason::Limit`] for more than `cap` bytes; [`Reason::Protocol`] when it breaks off, or is encoded in a way
    /// that was not asked for.
    pub async fn read(&mut self, cap: u64, keep: usize, kept: &mut Vec<u8>) -> Result<u64, Failure> {
        body::read(self, cap, keep, kept).await
    }

    /// The next piece of the body.
    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, Failure>> {
        loop {
            if self.body.is_end_stream() {
                self.has_ended = true;
                return None;
            }
            match self.connection.drive(self.body.frame()).await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Some(Ok(bytes));
                    }
                }
                Some(Err(error)) => return Some(Err(failure(&error, "the answer broke off"))),
                None => {
                    self.has_ended = true;
                    return None;
                }
            }
        }
    }

    /// The connection, if the next request can use it: everything of this answer was read, and nothing else has come.
    pub(super) async fn into_connection(self) -> Option<Connection> {
        let Self { body, has_ended, mut connection, .. } = self;
        drop(body);
        (has_ended && connection.can_go_on().await).then_some(connection)
    }
}

/// What broke a conversation: TLS, our own shortage, or the target's HTTP.
pub(super) fn failure(error: &hyper::Error, what: &str) -> Failure {
    let mut detail = format!("{what}: {error}");
    let mut reason = Reason::Protocol;
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            // Since TLS 1.3 a target refuses our certificate only after the handshake.
            let over_tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some();
            reason = Failure::io(if over_tls { Reason::Tls } else { Reason::Protocol }, "", io).reason;
        }
        let cause_text = cause.to_string();
        if !detail.ends_with(&cause_text) {
            detail.push_str(": ");
            detail.push_str(&cause_text);
        }
        source = cause.source();
    }
    Failure::new(reason, detail)
}
