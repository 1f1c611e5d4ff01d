//! What a server must be, beside answering.

use super::info::Info;
use crate::observation::{Failure, Reason};
use crate::values::{Invalid, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// The part that a server plays in replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes writes.
    Master,
    /// It follows a master.
    Replica,
}

/// The block `expect:`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The part that it must play in replication: `master` or `replica`.
    pub role: Option<Role>,
    /// `true`: it must be a replica that is connected to its master.
    pub link_up: bool,
    /// At least so many replicas must be connected and in step.
    pub min_replicas: u32,
    /// `true`: its last save must have succeeded, and its last write to the append-only file if it writes one.
    pub saved: bool,
    /// Its last successful save must not be older.
    pub max_save_age: Option<Period>,
}

impl Expect {
    pub(super) fn check(&self, invalid: &mut Vec<Invalid>) {
        if self.link_up && self.role == Some(Role::Master) {
            let message = "a master has no link to a master: remove link_up, or expect role: replica";
            invalid.push(Invalid::new("expect.link_up", message));
        }
        if self.max_save_age.is_some_and(|age| age.0 < Duration::from_secs(1)) {
            let message = "it is shorter than the second in which a server tells times: at least 1s";
            invalid.push(Invalid::new("expect.max_save_age", message));
        }
    }

    /// Whether anything is expected that only INFO says.
    pub(super) fn needs_info(&self) -> bool {
        *self != Self::default()
    }

    /// Of several things that are wrong the first gives the reason; the detail names all of them.
    pub(super) fn judge(&self, info: &Info<'_>) -> Result<(), Failure> {
        let wrong = [self.judge_role(info), self.judge_link(info), self.judge_replicas(info), self.judge_save(info)];
        let mut wrong = wrong.into_iter().flatten().chain(self.judge_age(info));
        let Some((reason, mut detail)) = wrong.next() else { return Ok(()) };
        for (_, other) in wrong {
            detail.push_str("; ");
            detail.push_str(&other);
        }
        Err(Failure::new(reason, detail))
    }

    fn judge_role(&self, info: &Info<'_>) -> Option<(Reason, String)> {
        let role = self.role?;
        let is_replica = info.is_replica();
        if is_replica == Some(role == Role::Replica) {
            return None;
        }
        let word = |is_replica| if is_replica { "a replica" } else { "a master" };
        let found = is_replica.map_or("of no known role", word);
        Some((Reason::Status, format!("it is {found}, and {} was expected", word(role == Role::Replica))))
    }

    fn judge_link(&self, info: &Info<'_>) -> Option<(Reason, String)> {
        if !self.link_up || info.link_up() == Some(true) {
            return None;
        }
        let what = match (info.link_up(), info.silence_of_master()) {
            (None, _) => "it has no link to a master".to_owned(),
            (_, Some(seconds)) => format!("its link to its master has been down for {seconds} s"),
            (_, None) => "its link to its master is down and was never up".to_owned(),
        };
        Some((Reason::Status, what))
    }

    fn judge_replicas(&self, info: &Info<'_>) -> Option<(Reason, String)> {
        let online = info.replicas_online().unwrap_or(0);
        let detail = || format!("{online} replicas are connected and in step, at least {} must be", self.min_replicas);
        (online < self.min_replicas as usize).then(|| (Reason::Missing, detail()))
    }

    fn judge_save(&self, info: &Info<'_>) -> Option<(Reason, String)> {
        if !self.saved {
            return None;
        }
        let what = match (info.last_save(), info.last_append()) {
            (Some(false), _) => "its last save failed: see its log for the cause",
            (_, Some(false)) => "its last write to the append-only file failed: see its log for the cause",
            (None, _) => "it does not say whether its last save succeeded",
            _ => return None,
        };
        Some((Reason::Status, what.to_owned()))
    }

    fn judge_age(&self, info: &Info<'_>) -> Option<(Reason, String)> {
        let most = self.max_save_age?.0;
        let Some(age) = info.save_age() else {
            return Some((Reason::Status, "it does not say when it last saved".to_owned()));
        };
        let detail = || {
            let shown = humantime::format_duration(Duration::from_secs(age as u64)).to_string();
            format!("its last successful save is {shown} old, at most {} is allowed", humantime::format_duration(most))
        };
        (age > most.as_secs_f64()).then(|| (Reason::Stale, detail()))
    }
}
