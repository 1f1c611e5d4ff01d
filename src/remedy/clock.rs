//! Moments: the time since this host was started, which no change of its clock moves and which goes on over our restarts.

use super::policy::Moment;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokio::time::Instant;

/// Tells moments. Clones agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    base: Moment,
}

impl Clock {
    /// That of this host.
    pub fn start() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let base = Duration::new(time.tv_sec.max(0).cast_unsigned(), time.tv_nsec.max(0) as u32);
        Self { origin: Instant::now(), base }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// The moment of an instant.
    pub fn moment(&self, instant: Instant) -> Moment {
        match instant.checked_duration_since(self.origin) {
            Some(after) => self.base + after,
            None => self.base.saturating_sub(self.origin.duration_since(instant)),
        }
    }

    /// The moment of a time in seconds since the Unix epoch, as seen from `unix_now`.
    pub fn moment_at(&self, unix: f64, unix_now: f64) -> Moment {
        let ago = Duration::try_from_secs_f64((unix_now - unix).max(0.0)).unwrap_or(Duration::MAX);
        self.now().saturating_sub(ago)
    }
}

/// By which one start of this host is told from another; none where the kernel does not say.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}
