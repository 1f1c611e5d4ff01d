//! One request over one new connection. Everything happens in the task that asks: when it is dropped (the runner's
//! timeout), the connection and all that belongs to it are gone.

use super::request::Hop;
use super::stream::Stream;
use super::{Protocol, body};
use crate::net::{IpChoice, TlsClient, dial};
use crate::observation::{Failure, Phase, Readings, Reason};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response, response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The head of an answer, and its body still on the way.
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    body: Incoming,
    wire: Wire,
}

/// The most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// How much an HTTP/2 target may send before we have read it.
const WINDOW: u32 = 256 * 1024;

/// The most that is read until the answer has begun: its head, what may arrive with it, and a few informational answers.
const MAX_BEFORE_ANSWER: u64 = 512 * 1024;

/// Opens a connection, asks, and waits for the head of the answer.
///
/// # Errors
/// As of dialling and of the TLS handshake, and [`Reason::Protocol`] when the target does not speak HTTP or breaks off.
pub(super) async fn exchange(
    hop: &Hop,
    client: Option<&TlsClient>,
    protocol: Protocol,
    ip: IpChoice,
    out: &mut Readings,
) -> Result<Answer, Failure> {
    let tcp = dial(hop.host(), hop.port(), ip, out).await?;
    let (stream, http2) = match client {
        None => (Stream::plain(tcp, MAX_BEFORE_ANSWER), protocol == Protocol::Http2),
        Some(client) => {
            let tls = client.handshake(tcp, hop.host(), out).await?;
            let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            if protocol == Protocol::Http2 && !http2 {
                return Err(Failure::new(Reason::Protocol, "the target does not offer HTTP/2"));
            }
            (Stream::tls(tls, MAX_BEFORE_ANSWER), http2)
        }
    };
    out.enter(Phase::Wait);
    let allowance = stream.allowance();
    let asked = if http2 { ask_http2(stream, hop.http2()).await } else { ask_http1(stream, hop.http1()).await };
    let (response, wire) = asked.map_err(|error| failure(&error, "no answer"))?;
    allowance.lift();
    out.enter(Phase::Transfer);
    let (head, body) = response.into_parts();
    Ok(Answer { head, body, wire })
}

impl Answer {
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
                return None;
            }
            match self.wire.drive(self.body.frame()).await? {
                Ok(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Some(Ok(bytes));
                    }
                }
                Err(error) => return Some(Err(failure(&error, "the answer broke off"))),
            }
        }
    }
}

type Asked = Result<(Response<Incoming>, Wire), hyper::Error>;

async fn ask_http1(stream: Stream, request: Request<Full<Bytes>>) -> Asked {
    let (mut sender, connection) =
        http1::Builder::new().max_header_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let mut wire = Wire(Some(Box::pin(async move {
        // Whatever breaks the connection also reaches the request or the body, where it is told.
        let _ = connection.await;
    })));
    let response = wire.drive(sender.send_request(request)).await?;
    Ok((response, wire))
}

async fn ask_http2(stream: Stream, request: Request<Full<Bytes>>) -> Asked {
    let tasks = Tasks::default();
    let (mut sender, connection) = http2::Builder::new(tasks.clone())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(MAX_HEAD as u32)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut wire = Wire(Some(Box::pin(tasks.run_beside(async move {
        let _ = connection.await;
    }))));
    let response = wire.drive(sender.send_request(request)).await?;
    Ok((response, wire))
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The machinery of a connection, which only moves while somebody drives it.
struct Wire(Option<Task>);

impl Wire {
    /// Awaits something that needs the connection to move.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            // Work first, because it tells the connection what is wanted; and once more, because that may have arrived.
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if let Some(task) = &mut self.0
                && task.as_mut().poll(cx).is_ready()
            {
                self.0 = None;
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}

/// The tasks that hyper wants to spawn for HTTP/2. They are kept beside their connection instead, so that they end with it.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<Task>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }
}

impl Tasks {
    fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a connection and the tasks that it spawns, until the connection ends.
    fn run_beside(self, connection: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send {
        let mut connection: Task = Box::pin(connection);
        let mut running = FuturesUnordered::new();
        let mut ended = false;
        poll_fn(move |cx: &mut Context<'_>| {
            loop {
                running.extend(self.take());
                ended = ended || connection.as_mut().poll(cx).is_ready();
                while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {}
                let spawned = self.take();
                if spawned.is_empty() {
                    break;
                }
                running.extend(spawned);
            }
            if ended && running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// What broke a conversation: TLS, our own shortage, or the target's HTTP.
fn failure(error: &hyper::Error, what: &str) -> Failure {
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
