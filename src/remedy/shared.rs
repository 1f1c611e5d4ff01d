//! What all remedies of a host share.

use super::clock::Clock;
use super::journal::{Entry, Journal};
use super::policy::{HOST_ACTIONS, HOST_WITHIN, Moment};
use super::switches::Switches;
use super::webhook::Inbox;
use crate::board::{Board, ProbeCell};
use crate::state::Store;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::spawn_blocking;

/// What all remedies of a host share.
pub struct Shared {
    /// Where everything that is looked at stands.
    pub board: Arc<Board>,
    /// Moments.
    pub clock: Clock,
    /// Where a walk survives a restart; without it nothing acts.
    pub store: Option<Store>,
    /// What people switch.
    pub switches: Arc<Switches>,
    /// Alerts that were received.
    pub alerts: Arc<Inbox>,
    journal: Arc<Mutex<Journal>>,
    /// When each remedy acted, also one that is gone by now.
    acted: Mutex<BTreeMap<String, VecDeque<Moment>>>,
    claims: Mutex<BTreeMap<String, Claim>>,
    /// The probes of each remedy that is there for all of them being down at once.
    togethers: Mutex<BTreeMap<String, Vec<String>>>,
}

/// What a remedy is at work on: nobody else interrupts it until then.
struct Claim {
    subject: String,
    until: Moment,
}

impl Shared {
    /// Puts it together.
    pub fn new(
        board: Arc<Board>,
        store: Option<Store>,
        switches: Arc<Switches>,
        alerts: Arc<Inbox>,
        journal: Journal,
    ) -> Self {
        Self {
            board,
            clock: Clock::start(),
            store,
            switches,
            alerts,
            journal: Arc::new(Mutex::new(journal)),
            acted: Mutex::default(),
            claims: Mutex::default(),
            togethers: Mutex::default(),
        }
    }

    /// Writes an entry into the journal. When this returns, it is on disk.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn write(&self, entry: Entry) -> std::io::Result<()> {
        if self.store.is_none() {
            return Err(std::io::Error::other("there is no folder for the state"));
        }
        let journal = Arc::clone(&self.journal);
        let writing =
            spawn_blocking(move || journal.lock().unwrap_or_else(PoisonError::into_inner).write(&entry)).await;
        writing.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// Says when a remedy acted.
    pub fn set_acted(&self, remedy: &str, acted: &VecDeque<Moment>) {
        self.acted.lock().unwrap_or_else(PoisonError::into_inner).insert(remedy.to_owned(), acted.clone());
    }

    /// Takes one of the actions that this host may see within an hour, unless they are spent: many remedies may want to act
    /// at once. Until [`Shared::set_acted`] says how it was.
    pub fn reserve(&self, remedy: &str, now: Moment) -> bool {
        let mut acted = self.acted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = recent(&acted, now) < HOST_ACTIONS;
        if is_left {
            acted.entry(remedy.to_owned()).or_default().push_back(now);
        }
        is_left
    }

    /// Takes what a step interrupts for a remedy until `until`, unless another one has interrupted the very same and gives it
    /// the time to start: several remedies may watch one service by several probes.
    pub fn claim(&self, remedy: &str, subject: &str, now: Moment, until: Moment) -> bool {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|_, claim| claim.until > now);
        let is_free = !claims.iter().any(|(other, claim)| other != remedy && claim.subject == subject);
        if is_free {
            claims.insert(remedy.to_owned(), Claim { subject: subject.to_owned(), until });
        }
        is_free
    }

    /// Says that a remedy is there for all of these probes being down at once; of none, that it is gone.
    pub fn set_together(&self, remedy: &str, probes: &[String]) {
        let mut togethers = self.togethers.lock().unwrap_or_else(PoisonError::into_inner);
        if probes.is_empty() {
            togethers.remove(remedy);
        } else {
            togethers.insert(remedy.to_owned(), probes.to_vec());
        }
    }

    /// Whether one of these probes is a part of what another remedy is there for, and all of that fails: then it is not for
    /// the remedy of a part to act.
    pub fn is_of_a_whole(&self, probes: &[String]) -> bool {
        let fails =
            |name: &String| self.board.probe(name).is_some_and(|cell| cell.read(|record| record.state.is_failing()));
        let togethers = self.togethers.lock().unwrap_or_else(PoisonError::into_inner);
        togethers.values().any(|whole| probes.iter().any(|probe| whole.contains(probe)) && whole.iter().all(fails))
    }

    /// Whether all remedies together have acted often enough.
    pub fn host_breaker(&self, now: Moment) -> bool {
        recent(&self.acted.lock().unwrap_or_else(PoisonError::into_inner), now) >= HOST_ACTIONS
    }
}

fn recent(acted: &BTreeMap<String, VecDeque<Moment>>, now: Moment) -> usize {
    acted.values().flatten().filter(|moment| **moment + HOST_WITHIN > now).count()
}

/// Whether two or more probes, and over half of all, are unhealthy by themselves: then the cause is none of them.
pub fn is_shared_cause(board: &Board) -> bool {
    let probes = board.probes();
    let by_itself =
        |cell: &&Arc<ProbeCell>| cell.read(|record| record.state.is_unhealthy()) && board.causes(cell).is_empty();
    let unhealthy = probes.iter().filter(by_itself).count();
    unhealthy >= 2 && 2 * unhealthy > probes.len()
}

/// Whether over half of all probes cannot tell because of Banken's own fault: then the others are hardly better.
pub fn is_own_fault(board: &Board) -> bool {
    let probes = board.probes();
    let blind = probes.iter().filter(|cell| cell.read(|record| record.own_fault.is_some())).count();
    blind > 0 && 2 * blind > probes.len()
}
