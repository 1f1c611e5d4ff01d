//! Tells a probe that something about its target has changed, however often that happens.

use futures_util::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A target that changes all the time is not looked at more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// Rung by whoever hears of a change; many rings are one.
#[derive(Debug)]
pub struct Bell {
    rung: Arc<Notify>,
    quiet_until: Instant,
}

impl Default for Bell {
    fn default() -> Self {
        Self { rung: Arc::default(), quiet_until: Instant::now() }
    }
}

impl Bell {
    /// By which it is rung.
    pub fn rope(&self) -> &Arc<Notify> {
        &self.rung
    }

    /// What has rung so far is answered by the look that begins now.
    pub fn answer(&mut self) {
        self.rung.notified().now_or_never();
        self.quiet_until = Instant::now() + SHORTEST;
    }

    /// Ends once it has been rung and enough time has passed since it was answered. Safe to drop: who is called away
    /// from waiting here begins to look.
    pub async fn rang(&self) {
        self.rung.notified().await;
        sleep_until(self.quiet_until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn many_rings_are_one_and_the_next_look_waits_a_second_after_the_last() {
        let mut bell = Bell::default();
        for _ in 0..5 {
            bell.rope().notify_one();
        }
        let begun = Instant::now();
        bell.rang().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "the first ring is heard at once");
        bell.answer();
        bell.rope().notify_one();
        bell.rang().await;
        assert_eq!(begun.elapsed(), SHORTEST);
        assert!(timeout(SHORTEST, bell.rang()).await.is_err(), "nobody has rung again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_rang_before_a_look_does_not_ask_for_another() {
        let mut bell = Bell::default();
        bell.rope().notify_one();
        bell.answer();
        assert!(timeout(10 * SHORTEST, bell.rang()).await.is_err());
    }
}
