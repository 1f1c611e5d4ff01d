//! One life of the simulated service, from its start to its end or its crash: everything a fault may reach.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::logfile::{self, Log, LogFile};
use super::metrics::Counters;
use super::server::{Front, GRACE};
use super::{Parts, Service, burden, jobs, pages};

/// The tasks of the running service. Dropping it is what a crash looks like.
pub(super) struct Life {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Life {
    /// # Errors
    /// When the log cannot be opened.
    pub async fn start(parts: &Parts, plain: TcpListener, secure: TcpListener) -> Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let (log, lines) = Log::channel();
        let switches = Arc::clone(&parts.switches);
        let service = Arc::new(Service {
            switches: Arc::clone(&switches),
            log,
            counters: Counters::default(),
            started: OffsetDateTime::now_utc(),
            control: parts.control_addr,
            stop: stopping.clone(),
        });
        let router = pages::router(Arc::clone(&service));
        let tls = TlsAcceptor::from(Arc::clone(&parts.tls));
        let file = LogFile::open(&parts.options.dir).await.context("cannot open app.log (--dir)")?;

        let mut tasks = JoinSet::new();
        tasks.spawn(Front { listener: plain, tls: None, router: router.clone() }.serve(stopping.clone()));
        tasks.spawn(Front { listener: secure, tls: Some(tls), router }.serve(stopping.clone()));
        tasks.spawn(logfile::run(file, Arc::clone(&service), lines, stopping.clone()));
        tasks.spawn(until(stopping.clone(), jobs::run(service, parts.pinger.clone(), *parts.options.cycle)));
        tasks.spawn(until(stopping.clone(), burden::memory(Arc::clone(&switches))));
        tasks.spawn(until(stopping, burden::cpu(switches)));
        Ok(Self { tasks, stop })
    }

    /// Returns only if a part of the service ends though nothing told it to: a defect of the demo itself.
    pub async fn broken(&mut self) -> anyhow::Error {
        let ended = self.tasks.join_next().await;
        anyhow::anyhow!("a part of the simulated service ended on its own: {ended:?}")
    }

    /// Lets open requests finish, and the log have its last line.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), all).await;
        self.tasks.shutdown().await;
    }

    /// Ends everything at once, in the middle of whatever it does; the listeners are closed on return.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
