//! A container: Docker, or Podman, restarts it.

use super::protected;
use super::{Config, START_STOPPED, STOP_WITHIN, Setback};
use crate::machine::docker::{Docker, Health, Inspected, Past, check_name};
use crate::machine::kin;
use crate::values::{Dated, Invalid, one_line, read_time};
use std::time::{Duration, Instant};

/// A container, and who runs it.
pub(super) struct Container {
    name: String,
    docker: Docker,
    grace: Duration,
    patience: Duration,
    start_stopped: bool,
}

/// What is to be done.
pub(super) struct Plan {
    inspected: Inspected,
    /// In words, after `would`.
    pub(super) would: String,
}

impl Container {
    pub(super) fn new(config: &Config, name: &str) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_name(name).and_then(|()| protected::check_name(name)) {
            invalid.push(Invalid::new("container", message));
        }
        let socket = config.docker_socket();
        if !socket.is_absolute() {
            invalid.push(Invalid::new("socket", "not an absolute path: begin it with '/'"));
        }
        let grace = config.stop_within.unwrap_or(STOP_WITHIN).0;
        if grace.subsec_nanos() != 0 {
            invalid.push(Invalid::new("stop_within", "Docker knows whole seconds only: write 5s"));
        }
        if grace >= config.timeout.0 {
            let message = "not shorter than the timeout: nothing would be left for the start";
            invalid.push(Invalid::new("stop_within", message));
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Self {
            name: name.to_owned(),
            docker: Docker::new(socket),
            grace,
            patience: config.timeout.0,
            start_stopped: config.start_stopped,
        })
    }

    pub(super) async fn plan(&self) -> Result<Plan, Setback> {
        let inspected = self.docker.inspect(&self.name).await?;
        if kin::are_in_container(&inspected.id) {
            return Err(Setback::Refused(format!("{} is the container that Banken itself runs in", self.name)));
        }
        let past = self.past(&inspected).await;
        let would = decide(&self.name, &inspected, past, self.start_stopped)?;
        Ok(Plan { inspected, would })
    }

    /// What is remembered of one that has ended; nothing where it is not to be had.
    async fn past(&self, inspected: &Inspected) -> Past {
        if inspected.state.status != "exited" || self.start_stopped {
            return Past::default();
        }
        let since = match read_time(&inspected.state.started_at.clone().into()) {
            Dated::At(seconds) => seconds.floor() as i64,
            _ => return Past::default(),
        };
        self.docker.past(&inspected.id, since).await.unwrap_or_else(|failure| {
            tracing::debug!(container = self.name, %failure, "what has happened to it is not known");
            Past::default()
        })
    }

    pub(super) async fn restart(&self) -> Result<String, Setback> {
        let begun = Instant::now();
        let Plan { inspected: before, .. } = self.plan().await?;
        // By its id: whoever gets its name meanwhile is not meant.
        self.docker.restart(&before.id, self.grace, self.patience).await?;
        let after = self.docker.inspect(&before.id).await?;
        let (name, seconds) = (&self.name, begun.elapsed().as_secs_f64());
        if after.state.running && after.state.started_at != before.state.started_at {
            return Ok(format!("the container {name} was restarted in {seconds:.2} s: pid {}", after.state.pid));
        }
        let ended = if after.state.started_at == before.state.started_at { "and not started" } else { "and has ended" };
        Err(Setback::Failed(format!("the container {name} was restarted, {ended}: it is {}", shown(&after))))
    }
}

/// What to do with a container as it is, in words. Pure.
fn decide(name: &str, inspected: &Inspected, past: Past, start_stopped: bool) -> Result<String, Setback> {
    let state = &inspected.state;
    let busy = |why: &str| Err(Setback::Busy(format!("the container {name} {why}")));
    let would = format!("have the container {name} restarted, which is {}", shown(inspected));
    match state.status.as_str() {
        "running" if state.health() == Health::Starting => busy("is being started: its health check has not decided"),
        "exited" if !start_stopped && past.was_stopped => busy(&format!("was stopped by somebody: {START_STOPPED}")),
        "exited" if !start_stopped && state.exit_code == 0 && !past.is_remembered => {
            busy(&format!("has ended with exit code 0, perhaps because somebody has stopped it: {START_STOPPED}"))
        }
        "created" | "configured" | "initialized" if !start_stopped => {
            busy(&format!("was made and never started: {START_STOPPED}"))
        }
        "running" | "exited" | "created" | "configured" | "initialized" => Ok(would),
        "paused" => busy("is paused: somebody has done that"),
        "dead" => Err(Setback::Failed(format!("the container {name} is dead: it can only be removed"))),
        // restarting, stopping, removing, or something newer than what is known here.
        other => busy(&format!("is {other}")),
    }
}

fn shown(inspected: &Inspected) -> String {
    let state = &inspected.state;
    let exit = if state.running { String::new() } else { format!(" with exit code {}", state.exit_code) };
    let memory = if state.oom_killed { ", out of memory" } else { "" };
    let error = if state.error.is_empty() { String::new() } else { format!(": {}", one_line(&state.error)) };
    format!("{}{exit}{memory}{error}", state.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(status: &str, exit_code: i64) -> Inspected {
        let running = status == "running";
        let state = format!(r#"{{"Status":"{status}","Running":{running},"ExitCode":{exit_code}}}"#);
        serde_json::from_str(&format!(r#"{{"Id":"x","Config":{{}},"State":{state}}}"#)).unwrap()
    }

    const FELL: Past = Past { was_stopped: false, is_remembered: true };
    const STOPPED: Past = Past { was_stopped: true, is_remembered: true };

    #[test]
    fn what_runs_and_what_fell_is_restarted() {
        for (inspected, past) in [
            (inspected("running", 0), Past::default()),
            (inspected("exited", 137), Past::default()),
            (inspected("exited", 137), FELL),
            (inspected("exited", 0), FELL),
        ] {
            assert!(decide("bot", &inspected, past, false).is_ok(), "{inspected:?}");
        }
    }

    #[test]
    fn what_is_on_its_way_and_what_was_stopped_is_left_alone() {
        for (status, exit_code, past, words) in [
            ("exited", 0, Past::default(), "exit code 0"),
            ("exited", 137, STOPPED, "was stopped by somebody"),
            ("created", 0, Past::default(), "never started"),
        ] {
            let found = inspected(status, exit_code);
            let left = decide("bot", &found, past, false);
            let told = |said: &str| said.contains(words) && said.contains("start_stopped: true");
            assert!(matches!(&left, Err(Setback::Busy(said)) if told(said)), "{words}: {left:?}");
            assert!(decide("bot", &found, past, true).is_ok(), "{words}");
        }
        for status in ["restarting", "removing", "paused", "stopping", "something new", ""] {
            let left = decide("bot", &inspected(status, 0), FELL, true);
            assert!(matches!(left, Err(Setback::Busy(_))), "{status}: {left:?}");
        }
        let mut starting = inspected("running", 0);
        starting.state.health = serde_json::from_str(r#"{"Status":"starting"}"#).unwrap();
        assert!(matches!(decide("bot", &starting, FELL, true), Err(Setback::Busy(_))));
        assert!(matches!(decide("bot", &inspected("dead", 0), FELL, true), Err(Setback::Failed(_))));
    }
}
