//! What Banken says about itself: its schedule, its configuration, its scrapes.

use super::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the schedule's histograms, in seconds: from a timer's grain to a stall.
pub const SCHEDULE_BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The outcome of the latest attempt to load a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reload {
    /// Whether it was taken over.
    pub successful: bool,
    /// When a configuration was last taken over, in seconds since the Unix epoch.
    pub last_success_at: f64,
}

/// How keeping state on disk went.
#[derive(Debug, Default)]
pub struct Saves {
    saved: AtomicU64,
    failed: AtomicU64,
    damaged: AtomicU64,
}

impl Saves {
    /// A value was saved, or could not be.
    pub fn count(&self, saved: bool) {
        if saved { &self.saved } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }

    /// A saved value was found damaged.
    pub fn count_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Values saved.
    pub fn saved(&self) -> u64 {
        self.saved.load(Ordering::Relaxed)
    }

    /// Values that could not be saved.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Saved values that were found damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }
}

/// Facts about Banken itself.
#[derive(Debug)]
pub struct Own {
    lag: Mutex<Histogram>,
    permit_wait: Mutex<Histogram>,
    missed: AtomicU64,
    reload: Mutex<Reload>,
    scrape: Mutex<Option<Duration>>,
    /// How keeping state on disk went.
    pub saves: Arc<Saves>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            lag: Mutex::new(Histogram::new(SCHEDULE_BOUNDS)),
            permit_wait: Mutex::new(Histogram::new(SCHEDULE_BOUNDS)),
            missed: AtomicU64::new(0),
            reload: Mutex::new(Reload { successful: true, last_success_at: 0.0 }),
            scrape: Mutex::new(None),
            saves: Arc::default(),
        }
    }
}

impl Own {
    /// A run began this long after it was due.
    pub fn observe_lag(&self, lag: Duration) {
        locked(&self.lag).observe(lag.as_secs_f64());
    }

    /// A run waited this long for its permit.
    pub fn observe_permit_wait(&self, wait: Duration) {
        locked(&self.permit_wait).observe(wait.as_secs_f64());
    }

    /// So many runs were due and were skipped because the one before was not done.
    pub fn add_missed(&self, ticks: u64) {
        self.missed.fetch_add(ticks, Ordering::Relaxed);
    }

    /// A configuration was taken over, or refused.
    pub fn set_reload(&self, successful: bool, now: f64) {
        let mut reload = locked(&self.reload);
        reload.successful = successful;
        if successful {
            reload.last_success_at = now;
        }
    }

    /// A scrape was answered after this time.
    pub fn set_scrape_duration(&self, duration: Duration) {
        *locked(&self.scrape) = Some(duration);
    }

    /// How late runs began.
    pub fn lag(&self) -> Histogram {
        locked(&self.lag).clone()
    }

    /// How long runs waited for their permit.
    pub fn permit_wait(&self) -> Histogram {
        locked(&self.permit_wait).clone()
    }

    /// Runs that were due and skipped.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The latest attempt to load a configuration.
    pub fn reload(&self) -> Reload {
        *locked(&self.reload)
    }

    /// How long the latest scrape took; none before the first.
    pub fn scrape_duration(&self) -> Option<Duration> {
        *locked(&self.scrape)
    }
}

/// A panic elsewhere does not make these numbers wrong.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
