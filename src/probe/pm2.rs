//! Watches an app that PM2 runs: how many of its instances are online, how often they are restarted, what they use.
//!
//! PM2's daemon is asked over its socket. No program is run for it, and no daemon is ever started.

mod families;
#[cfg(test)]
mod tests;
mod usage;

pub use self::families::{CPU, MEMORY};
use self::families::{
    CPU_RATIO, INSTANCES, RESIDENT_MEMORY, RESTARTS, START_TIMESTAMP, STATUSES, UNSTABLE_RESTARTS, UP,
};
use self::usage::{Seen, Usage, look};
use super::{Context, Kind, Settings};
use crate::machine::pm2::{App, Pm2, resolve_home};
use crate::observation::{Failure, Labels, Readings, Reason, unix_now};
use crate::values::Invalid;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::{JoinHandle, spawn_blocking};

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "pm2",
    summary: "An app that PM2 runs: instances online, restarts, memory and CPU",
    example: "\
- name: bot
  pm2: { name: bot, home: /home/bot/.pm2 }
  thresholds: { memory: { warning: 512MiB, critical: 2GiB }, cpu: { warning: 0.9 } }
- name: workers
  pm2: { name: worker, home: /home/bot/.pm2, min: 4, max: 4 }
",
    reasons: &[
        Reason::Missing,
        Reason::Exit,
        Reason::Limit,
        Reason::Timeout,
        Reason::Auth,
        Reason::Protocol,
        Reason::Json,
    ],
    families: families::ALL,
    signals: &[&MEMORY, &CPU],
};

/// The block `pm2:`. Exactly one of `name` and `id` says which app is meant.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name of the app; all instances that have it belong to it.
    pub name: Option<String>,
    /// The number of one instance. PM2 gives new numbers when apps are deleted and started anew: prefer the name.
    pub id: Option<u64>,
    /// The folder in which PM2 keeps its socket (`PM2_HOME`): absolute, or `~/…` for the home of the user that runs Banken.
    #[schemars(with = "String")]
    pub home: PathBuf,
    /// At least so many instances must be online; with 0 PM2 need not run at all.
    pub min: u32,
    /// At most so many may be online.
    pub max: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: None, id: None, home: "~/.pm2".into(), min: 1, max: None }
    }
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if self.name.as_ref().is_some_and(String::is_empty) {
            invalid.push(Invalid::new("name", "an app has a name: write it as pm2 list shows it"));
        }
        if self.max.is_some_and(|max| max < self.min) {
            invalid.push(Invalid::new("max", "max is below min: no number of instances could be right"));
        }
        let which = match (&self.name, self.id) {
            (Some(name), None) => Some(Which::Name(name.clone())),
            (None, Some(id)) => Some(Which::Id(id)),
            (Some(_), Some(_)) => {
                invalid.push(Invalid::new("", "several apps are meant: keep one of name and id"));
                None
            }
            (None, None) => {
                invalid.push(Invalid::new("", "nothing says which app is meant: add name, as pm2 list shows it"));
                None
            }
        };
        let home = resolve_home(&self.home, Path::new("/etc/passwd"))
            .map_err(|message| invalid.push(Invalid::new("home", message)));
        match (which, home) {
            (Some(which), Ok(home)) if invalid.is_empty() => Ok(Probe::new(which, home, self.min, self.max)),
            _ => Err(invalid),
        }
    }
}

/// Which app is meant.
#[derive(Debug, Clone, PartialEq)]
enum Which {
    Name(String),
    Id(u64),
}

impl Which {
    fn is(&self, app: &App) -> bool {
        match self {
            Which::Name(name) => app.name == *name,
            Which::Id(id) => app.id == *id,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Name(name) => f.write_str(name),
            Which::Id(id) => write!(f, "with the number {id}"),
        }
    }
}

/// A PM2 probe that was built.
pub struct Probe {
    which: Which,
    pm2: Pm2,
    home: PathBuf,
    min: u32,
    max: Option<u32>,
    statuses: Vec<Arc<Labels>>,
    /// How often each instance had been restarted when we last looked.
    restarts: Option<HashMap<u64, u64>>,
    /// A look at processes that a timeout has left behind; another one only starts after it.
    looking: Option<JoinHandle<Option<Vec<Seen>>>>,
    usage: Usage,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let mut apps = match self.pm2.apps().await {
            Ok(apps) => apps,
            Err(failure) => {
                // Without a daemon nothing is online. Otherwise we just do not know.
                if failure.reason != Reason::Missing {
                    return Err(failure);
                }
                self.write_counts(&[], out);
                return if self.min == 0 { Ok(()) } else { Err(failure) };
            }
        };
        let others = names(apps.iter().filter(|app| !self.which.is(app)));
        apps.retain(|app| self.which.is(app));
        self.write_counts(&apps, out);
        out.add(&RESTARTS, self.new_restarts(&apps) as f64);
        self.write_usage(&apps, out).await;
        self.judge(&apps, &others)
    }
}

const ONLINE: &str = "online";

fn is_online(app: &App) -> bool {
    app.status == ONLINE
}

impl Probe {
    fn new(which: Which, home: PathBuf, min: u32, max: Option<u32>) -> Self {
        let statuses = STATUSES.iter().map(|status| Arc::new(Labels::render(&[("status", status)])));
        Self {
            which,
            pm2: Pm2::new(home.clone()),
            home,
            min,
            max,
            statuses: statuses.collect(),
            restarts: None,
            looking: None,
            usage: Usage::default(),
        }
    }

    fn write_counts(&self, apps: &[App], out: &mut Readings) {
        let online = apps.iter().filter(|app| is_online(app)).count();
        out.flag(&UP, online >= self.min.max(1) as usize);
        let mut counts = vec![0_u32; STATUSES.len()];
        for app in apps {
            // The last is for what PM2 may think of later.
            counts[STATUSES.iter().position(|status| *status == app.status).unwrap_or(STATUSES.len() - 1)] += 1;
        }
        for (labels, count) in self.statuses.iter().zip(counts) {
            out.set_with(&INSTANCES, labels, f64::from(count));
        }
        if !apps.is_empty() {
            out.set(&UNSTABLE_RESTARTS, apps.iter().map(|app| app.unstable_restarts as f64).sum());
            let facts: Vec<_> = apps.iter().take(MAX_NAMED).map(in_words).collect();
            out.note("instances", listed(&facts, apps.len()));
        }
    }

    /// Restarts since the last look. What happened before the first one did not happen on our watch.
    fn new_restarts(&mut self, apps: &[App]) -> u64 {
        let now: HashMap<u64, u64> = apps.iter().map(|app| (app.id, app.restarts)).collect();
        let Some(before) = self.restarts.replace(now) else { return 0 };
        let since = |app: &App| {
            let before = before.get(&app.id).copied().unwrap_or(0);
            // A smaller number was reset, or is that of another app.
            app.restarts.checked_sub(before).unwrap_or(app.restarts)
        };
        apps.iter().map(since).sum()
    }

    async fn write_usage(&mut self, apps: &[App], out: &mut Readings) {
        let online: Vec<App> = apps.iter().filter(|app| is_online(app)).cloned().collect();
        if online.is_empty() {
            self.usage = Usage::default();
            return;
        }
        let memory = online.iter().map(|app| app.memory).sum();
        out.set(&RESIDENT_MEMORY, memory);
        out.signal(&MEMORY, memory);
        if let Some(oldest) = online.iter().filter_map(|app| app.started_at).min_by(f64::total_cmp) {
            out.set(&START_TIMESTAMP, oldest);
        }
        let told: f64 = online.iter().map(|app| app.cpu_ratio).sum();
        let ratio = match self.look(online).await {
            Some(seen) => self.usage.step(&seen, std::time::Instant::now()),
            None => Some(told),
        };
        if let Some(ratio) = ratio {
            out.set(&CPU_RATIO, ratio);
            out.signal(&CPU, ratio);
        }
    }

    /// What the processes have used, unless one of them is not seen from here.
    async fn look(&mut self, online: Vec<App>) -> Option<Vec<Seen>> {
        if let Some(leftover) = &mut self.looking {
            // What it saw is old by now.
            let _ = leftover.await;
        }
        let looking = self.looking.insert(spawn_blocking(move || look(&online, unix_now())));
        let seen = looking.await;
        self.looking = None;
        seen.ok().flatten()
    }

    fn judge(&self, apps: &[App], others: &str) -> Result<(), Failure> {
        let (which, min) = (&self.which, self.min as usize);
        let online = apps.iter().filter(|app| is_online(app)).count();
        if let Some(max) = self.max
            && online > max as usize
        {
            let detail = format!("{online} instances of the app {which} are online, at most {max} may");
            return Err(Failure::new(Reason::Limit, detail));
        }
        if online >= min {
            return Ok(());
        }
        if apps.is_empty() {
            let home = self.home.display();
            let detail = format!("PM2 in {home} knows no app {which}, {others}: start it, or correct its name");
            return Err(Failure::new(Reason::Missing, detail));
        }
        let offline: Vec<_> = apps.iter().filter(|app| !is_online(app)).collect();
        let facts: Vec<_> = offline.iter().take(MAX_NAMED).map(|app| in_words(app)).collect();
        let counts = format!("{online} instances of the app {which} are online, at least {min} must");
        if offline.is_empty() {
            return Err(Failure::new(Reason::Missing, format!("{counts}: start more (pm2 scale)")));
        }
        Err(Failure::new(Reason::Exit, format!("{counts}: {}", listed(&facts, offline.len()))))
    }
}

/// A message names no more instances or apps than this.
const MAX_NAMED: usize = 5;

/// The longest name that is shown.
const MAX_NAME: usize = 40;

fn in_words(app: &App) -> String {
    let status: String = app.status.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let restarts = match app.restarts {
        0 => String::new(),
        restarts => format!(" after {restarts} restarts"),
    };
    let more = match (is_online(app), app.pid, app.exit_code) {
        (true, Some(pid), _) => format!(", pid {pid}"),
        (false, _, Some(code)) => format!(", exit status {code}"),
        _ => String::new(),
    };
    format!("{} is {status}{restarts}{more}", app.id)
}

fn listed(facts: &[String], all: usize) -> String {
    match all.saturating_sub(facts.len()) {
        0 => facts.join("; "),
        more => format!("{} and {more} more", facts.join("; ")),
    }
}

/// Which apps there are instead.
fn names<'a>(apps: impl Iterator<Item = &'a App>) -> String {
    let mut names: Vec<&str> = apps.map(|app| app.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let short = |name: &&str| name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
    let shown: Vec<_> = names.iter().take(MAX_NAMED).map(short).collect();
    match names.len() {
        0 => "nor any other".into(),
        all if all > shown.len() => format!("only {} and {} more", shown.join(", "), all - shown.len()),
        _ => format!("only {}", shown.join(", ")),
    }
}
