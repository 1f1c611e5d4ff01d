//! How long blocking work may go on: until its time is over, or until nobody waits for it any more.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Asked by blocking work between its steps. Clones are one.
#[derive(Debug, Clone)]
pub struct Until(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deadline: Instant,
    dropped: Mutex<bool>,
    bell: Condvar,
}

/// Held by whoever waits for the work: once it is dropped, the work is over.
#[derive(Debug)]
pub struct Waiting(Until);

impl Until {
    /// From now on for so long.
    pub fn after(limit: Duration) -> (Self, Waiting) {
        let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
        let until = Self(Arc::new(Inner { deadline, dropped: Mutex::new(false), bell: Condvar::new() }));
        (until.clone(), Waiting(until))
    }

    /// Whether the work should come to its end now.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.0.deadline || *self.0.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits on a thread for blocking work, until then at most. Whether the work may go on.
    pub fn pause(&self, length: Duration) -> bool {
        let left = self.0.deadline.saturating_duration_since(Instant::now());
        let dropped = self.0.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.bell.wait_timeout_while(dropped, length.min(left), |dropped| !*dropped);
        drop(waited);
        !self.is_over()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let inner = &self.0.0;
        *inner.dropped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        inner.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_over_with_its_time_or_with_whoever_waits() {
        let (until, waiting) = Until::after(Duration::from_secs(3600));
        assert!(!until.is_over());
        assert!(until.pause(Duration::from_millis(1)));
        let worker = std::thread::spawn({
            let until = until.clone();
            move || until.pause(Duration::from_secs(3600))
        });
        drop(waiting);
        assert!(!worker.join().unwrap(), "who sleeps is woken");
        assert!(until.is_over());
        let (until, _waiting) = Until::after(Duration::ZERO);
        assert!(until.is_over() && !until.pause(Duration::from_secs(3600)));
    }
}
