//! Pure: when the next success is expected, and whether it is late. No clock, no I/O.
//!
//! Everything follows from one instant, from which time is counted: the end of the last success, or when this schedule
//! was first seen if that is later. With `every` a success is expected one period after it, with `cron` at the first
//! instant of the schedule after it; the job is late when the grace has passed as well.
//!
//! - A failed run satisfies nothing.
//! - A run that began in time is waited for, for one period from its beginning: one grace is not for both starting late
//!   and running long.
//! - A success shortly before an instant of cron is that instant's own, because the clock of the job's host may be ahead
//!   of ours.
//! - Our own absence is not the job's lateness. If a success was expected while Banken was away, or so near to it that the
//!   report may have been lost, and the job was not late before, then time is counted from our return. This is
//!   done once: the next time only after another success, so that restarts do not put off a daily job for ever.
//! - A clock that is put back must not leave the job waiting for an instant in a far future: what would be counted from
//!   an instant that is yet to come is counted from now.

use super::cron::Cron;
use crate::board::RunningRun;

/// How far the clock of the job's host may be ahead of ours.
pub const CLOCK_TOLERANCE: f64 = 30.0;

/// When a job should run.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// So many seconds after the last success.
    Every(f64),
    /// At certain times.
    Cron(Cron),
}

/// When a job should run, and for how long its success is waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// When it should run.
    pub schedule: Schedule,
    /// For how long a success is waited for, in seconds.
    pub grace: f64,
}

/// The next success that is expected; all instants in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// When it is expected.
    pub at: f64,
    /// Until when it is waited for.
    pub due: f64,
    /// How long after it the one after it is expected, in seconds.
    pub period: f64,
}

/// A time in which Banken heard nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Absence {
    /// When the job was last saved. That it is late is saved when it becomes so: until our end it was as it is saved.
    pub from: f64,
    /// Since when it listens again.
    pub until: f64,
}

impl Rule {
    /// The success that is expected if time is counted from here; none if the schedule has come to its end.
    pub fn expectation(&self, counted_from: f64) -> Option<Expectation> {
        let (at, period) = match &self.schedule {
            Schedule::Every(period) => (counted_from + period, *period),
            Schedule::Cron(cron) => {
                let at = cron.next(counted_from)?;
                (at, cron.next(at)? - at)
            }
        };
        Some(Expectation { at, due: at + self.grace, period })
    }

    /// From where time is counted after a success that ended here.
    pub fn counted_from_success(&self, ended_at: f64) -> f64 {
        let Some(next) = self.expectation(ended_at) else { return ended_at };
        let tolerance = CLOCK_TOLERANCE.min(self.grace).min(next.period / 10.0);
        match self.schedule {
            Schedule::Cron(_) if next.at - ended_at <= tolerance => next.at,
            _ => ended_at,
        }
    }

    /// Whether the report of the expected success may have been lost in an absence. A period does not end to the second,
    /// so with `every` a report may come before its time as well, by a grace, but never by more than half a period.
    pub fn may_be_lost(&self, expected: &Expectation, absence: Absence) -> bool {
        let early = match self.schedule {
            Schedule::Every(period) => self.grace.min(period / 2.0),
            Schedule::Cron(_) => 0.0,
        };
        absence.from < absence.until && expected.at - early <= absence.until
    }
}

impl Expectation {
    /// Whether it is late, given the runs that are under way.
    pub fn is_late(&self, running: &[RunningRun], now: f64) -> bool {
        let waited_for = |run: &RunningRun| run.started_at <= self.due && now - run.started_at < self.period;
        now > self.due && !running.iter().any(waited_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn every() -> Rule {
        Rule { schedule: Schedule::Every(300.0), grace: 60.0 }
    }

    /// Every five minutes by the clock.
    fn cron() -> Rule {
        Rule { schedule: Schedule::Cron(Cron::parse("*/5 * * * *", TimeZone::UTC).unwrap()), grace: 60.0 }
    }

    fn run(started_at: f64) -> RunningRun {
        RunningRun { id: String::new(), started_at }
    }

    #[test]
    fn a_period_is_counted_from_the_last_success_and_cron_from_its_next_instant() {
        assert_eq!(every().expectation(1010.0), Some(Expectation { at: 1310.0, due: 1370.0, period: 300.0 }));
        assert_eq!(cron().expectation(1010.0), Some(Expectation { at: 1200.0, due: 1260.0, period: 300.0 }));
        assert_eq!(cron().expectation(1200.0).map(|next| next.at), Some(1500.0));
    }

    #[test]
    fn it_is_late_only_after_the_grace() {
        let next = cron().expectation(1010.0).unwrap();
        assert!(!next.is_late(&[], 1260.0));
        assert!(next.is_late(&[], 1260.1));
    }

    #[test]
    fn a_run_that_began_in_time_is_waited_for_one_period_and_no_longer() {
        let next = cron().expectation(1010.0).unwrap();
        assert!(!next.is_late(&[run(1260.0)], 1559.9));
        assert!(next.is_late(&[run(1260.0)], 1560.0));
        // Begun too late, or so long ago that it should have ended: no excuse.
        assert!(next.is_late(&[run(1260.1)], 1261.0));
        assert!(next.is_late(&[run(900.0)], 1261.0));
        // One that is good enough among others.
        assert!(!next.is_late(&[run(900.0), run(1250.0), run(1270.0)], 1300.0));
    }

    #[test]
    fn a_success_just_before_an_instant_of_cron_is_that_instants_own() {
        let counted = |rule: Rule, ends: [f64; 3]| ends.map(|end| rule.counted_from_success(end) as u64);
        assert_eq!(counted(cron(), [1169.0, 1198.0, 1200.0]), [1169, 1200, 1200]);
        assert_eq!(counted(every(), [1169.0, 1198.0, 1200.0]), [1169, 1198, 1200]);
        let strict = Rule { grace: 1.0, ..cron() };
        assert_eq!(counted(strict, [1169.0, 1198.0, 1199.0]), [1169, 1198, 1200]);
    }

    #[test]
    fn what_was_expected_while_nobody_listened_may_be_lost() {
        let lost = |rule: Rule, from: f64, until: f64| {
            rule.may_be_lost(&rule.expectation(1010.0).unwrap(), Absence { from, until })
        };
        assert!(lost(cron(), 1100.0, 1230.0));
        assert!(lost(cron(), 1210.0, 5000.0));
        assert!(!lost(cron(), 1100.0, 1199.0), "its instant is yet to come");
        assert!(lost(every(), 1240.0, 1250.0), "a report may come a little early");
        assert!(!lost(every(), 1100.0, 1249.0));
        assert!(!lost(every(), 1400.0, 1390.0), "the clock was put back: there was no absence");
        let patient = Rule { grace: 9000.0, ..every() };
        assert!(!lost(patient, 1000.0, 1159.0), "a long grace does not make every restart an excuse");
    }
}
