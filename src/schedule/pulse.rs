//! Whether Banken itself was held up: a beat every 100 ms, and how late the beats came.
//!
//! A process that was stopped, swapped out or starved of CPU sees timeouts everywhere. They are its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Between two beats.
const PERIOD: Duration = Duration::from_millis(100);

/// A beat that is later than this is a stall: far above what a busy machine's scheduler costs, far below any timeout.
const STALL: Duration = Duration::from_millis(400);

/// The beats of this process.
#[derive(Debug)]
pub struct Pulse {
    anchor: Instant,
    /// When the latest beat was, in milliseconds since the anchor.
    last_beat: AtomicU64,
    /// When the latest stall ended, in milliseconds since the anchor; 0 if there was none.
    stall_ended: AtomicU64,
    /// How long it was, in milliseconds.
    stall_length: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            anchor: Instant::now(),
            last_beat: AtomicU64::new(0),
            stall_ended: AtomicU64::new(0),
            stall_length: AtomicU64::new(0),
        }
    }
}

impl Pulse {
    /// Beats until it is dropped.
    pub async fn beat(&self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.beat_at(Instant::now());
        }
    }

    fn beat_at(&self, now: Instant) {
        let now = self.millis(now);
        let late = now.saturating_sub(self.last_beat.swap(now, Ordering::AcqRel));
        if late >= (PERIOD + STALL).as_millis() as u64 {
            self.stall_length.store(late, Ordering::Release);
            self.stall_ended.store(now, Ordering::Release);
        }
    }

    /// The stall that fell into the time from `started` to `now`, if one did: also one whose beat is still due.
    pub fn stall_between(&self, started: Instant, now: Instant) -> Option<Duration> {
        let silence = self.millis(now).saturating_sub(self.last_beat.load(Ordering::Acquire));
        if silence >= (PERIOD + STALL).as_millis() as u64 {
            return Some(Duration::from_millis(silence));
        }
        let ended = self.stall_ended.load(Ordering::Acquire);
        (ended > 0 && ended >= self.millis(started))
            .then(|| Duration::from_millis(self.stall_length.load(Ordering::Acquire)))
    }

    fn millis(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.anchor).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pulse: &Pulse, millis: u64) -> Instant {
        pulse.anchor + Duration::from_millis(millis)
    }

    #[test]
    fn only_a_run_that_a_stall_fell_into_is_marked() {
        let pulse = Pulse::default();
        for beat in [100, 200, 305] {
            pulse.beat_at(at(&pulse, beat));
        }
        assert_eq!(pulse.stall_between(at(&pulse, 0), at(&pulse, 350)), None);
        pulse.beat_at(at(&pulse, 2305));
        assert_eq!(pulse.stall_between(at(&pulse, 300), at(&pulse, 2310)), Some(Duration::from_secs(2)));
        pulse.beat_at(at(&pulse, 2405));
        assert_eq!(pulse.stall_between(at(&pulse, 2400), at(&pulse, 2450)), None);
    }

    #[test]
    fn a_stall_is_seen_before_its_late_beat() {
        let pulse = Pulse::default();
        pulse.beat_at(at(&pulse, 100));
        assert!(pulse.stall_between(at(&pulse, 90), at(&pulse, 5000)).is_some());
    }
}
