//! What changed between two looks: CPU time spent, instances come and gone. Pure; the caller hands in what was seen.

use super::find::{Found, Identity};
use std::collections::HashMap;

/// Remembers the instances of the last look.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// Since when we watch, in clock ticks since the boot.
    since: Option<u64>,
    /// CPU time of each instance, in clock ticks.
    known: HashMap<Identity, u64>,
    /// Instances that went away and whose place nobody has taken.
    owed: u64,
    gone: Option<Gone>,
}

/// Who went away last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gone {
    /// Their pids, a few of them.
    pub(super) pids: Vec<i32>,
    /// How many they were.
    pub(super) count: usize,
    /// When that was noticed, in seconds since the Unix epoch.
    pub(super) noticed_at: f64,
}

/// What happened since the last look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// CPU time that was spent, in clock ticks.
    pub(super) cpu_ticks: u64,
    /// Instances that took the place of another.
    pub(super) restarts: u64,
}

/// A message names no more pids than this.
const MAX_NAMED: usize = 5;

impl Tracker {
    /// Takes in a look. `uptime` is when it was, in clock ticks since the boot; `now` in seconds since the epoch.
    pub(super) fn step(&mut self, found: &[Found], uptime: u64, now: f64) -> Changes {
        let first = self.since.is_none();
        let since = *self.since.get_or_insert(uptime);
        let mut changes = Changes { cpu_ticks: 0, restarts: 0 };
        let mut arrived: u64 = 0;
        for instance in found {
            if let Some(before) = self.known.remove(&instance.id) {
                changes.cpu_ticks += instance.cpu_ticks.saturating_sub(before);
                continue;
            }
            arrived += 1;
            // What an older process spent before we saw it was not spent on our watch.
            if !first && instance.id.start >= since {
                changes.cpu_ticks += instance.cpu_ticks;
            }
        }
        // Who was known and not found again has left.
        if !self.known.is_empty() {
            let count = self.known.len();
            let pids = self.known.keys().map(|id| id.pid).take(MAX_NAMED).collect();
            self.gone = Some(Gone { pids, count, noticed_at: now });
            self.owed = self.owed.saturating_add(count as u64);
        }
        changes.restarts = arrived.min(self.owed);
        self.owed -= changes.restarts;
        if self.owed == 0 {
            self.gone = None;
        }
        self.known = found.iter().map(|found| (found.id, found.cpu_ticks)).collect();
        changes
    }

    /// Who went away and was not replaced.
    pub(super) fn gone(&self) -> Option<&Gone> {
        self.gone.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pid: i32, start: u64, cpu_ticks: u64) -> Found {
        Found { id: Identity { pid, start }, cpu_ticks, threads: 1, resident_pages: 1, open_fds: None, pidfd: None }
    }

    /// Looks of (pid, start, CPU) at uptime 1000, 1100, …; expects (CPU, restarts) of each.
    fn check(looks: &[&[(i32, u64, u64)]], expected: &[(u64, u64)]) -> Tracker {
        let mut tracker = Tracker::default();
        for (index, (look, (cpu_ticks, restarts))) in looks.iter().zip(expected).enumerate() {
            let found: Vec<_> = look.iter().map(|(pid, start, cpu)| found(*pid, *start, *cpu)).collect();
            let changes = tracker.step(&found, 1000 + 100 * index as u64, index as f64);
            assert_eq!(changes, Changes { cpu_ticks: *cpu_ticks, restarts: *restarts }, "look {index}");
        }
        tracker
    }

    #[test]
    fn cpu_time_spent_before_the_watch_does_not_count_and_that_of_a_newcomer_counts_whole() {
        check(
            &[&[(1, 500, 70)], &[(1, 500, 80)], &[(1, 500, 80), (2, 1150, 9)], &[(1, 500, 80), (2, 1150, 11)]],
            &[(0, 0), (10, 0), (9, 0), (2, 0)],
        );
    }

    #[test]
    fn an_old_process_that_matches_only_now_adds_nothing_at_first() {
        check(&[&[], &[(3, 400, 1000)], &[(3, 400, 1001)]], &[(0, 0), (0, 0), (1, 0)]);
    }

    #[test]
    fn a_replacement_is_a_restart_at_once_or_later_and_a_first_start_is_none() {
        let tracker = check(
            &[&[], &[(1, 1050, 0)], &[(2, 1150, 0)], &[], &[(3, 1350, 0)]],
            &[(0, 0), (0, 0), (0, 1), (0, 0), (0, 1)],
        );
        assert_eq!(tracker.gone(), None);
    }

    #[test]
    fn a_pid_given_to_another_process_is_a_restart_and_its_cpu_time_does_not_run_backwards() {
        check(&[&[(1, 500, 70)], &[(1, 1050, 3)]], &[(0, 0), (3, 1)]);
    }

    #[test]
    fn of_several_instances_one_more_is_no_restart_and_one_replaced_is() {
        check(
            &[&[(1, 1, 0), (2, 2, 0)], &[(1, 1, 0), (2, 2, 0), (3, 1050, 0)], &[(1, 1, 0), (2, 2, 0), (4, 1150, 0)]],
            &[(0, 0), (0, 0), (0, 1)],
        );
    }

    #[test]
    fn who_went_away_is_remembered_until_replaced() {
        let tracker = check(&[&[(7, 1, 0)], &[], &[]], &[(0, 0), (0, 0), (0, 0)]);
        assert_eq!(tracker.gone(), Some(&Gone { pids: vec![7], count: 1, noticed_at: 1.0 }));
    }
}
