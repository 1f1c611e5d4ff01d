//! Rotates logs that have grown too large: the file gets another name, its writer is told to open a new one, the old one
//! is compressed, and only some of them are kept.
//!
//! What an interrupted rotation left is found by its name and finished the next time. A rotated file is
//! `NAME.YYYYMMDD-HHMMSS`, later with `.gz`.

mod compress;
mod copy;
mod names;
mod plan;
mod rotation;
#[cfg(test)]
mod tests;
mod writer;

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::confined::Below;
use crate::remedy::files::{Allows, Bench, check_root, check_timeout, first_lines};
use crate::values::{Invalid, Period, Size};
use plan::Rules;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use writer::{Reopening, WriterSignal};

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "log_rotate",
    summary: "Rotates logs that have grown too large, compresses them and keeps only some",
    example: "\
- log_rotate:
    root: /opt/bot/logs
    files: [ '*.log' ]
    signal: { pidfile: /run/bot.pid, exe: /usr/bin/python3.11 }
- log_rotate: { root: /opt/bot/logs, files: [ api/access.log ], above: 50MiB, copytruncate: true }
- log_rotate:
    root: /var/log/nginx
    files: [ '*.log' ]
    above: 100MB
    keep: 10
    max_age: 7d
    compress: false
    signal: { pidfile: /run/nginx.pid, exe: /usr/sbin/nginx, user: root, name: USR1 }
    timeout: 2m
- log_rotate: { root: /opt/bot/logs, files: [ worker.log ], reopens: true }
",
    effect: Effect::Tidies,
};

/// The block `log_rotate:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogRotateAction")]
pub struct Config {
    /// The folder beneath which the logs lie, by its absolute path without symbolic links.
    pub root: PathBuf,
    /// The logs: paths or patterns relative to `root`, with `*`, `?`, `[…]`, `{…,…}` and `**`.
    pub files: Vec<String>,
    /// Only logs that are larger.
    #[serde(default = "default_above")]
    pub above: Size,
    /// How many rotated files of a log are kept.
    #[serde(default = "default_keep")]
    pub keep: usize,
    /// Rotated files that are older are removed.
    #[serde(default = "default_max_age")]
    #[schemars(with = "Period")]
    pub max_age: Period,
    /// Whether rotated files are compressed (gzip).
    #[serde(default = "yes")]
    pub compress: bool,
    /// The process that writes the logs opens them again when it gets a signal.
    #[serde(default)]
    pub signal: Option<WriterSignal>,
    /// The log is copied and then emptied, for a writer that never opens it again. Lines that it writes between the last
    /// look and the emptying are lost.
    #[serde(default)]
    pub copytruncate: bool,
    /// The writer notices by itself that its log has another name (as `WatchedFileHandler` of Python), or opens it for
    /// each line.
    #[serde(default)]
    pub reopens: bool,
    /// The longest that it may take; the work ends a little before.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_above() -> Size {
    Size(10 << 20)
}

const fn default_keep() -> usize {
    10
}

const fn default_max_age() -> Period {
    Period(Duration::from_secs(7 * 86_400))
}

const fn yes() -> bool {
    true
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(60))
}

/// More rotated files than this of one log are a misunderstanding.
const MAX_KEEP: usize = 1000;

/// How the writer of a log goes on after a rotation.
#[derive(Debug, Clone)]
enum Method {
    Signal(Reopening),
    Copy,
    ByItself,
}

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_root(&self.root, Allows::Removing, &context.backups).into_iter().collect();
        invalid.extend(check_timeout(self.timeout));
        if self.files.is_empty() {
            invalid.push(Invalid::new("files", "no log is named: write paths or patterns such as '*.log'"));
        }
        let mut files = Vec::new();
        for (index, text) in self.files.iter().enumerate() {
            match Below::parse(text) {
                Ok(below) => files.push(below),
                Err(why) => invalid.push(Invalid::new(format!("files[{index}]"), why)),
            }
        }
        if !(1..=MAX_KEEP).contains(&self.keep) {
            invalid.push(Invalid::new("keep", format!("write how many are kept, 1 to {MAX_KEEP}")));
        }
        if self.above.0 == 0 {
            invalid.push(Invalid::new("above", "an empty log needs no rotation: write a size such as 10MiB"));
        }
        match self.method() {
            Ok(method) if invalid.is_empty() => {
                let rules = Rules {
                    root: self.root.clone(),
                    files,
                    above: self.above.0,
                    keep: self.keep,
                    max_age: self.max_age.0,
                    compress: self.compress,
                    method,
                };
                Ok(Action { rules, bench: Bench::new(self.timeout.0) })
            }
            Ok(_) => Err(invalid),
            Err(mistake) => {
                invalid.push(mistake);
                Err(invalid)
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

impl Config {
    fn method(&self) -> Result<Method, Invalid> {
        match (&self.signal, self.copytruncate, self.reopens) {
            (Some(signal), false, false) => {
                signal.build().map(Method::Signal).map_err(|mistake| mistake.within("signal"))
            }
            (None, true, false) => Ok(Method::Copy),
            (None, false, true) => Ok(Method::ByItself),
            _ => {
                let message = "after a rotation the writer must go on in a new file: write signal: { pidfile, exe }, or \
                               copytruncate: true, or reopens: true where it notices by itself; exactly one";
                Err(Invalid::new("", message))
            }
        }
    }
}

/// Logs that can be rotated.
pub struct Action {
    rules: Rules,
    bench: Bench,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let rules = self.rules.clone();
        let work = self.bench.work(move |until| {
            let plan = rules.plan(SystemTime::now(), until)?;
            Ok(first_lines(plan.lines().into_iter()))
        });
        work.await
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        let rules = self.rules.clone();
        let work = self.bench.work(move |until| {
            let plan = rules.plan(SystemTime::now(), until)?;
            rotation::carry_out(&rules, plan, until)
        });
        work.await
    }
}
