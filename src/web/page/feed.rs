//! The status page as it was last made, and which of its parts changed when: whoever has an older one is sent the difference.
//!
//! The whole page comes from here too, so that what a reader has and what is sent later fit together.

use super::ages::with_ages;
use super::model::{Fragment, Model};
use crate::board::Board;
use crate::observation::unix_now;
use crate::web::words::{Language, Words};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Between two looks for those who wait: a reader cannot read faster.
const PAUSE: Duration = Duration::from_millis(250);

/// Making the page may take this part of the time, one in so many.
const SPARE: u32 = 8;

/// Which page somebody has: of which start of Banken, and the how-manieth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Tells this process from the one before it.
    pub boot: u64,
    /// Goes up with each change.
    pub number: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.boot, self.number)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (boot, number) = text.split_once('-').ok_or(())?;
        let boot = u64::from_str_radix(boot, 16).map_err(drop)?;
        Ok(Self { boot, number: number.parse().map_err(drop)? })
    }
}

/// The page in one language.
pub struct Feed {
    words: &'static Words,
    boot: u64,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    model: Arc<Model>,
    number: u64,
    /// When each part last changed.
    changed: HashMap<String, u64>,
    /// When what stands where last changed.
    laid_out: u64,
    /// When making it began, and how long it took.
    begun: Option<Instant>,
    cost: Duration,
}

/// What somebody with an older page is sent.
#[derive(Debug, PartialEq)]
pub enum Difference {
    /// Nothing.
    None,
    /// Parts, as JSON.
    Parts(String),
    /// Everything is to be fetched again.
    Everything,
}

impl Feed {
    /// Of a language. `boot` tells this process from the one before it.
    pub fn new(language: Language, boot: u64) -> Self {
        Self { words: language.words(), boot, made: Mutex::default() }
    }

    /// The page as it is now, and its version.
    ///
    /// # Errors
    /// Never, unless a template is wrong.
    pub async fn page(&self, board: &Arc<Board>) -> anyhow::Result<(Arc<Model>, Version)> {
        let made = self.refreshed(board).await?;
        Ok((Arc::clone(&made.model), self.version(made.number)))
    }

    /// What changed since a version, and the version that is there now. It waits a little after the last look of anybody.
    ///
    /// # Errors
    /// Never, unless a template is wrong.
    pub async fn since(&self, board: &Arc<Board>, since: Option<Version>) -> anyhow::Result<(Difference, Version)> {
        let next = {
            let made = self.made.lock().await;
            made.begun.map(|begun| begun + PAUSE.max(made.cost * SPARE))
        };
        if let Some(next) = next {
            tokio::time::sleep_until(next).await;
        }
        let made = self.refreshed(board).await?;
        let version = self.version(made.number);
        let Some(since) = since.filter(|since| since.boot == self.boot && since.number <= made.number) else {
            return Ok((Difference::Everything, version));
        };
        let difference = match since.number {
            number if number == made.number => Difference::None,
            number if number < made.laid_out => Difference::Everything,
            number => Difference::Parts(self.parts(&made, number)),
        };
        Ok((difference, version))
    }

    /// Makes it anew, unless somebody else began to after this was asked for.
    async fn refreshed(&self, board: &Arc<Board>) -> anyhow::Result<tokio::sync::MutexGuard<'_, Made>> {
        let asked = Instant::now();
        let mut made = self.made.lock().await;
        if made.begun.is_some_and(|begun| begun >= asked) {
            return Ok(made);
        }
        let begun = Instant::now();
        let (board, words) = (Arc::clone(board), self.words);
        // A thousand rows take some milliseconds, in which no probe should have to wait.
        let model = tokio::task::spawn_blocking(move || Model::of(words, &board)).await??;
        made.take(model, begun);
        Ok(made)
    }

    fn version(&self, number: u64) -> Version {
        Version { boot: self.boot, number }
    }

    fn parts(&self, made: &Made, since: u64) -> String {
        let now = unix_now();
        let is_new = |fragment: &&Fragment| made.changed.get(&fragment.id).is_some_and(|changed| *changed > since);
        let parts = made.model.fragments().filter(is_new);
        let parts: Map<String, Value> =
            parts.map(|part| (part.id.clone(), with_ages(&part.html, self.words, now).into())).collect();
        let Model { overall, overall_word, headline, .. } = &*made.model;
        json!({ "overall": overall, "word": overall_word, "headline": headline, "now": now, "parts": parts })
            .to_string()
    }
}

impl Made {
    fn take(&mut self, model: Model, begun: Instant) {
        let number = self.number + 1;
        if !model.layout().eq(self.model.layout()) {
            self.laid_out = number;
            self.number = number;
            self.changed.clear();
        } else if model.headline != self.model.headline || model.overall != self.model.overall {
            self.number = number;
        }
        for (fresh, former) in model.fragments().zip(self.model.fragments()) {
            if fresh != former {
                self.changed.insert(fresh.id.clone(), number);
                self.number = number;
            }
        }
        self.model = Arc::new(model);
        self.begun = Some(begun);
        self.cost = begun.elapsed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Descriptor, ProbeCell};
    use crate::health::Policy;
    use crate::observation::{Failure, Observation, Readings, Reason};

    fn board(names: &[&str]) -> Arc<Board> {
        let board = Board::default();
        let cell = |name: &&str| {
            Arc::new(ProbeCell::new(Descriptor {
                name: (*name).to_owned(),
                kind: "tcp",
                group: None,
                interval: Duration::from_secs(30),
                policy: Policy { failure_threshold: 1, success_threshold: 1 },
                limits: Vec::new(),
                reasons: &[],
                families: &[],
                depends_on: Vec::new(),
            }))
        };
        board.replace_probes(names.iter().map(cell).collect());
        Arc::new(board)
    }

    fn run(board: &Board, name: &str, outcome: Result<(), Failure>) {
        let duration = Duration::from_millis(5);
        let observation = Observation { started_at: unix_now(), duration, outcome, readings: Readings::default() };
        board.publish(&board.probe(name).unwrap(), observation, Instant::now());
    }

    async fn parts(feed: &Feed, board: &Arc<Board>, since: Version) -> (Vec<String>, Version) {
        let (difference, version) = feed.since(board, Some(since)).await.unwrap();
        let Difference::Parts(text) = difference else { panic!("{difference:?}") };
        let json: Value = serde_json::from_str(&text).unwrap();
        (json["parts"].as_object().unwrap().keys().cloned().collect(), version)
    }

    #[tokio::test]
    async fn who_has_an_older_page_is_sent_what_changed_since_then_and_nothing_else() {
        let (feed, board) = (Feed::new(Language::English, 7), board(&["a", "b", "c"]));
        let (_, first) = feed.page(&board).await.unwrap();
        run(&board, "b", Err(Failure::new(Reason::Connect, "refused")));
        let (changed, second) = parts(&feed, &board, first).await;
        assert!(changed.contains(&"probe-b".to_owned()) && changed.contains(&"attention".to_owned()), "{changed:?}");
        assert!(!changed.contains(&"probe-a".to_owned()), "{changed:?}");
        run(&board, "c", Ok(()));
        let (changed, third) = parts(&feed, &board, second).await;
        assert!(changed.contains(&"probe-c".to_owned()) && !changed.contains(&"probe-b".to_owned()), "{changed:?}");
        let (changed, _) = parts(&feed, &board, first).await;
        assert!(changed.contains(&"probe-c".to_owned()) && changed.contains(&"probe-b".to_owned()), "{changed:?}");
        assert!(third.number > second.number);
    }

    #[tokio::test]
    async fn everything_is_sent_anew_after_a_restart_and_when_something_was_added() {
        let (feed, before) = (Feed::new(Language::English, 7), board(&["a"]));
        let (_, first) = feed.page(&before).await.unwrap();
        assert_eq!(feed.since(&before, Some(first)).await.unwrap().0, Difference::None);
        let stranger = Version { boot: 6, ..first };
        for since in [None, Some(stranger), Some(Version { number: 99, ..first })] {
            assert_eq!(feed.since(&before, since).await.unwrap().0, Difference::Everything, "{since:?}");
        }
        let after = board(&["a", "b"]);
        assert_eq!(feed.since(&after, Some(first)).await.unwrap().0, Difference::Everything);
        assert_eq!(first.to_string().parse(), Ok(first));
        assert!("7".parse::<Version>().is_err() && "x-1".parse::<Version>().is_err());
    }
}
