//! Asks systemd over D-Bus for the state of a unit, and hears at once when it changes.

mod families;

#[cfg(test)]
mod tests;

use self::families::{
    ACTIVE, ACTIVE_SINCE, CPU, CPU_RATIO, CPU_SECONDS, LAST_TRIGGER, MAIN_EXIT_STATUS, MEMORY, MEMORY_BYTES, RESTARTS,
    STATE, TASKS,
};
use super::{Context, Kind, Settings};
use crate::machine::bell::Bell;
use crate::machine::systemd::{ActiveState, Bus, SYSTEM_BUS, Unit, check_unit, own_bus, parse_address};
use crate::machine::usage::{Growth, Load};
use crate::observation::{Failure, Labels, Readings, Reason};
use crate::values::{Invalid, one_line};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "systemd",
    summary: "A unit of systemd is active; its restarts, memory, CPU and tasks",
    example: "\
- name: nginx
  systemd: { unit: nginx.service }
  thresholds: { memory: { warning: 512MiB, critical: 2GiB }, cpu: { warning: 0.9 } }
- name: backup
  systemd: { unit: backup.service, expect: { active: [inactive, activating] } }
",
    reasons: &[
        Reason::Connect,
        Reason::Auth,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Missing,
        Reason::Exit,
        Reason::Status,
    ],
    families: families::ALL,
    signals: &[&MEMORY, &CPU],
};

/// The block `systemd:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The whole name of the unit, such as nginx.service or backup.timer.
    pub unit: String,
    /// Whether it is a unit of the user that Banken runs as, instead of the system's.
    #[serde(default)]
    pub user: bool,
    /// Where the bus listens, if it is another one than the system's or the user's own.
    #[serde(default)]
    pub bus: Option<String>,
    /// What is right.
    #[serde(default)]
    pub expect: Expect,
}

/// What is right about a unit.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The states that are right. Where `inactive` is among them, it must not have ended in failure.
    pub active: Vec<ActiveState>,
    /// The sub-states that are right, as systemctl shows them: running, exited, waiting, …; by default all.
    pub sub: Vec<String>,
    /// The states of the unit's file that are right: enabled, static, …; by default all.
    pub unit_file: Vec<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self { active: vec![ActiveState::Active, ActiveState::Reloading], sub: Vec::new(), unit_file: Vec::new() }
    }
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_unit(&self.unit) {
            invalid.push(Invalid::new("unit", message));
        }
        if self.expect.active.is_empty() {
            let message = "no state would be right: name at least one, as in [active, reloading]";
            invalid.push(Invalid::new("expect.active", message));
        }
        if self.user && self.bus.is_some() {
            let message = "bus already says which bus is asked: remove user, or bus";
            invalid.push(Invalid::new("user", message));
        }
        let text = self.bus.clone().unwrap_or_else(|| if self.user { own_bus() } else { SYSTEM_BUS.into() });
        match parse_address(&text) {
            Ok(address) if invalid.is_empty() => Ok(Probe::new(self.clone(), context.buses.at(&address))),
            Ok(_) => Err(invalid),
            Err(message) => {
                invalid.push(Invalid::new("bus", message));
                Err(invalid)
            }
        }
    }
}

/// A systemd probe that was built.
pub struct Probe {
    config: Config,
    bus: Arc<Bus>,
    bell: Bell,
    states: Vec<(ActiveState, Arc<Labels>)>,
    restarts: Growth,
    cpu: Growth,
    load: Load,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        self.bell.answer();
        let unit = self.bus.unit(&self.config.unit, self.bell.rope(), out).await?;
        self.write(&unit, Instant::now(), out);
        judge(&self.config.expect, &unit)
    }

    async fn wake(&mut self) {
        self.bell.rang().await;
    }
}

impl Probe {
    fn new(config: Config, bus: Arc<Bus>) -> Self {
        let labels = |state: ActiveState| (state, Arc::new(Labels::render(&[("state", state.as_str())])));
        Self {
            config,
            bus,
            bell: Bell::default(),
            states: ActiveState::ALL.map(labels).into(),
            restarts: Growth::default(),
            cpu: Growth::default(),
            load: Load::default(),
        }
    }

    fn write(&mut self, unit: &Unit, now: Instant, out: &mut Readings) {
        let is_up = unit.active_state.is_some_and(ActiveState::is_up);
        out.flag(&ACTIVE, is_up);
        for (state, labels) in &self.states {
            out.flag_with(&STATE, labels, unit.active_state == Some(*state));
        }
        // One count goes over all starts: it is set back when somebody starts the unit, which has no mark of its own.
        out.add(&RESTARTS, self.restarts.step(&[], unit.restarts.map(f64::from)));
        let spent = self.cpu.step(&unit.invocation, unit.cpu_seconds);
        out.add(&CPU_SECONDS, spent);
        if unit.cpu_seconds.is_some()
            && let Some(ratio) = self.load.step(spent, now)
        {
            out.set(&CPU_RATIO, ratio);
            out.signal(&CPU, ratio);
        }
        if let Some(memory) = unit.memory {
            out.set(&MEMORY_BYTES, memory);
            out.signal(&MEMORY, memory);
        }
        let gauges = [
            (&TASKS, unit.tasks),
            (&ACTIVE_SINCE, unit.active_entered.filter(|_| is_up)),
            (&LAST_TRIGGER, unit.last_trigger),
            (&MAIN_EXIT_STATUS, unit.main_exit.map(|exit| f64::from(exit.status()))),
        ];
        for (family, value) in gauges {
            if let Some(value) = value {
                out.set(family, value);
            }
        }
        out.note("state", format!("{} ({})", unit.active_word, unit.sub_state));
        if unit.id != self.config.unit {
            out.note("unit", unit.id.clone());
        }
    }
}

/// Whether a unit is as it should be. Pure.
fn judge(expect: &Expect, unit: &Unit) -> Result<(), Failure> {
    let is_up = unit.active_state.is_some_and(ActiveState::is_up);
    // What still runs although its file is gone is there.
    if !is_up && !matches!(unit.load_state.as_str(), "loaded" | "masked" | "merged" | "stub") {
        return Err(Failure::new(Reason::Missing, not_loaded(unit)));
    }
    let Some(state) = unit.active_state.filter(|state| expect.active.contains(state)) else {
        return Err(wrong_state(expect, unit));
    };
    // A unit whose conditions were not met has not failed.
    let has_failed = |result: &String| !matches!(result.as_str(), "success" | "exec-condition");
    if state == ActiveState::Inactive && unit.result.as_ref().is_some_and(has_failed) {
        return Err(Failure::new(Reason::Exit, described(unit)));
    }
    for (what, found, right) in
        [("sub-state", &unit.sub_state, &expect.sub), ("unit file", &unit.unit_file_state, &expect.unit_file)]
    {
        if !right.is_empty() && !right.contains(found) {
            let detail = format!("the {what} of {} is {found:?}, expected {}", unit.id, right.join(" or "));
            return Err(Failure::new(Reason::Status, detail));
        }
    }
    Ok(())
}

fn not_loaded(unit: &Unit) -> String {
    let id = &unit.id;
    match unit.load_state.as_str() {
        "not-found" => format!("there is no unit {id}: correct unit:, or install it and run systemctl daemon-reload"),
        state => format!("the unit {id} cannot be loaded ({state}): {}", one_line(&unit.load_error)),
    }
}

fn wrong_state(expect: &Expect, unit: &Unit) -> Failure {
    use ActiveState::{Activating, Failed, Inactive};
    let has_ended = match unit.active_state {
        Some(Failed | Inactive) => true,
        // Between the end of a service and its next start.
        Some(Activating) => unit.sub_state.starts_with("auto-restart"),
        _ => false,
    };
    let right: Vec<_> = expect.active.iter().map(|state| state.as_str()).collect();
    let detail = format!("{}; expected {}", described(unit), right.join(" or "));
    Failure::new(if has_ended { Reason::Exit } else { Reason::Status }, detail)
}

/// The state of a unit and how it came about, in one line.
fn described(unit: &Unit) -> String {
    let mut facts = vec![format!("{} is {} ({})", unit.id, unit.active_word, unit.sub_state)];
    if unit.load_state == "masked" {
        facts.push("it is masked".into());
    }
    facts.extend(unit.result.as_ref().filter(|result| *result != "success").map(|result| format!("result {result}")));
    facts.extend(unit.main_exit.map(|exit| format!("its main process {exit}")));
    facts.join(", ")
}
