//! Asks Docker (or Podman) for the state of a container and what it uses, and hears at once when something happens to it.

mod families;
mod judge;

#[cfg(test)]
mod tests;

use self::families::{
    CPU, CPU_RATIO, CPU_SECONDS, EXIT_CODE, HEALTH, MEMORY, MEMORY_BYTES, MEMORY_LIMIT, OOM_KILLED, PIDS, RESTARTS,
    RUNNING, STARTED,
};
use self::judge::{has_ended, judge, timestamp};
use super::{Context, Kind, Settings};
use crate::machine::bell::Bell;
use crate::machine::docker::{DEFAULT_SOCKET, Docker, Events, Health, Inspected, Stats, check_name};
use crate::machine::usage::{Growth, Load};
use crate::observation::{Failure, Labels, Phase, Readings, Reason};
use crate::values::Invalid;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "container",
    summary: "A container of Docker or Podman runs and is well; its restarts, memory and CPU",
    example: "\
- name: bot-container
  container: { name: trading-bot }
  thresholds: { memory: { warning: 512MiB, critical: 2GiB }, cpu: { warning: 0.9 } }
- name: migration
  container: { name: migrate, expect: { state: exited } }
",
    reasons: &[
        Reason::Connect,
        Reason::Auth,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Body,
        Reason::Json,
        Reason::Missing,
        Reason::Exit,
        Reason::Status,
    ],
    families: families::ALL,
    signals: &[&MEMORY, &CPU],
};

/// The block `container:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name. If it is made anew under the same name, that one is watched.
    pub name: String,
    /// Where Docker listens; Podman's socket does as well.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
    /// What is right.
    #[serde(default)]
    pub expect: Expect,
}

fn default_socket() -> PathBuf {
    DEFAULT_SOCKET.into()
}

/// What is right about a container.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Whether it runs.
    pub state: ExpectedState,
    /// What its health check says while it runs.
    pub health: ExpectedHealth,
}

/// The state that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedState {
    /// It runs.
    #[default]
    Running,
    /// It has ended, with exit code 0.
    Exited,
    /// Whichever it is.
    Any,
}

/// The health that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedHealth {
    /// Its health check, if it has one, does not say that it is unhealthy.
    #[default]
    NotUnhealthy,
    /// It has a health check, which says that it is healthy.
    Healthy,
    /// Whichever it is.
    Any,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_name(&self.name) {
            invalid.push(Invalid::new("name", message));
        }
        if !self.socket.is_absolute() {
            let message = format!("{} is not absolute: begin with /", self.socket.display());
            invalid.push(Invalid::new("socket", message));
        }
        if invalid.is_empty() { Ok(Probe::new(self.clone())) } else { Err(invalid) }
    }
}

/// A container probe that was built.
pub struct Probe {
    docker: Docker,
    config: Config,
    bell: Bell,
    /// Listens from the first wait on: who only looks once need not.
    events: Option<Events>,
    healths: Vec<(Health, Arc<Labels>)>,
    restarts: Growth,
    cpu: Growth,
    load: Load,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        self.bell.answer();
        out.enter(Phase::Wait);
        let inspected = self.docker.inspect(&self.config.name).await.inspect_err(|failure| {
            if failure.reason == Reason::Missing {
                out.flag(&RUNNING, false);
            }
        })?;
        self.write(&inspected, out);
        let measured = if inspected.state.running { self.docker.stats(&inspected.id).await } else { Ok(None) };
        out.leave();
        let stats = measured.as_ref().ok().copied().flatten();
        self.write_stats(&inspected, stats, Instant::now(), out);
        // That it does not run, or not well, says more than that it could not be measured.
        judge(self.config.expect, &self.config.name, &inspected)?;
        measured.map(drop)
    }

    async fn wake(&mut self) {
        self.events.get_or_insert_with(|| self.docker.events(&self.config.name, self.bell.rope()));
        self.bell.rang().await;
    }
}

impl Probe {
    fn new(config: Config) -> Self {
        let labels = |health: Health| (health, Arc::new(Labels::render(&[("status", health.as_str())])));
        Self {
            docker: Docker::new(config.socket.clone()),
            config,
            bell: Bell::default(),
            events: None,
            healths: Health::ALL.map(labels).into(),
            restarts: Growth::default(),
            cpu: Growth::default(),
            load: Load::default(),
        }
    }

    fn write(&mut self, inspected: &Inspected, out: &mut Readings) {
        let state = &inspected.state;
        out.flag(&RUNNING, state.running);
        for (health, labels) in &self.healths {
            out.flag_with(&HEALTH, labels, state.health() == *health);
        }
        out.add(&RESTARTS, self.restarts.step(inspected.id.as_bytes(), Some(inspected.restart_count as f64)));
        out.flag(&OOM_KILLED, state.oom_killed);
        if !state.running && has_ended(inspected) {
            out.set(&EXIT_CODE, state.exit_code as f64);
        }
        if let Some(started) = timestamp(&state.started_at) {
            out.set(&STARTED, started);
        }
        out.note("container", inspected.id.chars().take(SHORT_ID).collect::<String>());
        out.note("image", inspected.config.image.clone());
        out.note("state", state.status.clone());
    }

    fn write_stats(&mut self, inspected: &Inspected, stats: Option<Stats>, now: Instant, out: &mut Readings) {
        let stats = stats.unwrap_or_default();
        // Each start has counters of its own.
        let life = format!("{} {}", inspected.id, inspected.state.started_at);
        let spent = self.cpu.step(life.as_bytes(), stats.cpu_seconds);
        out.add(&CPU_SECONDS, spent);
        if stats.cpu_seconds.is_some()
            && let Some(ratio) = self.load.step(spent, now)
        {
            out.set(&CPU_RATIO, ratio);
            out.signal(&CPU, ratio);
        }
        if let Some(memory) = stats.memory {
            out.set(&MEMORY_BYTES, memory);
            out.signal(&MEMORY, memory);
        }
        for (family, value) in [(&MEMORY_LIMIT, stats.memory_limit), (&PIDS, stats.pids)] {
            if let Some(value) = value {
                out.set(family, value);
            }
        }
    }
}

/// So much of an id is shown to people, as docker ps does.
const SHORT_ID: usize = 12;
