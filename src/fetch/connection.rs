//! One connection: opened, asked and, where that is wanted, kept. It only moves while somebody asks over it: no task of
//! its own drives it, and whoever drops it has closed it.

use super::Protocol;
use super::exchange::failure;
use super::request::Hop;
use super::stream::{Meter, Stream};
use crate::net::{IpChoice, TLS_FAMILIES, TlsClient, dial};
use crate::observation::{Failure, Phase, Readings, Reason};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The most bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// How much an HTTP/2 target may send before we have read it.
const WINDOW: u32 = 256 * 1024;

/// How long a connection is kept: then the name is resolved anew, and certificate and listener are seen again.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How a request travels.
pub(super) struct Way<'a> {
    /// Set where TLS is spoken.
    pub(super) client: Option<&'a TlsClient>,
    pub(super) protocol: Protocol,
    pub(super) ip: IpChoice,
    /// Whether the connection is to live on after the answer.
    pub(super) keep: bool,
    /// Whether it is published that a new connection was needed.
    pub(super) counts_reuse: bool,
    /// The cookies that go along.
    pub(super) cookies: Option<HeaderValue>,
}

/// An open connection.
pub(super) struct Connection {
    sender: Sender,
    wire: Wire,
    meter: Meter,
    opened: Instant,
    facts: Facts,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Dials, and speaks TLS where that is wanted.
    ///
    /// # Errors
    /// As of dialling and of the TLS handshake, and [`Reason::Protocol`] when the target does not speak the version of
    /// HTTP that was asked for.
    pub(super) async fn open(hop: &Hop, way: &Way<'_>, out: &mut Readings) -> Result<Self, Failure> {
        let noted_before = out.notes().len();
        let tcp = dial(hop.host(), hop.port(), way.ip, out).await?;
        let (stream, http2) = match way.client {
            None => (Stream::plain(tcp), way.protocol == Protocol::Http2),
            Some(client) => {
                let tls = client.handshake(tcp, hop.host(), out).await?;
                let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                if way.protocol == Protocol::Http2 && !http2 {
                    return Err(Failure::new(Reason::Protocol, "the target does not offer HTTP/2"));
                }
                (Stream::tls(tls), http2)
            }
        };
        let facts = if way.keep { Facts::of(out, noted_before, way.client.is_some()) } else { Facts::default() };
        out.enter(Phase::Wait);
        let meter = stream.meter();
        let begun = if http2 { begin_http2(stream).await } else { begin_http1(stream).await };
        let (sender, wire) = begun.map_err(|error| failure(&error, "no answer"))?;
        Ok(Self { sender, wire, meter, opened: Instant::now(), facts })
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn ask(&mut self, hop: &Hop, way: &Way<'_>) -> Result<Response<Incoming>, hyper::Error> {
        self.meter.arm();
        let cookies = way.cookies.as_ref();
        let response = match &mut self.sender {
            Sender::Http1(sender) => self.wire.drive(sender.send_request(hop.http1(way.keep, cookies))).await?,
            Sender::Http2(sender) => self.wire.drive(sender.send_request(hop.http2(cookies))).await?,
        };
        self.meter.lift();
        Ok(response)
    }

    /// Awaits something that needs the connection to move.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.wire.drive(work).await
    }

    /// Whether another request can be sent. What has come since the last answer is looked at first: the end of the
    /// connection, or bytes that nobody asked for, with which HTTP/1.1 would answer the wrong request.
    pub(super) async fn can_go_on(&mut self) -> bool {
        self.meter.arm();
        self.wire.look().await;
        let ready = match &self.sender {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        };
        ready && self.wire.0.is_some() && self.opened.elapsed() < MAX_AGE
    }

    /// Whether a request that got no answer may be sent once more: it does no harm to be heard twice, or it was not
    /// heard at all.
    pub(super) fn may_ask_again(&self, hop: &Hop) -> bool {
        // In HTTP/2 the target also speaks of the connection itself, which is no part of an answer.
        let unanswered = matches!(self.sender, Sender::Http2(_)) || !self.meter.has_heard();
        unanswered && (hop.method().is_safe() || !self.meter.has_sent())
    }

    /// What became known when it was opened, for people.
    pub(super) fn note(&self, out: &mut Readings) {
        for (what, fact) in &self.facts.notes {
            out.note(what, fact.as_str());
        }
        out.note("connection", format!("kept since {} s", self.opened.elapsed().as_secs()));
    }

    /// What the certificate said in the handshake of this very connection.
    pub(super) fn write_certificate(&self, out: &mut Readings) {
        for (family, value) in TLS_FAMILIES.into_iter().zip(self.facts.certificate) {
            if let Some(value) = value {
                out.set(family, value);
            }
        }
    }
}

/// What is only told while a connection is opened.
#[derive(Default)]
struct Facts {
    notes: Vec<(&'static str, String)>,
    certificate: [Option<f64>; TLS_FAMILIES.len()],
}

impl Facts {
    fn of(out: &Readings, noted_before: usize, tls: bool) -> Self {
        let certificate = if tls { TLS_FAMILIES.map(|family| out.value(family)) } else { Default::default() };
        Self { notes: out.notes()[noted_before..].to_vec(), certificate }
    }
}

type Begun = Result<(Sender, Wire), hyper::Error>;

async fn begin_http1(stream: Stream) -> Begun {
    let (sender, connection) = http1::Builder::new().max_header_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let wire = Wire(Some(Box::pin(async move {
        // Whatever breaks the connection also reaches the request or the body, where it is told.
        let _ = connection.await;
    })));
    Ok((Sender::Http1(sender), wire))
}

async fn begin_http2(stream: Stream) -> Begun {
    let tasks = Tasks::default();
    let (sender, connection) = http2::Builder::new(tasks.clone())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(MAX_HEAD as u32)
        .handshake(TokioIo::new(stream))
        .await?;
    let wire = Wire(Some(Box::pin(tasks.run_beside(async move {
        let _ = connection.await;
    }))));
    Ok((Sender::Http2(sender), wire))
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The machinery of a connection, which only moves while somebody drives it; gone when the connection has ended.
struct Wire(Option<Task>);

impl Wire {
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            // Work first, because it tells the connection what is wanted; and once more, because that may have arrived.
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.poll_once(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Takes in what has come, and waits for nothing.
    async fn look(&mut self) {
        poll_fn(|cx| {
            self.poll_once(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) {
        if let Some(task) = &mut self.0
            && task.as_mut().poll(cx).is_ready()
        {
            self.0 = None;
        }
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
                let mut one_ended = false;
                while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {
                    one_ended = true;
                }
                let spawned = self.take();
                // The end of a task may be that of the connection, which must not be found out a request later.
                if spawned.is_empty() && !one_ended {
                    break;
                }
                running.extend(spawned);
            }
            if ended && running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// A connection over which one answer came, and the other end of it.
    async fn used_once(method: Method) -> (Connection, TcpStream, Hop) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let hop = Hop::new(&uri, method, None, Bytes::from_static(b"body"));
        let way = way();
        let mut out = Readings::default();
        let (connection, accepted) = tokio::join!(Connection::open(&hop, &way, &mut out), listener.accept());
        let (mut connection, mut peer) = (connection.unwrap(), accepted.unwrap().0);
        let answering = async {
            let mut request = [0; 1024];
            assert!(peer.read(&mut request).await.unwrap() > 0);
            peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let (answer, ()) = tokio::join!(connection.ask(&hop, &way), answering);
        drop(answer.unwrap());
        (connection, peer, hop)
    }

    fn way() -> Way<'static> {
        Way { client: None, protocol: Protocol::Auto, ip: IpChoice::Any, keep: true, counts_reuse: true, cookies: None }
    }

    #[tokio::test]
    async fn what_was_not_sent_at_all_may_be_sent_again_whatever_it_is() {
        for method in [Method::GET, Method::POST] {
            let (mut connection, peer, hop) = used_once(method.clone()).await;
            assert!(connection.can_go_on().await);
            // It ends after we looked and before we write.
            drop(peer);
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(connection.ask(&hop, &way()).await.is_err());
            assert!(!connection.meter.has_sent() && connection.may_ask_again(&hop), "{method}");
        }
    }

    #[tokio::test]
    async fn what_was_sent_is_only_sent_again_if_that_does_no_harm() {
        for (method, again) in [(Method::GET, true), (Method::HEAD, true), (Method::POST, false), (Method::PUT, false)]
        {
            let (mut connection, mut peer, hop) = used_once(method.clone()).await;
            assert!(connection.can_go_on().await);
            let ending = async {
                let mut request = [0; 1024];
                assert!(peer.read(&mut request).await.unwrap() > 0);
                drop(peer);
            };
            let way = way();
            let (answer, ()) = tokio::join!(connection.ask(&hop, &way), ending);
            assert!(answer.is_err());
            assert_eq!(connection.may_ask_again(&hop), again, "{method}");
        }
    }
}
