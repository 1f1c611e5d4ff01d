//! Probes, logs, jobs and remedies as rows of the page.

mod job;
mod log;
mod probe;
mod remedy;

pub use job::JobRow;
pub use log::LogRow;
pub use probe::{ProbeRow, Up, ups};
pub use remedy::RemedyRow;

use super::ages::ago;
use super::look::Badge;
use super::say::Said;
use crate::board::report::Fact;
use crate::health::Status;

/// What a row has to say to the whole page.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The state, for the count; none for a remedy, which is not watched itself.
    pub state: Option<Status>,
    /// As a card among what needs attention.
    pub attention: Option<Card>,
}

/// A card among what needs attention.
#[derive(Debug, Clone)]
pub struct Card {
    pub badge: Badge,
    pub href: String,
    pub name: String,
    /// Its kind and group.
    pub what: String,
    pub said: Said,
    /// What was written in a log.
    pub quote: String,
    /// Since when, as an age.
    pub since: String,
    pub causes: Vec<String>,
    pub runbook: Option<&'static str>,
}

fn fact(what: &str, value: impl Into<String>) -> Fact {
    Fact { what: what.to_owned(), value: value.into() }
}

fn when(at: Option<f64>) -> String {
    ago(at)
}
