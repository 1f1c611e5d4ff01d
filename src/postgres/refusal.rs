//! What a server refuses, or breaks, in our words: the reason from its code, and its message without our secrets.

use super::table::beginning;
use super::wire;
use crate::observation::{Failure, Reason};
use crate::values::one_line;
use std::error::Error as _;
use std::io;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

/// The most bytes of a server's message in a detail.
const MAX_MESSAGE: usize = 300;

/// Shorter texts are no secrets, and hiding them would make holes in every sentence.
const SHORTEST_SECRET: usize = 3;

/// When a server refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum During {
    /// While we logged in.
    Login,
    /// When it was asked something.
    Question,
}

/// Why a server refused, from its SQLSTATE (PostgreSQL, appendix A).
pub fn reason_of(code: &str, during: During) -> Reason {
    match (code, during) {
        ("42501", During::Login) => Reason::Auth,
        // Shutting down, starting up, dropped under our feet; not accepting connections.
        ("57P01" | "57P02" | "57P03" | "57P04" | "57P05", _) | ("55000", During::Login) => Reason::Status,
        // The statement or the wait for a lock took too long.
        ("57014" | "55P03", _) => Reason::Timeout,
        ("3D000", _) => Reason::Missing,
        _ => match (code.get(..2).unwrap_or_default(), during) {
            ("28", _) => Reason::Auth,
            ("53", _) => Reason::Limit,
            ("08", _) | (_, During::Login) => Reason::Protocol,
            (_, During::Question) => Reason::Query,
        },
    }
}

/// Whether a refusal ends the connection too.
pub fn is_final(error: &DbError) -> bool {
    // A server that is too old to say it in English says it in its own language only: then the code has to do.
    match error.parsed_severity() {
        Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
        None => error.code().code().starts_with("57P"),
    }
}

/// What must not be shown.
pub struct Secrets(Vec<String>);

impl Secrets {
    /// The longest first: one may contain another.
    pub fn new(secrets: Vec<String>) -> Self {
        Self(secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET).collect())
    }

    /// What a server said, on one short line, without secrets.
    pub fn excerpt(&self, text: &str) -> String {
        let hidden = self.0.iter().fold(one_line(text), |text, secret| text.replace(secret.as_str(), "[hidden]"));
        let short = beginning(&hidden, MAX_MESSAGE);
        let mut line: String = short.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if short.len() < hidden.len() {
            line.push('…');
        }
        line
    }

    /// What a refusal becomes.
    pub fn refused(&self, what: &str, error: &DbError, during: During) -> Failure {
        let code = error.code().code();
        let detail = format!("{what}: {} (SQLSTATE {})", self.excerpt(error.message()), self.excerpt(code));
        Failure::new(reason_of(code, during), detail)
    }

    /// What any error of the driver becomes.
    pub fn failed(&self, what: &str, error: &Error, during: During) -> Failure {
        if let Some(refused) = error.as_db_error() {
            return self.refused(what, refused, during);
        }
        if error.is_closed() {
            return Failure::new(Reason::Protocol, format!("{what}: the server ended the connection"));
        }
        let cause = error.source();
        if let Some(io) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
            return match io.get_ref().and_then(|inner| inner.downcast_ref::<wire::Refusal>()) {
                Some(refusal) => Failure::new(refusal.reason, format!("{what}: {refusal}")),
                None => Failure::io(Reason::Protocol, what, io),
            };
        }
        // The driver has no other way to tell these from the rest than their words.
        let (kind, cause) = (error.to_string(), cause.map(ToString::to_string).unwrap_or_default());
        if cause == "password missing" {
            let detail = format!("{what}: the server asks for a password and the URL has none");
            return Failure::new(Reason::Auth, detail);
        }
        let reason = if kind == "authentication error" { Reason::Auth } else { Reason::Protocol };
        let words = if cause.is_empty() { kind } else { format!("{kind}: {cause}") };
        Failure::new(reason, format!("{what}: {}", self.excerpt(&words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_follows_from_the_code() {
        use During::{Login, Question};
        let cases = [
            ("28P01", Login, Reason::Auth),
            ("28000", Login, Reason::Auth),
            ("42501", Login, Reason::Auth),
            ("42501", Question, Reason::Query),
            ("3D000", Login, Reason::Missing),
            ("53300", Login, Reason::Limit),
            ("57P03", Login, Reason::Status),
            ("57P01", Question, Reason::Status),
            ("55000", Login, Reason::Status),
            ("55000", Question, Reason::Query),
            ("57014", Question, Reason::Timeout),
            ("55P03", Question, Reason::Timeout),
            ("42P01", Question, Reason::Query),
            ("08P01", Question, Reason::Protocol),
            ("22023", Login, Reason::Protocol),
            ("", Question, Reason::Query),
        ];
        for (code, during, reason) in cases {
            assert_eq!(reason_of(code, during), reason, "{code} {during:?}");
        }
    }

    #[test]
    fn what_a_server_says_is_told_short_on_one_line_and_without_secrets() {
        let secrets = Secrets::new(vec!["hunter2-long".into(), "hunter2".into(), "ab".into()]);
        assert_eq!(secrets.excerpt("no\n  hunter2-long\tfor abel"), "no [hidden] for abel");
        let long = secrets.excerpt(&"ü".repeat(1000));
        assert!(long.len() <= MAX_MESSAGE + '…'.len_utf8() && long.ends_with('…'), "{long}");
        // A secret that begins where the text is cut is not shown in part.
        for begin in MAX_MESSAGE - 10..=MAX_MESSAGE {
            let text = secrets.excerpt(&format!("{}hunter2", " .".repeat(begin / 2)));
            assert!(!text.contains("hun"), "{text}");
        }
    }
}
