//! How a state looks: a colour, a sign and a word, so that a colour is never alone.

use crate::board::RemedyState;
use crate::health::Status;
use crate::observation::{Gravity, Severity};
use crate::web::words::Words;

/// A state as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    /// The colour.
    pub class: &'static str,
    /// The sign.
    pub symbol: &'static str,
    /// The word, in the language of the page.
    pub word: &'static str,
}

/// A probe's, a log's or a job's. A threshold that is crossed is the news of what works otherwise.
pub fn badge(words: &Words, state: Status, severity: Option<Severity>) -> Badge {
    match severity.filter(|_| state == Status::Healthy) {
        None => of_status(words, state),
        Some(severity) => {
            let (class, symbol) = match severity {
                Severity::Info => ("info", "i"),
                Severity::Warning => ("suspect", "!"),
                Severity::Critical => ("unhealthy", "✗"),
            };
            Badge { class, symbol, word: words.severity(severity) }
        }
    }
}

/// A state alone.
pub fn of_status(words: &Words, state: Status) -> Badge {
    let (class, symbol) = match state {
        Status::Unknown => ("unknown", "?"),
        Status::Healthy => ("healthy", "✓"),
        Status::Suspect => ("suspect", "!"),
        Status::Unhealthy => ("unhealthy", "✗"),
    };
    Badge { class, symbol, word: words.status(state) }
}

/// A remedy's.
pub fn of_remedy(words: &Words, state: RemedyState) -> Badge {
    let (class, symbol) = match state {
        RemedyState::Idle => ("idle", "·"),
        RemedyState::Acting => ("info", "▸"),
        RemedyState::Verifying => ("info", "…"),
        RemedyState::BackingOff => ("suspect", "!"),
        RemedyState::Exhausted => ("unhealthy", "✗"),
    };
    Badge { class, symbol, word: words.remedy(state) }
}

/// The colour of what a log says.
pub fn of_gravity(gravity: Gravity) -> &'static str {
    match gravity {
        Gravity::Info => "info",
        Gravity::Warning | Gravity::Error => "suspect",
        Gravity::Critical => "unhealthy",
    }
}

/// Whether it stands among what needs attention: what is wrong, and what is not known although it should be.
pub fn needs_attention(state: Status, severity: Option<Severity>, in_doubt: bool) -> bool {
    in_doubt
        || matches!(state, Status::Unhealthy | Status::Suspect)
        || severity.is_some_and(|severity| severity >= Severity::Warning)
}
