//! Blocking work beside the tasks: what hangs (a dead mount) holds up one thread, and not Banken.

use crate::observation::{Failure, Reason};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// Does blocking work of one owner, one piece at a time: work that a timeout left behind is waited for before the next
/// piece begins, so that at most one thread of this owner hangs.
#[derive(Debug)]
pub struct Aside {
    what: &'static str,
    running: Option<JoinHandle<()>>,
}

impl Aside {
    /// Nothing runs yet. `what` names the work where it breaks: "the look at /proc".
    pub fn new(what: &'static str) -> Self {
        Self { what, running: None }
    }

    /// Does the work on a thread for blocking work. It may be dropped at any time; the work then goes on to its end,
    /// and its result is lost, because it would be old by the time that somebody asks again.
    ///
    /// # Errors
    /// [`Reason::Local`] when the work panicked.
    pub async fn run<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        if let Some(leftover) = &mut self.running {
            let _ = leftover.await;
            self.running = None;
        }
        let (sender, result) = oneshot::channel();
        let running = self.running.insert(spawn_blocking(move || {
            // Whoever asked may have gone.
            let _ = sender.send(work());
        }));
        let ended = running.await;
        self.running = None;
        let broken = |why: String| Failure::new(Reason::Local, format!("{} broke: {why}", self.what));
        ended.map_err(|error| broken(error.to_string()))?;
        result.await.map_err(|error| broken(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn work_that_hangs_holds_one_thread_however_often_it_is_asked_for() {
        let begun = Arc::new(AtomicUsize::new(0));
        let (release, hang) = mpsc::channel::<()>();
        let hang = Arc::new(std::sync::Mutex::new(hang));
        let mut aside = Aside::new("the test");
        for _ in 0..5 {
            let (begun, hang) = (Arc::clone(&begun), Arc::clone(&hang));
            let work = move || {
                begun.fetch_add(1, Ordering::SeqCst);
                hang.lock().unwrap().recv().unwrap();
            };
            assert!(timeout(Duration::from_millis(50), aside.run(work)).await.is_err());
        }
        // The first may only have waited for its thread.
        assert!(begun.load(Ordering::SeqCst) <= 1);
        release.send(()).unwrap();
        assert_eq!(aside.run(|| 7).await, Ok(7));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_is_our_own_fault_and_the_next_piece_runs() {
        let mut aside = Aside::new("the test");
        let failure = aside.run::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Local);
        assert!(failure.detail.starts_with("the test broke: "), "{}", failure.detail);
        assert_eq!(aside.run(|| 7).await, Ok(7));
    }
}
