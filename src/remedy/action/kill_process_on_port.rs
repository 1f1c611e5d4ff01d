//! Ends the processes that hold a port, if they are the ones that the configuration names and nobody else answers for them.
//!
//! The way goes from the port to its sockets, to the processes that hold them, to a descriptor of each process (pidfd). Only then all is
//! looked at a second time: what is signalled is what was looked at, whatever happens to the number of a process meanwhile.

mod seize;
#[cfg(test)]
mod tests;

use self::seize::{Holder, Wanted, seize};
use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::holders::named;
use crate::machine::pidfd::Signalled;
use crate::machine::program::Program;
use crate::machine::sockets;
use crate::machine::user::{PASSWD, User};
use crate::values::{Invalid, Period};
use rustix::process::Signal;
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "kill_process_on_port",
    summary: "Ends the expected processes that hold a port, with SIGTERM and then SIGKILL; never one that systemd manages",
    example: "\
- kill_process_on_port: { port: 8082, exe: /usr/bin/python3, user: root }
- kill_process_on_port: { port: 8082, name: gunicorn, grace: 2s }
",
    effect: Effect::Disturbs,
};

/// What the port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "KillProtocol")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
}

/// The block `kill_process_on_port:`. At least one of `exe` and `name` says whom it may hit; with both, both must be right.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KillProcessOnPortAction")]
pub struct Config {
    /// The port.
    pub port: NonZeroU16,
    /// `tcp`.
    #[serde(default)]
    pub protocol: Protocol,
    /// The absolute path of the expected executable; links are followed.
    #[serde(default)]
    pub exe: Option<PathBuf>,
    /// The expected name: the one that the kernel gives it, or the base name of its executable or of its first argument; exact.
    #[serde(default)]
    pub name: Option<String>,
    /// The expected user: a name from /etc/passwd or a uid; by default the one that runs Banken.
    #[serde(default)]
    pub user: Option<User>,
    /// How long a process may take to end by itself, before it is killed.
    #[serde(default = "default_grace")]
    #[schemars(with = "Period")]
    pub grace: Period,
    /// The longest that it may take; more than the grace.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_grace() -> Period {
    Period(Duration::from_secs(5))
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(10))
}

/// How long what was killed may take to be gone: only what hangs in the kernel takes longer.
const GONE_WITHIN: Duration = Duration::from_secs(2);

impl Settings for Config {
    type Action = Action;

    fn build(&self, _: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if self.exe.is_none() && self.name.is_none() {
            invalid.push(Invalid::new("", "nothing says whom it may hit: add exe, or name, or both"));
        }
        if self.exe.as_ref().is_some_and(|path| !path.is_absolute()) {
            invalid.push(Invalid::new("exe", "not an absolute path: begin it with '/'"));
        }
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.contains('/')) {
            invalid.push(Invalid::new("name", "a name has no '/' and is not empty: for a path, use exe"));
        }
        if self.timeout.0 < self.grace.0.saturating_add(GONE_WITHIN) {
            let message = "shorter than the grace and 2s for what is killed then: make it longer, or the grace shorter";
            invalid.push(Invalid::new("timeout", message));
        }
        let uid = match &self.user {
            None => Some(rustix::process::geteuid().as_raw()),
            Some(user) => {
                user.uid(Path::new(PASSWD)).map_err(|message| invalid.push(Invalid::new("user", message))).ok()
            }
        };
        let Some(uid) = uid.filter(|_| invalid.is_empty()) else { return Err(invalid) };
        let programs = self.exe.clone().map(Program::Exe).into_iter().chain(self.name.clone().map(Program::Name));
        let wanted = Arc::new(Wanted { port: self.port.get(), programs: programs.collect(), uid });
        Ok(Action { wanted, grace: self.grace.0 })
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// Whom to end, and how long to wait for it.
pub struct Action {
    wanted: Arc<Wanted>,
    grace: Duration,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let holders = self.holders().await?;
        if holders.is_empty() {
            return Ok(vec![format!("nobody listens on port {}: would do nothing", self.wanted.port)]);
        }
        let line = |holder: &Holder| {
            format!("would end {} with SIGTERM, and after {:?} with SIGKILL", holder.facts, self.grace)
        };
        Ok(holders.iter().map(line).collect())
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        let holders = self.holders().await?;
        if holders.is_empty() {
            return Ok(Done::new(format!("nobody listens on port {}: nothing was done", self.wanted.port)));
        }
        let shown = named(holders.iter().map(|holder| holder.facts.to_string()).collect());
        let begun = Instant::now();
        let ended = self.end(&holders).await.map_err(|setback| match setback {
            Setback::Failed(why) => Setback::Failed(format!("{shown}: {why}")),
            other => other,
        })?;
        let again = if self.is_held().await { ", and it is held again by now" } else { "" };
        let after = begun.elapsed().as_secs_f64();
        Ok(Done::new(format!("port {} was held by {shown}: {ended} after {after:.2} s{again}", self.wanted.port)))
    }
}

impl Action {
    async fn holders(&self) -> Result<Vec<Holder>, Setback> {
        let wanted = Arc::clone(&self.wanted);
        let looking = spawn_blocking(move || seize(&wanted, || {}));
        looking.await.unwrap_or_else(|error| Err(Setback::Failed(format!("the look at processes broke: {error}"))))
    }

    /// Ends all of them, and says by what.
    async fn end(&self, holders: &[Holder]) -> Result<String, Setback> {
        signal_all(holders, Signal::TERM)?;
        if wait_for_all(holders, self.grace).await? {
            return Ok("ended with SIGTERM".into());
        }
        signal_all(holders, Signal::KILL)?;
        if wait_for_all(holders, GONE_WITHIN).await? {
            return Ok("ended with SIGKILL".into());
        }
        let left: Vec<_> = holders.iter().filter(|holder| !holder.handle.has_ended()).collect();
        let left = named(left.into_iter().map(|holder| holder.handle.pid().to_string()).collect());
        Err(Setback::Failed(format!("signals were sent, but process {left} does not end: it hangs in the kernel")))
    }

    /// Whether somebody listens now; not to be known is no.
    async fn is_held(&self) -> bool {
        let port = self.wanted.port;
        let looking = spawn_blocking(move || sockets::listeners(sockets::Protocol::Tcp));
        let listeners = looking.await.ok().and_then(Result::ok).unwrap_or_default();
        listeners.iter().any(|listener| listener.address.port() == port)
    }
}

fn signal_all(holders: &[Holder], signal: Signal) -> Result<(), Setback> {
    let mut failures = Vec::new();
    for holder in holders.iter().filter(|holder| !holder.handle.has_ended()) {
        match holder.handle.signal(signal) {
            Ok(Signalled::Sent | Signalled::Gone) => {}
            Err(failure) => failures.push(failure.detail),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Setback::Failed(named(failures))) }
}

/// False if not all of them have ended in time.
async fn wait_for_all(holders: &[Holder], within: Duration) -> Result<bool, Setback> {
    let deadline = tokio::time::Instant::now() + within;
    for holder in holders {
        match timeout_at(deadline, holder.handle.ended()).await {
            Ok(ended) => ended?,
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}
