//! What is read of a unit's properties.

use crate::observation::label_words;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use zbus::{OwnedObjectPath, OwnedVariant};

/// The state of a unit, the same for all kinds of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActiveState {
    /// Started, bound, plugged in, …, as the kind of unit has it.
    Active,
    /// Active, and reading its configuration anew.
    Reloading,
    /// Not started.
    Inactive,
    /// Ended in a way that it should not.
    Failed,
    /// On its way up.
    Activating,
    /// On its way down.
    Deactivating,
}

label_words!(
    ActiveState,
    "state",
    Active = "active",
    Reloading = "reloading",
    Inactive = "inactive",
    Failed = "failed",
    Activating = "activating",
    Deactivating = "deactivating",
);

impl ActiveState {
    fn of(word: &str) -> Option<Self> {
        // Newer than the others, and for whoever watches the same as reloading.
        let word = if word == "refreshing" { "reloading" } else { word };
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether it is up.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Active | Self::Reloading)
    }
}

/// How the main process of a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainExit {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl MainExit {
    /// One number for both, as shells have it: a signal is 128 more than its number.
    pub fn status(self) -> i32 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => signal.saturating_add(128),
        }
    }
}

impl fmt::Display for MainExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// What systemd says about a unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unit {
    /// Its name, which is another one if it was asked for by an alias.
    pub id: String,
    /// All its names, this one among them.
    pub names: Vec<String>,
    /// Whether its file was found and understood: `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub load_state: String,
    /// Why it was not loaded.
    pub load_error: String,
    /// Its state, if it is one that is known here.
    pub active_state: Option<ActiveState>,
    /// Its state in systemd's word.
    pub active_word: String,
    /// Finer, and different for each kind of unit: `running`, `exited`, `auto-restart`, …
    pub sub_state: String,
    /// Whether it is started with the machine: `enabled`, `disabled`, `static`, …
    pub unit_file_state: String,
    /// What tells one start from the next.
    pub invocation: Vec<u8>,
    /// When it became active last, in seconds since the Unix epoch.
    pub active_entered: Option<f64>,
    /// How it ended last: `success` as long as it has not.
    pub result: Option<String>,
    /// How often systemd has started it again by itself since somebody has started it.
    pub restarts: Option<u32>,
    /// How its main process ended, once it has.
    pub main_exit: Option<MainExit>,
    /// Bytes.
    pub memory: Option<f64>,
    /// Seconds of CPU time since it was started.
    pub cpu_seconds: Option<f64>,
    /// Processes and threads.
    pub tasks: Option<f64>,
    /// When a timer elapsed last, in seconds since the Unix epoch.
    pub last_trigger: Option<f64>,
    /// Whether something is to be done with it already: started, stopped, …
    pub has_job: bool,
    /// The main process of a service that runs.
    pub main_pid: Option<i32>,
    /// How a service tells that it is up: `simple`, `notify`, `oneshot`, …
    pub service_type: String,
    /// What its last run was like.
    pub course: Course,
    /// How often it may be started, and within how many seconds; none where there is no such limit.
    pub start_limit: Option<(u32, f64)>,
}

/// When a service was up last and when its main process ran, in microseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Course {
    /// When it ceased to be active.
    pub left_active: Option<u64>,
    /// When its main process was started.
    pub main_started: Option<u64>,
    /// When its main process ended.
    pub main_ended: Option<u64>,
    /// Whether it stays active when its processes have ended.
    pub remains: bool,
}

/// Why a service does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It has not been started since the boot, or systemd has forgotten.
    NotStarted,
    /// It was to be stopped before its main process ended: somebody has stopped it.
    Stopped,
    /// Its main process ended, and nobody had stopped it.
    Ended,
}

impl Course {
    /// Why it does not run; to be asked only of what does not. systemd writes down who was first: a stop makes a unit
    /// leave its active state and ends its processes then, an end by itself comes before both.
    pub fn rest(self) -> Rest {
        match (self.left_active, self.main_started, self.main_ended) {
            (_, _, Some(_)) if self.remains => Rest::Stopped,
            // It left the active state in this run, with its main process still there.
            (Some(left), Some(started), Some(ended)) if started <= left && left < ended => Rest::Stopped,
            (_, _, Some(_)) => Rest::Ended,
            _ => Rest::NotStarted,
        }
    }
}

impl Unit {
    /// From the properties that all units have, and those of its kind.
    pub(super) fn read(common: &Properties, own: &Properties) -> zbus::Result<Self> {
        let active_word = common.text("ActiveState").ok_or(zbus::Error::MissingParameter("ActiveState"))?;
        let main_exit = match (own.number("ExecMainCode"), own.number("ExecMainStatus")) {
            // As waitid(2) has it.
            (Some(1), Some(status)) => Some(MainExit::Exited(status as i32)),
            (Some(2 | 3), Some(signal)) => Some(MainExit::Killed(signal as i32)),
            _ => None,
        };
        Ok(Self {
            id: common.text("Id").unwrap_or_default(),
            names: common.texts("Names"),
            load_state: common.text("LoadState").unwrap_or_default(),
            load_error: common.load_error().unwrap_or_default(),
            active_state: ActiveState::of(&active_word),
            active_word,
            sub_state: common.text("SubState").unwrap_or_default(),
            unit_file_state: common.text("UnitFileState").unwrap_or_default(),
            invocation: common.bytes("InvocationID"),
            active_entered: common.time("ActiveEnterTimestamp"),
            result: own.text("Result"),
            restarts: own.number("NRestarts").and_then(|restarts| u32::try_from(restarts).ok()),
            main_exit,
            memory: own.amount("MemoryCurrent"),
            cpu_seconds: own.amount("CPUUsageNSec").map(|nanos| nanos / 1e9),
            tasks: own.amount("TasksCurrent"),
            last_trigger: own.time("LastTriggerUSec"),
            start_limit: common.start_limit(),
            has_job: common.has_job(),
            main_pid: own.number("MainPID").and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
            service_type: own.text("Type").unwrap_or_default(),
            course: Course {
                left_active: common.moment("ActiveExitTimestampMonotonic"),
                main_started: own.moment("ExecMainStartTimestampMonotonic"),
                main_ended: own.moment("ExecMainExitTimestampMonotonic"),
                remains: own.flag("RemainAfterExit"),
            },
        })
    }
}

/// Properties of one interface, of which only what has the right type is read.
#[derive(Debug, Default)]
pub(super) struct Properties(pub(super) HashMap<String, OwnedVariant>);

impl Properties {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(|value| <&str>::try_from(value).ok()).map(str::to_owned)
    }

    fn number(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        i32::try_from(value).map(i64::from).or_else(|_| u32::try_from(value).map(i64::from)).ok()
    }

    /// The highest number is systemd's word for not known.
    fn amount(&self, name: &str) -> Option<f64> {
        let value = self.0.get(name).and_then(|value| u64::try_from(value).ok())?;
        (value != u64::MAX).then_some(value as f64)
    }

    /// Microseconds to seconds; none is systemd's word for never.
    fn time(&self, name: &str) -> Option<f64> {
        self.amount(name).filter(|micros| *micros > 0.0).map(|micros| micros / 1e6)
    }

    /// Microseconds of the monotonic clock; none is systemd's word for never.
    fn moment(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(|value| u64::try_from(value).ok()).filter(|micros| !matches!(*micros, 0 | u64::MAX))
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(|value| bool::try_from(value).ok()).unwrap_or(false)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let value = self.0.get(name).and_then(|value| value.try_clone().ok());
        value.and_then(|value| Vec::try_from(value).ok()).unwrap_or_default()
    }

    fn start_limit(&self) -> Option<(u32, f64)> {
        let burst =
            self.0.get("StartLimitBurst").and_then(|value| u32::try_from(value).ok()).filter(|burst| *burst > 0)?;
        let interval = self.amount("StartLimitIntervalUSec").filter(|micros| *micros > 0.0)?;
        Some((burst, interval / 1e6))
    }

    /// A job has a number that is not 0, and a path.
    fn has_job(&self) -> bool {
        let pair = self.0.get("Job").and_then(|value| value.try_clone().ok());
        let pair = pair.and_then(|pair| <(u32, OwnedObjectPath)>::try_from(pair).ok());
        pair.is_some_and(|(number, _)| number != 0)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let value = self.0.get(name).and_then(|value| value.try_clone().ok());
        value.and_then(|value| Vec::try_from(value).ok()).unwrap_or_default()
    }

    /// The name of an error and what it says.
    fn load_error(&self) -> Option<String> {
        let pair = self.0.get("LoadError").and_then(|value| value.try_clone().ok())?;
        let (_, said) = <(String, String)>::try_from(pair).ok()?;
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_first_tells_a_stop_from_an_end_by_itself() {
        let course =
            |left_active, main_started, main_ended| Course { left_active, main_started, main_ended, remains: false };
        for (course, rest) in [
            (course(None, None, None), Rest::NotStarted),
            (course(Some(5), Some(1), None), Rest::NotStarted),
            (course(Some(5), Some(1), Some(6)), Rest::Stopped),
            (course(Some(6), Some(1), Some(5)), Rest::Ended),
            (course(Some(6), Some(1), Some(6)), Rest::Ended),
            // It left the active state in the run before, and was not up in this one.
            (course(Some(5), Some(7), Some(9)), Rest::Ended),
            (course(None, Some(7), Some(9)), Rest::Ended),
            // Its main process ended long ago, as it should.
            (Course { remains: true, ..course(Some(9), Some(1), Some(2)) }, Rest::Stopped),
        ] {
            assert_eq!(course.rest(), rest, "{course:?}");
        }
    }
}
