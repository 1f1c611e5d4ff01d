//! A connection in clear or over TLS, as one type, with a bound on what is read from it until the answer has begun.

use crate::net::TlsStream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a request travels over.
pub(super) struct Stream {
    transport: Transport,
    allowance: Allowance,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// In clear; so many bytes may be read until [`Allowance::lift`].
    pub(super) fn plain(stream: TcpStream, bytes: u64) -> Self {
        Self { transport: Transport::Plain(stream), allowance: Allowance::of(bytes) }
    }

    /// Over TLS; so many bytes may be read until [`Allowance::lift`].
    pub(super) fn tls(stream: TlsStream, bytes: u64) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), allowance: Allowance::of(bytes) }
    }

    /// A handle on the bound.
    pub(super) fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }
}

/// How many bytes may still be read. Without it a target could keep us parsing informational answers, which belong to no
/// head and no body and so to no other bound.
#[derive(Clone)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    fn of(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// From now on other bounds hold.
    pub(super) fn lift(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            u64::MAX => Ok(()),
            left if left < bytes => Err(io::Error::other("too much was sent before the answer")),
            left => {
                self.0.store(left - bytes, Ordering::Relaxed);
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
        let allowance = self.allowance();
        ready!(either!(self, stream => stream.poll_read(cx, buffer)))?;
        Poll::Ready(allowance.spend((buffer.filled().len() - before) as u64))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}
