//! Blocking work of one action: one piece at a time, and none that nobody waits for.

use crate::machine::until::Until;
use crate::remedy::action::Setback;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// Where an action does its blocking work.
#[derive(Debug)]
pub struct Bench {
    limit: Duration,
    busy: Arc<AtomicBool>,
}

/// Says that the bench is free again, also when the work panics.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Bench {
    /// For an action with this timeout. The work is told to end a little before it (55 s of a minute), so that what was
    /// done can still be said.
    pub fn new(timeout: Duration) -> Self {
        Self { limit: timeout * 11 / 12, busy: Arc::default() }
    }

    /// Does the work on a thread for blocking work. When this is dropped, the work is told to end.
    ///
    /// # Errors
    /// Those of the work; and when a former piece is still at work, because its file system does not answer.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Until) -> Result<T, Setback> + Send + 'static,
    ) -> Result<T, Setback> {
        if self.busy.swap(true, Ordering::AcqRel) {
            let words = "what was begun the last time still hangs, as on a file system that does not answer; nothing was touched";
            return Err(Setback::Failed(words.into()));
        }
        let busy = Busy(Arc::clone(&self.busy));
        let (until, waiting) = Until::after(self.limit);
        let done = spawn_blocking(move || {
            let _busy = busy;
            work(&until)
        })
        .await;
        drop(waiting);
        done.map_err(|error| Setback::Failed(format!("the work broke off: {error}")))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn work_ends_when_it_is_dropped_and_two_pieces_never_run_at_once() {
        let bench = Bench::new(Duration::from_secs(3600));
        {
            let hang = bench.work(|until| {
                while until.pause(Duration::from_secs(3600)) {}
                Ok(())
            });
            tokio::pin!(hang);
            assert!(tokio::time::timeout(Duration::from_millis(50), &mut hang).await.is_err());
            assert!(bench.work(|_| Ok(())).await.is_err(), "two pieces at once");
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        // The dropped work may need a moment to see it; until then nobody else gets the bench.
        while let Err(setback) = bench.work(|_| Ok(())).await {
            assert!(setback.to_string().contains("nothing was touched"), "{setback}");
            assert!(Instant::now() < deadline, "the dropped work goes on");
            tokio::task::yield_now().await;
        }
        let broken = bench.work::<()>(|_| panic!("on purpose")).await.unwrap_err();
        assert!(broken.to_string().starts_with("the work broke off"), "{broken}");
        assert_eq!(bench.work(|_| Ok(7)).await, Ok(7));
    }
}
