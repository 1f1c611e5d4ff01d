//! A connection in clear or over TLS, as one type, with a bound on what is read from it until the answer has begun.

use crate::net::TlsStream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a request travels over.
pub(super) struct Stream {
    transport: Transport,
    meter: Meter,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// In clear.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self { transport: Transport::Plain(stream), meter: Meter::default() }
    }

    /// Over TLS.
    pub(super) fn tls(stream: TlsStream) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), meter: Meter::default() }
    }

    /// A handle on what goes through.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

/// The most that is read until the answer has begun: its head, what may arrive with it, and a few informational answers.
const MAX_BEFORE_ANSWER: u64 = 512 * 1024;

/// What went through since it was armed, and how many bytes may still be read. Without this bound a target could keep
/// us parsing informational answers, which belong to no head and no body and so to no other bound.
#[derive(Clone)]
pub(super) struct Meter(Arc<Counts>);

struct Counts {
    left: AtomicU64,
    sent: AtomicBool,
    heard: AtomicBool,
}

impl Default for Meter {
    fn default() -> Self {
        let left = AtomicU64::new(MAX_BEFORE_ANSWER);
        Self(Arc::new(Counts { left, sent: AtomicBool::new(false), heard: AtomicBool::new(false) }))
    }
}

impl Meter {
    /// Begins anew: nothing was sent, nothing was heard, and the bound holds.
    pub(super) fn arm(&self) {
        self.0.left.store(MAX_BEFORE_ANSWER, Ordering::Relaxed);
        self.0.sent.store(false, Ordering::Relaxed);
        self.0.heard.store(false, Ordering::Relaxed);
    }

    /// From now on other bounds hold.
    pub(super) fn lift(&self) {
        self.0.left.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether a byte of ours was taken.
    pub(super) fn has_sent(&self) -> bool {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Whether a byte came.
    pub(super) fn has_heard(&self) -> bool {
        self.0.heard.load(Ordering::Relaxed)
    }

    fn read(&self, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.0.heard.store(true, Ordering::Relaxed);
        match self.0.left.load(Ordering::Relaxed) {
            u64::MAX => Ok(()),
            left if left < bytes => Err(io::Error::other("too much was sent before the answer")),
            left => {
                self.0.left.store(left - bytes, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().transport {
            Transport::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let meter = self.meter();
        ready!(either!(self, stream => stream.poll_read(cx, buffer)))?;
        Poll::Ready(meter.read((buffer.filled().len() - before) as u64))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let meter = self.meter();
        let taken = ready!(either!(self, stream => stream.poll_write(cx, bytes)))?;
        meter.0.sent.fetch_or(taken > 0, Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}
