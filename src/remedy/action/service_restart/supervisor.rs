//! A program of supervisor: supervisord stops it, if it is up, and starts it.

use super::protected;
use super::{Config, Program as Written, START_STOPPED, Setback};
use crate::machine::supervisor::{
    ALREADY_STARTED, Info, NOT_RUNNING, SHUTTING_DOWN, State, Supervisor, Trouble, check_program,
};
use crate::values::Invalid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A program, and who runs it.
pub(super) struct Program {
    name: String,
    supervisor: Supervisor,
    start_stopped: bool,
    /// We have stopped it and not yet started it: should that be cut off, it is not a person who has stopped it.
    stopped_by_us: AtomicBool,
}

/// What is to be done.
pub(super) struct Plan {
    before: Info,
    /// In words, after `would`.
    pub(super) would: String,
}

/// How often to look. supervisord, too, looks whenever it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Program {
    pub(super) fn new(config: &Config, written: &Written) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let name = &written.program;
        if let Err(message) = check_program(name).and_then(|()| protected::check_name(name)) {
            invalid.push(Invalid::new("supervisor.program", message));
        }
        if !written.socket.is_absolute() {
            invalid.push(Invalid::new("supervisor.socket", "not an absolute path: begin it with '/'"));
        }
        let login = match (&written.username, &written.password) {
            (Some(user), _) if user.contains(':') => {
                invalid.push(Invalid::new("supervisor.username", "a user name holds no ':'"));
                None
            }
            (Some(user), Some(password)) => Some((user.as_str(), password)),
            (None, None) => None,
            _ => {
                let message = "username and password belong together: write both, or none";
                invalid.push(Invalid::new("supervisor", message));
                None
            }
        };
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Self {
            name: name.clone(),
            supervisor: Supervisor::new(written.socket.clone(), login),
            start_stopped: config.start_stopped,
            stopped_by_us: AtomicBool::new(false),
        })
    }

    async fn info(&self) -> Result<Info, Setback> {
        self.supervisor.info(&self.name).await.map_err(|trouble| Setback::from(trouble.into_failure()))
    }

    pub(super) async fn plan(&self) -> Result<Plan, Setback> {
        let before = self.info().await?;
        protected::check_processes(&format!("the program {}", self.name), before.pid)?;
        let may_be_stopped = self.start_stopped || self.stopped_by_us.load(Ordering::Acquire);
        let would = decide(&self.name, &before, may_be_stopped)?;
        Ok(Plan { before, would })
    }

    pub(super) async fn restart(&self) -> Result<String, Setback> {
        let begun = Instant::now();
        let Plan { before, .. } = self.plan().await?;
        if before.state == State::Running {
            self.stop().await?;
        }
        match self.supervisor.start(&self.name).await {
            // It starts what falls by itself, and was faster.
            Ok(()) | Err(Trouble::Fault(ALREADY_STARTED, _)) => {}
            Err(Trouble::Fault(SHUTTING_DOWN, said)) => {
                return Err(Setback::Busy(format!("supervisor is about to end: {said}")));
            }
            Err(trouble) => {
                let why = trouble.into_failure().detail;
                return Err(Setback::Failed(format!("the program {} was not started: {why}", self.name)));
            }
        }
        self.stopped_by_us.store(false, Ordering::Release);
        let after = self.until_up(&before).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let pid = after.pid.unwrap_or_default();
        let from = shown(&before);
        Ok(format!("supervisor has restarted {} in {seconds:.2} s: it was {from}, now pid {pid}", self.name))
    }

    /// Returns when it is no longer up.
    async fn stop(&self) -> Result<(), Setback> {
        self.stopped_by_us.store(true, Ordering::Release);
        match self.supervisor.stop(&self.name).await {
            // It fell meanwhile.
            Ok(()) | Err(Trouble::Fault(NOT_RUNNING, _)) => {}
            Err(trouble) => {
                self.stopped_by_us.store(false, Ordering::Release);
                let why = trouble.into_failure().detail;
                return Err(Setback::Failed(format!("the program {} was not stopped: {why}", self.name)));
            }
        }
        while self.info().await?.state == State::Stopping {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn until_up(&self, before: &Info) -> Result<Info, Setback> {
        let failed = |info: &Info, what: &str| {
            let trouble = if info.trouble.is_empty() { String::new() } else { format!(": {}", info.trouble) };
            let words = format!("the program {} was started, and {what}: it is {}{trouble}", self.name, shown(info));
            Err(Setback::Failed(words))
        };
        loop {
            let info = self.info().await?;
            match info.state {
                State::Running if info.pid.is_some() && info.pid != before.pid => return Ok(info),
                State::Running | State::Starting => {}
                State::Backoff => return failed(&info, "has ended too soon; supervisor tries again"),
                State::Exited | State::Fatal | State::Unknown => return failed(&info, "has ended"),
                State::Stopped | State::Stopping => return failed(&info, "somebody has stopped it"),
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// What to do with a program as it is, in words. Pure.
fn decide(name: &str, info: &Info, may_be_stopped: bool) -> Result<String, Setback> {
    let would = format!("have supervisor restart the program {name}, which is {}", shown(info));
    match info.state {
        State::Running | State::Exited | State::Fatal => Ok(would),
        State::Stopped if may_be_stopped => Ok(would),
        State::Stopped => Err(Setback::Busy(format!("the program {name} is STOPPED: {START_STOPPED}"))),
        State::Starting | State::Stopping => Err(Setback::Busy(format!("the program {name} is {}", info.state))),
        State::Backoff => Err(Setback::Busy(format!("supervisor is starting the program {name} again by itself"))),
        State::Unknown => {
            Err(Setback::Failed(format!("supervisor does not know how the program {name} is, and starts it no more")))
        }
    }
}

fn shown(info: &Info) -> String {
    match (info.state, info.pid) {
        (State::Fatal, _) => "FATAL, given up by supervisor".into(),
        (State::Exited | State::Backoff, _) => format!("{} with exit status {}", info.state, info.exit_status),
        (state, Some(pid)) => format!("{state}, pid {pid}"),
        (state, None) => state.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(state: State) -> Info {
        Info { state, pid: None, exit_status: 0, trouble: String::new(), started: 0 }
    }

    #[test]
    fn what_supervisor_does_itself_and_what_a_person_has_stopped_is_left_alone() {
        for state in [State::Running, State::Exited, State::Fatal] {
            assert!(decide("web", &info(state), false).is_ok(), "{state}");
        }
        for state in [State::Starting, State::Stopping, State::Backoff] {
            for may in [false, true] {
                assert!(matches!(decide("web", &info(state), may), Err(Setback::Busy(_))), "{state}");
            }
        }
        let stopped = decide("web", &info(State::Stopped), false);
        assert!(matches!(&stopped, Err(Setback::Busy(said)) if said.contains("start_stopped: true")), "{stopped:?}");
        assert!(decide("web", &info(State::Stopped), true).is_ok());
        assert!(matches!(decide("web", &info(State::Unknown), true), Err(Setback::Failed(_))));
    }
}
