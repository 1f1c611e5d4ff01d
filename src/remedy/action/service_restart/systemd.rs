//! A service of systemd: systemd restarts it, and says how that ended.

use super::protected;
use super::{Config, START_STOPPED, Setback};
use crate::machine::kin;
use crate::machine::systemd::{
    ActiveState, Bus, Rest, Restarted, SYSTEM_BUS, Unit as Found, check_unit, own_bus, parse_address,
};
use crate::observation::Readings;
use crate::remedy::action::Context;
use crate::values::{Invalid, one_line};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// A unit, and the bus on which systemd is told.
pub(super) struct Unit {
    name: String,
    bus: Arc<Bus>,
    start_stopped: bool,
    /// Nobody waits for it: a look at a unit wants to know whom to wake.
    rope: Arc<Notify>,
}

/// What is to be done.
pub(super) struct Plan {
    before: Found,
    /// In words, after `would`.
    pub(super) would: String,
}

impl Unit {
    pub(super) fn new(config: &Config, name: &str, context: &Context) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_unit(name).and_then(|()| protected::check_unit(name)) {
            invalid.push(Invalid::new("systemd", message));
        }
        if config.user && config.bus.is_some() {
            let message = "bus already says which bus is asked: remove user, or bus";
            invalid.push(Invalid::new("user", message));
        }
        let text = config.bus.clone().unwrap_or_else(|| if config.user { own_bus() } else { SYSTEM_BUS.into() });
        match parse_address(&text) {
            Ok(address) if invalid.is_empty() => Ok(Self {
                name: name.to_owned(),
                bus: context.buses.at(&address),
                start_stopped: config.start_stopped,
                rope: Arc::default(),
            }),
            Ok(_) => Err(invalid),
            Err(message) => {
                invalid.push(Invalid::new("bus", message));
                Err(invalid)
            }
        }
    }

    async fn look(&self, name: &str) -> Result<Found, Setback> {
        Ok(self.bus.unit(name, &self.rope, &mut Readings::default()).await?)
    }

    pub(super) async fn plan(&self) -> Result<Plan, Setback> {
        let unit = self.look(&self.name).await?;
        for name in unit.names.iter().chain([&unit.id]) {
            protected::check_unit(name).map_err(Setback::Refused)?;
        }
        let own = kin::groups(std::process::id().cast_signed())?;
        if unit.names.iter().chain([&unit.id]).any(|name| own.are_within(name)) {
            return Err(Setback::Refused(format!("{} is what Banken itself runs in", unit.id)));
        }
        let would = decide(&unit, self.start_stopped)?;
        Ok(Plan { before: unit, would })
    }

    pub(super) async fn restart(&self) -> Result<String, Setback> {
        let begun = Instant::now();
        let Plan { before, .. } = self.plan().await?;
        // Its real name, of which the rule of polkit speaks too.
        let id = &before.id;
        let restarted = self.bus.restart(id).await?;
        if restarted == Restarted::Conflict {
            let words = format!("{id}: something else is to be done with it already, or with what it needs");
            return Err(Setback::Busy(words));
        }
        let unit = self.look(id).await?;
        let seconds = begun.elapsed().as_secs_f64();
        match &restarted {
            Restarted::Done | Restarted::Unheard if is_well(&unit) => {
                let pid = unit.main_pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
                Ok(format!("systemd has restarted {id} in {seconds:.2} s: {}{pid}", shown(&unit)))
            }
            Restarted::Ended(result) => Err(Setback::Failed(why(&before, &unit, result))),
            _ => {
                Err(Setback::Failed(format!("systemd has restarted {id}, and it has ended at once: {}", shown(&unit))))
            }
        }
    }
}

/// What to do with a unit as it is, in words. Pure.
fn decide(unit: &Found, start_stopped: bool) -> Result<String, Setback> {
    let id = &unit.id;
    let busy = |why: String| Err(Setback::Busy(format!("{id} {why}")));
    match unit.load_state.as_str() {
        "loaded" => {}
        "masked" => return Err(Setback::Refused(format!("{id} is masked: somebody wants it never to be started"))),
        "not-found" => return Err(Setback::Failed(format!("there is no unit {id}: correct its name, or install it"))),
        state => {
            let error = one_line(&unit.load_error);
            return Err(Setback::Failed(format!("the unit {id} cannot be loaded ({state}): {error}")));
        }
    }
    if unit.has_job {
        return busy("has a job already: it is being started or stopped".into());
    }
    let would = format!("have systemd restart {id}, which is {}", shown(unit));
    match unit.active_state {
        Some(ActiveState::Active) => return Ok(would),
        Some(ActiveState::Failed | ActiveState::Inactive) => {}
        // On its way, or something newer than what is known here.
        _ => return busy(format!("is {}", shown(unit))),
    }
    if start_stopped {
        return Ok(would);
    }
    if matches!(unit.unit_file_state.as_str(), "disabled" | "masked" | "masked-runtime") {
        return busy(format!("is {} and {}: {START_STOPPED}", shown(unit), unit.unit_file_state));
    }
    let is_failed = unit.active_state == Some(ActiveState::Failed);
    match unit.course.rest() {
        Rest::Stopped if !is_failed || was_stopped_in_failure(unit) => {
            busy(format!("is {}, because somebody has stopped it: {START_STOPPED}", shown(unit)))
        }
        Rest::NotStarted if !is_failed => busy(format!("is {} and was not running: {START_STOPPED}", shown(unit))),
        _ => Ok(would),
    }
}

/// A program that answers to a stop with an end that is no success leaves its unit failed. Of those that say themselves that they
/// end (`STOPPING=1`), a fall cannot be told from a stop.
fn was_stopped_in_failure(unit: &Found) -> bool {
    let result = unit.result.as_deref().unwrap_or_default();
    matches!(result, "exit-code" | "signal" | "core-dump" | "timeout") && !unit.service_type.starts_with("notify")
}

/// Whether a restart has led to something: a service that only does one thing may have done it.
fn is_well(unit: &Found) -> bool {
    match unit.active_state {
        Some(ActiveState::Failed) | None => false,
        Some(ActiveState::Inactive) => unit.service_type == "oneshot",
        Some(ActiveState::Activating) => !unit.sub_state.starts_with("auto-restart"),
        Some(_) => true,
    }
}

fn why(before: &Found, unit: &Found, result: &str) -> String {
    let (id, state) = (&unit.id, shown(unit));
    // Where a start had already failed, systemd keeps to that result; but it has not begun a new run.
    let is_refused = result == "failed" && before.invocation == unit.invocation && unit.start_limit.is_some();
    if unit.result.as_deref() == Some("start-limit-hit") || is_refused {
        let limit = unit.start_limit.map_or_else(String::new, |(burst, seconds)| format!(" ({burst} in {seconds} s)"));
        let remedy = "find out why, then systemctl reset-failed";
        return format!(
            "systemd no longer starts {id}, because it was started too often{limit}; it is {state}: {remedy} {id}"
        );
    }
    match result {
        "canceled" => format!("the restart of {id} was canceled by somebody else; it is {state}"),
        "timeout" => format!("the restart of {id} took longer than systemd waits; it is {state}"),
        "dependency" => format!("{id} was not started, because something that it needs has failed; it is {state}"),
        "skipped" => format!("systemd has skipped the restart of {id}; it is {state}"),
        result => format!("systemd could not restart {id} ({result}); it is {state}"),
    }
}

/// The state and how it came about.
fn shown(unit: &Found) -> String {
    let mut facts = vec![format!("{} ({})", unit.active_word, unit.sub_state)];
    facts.extend(unit.result.as_ref().filter(|result| *result != "success").map(|result| format!("result {result}")));
    facts.extend(unit.main_exit.map(|exit| format!("its main process {exit}")));
    facts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::systemd::{Course, MainExit};

    fn unit(state: ActiveState) -> Found {
        Found {
            id: "bot.service".into(),
            load_state: "loaded".into(),
            active_state: Some(state),
            active_word: state.as_str().into(),
            sub_state: "x".into(),
            unit_file_state: "enabled".into(),
            result: Some("success".into()),
            service_type: "simple".into(),
            ..Found::default()
        }
    }

    const STOPPED: Course = Course { left_active: Some(5), main_started: Some(1), main_ended: Some(6), remains: false };
    const ENDED: Course = Course { left_active: Some(6), main_started: Some(1), main_ended: Some(5), remains: false };

    #[test]
    fn what_runs_and_what_fell_is_restarted() {
        use ActiveState::{Active, Failed, Inactive};
        let killed = Found { result: Some("signal".into()), main_exit: Some(MainExit::Killed(9)), ..unit(Failed) };
        for unit in [
            unit(Active),
            // Whoever runs is wanted to run.
            Found { unit_file_state: "disabled".into(), ..unit(Active) },
            Found { course: ENDED, ..killed.clone() },
            Found { course: ENDED, ..unit(Inactive) },
            // It has never been up: nobody has stopped it.
            Found { result: Some("exit-code".into()), ..unit(Failed) },
            Found { result: Some("watchdog".into()), course: STOPPED, ..unit(Failed) },
            Found { result: Some("exit-code".into()), course: STOPPED, service_type: "notify".into(), ..unit(Failed) },
        ] {
            let words = decide(&unit, false).unwrap();
            assert!(words.starts_with("have systemd restart bot.service, which is "), "{words}");
        }
        assert!(decide(&Found { course: ENDED, ..killed }, false).unwrap().contains("signal 9"));
    }

    #[test]
    fn what_is_on_its_way_and_what_was_stopped_is_left_alone() {
        use ActiveState::{Activating, Active, Deactivating, Failed, Inactive, Reloading};
        for (unit, words) in [
            (unit(Activating), "is activating"),
            (unit(Deactivating), "is deactivating"),
            (unit(Reloading), "is reloading"),
            (Found { active_state: None, active_word: "maintenance".into(), ..unit(Active) }, "is maintenance"),
            (Found { has_job: true, ..unit(Active) }, "has a job already"),
            (Found { has_job: true, ..unit(Failed) }, "has a job already"),
        ] {
            for start_stopped in [false, true] {
                let left = decide(&unit, start_stopped);
                assert!(matches!(&left, Err(Setback::Busy(said)) if said.contains(words)), "{words}: {left:?}");
            }
        }
        for (unit, words) in [
            (Found { course: STOPPED, ..unit(Inactive) }, "somebody has stopped it"),
            (Found { course: STOPPED, result: Some("exit-code".into()), ..unit(Failed) }, "somebody has stopped it"),
            (unit(Inactive), "was not running"),
            (Found { unit_file_state: "disabled".into(), course: ENDED, ..unit(Failed) }, "and disabled"),
        ] {
            let left = decide(&unit, false);
            let told = |said: &str| said.contains(words) && said.contains("start_stopped: true");
            assert!(matches!(&left, Err(Setback::Busy(said)) if told(said)), "{words}: {left:?}");
            assert!(decide(&unit, true).is_ok(), "{words}");
        }
    }

    #[test]
    fn what_cannot_be_started_is_not_tried() {
        let masked = Found { load_state: "masked".into(), ..unit(ActiveState::Active) };
        assert!(matches!(decide(&masked, true), Err(Setback::Refused(said)) if said.contains("masked")));
        for state in ["not-found", "bad-setting", "error"] {
            let unit = Found { load_state: state.into(), ..unit(ActiveState::Inactive) };
            assert!(matches!(decide(&unit, true), Err(Setback::Failed(_))), "{state}");
        }
    }

    #[test]
    fn a_start_limit_that_is_hit_is_told_with_what_a_person_can_do() {
        let limit = Found { result: Some("start-limit-hit".into()), ..unit(ActiveState::Failed) };
        let words = why(&limit, &limit, "failed");
        assert!(words.contains("too often") && words.contains("systemctl reset-failed bot.service"), "{words}");
        // It had failed before, and was not begun anew.
        let same = Found { start_limit: Some((2, 10.0)), ..unit(ActiveState::Failed) };
        let words = why(&same, &same, "failed");
        assert!(words.contains("started too often (2 in 10 s)"), "{words}");
        let begun = Found { invocation: vec![7], ..same.clone() };
        assert!(!why(&same, &begun, "failed").contains("too often"));
        for result in ["canceled", "timeout", "dependency", "skipped", "failed", "new-word"] {
            let words = why(&unit(ActiveState::Failed), &unit(ActiveState::Failed), result);
            assert!(words.contains("bot.service") && !words.contains("too often"), "{result}: {words}");
        }
    }
}
