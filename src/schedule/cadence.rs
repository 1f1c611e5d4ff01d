//! The grid on which a probe's regular runs lie. Pure but for the instants it is given.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tokio::time::Instant;

/// Instants `anchor + phase + k × interval`, the phase being a hash of the name: probes of the same interval are spread
/// evenly, and a restart does not change who runs when.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    origin: Instant,
    interval: Duration,
    hash: u64,
}

impl Grid {
    /// The grid of a probe; `interval` must not be zero.
    pub fn new(anchor: Instant, interval: Duration, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let hash = hasher.finish();
        Self { origin: anchor + share(hash, interval), interval, hash }
    }

    /// The probe's share of a time over which all probes are spread, at most one interval.
    pub fn phase_within(&self, time: Duration) -> Duration {
        share(self.hash, time.min(self.interval))
    }

    /// The next regular run after `now`, and how many were due after `due` and are skipped.
    pub fn next(&self, due: Instant, now: Instant) -> (Instant, u64) {
        let last = self.ticks_until(now);
        let missed = last.saturating_sub(self.ticks_until(due));
        (self.origin + mul(self.interval, last), missed)
    }

    /// How many ticks lie at or before an instant; the first is at the origin.
    fn ticks_until(&self, instant: Instant) -> u64 {
        match instant.checked_duration_since(self.origin) {
            Some(elapsed) => (elapsed.as_nanos() / self.interval.as_nanos().max(1)) as u64 + 1,
            None => 0,
        }
    }
}

/// The part of `time` that a hash stands for.
fn share(hash: u64, time: Duration) -> Duration {
    let nanos = time.as_nanos().max(1);
    Duration::from_nanos((u128::from(hash) % nanos) as u64)
}

fn mul(interval: Duration, times: u64) -> Duration {
    Duration::from_nanos(u64::try_from(interval.as_nanos() * u128::from(times)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_long_run_skips_what_it_missed_and_does_not_make_it_up() {
        let anchor = Instant::now();
        let grid = Grid::new(anchor, SECOND, "x");
        let (first, missed) = grid.next(anchor, anchor);
        assert!(first > anchor && first <= anchor + SECOND);
        assert_eq!(missed, 0);
        let (second, missed) = grid.next(first, first + Duration::from_millis(20));
        assert_eq!((second, missed), (first + SECOND, 0));
        let (after, missed) = grid.next(second, second + Duration::from_millis(3500));
        assert_eq!((after, missed), (second + 4 * SECOND, 3));
    }

    #[test]
    fn a_thousand_names_spread_over_the_interval() {
        let anchor = Instant::now();
        let mut tenths = [0; 10];
        for number in 0..1000 {
            let grid = Grid::new(anchor, SECOND, &format!("probe-{number}"));
            let (first, _) = grid.next(anchor, anchor);
            tenths[(first.duration_since(anchor).as_nanos() * 10 / (SECOND.as_nanos() + 1)) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn the_next_run_is_after_now_and_within_one_interval(
            interval_ms in 10u64..100_000, due_ms in 0u64..1_000_000, late_ms in 0u64..1_000_000, name in "[a-z]{1,8}",
        ) {
            let anchor = Instant::now();
            let interval = Duration::from_millis(interval_ms);
            let grid = Grid::new(anchor, interval, &name);
            let due = anchor + Duration::from_millis(due_ms);
            let now = due + Duration::from_millis(late_ms);
            let (next, missed) = grid.next(due, now);
            prop_assert!(next > now || next == grid.origin);
            prop_assert!(next <= now + interval || next == grid.origin);
            prop_assert!(missed <= late_ms / interval_ms + 1);
        }
    }
}
