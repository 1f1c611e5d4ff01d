//! One pass over a text, from value to value.

use super::is_json;
use std::ops::Range;

/// Deeper texts are not repaired; readers refuse them anyway.
const MAX_DEPTH: usize = 128;

/// How a text ends.
pub(super) enum End {
    /// The value is whole, and ends there.
    Whole(usize),
    /// The text ends within the value.
    Cut,
}

/// An object or array that was begun.
pub(super) struct Open {
    pub closer: u8,
    /// Where its last whole member ends.
    pub safe: usize,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// The first one of an array, or its end.
    FirstValue,
    /// Behind the comma that stands there.
    ValueAfter(usize),
    FirstKey,
    KeyAfter(usize),
    Colon,
    CommaOrEnd,
}

/// A string, number or word.
enum Token {
    Until(usize),
    Cut,
}

/// Reads a text once, and remembers what can be repaired.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    pub open: Vec<Open>,
    /// How many members were whole.
    pub whole: usize,
    /// Trailing ones.
    pub commas: Vec<Range<usize>>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, open: Vec::new(), whole: 0, commas: Vec::new() }
    }

    /// # Errors
    /// Why the text has no single meaning.
    pub(super) fn scan(&mut self) -> Result<End, String> {
        let mut next = Next::Value;
        loop {
            self.at += self.text[self.at..].iter().take_while(|byte| is_space(**byte)).count();
            let Some(byte) = self.text.get(self.at).copied() else { return Ok(End::Cut) };
            next = match (next, byte) {
                (Next::Value | Next::FirstValue | Next::ValueAfter(_), b'{' | b'[') => self.begin(byte)?,
                (Next::FirstValue, b']') | (Next::FirstKey, b'}') => self.finish(),
                (Next::ValueAfter(comma), b']') | (Next::KeyAfter(comma), b'}') => {
                    self.commas.push(comma..comma + 1);
                    self.finish()
                }
                (Next::CommaOrEnd, b']' | b'}') if self.open.last().is_some_and(|open| open.closer == byte) => {
                    self.finish()
                }
                (Next::CommaOrEnd, b',') => {
                    let comma = self.at;
                    self.at += 1;
                    let is_object = self.open.last().is_some_and(|open| open.closer == b'}');
                    if is_object { Next::KeyAfter(comma) } else { Next::ValueAfter(comma) }
                }
                (Next::Colon, b':') => {
                    self.at += 1;
                    Next::Value
                }
                (Next::FirstKey | Next::KeyAfter(_), b'"') => match self.string()? {
                    Token::Until(end) => {
                        self.at = end;
                        Next::Colon
                    }
                    Token::Cut => return Ok(End::Cut),
                },
                (Next::Value | Next::FirstValue | Next::ValueAfter(_), _) => {
                    let token = if byte == b'"' { self.string()? } else { self.word()? };
                    let Token::Until(end) = token else { return Ok(End::Cut) };
                    self.at = end;
                    self.member()
                }
                _ => return Err(self.strange()),
            };
            if self.open.is_empty() {
                return Ok(End::Whole(self.at));
            }
        }
    }

    fn begin(&mut self, byte: u8) -> Result<Next, String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH}"));
        }
        self.at += 1;
        let (closer, next) = if byte == b'{' { (b'}', Next::FirstKey) } else { (b']', Next::FirstValue) };
        self.open.push(Open { closer, safe: self.at });
        Ok(next)
    }

    fn finish(&mut self) -> Next {
        self.at += 1;
        self.open.pop();
        self.member()
    }

    fn member(&mut self) -> Next {
        self.whole += 1;
        let at = self.at;
        if let Some(open) = self.open.last_mut() {
            open.safe = at;
        }
        Next::CommaOrEnd
    }

    fn string(&self) -> Result<Token, String> {
        let mut at = self.at + 1;
        loop {
            match self.text.get(at) {
                None => return Ok(Token::Cut),
                Some(b'"') => return Ok(Token::Until(at + 1)),
                Some(b'\\') => match self.text.get(at + 1) {
                    None => return Ok(Token::Cut),
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(b'u') => {
                        let digits = self.text[at + 2..].iter().take(4);
                        let good = digits.clone().take_while(|digit| digit.is_ascii_hexdigit()).count();
                        match (good, digits.len()) {
                            (4, _) => at += 6,
                            (good, seen) if good == seen => return Ok(Token::Cut),
                            _ => return Err(self.strange()),
                        }
                    }
                    Some(_) => return Err(self.strange()),
                },
                Some(0..0x20) => return Err(self.strange()),
                Some(_) => at += 1,
            }
        }
    }

    /// A number, `true`, `false` or `null`. A number at the very end may have been longer.
    fn word(&self) -> Result<Token, String> {
        let length = self.text[self.at..].iter().take_while(|byte| is_of_word(**byte)).count();
        let word = &self.text[self.at..self.at + length];
        let is_last = self.at + length == self.text.len();
        let is_literal = [&b"true"[..], b"false", b"null"].contains(&word);
        let is_begun = [&b"true"[..], b"false", b"null"].iter().any(|literal| literal.starts_with(word));
        let is_numeric = word.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-');
        if is_literal {
            return Ok(Token::Until(self.at + length));
        }
        // A number that stands alone has no end that could be missing.
        if is_last && !word.is_empty() && (is_begun || is_numeric) && !self.open.is_empty() {
            return if is_begun || could_be_number(word) { Ok(Token::Cut) } else { Err(self.strange()) };
        }
        match std::str::from_utf8(word) {
            Ok(text) if is_numeric && is_json(text) => Ok(Token::Until(self.at + length)),
            _ => Err(self.strange()),
        }
    }

    /// Whether what stands behind the end is the end once more, as an overwriting with something shorter leaves it.
    pub(super) fn duplicates(&self, end: usize) -> Result<bool, String> {
        let rest = self.text[end..].trim_ascii();
        if rest.is_empty() {
            return Ok(false);
        }
        let value = self.text[..end].trim_ascii();
        let is_container = value.ends_with(b"}") || value.ends_with(b"]");
        let only_closes = rest.iter().all(|byte| matches!(byte, b'}' | b']') || is_space(*byte));
        // Two whole texts one after the other are two, and perhaps lines of a log.
        let is_own = std::str::from_utf8(rest).is_ok_and(is_json);
        if is_container && !is_own && (only_closes || value.ends_with(rest)) {
            return Ok(true);
        }
        Err(format!("behind its end at byte {end} stands something else"))
    }

    fn strange(&self) -> String {
        let line = memchr::memchr_iter(b'\n', &self.text[..self.at]).count() + 1;
        format!("what stands at byte {} (line {line}) is no JSON and has no single meaning", self.at + 1)
    }
}

fn could_be_number(word: &[u8]) -> bool {
    // With one more digit it is whole, or it was already.
    let longer = [word, b"0"].concat();
    [word, &longer].into_iter().any(|word| std::str::from_utf8(word).is_ok_and(is_json))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}
