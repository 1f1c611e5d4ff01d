//! What of a target's answer may stand in a failure: short, on one line, and never a secret that it echoed.

use super::Ask;
use std::borrow::Cow;

/// The most characters of a body in a failure.
const MAX_CHARS: usize = 120;

/// The most characters of a JSON value in a failure.
const MAX_VALUE_CHARS: usize = 60;

/// The most bytes of one character in UTF-8.
const MAX_UTF8: usize = 4;

/// Shorter texts are no secrets, and hiding them would make holes in every sentence.
const SHORTEST_SECRET: usize = 3;

/// Hides secrets that were told to a target in what it says.
pub struct Redactor {
    secrets: Vec<String>,
    longest: usize,
}

impl Redactor {
    pub(super) fn new(ask: &Ask<'_>) -> Self {
        let mut secrets: Vec<String> = ask.headers.values().map(|value| value.expose().to_owned()).collect();
        secrets.extend(ask.body.map(|body| body.expose().to_owned()));
        if let Some(auth) = ask.auth {
            secrets.extend(auth.secrets());
        }
        Self::hiding(secrets)
    }

    /// Hides these.
    pub fn hiding(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // The longest first: one secret may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let longest = secrets.first().map_or(0, String::len);
        Self { secrets, longest }
    }

    /// How many bytes are needed for an excerpt, so that no secret that begins in it is cut and missed.
    pub fn wanted_bytes(&self) -> usize {
        MAX_CHARS * MAX_UTF8 + self.longest
    }

    /// The begin of a body.
    pub fn excerpt(&self, body: &[u8]) -> String {
        let begin = &body[..body.len().min(self.wanted_bytes())];
        shorten(&self.redact(&String::from_utf8_lossy(begin)), MAX_CHARS)
    }

    /// A string of the answer, in quotes.
    pub fn quote(&self, text: &str) -> String {
        format!("\"{}\"", shorten(&self.redact(text), MAX_VALUE_CHARS))
    }

    /// The whole text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "[hidden]"));
            }
        }
        text
    }
}

/// Escapes control characters and cuts after so many characters.
fn shorten(text: &str, limit: usize) -> String {
    let mut short = String::new();
    let mut length = 0;
    for character in text.chars() {
        let escaped = match character {
            '"' | '\'' => 1,
            other => other.escape_debug().count(),
        };
        length += escaped;
        if length > limit {
            short.push('…');
            break;
        }
        if escaped == 1 {
            short.push(character);
        } else {
            short.extend(character.escape_debug());
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::hiding(secrets.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        let text = redactor(&[]).excerpt("line\n\"quoted\"\x1b[31m".repeat(100).as_bytes());
        assert!(text.starts_with("line\\n\"quoted\"\\u{1b}[31m"), "{text}");
        assert!(text.chars().count() <= MAX_CHARS + 1 && text.ends_with('…'), "{text}");
        assert_eq!(redactor(&[]).excerpt(b"\xff!"), "\u{fffd}!");
    }

    #[test]
    fn a_secret_is_hidden_also_where_the_excerpt_ends() {
        let secret = "s3cret".repeat(400);
        for begin in 0..130 {
            let body = format!("{}{secret} and more", " ".repeat(begin));
            let text = redactor(&[&secret]).excerpt(body.as_bytes());
            assert!(!text.contains("s3cret"), "{begin}: {text}");
        }
        assert_eq!(redactor(&["hunter2"]).quote("it is hunter2"), "\"it is [hidden]\"");
    }
}
