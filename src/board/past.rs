//! What of a probe survives a restart: its history, its last failures, its changes of state.

use super::Descriptor;
use super::history::{History, Packed, Packer};
use super::record::{Change, FailedRun, Record};
use crate::health::Status;
use crate::observation::{Failure, Phase, Reason};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The past of a probe as it is saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// Whose past it is.
    pub name: String,
    /// Of which kind that was: another kind has another past.
    pub kind: String,
    history: Packed,
    failures: Vec<SavedFailure>,
    changes: Vec<SavedChange>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SavedFailure {
    at: f64,
    seconds: f64,
    reason: String,
    detail: String,
    phases: Vec<(String, f64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SavedChange {
    at: f64,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<(String, String)>,
}

/// A copy of what is to be saved, so that nobody waits while it is packed.
pub(super) struct Memory {
    history: History,
    failures: VecDeque<FailedRun>,
    changes: VecDeque<Change>,
}

impl Memory {
    pub(super) fn of(record: &Record) -> Self {
        let Record { history, recent_failures, changes, .. } = record;
        Self { history: history.clone(), failures: recent_failures.clone(), changes: changes.clone() }
    }
}

impl Past {
    pub(super) fn of(descriptor: &Descriptor, memory: &Memory, packer: &mut Packer) -> Self {
        Self {
            name: descriptor.name.clone(),
            kind: descriptor.kind.to_owned(),
            history: packer.pack(&memory.history),
            failures: memory.failures.iter().map(SavedFailure::of).collect(),
            changes: memory.changes.iter().map(SavedChange::of).collect(),
        }
    }

    /// What can be understood of it; another version may have other words.
    pub(super) fn restore(&self, record: &mut Record, packer: &mut Packer) {
        record.history = packer.unpack(&self.history).unwrap_or_default();
        record.recent_failures = self.failures.iter().filter_map(SavedFailure::restore).collect();
        record.changes = self.changes.iter().filter_map(SavedChange::restore).collect();
        record.bound();
    }
}

impl SavedFailure {
    fn of(run: &FailedRun) -> Self {
        Self {
            at: run.started_at,
            seconds: run.duration.as_secs_f64(),
            reason: run.failure.reason.as_str().to_owned(),
            detail: run.failure.detail.clone(),
            phases: run.phases.iter().map(|(phase, time)| (phase.as_str().to_owned(), time.as_secs_f64())).collect(),
        }
    }

    fn restore(&self) -> Option<FailedRun> {
        let phase = |word: &str| Phase::ALL.into_iter().find(|phase| phase.as_str() == word);
        let phases = self.phases.iter().filter_map(|(word, time)| Some((phase(word)?, duration(*time))));
        Some(FailedRun {
            started_at: self.at,
            duration: duration(self.seconds),
            failure: failure(&self.reason, &self.detail)?,
            phases: phases.collect(),
        })
    }
}

impl SavedChange {
    fn of(change: &Change) -> Self {
        let failure = change.failure.as_ref();
        Self {
            at: change.at,
            from: change.from.as_str().to_owned(),
            to: change.to.as_str().to_owned(),
            failure: failure.map(|failure| (failure.reason.as_str().to_owned(), failure.detail.clone())),
        }
    }

    fn restore(&self) -> Option<Change> {
        let status = |word: &str| Status::ALL.into_iter().find(|status| status.as_str() == word);
        let told = self.failure.as_ref().and_then(|(reason, detail)| failure(reason, detail));
        Some(Change { at: self.at, from: status(&self.from)?, to: status(&self.to)?, failure: told })
    }
}

fn failure(reason: &str, detail: &str) -> Option<Failure> {
    let reason = Reason::ALL.into_iter().find(|known| known.as_str() == reason)?;
    Some(Failure::new(reason, detail))
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
