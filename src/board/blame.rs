//! Which failures are the fault of others: a probe says on which others it depends, and while one of those fails, its
//! own failure is a consequence, for which nobody needs to be woken.

use super::{Board, ProbeCell};
use crate::health::MAX_DEPENDENCIES;
use crate::observation::Labels;
use std::sync::Arc;

/// A probe on which another one depends.
#[derive(Debug)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// The label `cause`.
    pub labels: Arc<Labels>,
}

impl Dependency {
    pub(super) fn on(name: &str) -> Self {
        Self { name: name.to_owned(), labels: Arc::new(Labels::render(&[("cause", name)])) }
    }
}

/// A choice among the dependencies of one probe, by their position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blame(u32);

impl Blame {
    /// None of them.
    pub const NOBODY: Blame = Blame(0);

    /// Whether the one at this position is among them.
    pub fn holds(self, position: usize) -> bool {
        self.0 & (1 << position) != 0
    }

    /// Those of either choice.
    #[must_use]
    pub fn or(self, other: Blame) -> Blame {
        Blame(self.0 | other.0)
    }
}

impl FromIterator<usize> for Blame {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        Blame(positions.into_iter().filter(|position| *position < MAX_DEPENDENCIES).fold(0, |all, p| all | 1 << p))
    }
}

impl Board {
    /// Which of the probes that this one depends on fail now, whether they are unhealthy already or still suspect: a
    /// consequence is often seen before its cause is certain.
    pub fn failing_dependencies(&self, cell: &ProbeCell) -> Blame {
        let fails = |name: &str| self.probe(name).is_some_and(|cell| cell.read(|record| record.state.is_failing()));
        let dependencies = cell.dependencies().iter().enumerate();
        dependencies.filter(|(_, dependency)| fails(&dependency.name)).map(|(position, _)| position).collect()
    }

    /// The names of the probes that are to blame for the failure of this one; none if it does not fail.
    pub fn causes(&self, cell: &ProbeCell) -> Vec<String> {
        if cell.dependencies().is_empty() {
            return Vec::new();
        }
        let failing = self.failing_dependencies(cell);
        let blame = cell.read(|record| record.blame(failing));
        let dependencies = cell.dependencies().iter().enumerate();
        dependencies.filter(|(position, _)| blame.holds(*position)).map(|(_, d)| d.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Descriptor;
    use crate::health::Policy;
    use crate::observation::{Failure, Observation, Readings, Reason};
    use std::time::Duration;
    use tokio::time::Instant;

    fn board() -> Board {
        let cell = |name: &str, depends_on: &[&str]| {
            Arc::new(ProbeCell::new(Descriptor {
                name: name.into(),
                kind: "fake",
                group: None,
                interval: Duration::from_secs(30),
                policy: Policy { failure_threshold: 2, success_threshold: 2 },
                limits: Vec::new(),
                reasons: &[],
                families: &[],
                depends_on: depends_on.iter().map(ToString::to_string).collect(),
            }))
        };
        let board = Board::default();
        // Not in the order of their names: the board sorts.
        board.replace_probes(vec![
            cell("web", &["database", "api"]),
            cell("api", &["database"]),
            cell("database", &[]),
        ]);
        board
    }

    /// A run for each letter: `s`ucceeds, `f`ails, is a fault of our `o`wn.
    fn runs(board: &Board, name: &str, letters: &str) {
        for letter in letters.chars() {
            let outcome = match letter {
                's' => Ok(()),
                'f' => Err(Failure::new(Reason::Connect, "refused")),
                _ => Err(Failure::new(Reason::Local, "no descriptors")),
            };
            let duration = Duration::from_millis(1);
            let observation = Observation { started_at: 1.0, duration, outcome, readings: Readings::default() };
            board.publish(&board.probe(name).unwrap(), observation, Instant::now());
        }
    }

    fn causes(board: &Board, name: &str) -> Vec<String> {
        board.causes(&board.probe(name).unwrap())
    }

    #[test]
    fn a_failure_is_caused_while_what_it_depends_on_fails_too() {
        let board = board();
        runs(&board, "database", "sf");
        assert!(causes(&board, "api").is_empty(), "it does not fail");
        runs(&board, "api", "sff");
        assert_eq!(causes(&board, "api"), ["database"]);
        runs(&board, "web", "f");
        assert_eq!(causes(&board, "web"), ["database", "api"]);
        assert!(causes(&board, "database").is_empty());
    }

    #[test]
    fn a_cause_that_is_seen_only_later_is_still_one() {
        let board = board();
        runs(&board, "api", "sff");
        assert!(causes(&board, "api").is_empty());
        runs(&board, "database", "f");
        assert_eq!(causes(&board, "api"), ["database"]);
    }

    #[test]
    fn a_failure_stays_caused_until_a_later_run_says_otherwise() {
        let board = board();
        runs(&board, "database", "ff");
        runs(&board, "api", "ff");
        runs(&board, "database", "ss");
        assert_eq!(causes(&board, "api"), ["database"], "its last run failed while the database was down");
        runs(&board, "api", "s");
        assert_eq!(causes(&board, "api"), ["database"], "one success is no recovery yet");
        runs(&board, "api", "o");
        assert_eq!(causes(&board, "api"), ["database"], "our own fault acquits nobody");
        runs(&board, "api", "s");
        assert!(causes(&board, "api").is_empty(), "recovered");
        runs(&board, "api", "ff");
        assert!(causes(&board, "api").is_empty(), "the database is fine: this failure is its own");
    }

    #[tokio::test]
    async fn what_begins_to_fail_asks_its_dependencies_to_look_at_once() {
        let board = board();
        let asked = |name: &str| {
            let cell = board.probe(name).unwrap();
            async move { tokio::time::timeout(Duration::from_millis(1), cell.asked()).await.is_ok() }
        };
        runs(&board, "web", "s");
        assert!(!asked("api").await && !asked("database").await);
        runs(&board, "web", "f");
        assert!(asked("api").await && asked("database").await && !asked("web").await);
        runs(&board, "web", "ff");
        assert!(!asked("api").await, "once for each time that it begins to fail");
        runs(&board, "web", "ss");
        runs(&board, "api", "f");
        runs(&board, "web", "f");
        assert!(!asked("api").await, "what fails already is looked at soon enough");
    }
}
