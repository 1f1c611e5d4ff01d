//! What of a target's answer may stand in a failure: short, on one line, and never a secret that it echoed.

use std::borrow::Cow;

/// The most characters of a body in a failure.
const MAX_CHARS: usize = 120;

/// The most characters of a JSON value in a failure.
const MAX_VALUE_CHARS: usize = 60;

/// The most bytes of one character in UTF-8.
const MAX_UTF8: usize = 4;

/// Shorter texts are no secrets, and hiding them would make holes in every sentence.
const SHORTEST_SECRET: usize = 3;

/// Hides secrets in what a target says: those of the configuration, and those that were learned in this run.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first: one secret may contain another.
    secrets: Vec<Hidden>,
    withholds_bodies: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Hidden {
    text: String,
    learned: bool,
}

impl Redactor {
    /// Hides these.
    pub fn hiding(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut redactor = Self::default();
        redactor.add(secrets, false);
        redactor
    }

    /// Hides what another one hides, too.
    pub fn join(&mut self, other: &Redactor) {
        self.add(other.secrets.iter().map(|hidden| hidden.text.clone()), false);
    }

    /// Hides something that a target has just told us.
    pub fn learn(&mut self, texts: impl IntoIterator<Item = String>) {
        self.add(texts, true);
    }

    /// Forgets what was learned.
    pub fn forget(&mut self) {
        self.secrets.retain(|hidden| !hidden.learned);
        self.withholds_bodies = false;
    }

    /// Whether bodies are not shown at all: one from which secrets are taken holds others beside them.
    pub fn withhold_bodies(&mut self, withhold: bool) {
        self.withholds_bodies = withhold;
    }

    fn add(&mut self, texts: impl IntoIterator<Item = String>, learned: bool) {
        for text in texts.into_iter().filter(|text| text.len() >= SHORTEST_SECRET) {
            let hidden = Hidden { text, learned };
            if !self.secrets.contains(&hidden) {
                self.secrets.push(hidden);
            }
        }
        self.secrets.sort_by_key(|hidden| std::cmp::Reverse(hidden.text.len()));
    }

    /// How many bytes are needed for an excerpt, so that no secret that begins in it is cut and missed.
    pub fn wanted_bytes(&self) -> usize {
        MAX_CHARS * MAX_UTF8 + self.secrets.first().map_or(0, |hidden| hidden.text.len())
    }

    /// The begin of a body.
    pub fn excerpt(&self, body: &[u8]) -> String {
        if self.withholds_bodies {
            return "(not shown, because values are taken from it)".into();
        }
        let begin = &body[..body.len().min(self.wanted_bytes())];
        shorten(&self.redact(&String::from_utf8_lossy(begin)), MAX_CHARS)
    }

    /// A string of the answer, in quotes.
    pub fn quote(&self, text: &str) -> String {
        format!("\"{}\"", shorten(&self.redact(text), MAX_VALUE_CHARS))
    }

    /// A sentence of ours, without what was learned: a target may put it anywhere.
    pub fn clean(&self, text: String) -> String {
        hide(Cow::Owned(text), self.secrets.iter().filter(|hidden| hidden.learned)).into_owned()
    }

    /// The whole text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        hide(Cow::Borrowed(text), &self.secrets)
    }
}

fn hide<'t, 's>(mut text: Cow<'t, str>, secrets: impl IntoIterator<Item = &'s Hidden>) -> Cow<'t, str> {
    for hidden in secrets {
        if text.contains(&hidden.text) {
            text = Cow::Owned(text.replace(&hidden.text, "[hidden]"));
        }
    }
    text
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
        Redactor::hiding(secrets.iter().map(ToString::to_string))
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

    #[test]
    fn what_was_learned_is_hidden_until_it_is_forgotten() {
        let mut redactor = redactor(&["hunter2"]);
        redactor.learn(["t0ken".to_owned(), "t0ken-and-more".to_owned(), "ab".to_owned()]);
        assert_eq!(redactor.quote("hunter2 t0ken-and-more t0ken ab"), "\"[hidden] [hidden] [hidden] ab\"");
        assert_eq!(redactor.clean("t0ken hunter2".into()), "[hidden] hunter2");
        redactor.withhold_bodies(true);
        assert!(!redactor.excerpt(b"anything").contains("anything"));
        redactor.forget();
        assert_eq!(redactor.quote("hunter2 t0ken"), "\"[hidden] t0ken\"");
        assert_eq!(redactor.excerpt(b"anything"), "anything");
    }
}
