//! Accepts connections and serves one router on them: HTTP/1.1 and h2, with or without TLS, bounded and drained.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// How long open requests may go on once the service stops.
pub(super) const GRACE: Duration = Duration::from_secs(3);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_CONNECTIONS: usize = 512;
const MOST_STREAMS: u32 = 64;

/// Who asks; in the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// A socket, and what is served on it.
pub(super) struct Front {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
    pub router: Router,
}

impl Front {
    /// Serves until `stop` says so, then lets open requests finish within the grace period.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let (stream, peer, permit) = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = accept(&self.listener, &permits) => accepted,
            };
            let (tls, router, watcher) = (self.tls.clone(), self.router.clone(), graceful.watcher());
            connections.spawn(async move {
                connection(stream, tls, router, peer, watcher).await;
                drop(permit);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::debug!("demo: requests still open after the grace period are cut off");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, peer, permit);
            }
            Err(error) => {
                tracing::debug!(%error, "demo: cannot accept a connection");
                // Without descriptors to spare, accepting fails at once, again and again.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, peer: SocketAddr, watcher: Watcher) {
    let Some(acceptor) = tls else {
        return exchange(stream, router, peer, watcher).await;
    };
    match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => exchange(stream, router, peer, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "demo: TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "demo: TLS handshake took too long"),
    }
}

async fn exchange<S>(stream: S, router: Router, peer: SocketAddr, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = Arc::clone(&asked);
        hyper::service::service_fn(move |request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            answer(router.clone(), request, peer)
        })
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .max_concurrent_streams(MOST_STREAMS);
    let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    // The builder's own timeout only begins once it knows which HTTP is spoken.
    let silent = async {
        tokio::time::sleep(HEADER_TIMEOUT).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, %peer, "demo: connection ended");
        },
        () = silent => {}
    }
}

async fn answer(router: Router, request: Request<Incoming>, peer: SocketAddr) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    router.oneshot(request).await
}
