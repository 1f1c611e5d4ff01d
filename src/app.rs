//! Builds everything from a configuration; reloads; drains on SIGTERM and SIGINT.

mod limits;
mod memory;
mod senses;
mod watchman;

use crate::board::report::extent;
use crate::board::{Board, Descriptor, ProbeCell};
use crate::config::{Config, ConfigError, Source};
use crate::metrics::Exposition;
use crate::observation::unix_now;
use crate::probe::{Plan, Worker};
use crate::remedy::{Remedies, Taken};
use crate::schedule::{Pulse, RELOAD_GRACE, Scheduler, Task, end_all};
use crate::web::{self, ReloadRequest};
use anyhow::Context as _;
use memory::Keeper;
use senses::Senses;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How long runs and answers that have begun may go on after a signal to end.
const DRAIN: Duration = Duration::from_secs(5);

/// The board's cell of a plan.
pub fn descriptor(plan: &Plan) -> Descriptor {
    Descriptor {
        name: plan.name.clone(),
        kind: plan.kind.name,
        group: plan.group.clone(),
        interval: plan.cadence.interval,
        policy: plan.policy,
        limits: plan.limits.clone(),
        reasons: plan.kind.reasons,
        families: plan.kind.families,
        depends_on: plan.depends_on.clone(),
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Probes, logs, jobs and remedies that are new.
    pub added: usize,
    /// Those that were built anew because something about them changed.
    pub changed: usize,
    /// Those that are gone.
    pub removed: usize,
    /// Those that went on untouched.
    pub kept: usize,
    /// What the new configuration asks for and only a restart can give.
    pub needs_restart: Option<String>,
}

impl Summary {
    fn add(&mut self, taken: Taken) {
        self.added += taken.added;
        self.changed += taken.changed;
        self.removed += taken.removed;
        self.kept += taken.kept;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { added, changed, removed, kept, .. } = self;
        write!(f, "{added} added, {changed} changed, {removed} removed, {kept} kept")?;
        if let Some(needs) = &self.needs_restart {
            write!(f, "; {needs}")?;
        }
        Ok(())
    }
}

struct Running {
    plan: Plan,
    cell: Arc<ProbeCell>,
    task: Task,
}

/// A running Banken.
pub struct App {
    source: Source,
    board: Arc<Board>,
    scheduler: Scheduler,
    listener: Option<TcpListener>,
    listen: SocketAddr,
    running: HashMap<String, Running>,
    senses: Senses,
    remedies: Remedies,
    keeper: Keeper,
    hangup: Signal,
    reload_requests: (mpsc::Sender<ReloadRequest>, mpsc::Receiver<ReloadRequest>),
}

impl App {
    /// Takes a configuration and the address it names, and starts its probes.
    ///
    /// # Errors
    /// When the address cannot be listened on, or no signal handler can be installed.
    pub async fn start(source: Source, config: Config) -> anyhow::Result<Self> {
        // First of all: until there is a handler, a wish to reload would end the process.
        let hangup = signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?;
        let listener = listen(config.listen).await?;
        let board = Arc::new(Board::default());
        let pulse = Arc::new(Pulse::default());
        let beating = Arc::clone(&pulse);
        tokio::spawn(async move { beating.beat().await });
        let concurrency = limits::concurrency();
        tracing::debug!(concurrency, "permits for runs");
        let needs_state = !config.logs.is_empty() || !config.jobs.is_empty() || !config.remedies.is_empty();
        let store = memory::open(&board, &config.state_dir, needs_state)?;
        let senses = Senses::new(&board, &config.state_dir, store.clone());
        let mut app = Self {
            source,
            senses,
            remedies: Remedies::open(&board, store.clone(), &config.state_dir).await,
            keeper: Keeper::load(store).await,
            scheduler: Scheduler::new(Arc::clone(&board), concurrency, pulse),
            board,
            listen: config.listen,
            listener: Some(listener),
            running: HashMap::new(),
            hangup,
            reload_requests: mpsc::channel(1),
        };
        app.take(config).await;
        app.keeper.keep(&app.board);
        Ok(app)
    }

    /// Where the page and the metrics really are: a port that was 0 is known now.
    pub fn address(&self) -> SocketAddr {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok()).unwrap_or(self.listen)
    }

    /// What is watched, in words: `12 probes, 2 logs, 1 job`.
    pub fn extent(&self) -> String {
        let (logs, jobs) = self.senses.counts();
        extent(self.running.len(), logs, jobs, self.remedies.count())
    }

    /// Serves and watches until `end` comes, then drains.
    pub async fn run(mut self, end: impl Future<Output = ()>, reload_on_change: bool) {
        let (stop, stopped) = watch::channel(false);
        let serving = self.listener.take().map(|listener| {
            let exposition = Exposition::new(Arc::clone(&self.board));
            let state = web::State::new(
                Arc::clone(&self.board),
                exposition,
                self.senses.jobs(),
                self.remedies.inbox(),
                self.reload_requests.0.clone(),
                stopped.clone(),
            );
            tokio::spawn(web::serve(listener, web::router(state), stopped, DRAIN))
        });
        watchman::tell_ready();
        tokio::spawn(watchman::keep_alive());
        let mut changes = watchman::Changes::of(&self.source, reload_on_change);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                _ = self.hangup.recv() => self.reload_and_log("SIGHUP").await,
                () = changes.next() => self.reload_and_log("the file changed").await,
                Some(request) = self.reload_requests.1.recv() => {
                    let answer = self.reload().await.map(|summary| summary.to_string());
                    // Whoever asked may have gone; the reload is logged all the same.
                    let _ = request.send(answer.map_err(|error| error.to_string()));
                }
            }
        }
        watchman::tell_stopping();
        tracing::info!(grace = ?DRAIN, "ending: runs that have begun may finish");
        stop.send_replace(true);
        let deadline = Instant::now() + DRAIN;
        let tasks = self.running.into_values().map(|running| running.task).collect();
        tokio::join!(end_all(tasks, deadline), self.senses.end(deadline), self.remedies.end(deadline));
        self.keeper.end(deadline).await;
        if let Some(serving) = serving {
            // A panic in a connection's task is not a reason to end with an error.
            let _ = serving.await;
        }
        tracing::info!("ended");
    }

    async fn reload_and_log(&mut self, cause: &str) {
        tracing::info!(cause, "reloading the configuration");
        // The result is logged below, and there is nobody else to tell.
        let _ = self.reload().await;
    }

    /// Parses and builds the new world first and swaps only if it is whole; else the old one goes on.
    ///
    /// # Errors
    /// Every mistake in the new configuration.
    pub async fn reload(&mut self) -> Result<Summary, ConfigError> {
        watchman::tell_reloading();
        let source = self.source.clone();
        // Reading certificates and compiling patterns must not hold up probes.
        let loaded = tokio::task::spawn_blocking(move || source.load()).await;
        let result = match loaded {
            Ok(Ok(config)) => Ok(self.take(config).await),
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(ConfigError::defect(self.source.name(), &panic.to_string())),
        };
        match &result {
            Ok(summary) => tracing::info!(%summary, "the configuration was reloaded"),
            Err(error) => {
                self.board.own.set_reload(false, unix_now());
                for line in error.to_string().lines() {
                    tracing::error!(problem = line, "the new configuration is refused, the old one goes on");
                }
            }
        }
        watchman::tell_ready();
        result
    }

    async fn take(&mut self, config: Config) -> Summary {
        for warning in ConfigError::lines(&config.origin, &config.warnings) {
            tracing::warn!("{warning}");
        }
        let mut summary = Summary::default();
        if config.listen != self.listen {
            summary.needs_restart = Some(format!("listen: {} takes effect at the next start", config.listen));
        } else if config.state_dir != self.senses.state_dir() {
            summary.needs_restart = Some("state_dir: takes effect at the next start".into());
        }
        let mut former = std::mem::take(&mut self.running);
        let mut kept = HashMap::new();
        let mut fresh: Vec<(Plan, Worker)> = Vec::new();
        for (plan, worker) in config.probes {
            match former.remove(&plan.name) {
                Some(running) if running.plan == plan => {
                    summary.kept += 1;
                    kept.insert(plan.name.clone(), running);
                }
                Some(running) => {
                    summary.changed += 1;
                    former.insert(plan.name.clone(), running);
                    fresh.push((plan, worker));
                }
                None => {
                    summary.added += 1;
                    fresh.push((plan, worker));
                }
            }
        }
        summary.removed = former.len() - summary.changed;
        let inherited: HashMap<String, Arc<ProbeCell>> =
            former.iter().map(|(name, running)| (name.clone(), Arc::clone(&running.cell))).collect();
        end_all(former.into_values().map(|running| running.task).collect(), Instant::now() + RELOAD_GRACE).await;
        self.swap(kept, fresh, &inherited);
        self.senses.take(config.logs, config.jobs, &mut summary, Instant::now() + RELOAD_GRACE).await;
        summary.add(self.remedies.take(config.remedies, config.repair).await);
        self.board.own.set_reload(true, unix_now());
        summary
    }

    /// Publishes the new list of cells, then starts what is new: no probe runs without a cell that is seen.
    fn swap(
        &mut self,
        kept: HashMap<String, Running>,
        fresh: Vec<(Plan, Worker)>,
        inherited: &HashMap<String, Arc<ProbeCell>>,
    ) {
        let fresh: Vec<_> = fresh
            .into_iter()
            .map(|(plan, worker)| {
                let cell = match inherited.get(&plan.name) {
                    Some(former) if former.descriptor().kind == plan.kind.name => {
                        ProbeCell::succeeding(descriptor(&plan), former)
                    }
                    _ => {
                        let cell = ProbeCell::new(descriptor(&plan));
                        self.keeper.restore(&cell);
                        cell
                    }
                };
                (plan, worker, Arc::new(cell))
            })
            .collect();
        let mut cells: Vec<Arc<ProbeCell>> = kept.values().map(|running| Arc::clone(&running.cell)).collect();
        cells.extend(fresh.iter().map(|(_, _, cell)| Arc::clone(cell)));
        self.board.replace_probes(cells);
        self.running = kept;
        for (plan, worker, cell) in fresh {
            let task = self.scheduler.start(worker, plan.cadence, Arc::clone(&cell));
            self.running.insert(plan.name.clone(), Running { plan, cell, task });
        }
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process listens there, perhaps another Banken: end it, or choose another port under listen:"
            }
            std::io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose another under listen:",
            std::io::ErrorKind::AddrNotAvailable => "this host has no such address: choose another under listen:",
            _ => "choose another address under listen:",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}; {remedy}")
    })
}

/// Ends at SIGTERM or SIGINT.
///
/// # Errors
/// When a signal handler cannot be installed.
pub fn termination() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "asked to end");
    })
}
