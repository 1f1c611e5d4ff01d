//! Serves a router within bounds: header read timeout, number of connections, a drain at the end.

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections at once; who comes later waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take for its request's head, and how long a connection may idle between two.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// How long what was sent may stay unread before the connection is given up.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stopped` says so, then lets answers that have begun finish within `drain`.
pub async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>, drain: Duration) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(64 * 1024);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = ended(&mut stopped) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the page");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        bound(&stream);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection to the page ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections to the page were still open at the end");
    }
}

/// Waits for a slot, then for a connection.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn ended(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone ends the server too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// A peer that stops reading must not hold its slot for ever.
fn bound(stream: &TcpStream) {
    let unread = UNREAD_TIMEOUT.as_millis() as u32;
    // Without these options the connection still works.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, unread);
    let _ = stream.set_nodelay(true);
}
