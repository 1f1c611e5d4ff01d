//! Tries again, a bounded number of times and within its time, where that can help.

use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// What may be spent on one message.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The most attempts.
    pub attempts: u32,
    /// The time for all of them.
    pub time: Duration,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In words, without secrets.
    pub words: String,
    /// Whether another attempt may help.
    pub passes: bool,
    /// How long to wait, where they say so themselves.
    pub after: Option<Duration>,
}

impl Trouble {
    /// One that will pass.
    pub fn passing(words: impl Into<String>) -> Self {
        Self { words: words.into(), passes: true, after: None }
    }

    /// One that stays as long as nobody mends it.
    pub fn lasting(words: impl Into<String>) -> Self {
        Self { words: words.into(), passes: false, after: None }
    }
}

/// A remark on how it went, or why it did not.
pub type Outcome = Result<String, String>;

/// The first pause; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is left for the last word.
const RESERVE: Duration = Duration::from_millis(200);

/// One attempt takes at most this share of the time, so that there is time for another.
const SHARE: u32 = 2;

/// Something that can be tried again.
pub trait Attempt: Sync {
    /// Tries once, until then.
    ///
    /// # Errors
    /// Why it failed, and whether another attempt may help.
    fn attempt(&self, until: Instant) -> impl Future<Output = Result<String, Trouble>> + Send;
}

/// Makes attempts until one succeeds.
pub async fn insist(budget: Budget, work: &impl Attempt) -> Outcome {
    let end = Instant::now() + budget.time.saturating_sub(RESERVE);
    let mut pause = FIRST_PAUSE;
    let mut number = 1;
    loop {
        let now = Instant::now();
        let left = end.saturating_duration_since(now);
        let until = if number < budget.attempts { now + left / SHARE } else { end };
        let trouble = match timeout_at(until, work.attempt(until)).await {
            Ok(Ok(remark)) => return Ok(remark),
            Ok(Err(trouble)) => trouble,
            Err(_) => Trouble::passing("no answer in time"),
        };
        let wait = trouble.after.unwrap_or(pause);
        let has_time = Instant::now() + wait < end;
        if !trouble.passes || number >= budget.attempts || !has_time {
            let attempts = if number > 1 { format!(" ({number} attempts)") } else { String::new() };
            return Err(format!("{}{attempts}", trouble.words));
        }
        sleep(wait).await;
        pause *= 2;
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Answers to the attempts, from the last; and how many were made.
    struct Script(Mutex<(Vec<Result<String, Trouble>>, usize)>);

    impl Attempt for Script {
        async fn attempt(&self, _: Instant) -> Result<String, Trouble> {
            let answer = {
                let mut script = self.0.lock().unwrap();
                script.1 += 1;
                script.0.pop()
            };
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    }

    async fn run(budget: Budget, mut answers: Vec<Result<String, Trouble>>) -> (Outcome, usize, Duration) {
        let begun = Instant::now();
        answers.reverse();
        let script = Script(Mutex::new((answers, 0)));
        let outcome = insist(budget, &script).await;
        let made = script.0.lock().unwrap().1;
        (outcome, made, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_again_with_longer_pauses_and_what_lasts_is_not() {
        let budget = Budget { attempts: 4, time: Duration::from_secs(30) };
        let passing = || Err(Trouble::passing("busy"));
        let (outcome, made, took) = run(budget, vec![passing(), passing(), Ok(String::new())]).await;
        assert_eq!((outcome, made, took.as_secs()), (Ok(String::new()), 3, 3));
        let (outcome, made, _) = run(budget, vec![Err(Trouble::lasting("no"))]).await;
        assert_eq!((outcome, made), (Err("no".into()), 1));
        let (outcome, made, _) = run(budget, vec![passing(), passing(), passing(), passing(), Ok(String::new())]).await;
        assert_eq!((outcome, made), (Err("busy (4 attempts)".into()), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_within_its_time_whatever_it_is_told_to_wait() {
        let budget = Budget { attempts: 4, time: Duration::from_secs(10) };
        let later = Trouble { after: Some(Duration::from_secs(60)), ..Trouble::passing("too many") };
        let (outcome, made, took) = run(budget, vec![Err(later)]).await;
        assert_eq!((outcome, made, took.as_secs()), (Err("too many".into()), 1, 0));
        let (outcome, made, took) = run(budget, vec![]).await;
        assert!(outcome.is_err() && made > 1 && took < budget.time, "{outcome:?} {made} {took:?}");
    }
}
