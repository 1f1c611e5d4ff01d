//! One question to one server, over UDP or TCP.

use super::question::{Form, Mismatch, Question};
use super::{Protocol, RESENT, TRUNCATED};
use crate::observation::{Failure, Phase, Readings, Reason};
use hickory_proto::op::{Message, ResponseCode};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

/// A question and how it is asked.
pub(super) struct Exchange {
    pub(super) question: Question,
    pub(super) protocol: Protocol,
}

/// How often a question is sent over UDP within its time: a lost datagram is no outage.
const SENDINGS: u32 = 3;

/// Larger datagrams were not asked for.
const MAX_DATAGRAM: usize = 4096;

/// After so many datagrams that are no answer the rest is not looked at: somebody floods us.
const MAX_STRANGE: u32 = 100;

impl Exchange {
    /// Asks one server.
    ///
    /// # Errors
    /// Why there is no answer; the detail names the server.
    pub(super) async fn ask(&self, server: SocketAddr, until: Instant, out: &mut Readings) -> Result<Message, Failure> {
        let mut result = self.ask_as(Form::Extended, server, until, out).await;
        if result.as_ref().is_ok_and(knows_no_extensions) {
            out.note("plain", "the server does not know EDNS and was asked without it");
            result = self.ask_as(Form::Plain, server, until, out).await;
        }
        out.leave();
        result
    }

    async fn ask_as(
        &self,
        form: Form,
        server: SocketAddr,
        until: Instant,
        out: &mut Readings,
    ) -> Result<Message, Failure> {
        if self.protocol == Protocol::Tcp {
            return self.ask_over_tcp(form, server, until, out).await;
        }
        let message = self.ask_over_udp(form, server, until, out).await?;
        let truncated = message.metadata.truncation;
        out.flag(&TRUNCATED, truncated);
        if !truncated {
            return Ok(message);
        }
        out.note("truncated", "the answer did not fit into a datagram and was asked for over TCP");
        self.ask_over_tcp(form, server, until, out).await
    }

    async fn ask_over_udp(
        &self,
        form: Form,
        server: SocketAddr,
        until: Instant,
        out: &mut Readings,
    ) -> Result<Message, Failure> {
        out.enter(Phase::Wait);
        let cannot = |error| Failure::io(Reason::Connect, format_args!("cannot send to {server}"), &error);
        let socket = open(server).await.map_err(cannot)?;
        let (packet, id) = self.question.packet(form);
        socket.send(&packet).await.map_err(cannot)?;
        let pause = until.saturating_duration_since(Instant::now()) / SENDINGS;
        let (mut sent, mut strange) = (1, Strangers::default());
        let mut resend_at = Instant::now() + pause;
        let mut datagram = Vec::with_capacity(MAX_DATAGRAM);
        loop {
            datagram.clear();
            match timeout_at(resend_at.min(until), socket.recv_buf(&mut datagram)).await {
                Err(_) if sent == SENDINGS || resend_at >= until => {
                    return Err(strange.failure().unwrap_or_else(|| {
                        let detail =
                            format!("{server} does not answer over UDP, asked {sent} times for {}", self.question);
                        Failure::new(Reason::Timeout, detail)
                    }));
                }
                Err(_) => {
                    socket.send(&packet).await.map_err(cannot)?;
                    out.add(&RESENT, 1.0);
                    sent += 1;
                    resend_at = if sent == SENDINGS { until } else { resend_at + pause };
                }
                Ok(Err(error)) => {
                    return Err(Failure::io(
                        Reason::Connect,
                        format_args!("{server} takes no questions over UDP"),
                        &error,
                    ));
                }
                Ok(Ok(_)) => match self.question.read(id, &datagram) {
                    Ok(message) => {
                        if sent > 1 {
                            out.note("resent", format!("an answer came only after the question was sent {sent} times"));
                        }
                        return Ok(message);
                    }
                    Err(Mismatch::Foreign(what)) => strange.see(server, what)?,
                    Err(Mismatch::Broken(error)) => {
                        let detail = format!("the answer of {server} cannot be read: {error}");
                        return Err(Failure::new(Reason::Protocol, detail));
                    }
                },
            }
        }
    }

    async fn ask_over_tcp(
        &self,
        form: Form,
        server: SocketAddr,
        until: Instant,
        out: &mut Readings,
    ) -> Result<Message, Failure> {
        timeout_at(until, self.talk(form, server, out)).await.unwrap_or_else(|_| {
            let detail = format!("{server} does not answer over TCP, asked for {}", self.question);
            Err(Failure::new(Reason::Timeout, detail))
        })
    }

    async fn talk(&self, form: Form, server: SocketAddr, out: &mut Readings) -> Result<Message, Failure> {
        out.enter(Phase::Connect);
        let mut stream = TcpStream::connect(server)
            .await
            .map_err(|error| Failure::io(Reason::Connect, format_args!("cannot connect to {server}"), &error))?;
        out.enter(Phase::Wait);
        let broken = |error| Failure::io(Reason::Protocol, format_args!("the connection to {server} broke"), &error);
        let (packet, id) = self.question.packet(form);
        // Length and question in one: some servers take what comes first for all of it (RFC 7766, section 8).
        let mut framed = Vec::with_capacity(packet.len() + 2);
        framed.extend_from_slice(&u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes());
        framed.extend_from_slice(&packet);
        stream.write_all(&framed).await.map_err(broken)?;
        let length = stream.read_u16().await.map_err(broken)?;
        out.enter(Phase::Transfer);
        let mut answer = Vec::new();
        (&mut stream).take(u64::from(length)).read_to_end(&mut answer).await.map_err(broken)?;
        if answer.len() < usize::from(length) {
            let detail = format!("{server} ended after {} of {length} bytes of its answer", answer.len());
            return Err(Failure::new(Reason::Protocol, detail));
        }
        self.question.read(id, &answer).map_err(|mismatch| {
            let what = match mismatch {
                Mismatch::Foreign(what) => format!("it is {what}"),
                Mismatch::Broken(error) => format!("it cannot be read: {error}"),
            };
            Failure::new(Reason::Protocol, format!("{server} sent over TCP what is not the answer: {what}"))
        })
    }
}

/// Whether a server refuses a question because of its form: one that knows EDNS answers with it.
fn knows_no_extensions(message: &Message) -> bool {
    let refused = matches!(message.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp);
    refused && message.edns.is_none()
}

/// A socket of its own for each question, with a port that the kernel draws by lot. It is connected, so that the kernel
/// drops what others send, and says when nobody listens there.
async fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// Datagrams that came from the server's address and are not the answer. Anybody can send one; only when nothing else comes
/// do they say something.
#[derive(Default)]
struct Strangers {
    count: u32,
    last: String,
}

impl Strangers {
    fn see(&mut self, server: SocketAddr, what: &'static str) -> Result<(), Failure> {
        self.count += 1;
        self.last = format!("from {server} {} datagrams came that are no answer, the last one {what}", self.count);
        self.failure().filter(|_| self.count >= MAX_STRANGE).map_or(Ok(()), Err)
    }

    fn failure(&self) -> Option<Failure> {
        (self.count > 0).then(|| Failure::new(Reason::Protocol, self.last.clone()))
    }
}
