//! A simulated trading service that can be told over HTTP to misbehave: something for a newcomer, the tests and the
//! compose demo to watch.
//!
//! Three listeners: the service itself, the same behind TLS, and the control API (`/demo`). Faults reach the first two
//! and never the third. Everything a fault touches lives in a `Life`; a crash drops it.

mod burden;
mod chronicle;
mod control;
mod dashboard;
mod faults;
mod folder;
mod health;
mod jobs;
mod life;
mod logfile;
mod market;
mod metrics;
mod options;
mod pages;
mod server;
mod switches;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use options::{Options, Secret};

use control::Panel;
use faults::Fault;
use jobs::Pinger;
use life::Life;
use logfile::{Log, LogFile};
use metrics::Counters;
use server::Front;
use switches::Switches;

const BACKLOG: u32 = 1024;
/// How often an address is tried again that someone else took during a crash.
const RETRY: Duration = Duration::from_millis(200);

/// How the service came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop, and drained.
    Shutdown,
    /// The fault `crash` ended it; the process should exit with a status other than 0.
    Crashed,
}

/// The simulated service, bound to its addresses but not yet answering.
#[derive(Debug)]
pub struct Demo {
    parts: Parts,
    plain: TcpListener,
    secure: TcpListener,
    control: TcpListener,
}

/// What outlives a crash.
#[derive(Debug)]
struct Parts {
    options: Options,
    addr: SocketAddr,
    tls_addr: SocketAddr,
    control_addr: SocketAddr,
    tls: Arc<rustls::ServerConfig>,
    switches: Arc<Switches>,
    pinger: Option<Pinger>,
}

/// What every part of one life shares.
#[derive(Debug)]
struct Service {
    switches: Arc<Switches>,
    log: Log,
    counters: Counters,
    started: OffsetDateTime,
    control: SocketAddr,
    stop: watch::Receiver<bool>,
}

impl Service {
    /// The time the service believes it is: it stands still while it is stale.
    fn now(&self) -> OffsetDateTime {
        self.switches.active(Fault::Stale).map_or_else(OffsetDateTime::now_utc, |active| active.since)
    }
}

impl Demo {
    /// Takes the addresses, and writes the CA, the log and the pid file into the folder.
    ///
    /// # Errors
    /// When an option makes no sense, an address is taken, or the folder cannot be used.
    pub async fn bind(options: Options) -> Result<Self> {
        options.check()?;
        folder::prepare(&options.dir)?;
        LogFile::open(&options.dir)
            .await
            .with_context(|| format!("cannot open app.log in {}", options.dir.display()))?;
        let plain = listen(options.listen, "--listen").await?;
        let secure = listen(options.tls_listen, "--tls-listen").await?;
        let control = listen(options.control, "--control").await?;
        let switches = Arc::new(Switches::new());
        let tls = tls::server_config(&options.dir, options.tls_listen.ip(), Arc::clone(&switches))?;
        let parts = Parts {
            addr: plain.local_addr()?,
            tls_addr: secure.local_addr()?,
            control_addr: control.local_addr()?,
            tls: Arc::new(tls),
            pinger: Pinger::build(&options)?,
            switches,
            options,
        };
        folder::write_pid(&parts.options.dir)?;
        Ok(Self { parts, plain, secure, control })
    }

    /// Where the service answers.
    pub fn addr(&self) -> SocketAddr {
        self.parts.addr
    }

    /// Where it answers behind TLS.
    pub fn tls_addr(&self) -> SocketAddr {
        self.parts.tls_addr
    }

    /// Where faults are switched.
    pub fn control_addr(&self) -> SocketAddr {
        self.parts.control_addr
    }

    /// Lets cycles report their runs to this address, unless the options name one already.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn report_jobs_to(&mut self, url: reqwest::Url) -> Result<()> {
        if self.parts.pinger.is_none() {
            self.parts.options.jobs_url = Some(url);
            self.parts.pinger = Pinger::build(&self.parts.options)?;
        }
        Ok(())
    }

    /// The folder with `app.log`, `ca.pem` and `demo.pid`.
    pub fn dir(&self) -> &Path {
        &self.parts.options.dir
    }

    /// Serves until `shutdown` resolves, or the fault `crash` ends the process.
    ///
    /// # Errors
    /// When the log cannot be opened, or a part of the service breaks.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<Ended> {
        let Self { parts, plain, secure, control } = self;
        let (stop, stopping) = watch::channel(false);
        let panel = Panel { switches: Arc::clone(&parts.switches), service: parts.addr, control: parts.control_addr };
        let mut tasks = JoinSet::new();
        let router = control::router(Arc::new(panel));
        tasks.spawn(Front { listener: control, tls: None, router }.serve(stopping));
        let ended = live(&parts, plain, secure, shutdown).await;
        // Whoever asked for a crash gets the answer before it happens.
        stop.send_replace(true);
        tasks.join_next().await;
        // A process that crashed leaves its pid file behind, and so does this one.
        if !matches!(ended, Ok(Ended::Crashed)) {
            folder::remove_pid(&parts.options.dir);
        }
        ended
    }
}

/// One life after another: where the process is shared, a crash is survived by whatever is outside a life.
async fn live(
    parts: &Parts,
    mut plain: TcpListener,
    mut secure: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<Ended> {
    let mut shutdown = pin!(shutdown);
    loop {
        let mut life = Life::start(parts, plain, secure).await?;
        tokio::select! {
            () = &mut shutdown => {
                life.drain().await;
                return Ok(Ended::Shutdown);
            }
            error = life.broken() => return Err(error),
            () = parts.switches.until_on(Fault::Crash) => life.kill().await,
        }
        if !parts.options.in_process {
            return Ok(Ended::Crashed);
        }
        folder::remove_pid(&parts.options.dir);
        (plain, secure) = tokio::select! {
            () = &mut shutdown => return Ok(Ended::Shutdown),
            again = after_crash(parts) => again?,
        };
        folder::write_pid(&parts.options.dir)?;
    }
}

/// Keeps the addresses from others while refusing every connection, and listens again once the crash is over.
async fn after_crash(parts: &Parts) -> Result<(TcpListener, TcpListener)> {
    let (plain, secure) = (reserve(parts.addr).await, reserve(parts.tls_addr).await);
    parts.switches.until_off(Fault::Crash).await;
    Ok((plain.listen(BACKLOG)?, secure.listen(BACKLOG)?))
}

/// A socket that is bound and does not listen.
async fn reserve(addr: SocketAddr) -> TcpSocket {
    loop {
        match bound(addr) {
            Ok(socket) => return socket,
            Err(error) => tracing::debug!(%error, %addr, "demo: address is still taken"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn bound(addr: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the crashed service may still be closing.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

async fn listen(addr: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}: choose another address with {option}"))
}
