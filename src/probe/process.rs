//! Watches processes: how many run, what they use, and the moment when one of them ends.
//!
//! Several matches are summed. A zombie is not up, and threads of the kernel are never matched. With `hidepid` on
//! `/proc`, only processes of Banken's own user can be seen.

mod families;
mod find;
mod text;
mod time;
mod track;
mod watch;

#[cfg(test)]
mod tests;

pub use self::families::{CPU, MEMORY};
use self::families::{
    CPU_RATIO, CPU_SECONDS, INSTANCES, OPEN_FDS, RESIDENT_MEMORY, RESTARTS, START_TIMESTAMP, THREADS, UP,
};
use self::find::{Query, Selector, Sight, look};
use self::time::Boot;
use self::track::Tracker;
use self::watch::Watch;
use super::{Context, Kind, Settings};
use crate::machine::aside::Aside;
use crate::machine::program::Program;
use crate::machine::usage::Load;
pub use crate::machine::user::User;
use crate::observation::{Failure, Readings, Reason, unix_now};
use crate::values::{Invalid, Pattern};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "process",
    summary: "A process runs; its memory, CPU, threads, descriptors and restarts",
    example: "\
- name: bot
  process: { cmdline: 'main\\.py.*live' }      # or: name, exe, pidfile
  thresholds: { memory: { warning: 512MiB, critical: 2GiB }, cpu: { warning: 0.9 } }
- name: workers
  process: { name: celery, min: 4, max: 16 }
",
    reasons: &[Reason::Missing, Reason::Exit, Reason::Limit, Reason::Timeout],
    families: families::ALL,
    signals: &[&MEMORY, &CPU],
};

/// The block `process:`. Exactly one of `name`, `exe`, `cmdline` and `pidfile` says which processes are meant.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name that the kernel gives it, or the base name of its executable or of the first argument; exact.
    pub name: Option<String>,
    /// The absolute path of its executable; links are followed.
    pub exe: Option<PathBuf>,
    /// Searched in its arguments, joined by spaces. Banken itself is never matched by this.
    pub cmdline: Option<Pattern>,
    /// A file that holds its pid. A stale file whose pid another process has been given cannot be told from a good
    /// one: set `user` too, or prefer another selector.
    pub pidfile: Option<PathBuf>,
    /// Only processes of this user: a name from /etc/passwd or a uid.
    pub user: Option<User>,
    /// At least so many must run.
    pub min: u32,
    /// At most so many may run.
    pub max: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: None, exe: None, cmdline: None, pidfile: None, user: None, min: 1, max: None }
    }
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = self.mistakes();
        let uid = self.user.as_ref().and_then(|user| {
            user.uid(Path::new("/etc/passwd")).map_err(|message| invalid.push(Invalid::new("user", message))).ok()
        });
        let mut selectors: Vec<Selector> = Vec::new();
        selectors.extend(self.name.clone().map(Program::Name).map(Selector::Program));
        selectors.extend(self.exe.clone().map(Program::Exe).map(Selector::Program));
        selectors.extend(self.cmdline.clone().map(Program::Cmdline).map(Selector::Program));
        selectors.extend(self.pidfile.clone().map(Selector::Pidfile));
        if selectors.len() > 1 {
            let message = "several selectors: keep one of name, exe, cmdline and pidfile";
            invalid.push(Invalid::new("", message));
        }
        match selectors.pop() {
            Some(selector) if invalid.is_empty() => Ok(Probe::new(Query { selector, uid }, self.min, self.max)),
            Some(_) => Err(invalid),
            None => {
                let message = "nothing says which process is meant: add exactly one of name, exe, cmdline, pidfile";
                invalid.push(Invalid::new("", message));
                Err(invalid)
            }
        }
    }
}

impl Config {
    fn mistakes(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        if let Some(name) = &self.name
            && (name.is_empty() || name.contains('/'))
        {
            invalid.push(Invalid::new("name", "a name has no '/' and is not empty: for a path, use exe"));
        }
        for (key, path) in [("exe", &self.exe), ("pidfile", &self.pidfile)] {
            if path.as_ref().is_some_and(|path| !path.is_absolute()) {
                invalid.push(Invalid::new(key, "not an absolute path: begin it with '/'"));
            }
        }
        if self.cmdline.as_ref().is_some_and(|pattern| pattern.is_match(b"")) {
            invalid.push(Invalid::new("cmdline", "this matches even an empty text, so it would match every process"));
        }
        if self.max.is_some_and(|max| max < self.min) {
            invalid.push(Invalid::new("max", "max is below min: no number of processes could be right"));
        }
        invalid
    }
}

/// A process probe that was built.
pub struct Probe {
    query: Arc<Query>,
    min: u32,
    max: Option<u32>,
    aside: Aside,
    tracker: Tracker,
    watch: Watch,
    boot: Boot,
    load: Load,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        // Nothing is written if we could not look: that says nothing about the process.
        let mut sight = self.look().await?;
        self.watch.renew(&mut sight.found);
        let now = unix_now();
        let uptime = u64::try_from(rustix::system::sysinfo().uptime).unwrap_or(0);
        let boot = self.boot.settle(now - uptime as f64);
        let ticks = rustix::param::clock_ticks_per_second();
        // The kernel rounds the uptime up to a whole second; one less keeps a newcomer from being taken for old.
        let changes = self.tracker.step(&sight.found, uptime.saturating_sub(1) * ticks, now);
        let spent = changes.cpu_ticks as f64 / ticks as f64;
        out.add(&CPU_SECONDS, spent);
        out.add(&RESTARTS, changes.restarts as f64);
        let ratio = self.load.step(spent, sight.at);
        self.write(&sight, boot, ratio, out);
        self.judge(&sight)
    }

    async fn wake(&mut self) {
        self.watch.exit().await;
    }
}

impl Probe {
    fn new(query: Query, min: u32, max: Option<u32>) -> Self {
        Self {
            query: Arc::new(query),
            min,
            max,
            aside: Aside::new("the look at /proc"),
            tracker: Tracker::default(),
            watch: Watch::default(),
            boot: Boot::default(),
            load: Load::default(),
        }
    }

    async fn look(&mut self) -> Result<Sight, Failure> {
        let (query, watched) = (Arc::clone(&self.query), self.watch.identities());
        self.aside.run(move || look(&query, &watched)).await?
    }

    fn write(&self, sight: &Sight, boot: f64, ratio: Option<f64>, out: &mut Readings) {
        let found = &sight.found;
        out.flag(&UP, found.len() >= self.min.max(1) as usize);
        out.set(&INSTANCES, found.len() as f64);
        let Some(oldest) = found.iter().map(|found| found.id.start).min() else { return };
        let memory = found.iter().map(|found| found.resident_pages).sum::<u64>() as f64;
        let memory = memory * rustix::param::page_size() as f64;
        out.set(&RESIDENT_MEMORY, memory);
        out.signal(&MEMORY, memory);
        if let Some(ratio) = ratio {
            out.set(&CPU_RATIO, ratio);
            out.signal(&CPU, ratio);
        }
        out.set(&THREADS, found.iter().map(|found| found.threads).sum::<u64>() as f64);
        // A sum of the permitted ones alone would look like a drop.
        if let Some(fds) = found.iter().map(|found| found.open_fds).sum::<Option<u64>>() {
            out.set(&OPEN_FDS, fds as f64);
        }
        out.set(&START_TIMESTAMP, boot + oldest as f64 / rustix::param::clock_ticks_per_second() as f64);
        let pids: Vec<_> = found.iter().map(|found| found.id.pid).take(MAX_NOTED).collect();
        out.note("pids", listed(&pids, found.len()));
    }

    fn judge(&self, sight: &Sight) -> Result<(), Failure> {
        let (count, selector) = (sight.found.len(), &self.query.selector);
        if let Some(max) = self.max
            && count > max as usize
        {
            let detail = format!("{count} processes with {selector} run, at most {max} may");
            return Err(Failure::new(Reason::Limit, detail));
        }
        if count >= self.min as usize {
            return Ok(());
        }
        let mut facts = vec![match count {
            0 => format!("no process with {selector} runs"),
            _ => format!("{count} processes with {selector} run, at least {} must", self.min),
        }];
        let gone = self.tracker.gone();
        if let Some(gone) = gone {
            let when = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs_f64(gone.noticed_at));
            facts.push(format!("pid {} ended, noticed at {when}", listed(&gone.pids, gone.count)));
        }
        facts.extend(sight.trouble.clone());
        if let Some(pid) = sight.zombie {
            facts.push(format!("pid {pid} is a zombie: it has ended and its parent has not asked how"));
        }
        if sight.hidden > 0 {
            facts.push(format!("the executables of {} processes are hidden from this user", sight.hidden));
        }
        let reason = if gone.is_some() { Reason::Exit } else { Reason::Missing };
        Err(Failure::new(reason, facts.join("; ")))
    }
}

/// A note names no more pids than this.
const MAX_NOTED: usize = 8;

fn listed(pids: &[i32], all: usize) -> String {
    let named: Vec<_> = pids.iter().map(ToString::to_string).collect();
    match all.saturating_sub(pids.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
