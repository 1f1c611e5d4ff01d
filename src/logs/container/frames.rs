//! Takes Docker's stream of a log apart: frames of two outputs, or the raw text of a terminal, into lines with times.
//!
//! Docker keeps a line of more than 16 KiB in pieces, and puts the time before each of them. They are joined again.

use crate::logs::intake::MAX_LINE;
use crate::observation::{Failure, Reason};
use crate::values::one_line;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A frame's head: which output, three zeros, the length of what follows.
const HEAD: usize = 8;

/// A longer frame is none: Docker's are of 16 KiB, and the largest that a logging driver keeps is of 1 MiB.
const MAX_FRAME: u32 = 16 << 20;

/// The length of the pieces in which Docker keeps a long line.
const PIECE: usize = 16 << 10;

/// A time is not longer.
const MAX_STAMP: usize = 40;

/// What is kept of a line that has begun: enough to see that it is too long, and the times of its pieces.
const MAX_RAW: usize = MAX_LINE + PIECE;

/// How much is kept of what Docker itself says.
const MAX_SAID: usize = 300;

/// A complete line.
#[derive(Debug, PartialEq)]
pub struct Line<'l> {
    /// Its time, in nanoseconds since the Unix epoch.
    pub stamp: Option<i64>,
    /// What was written, without its end.
    pub text: &'l [u8],
}

/// Who takes lines: each with the time of the earliest line that has begun and not ended.
pub type Each<'e> = &'e mut dyn FnMut(&Line<'_>, Option<i64>);

/// Takes one stream apart.
#[derive(Debug)]
pub struct Demux {
    is_terminal: bool,
    head: Vec<u8>,
    /// How much of the frame is still to come.
    left: usize,
    /// Whose frame it is.
    output: usize,
    /// The lines that have begun: of stdout, of stderr, of Docker itself.
    begun: [Begun; 3],
    said: Option<String>,
}

impl Demux {
    /// A terminal has no frames.
    pub fn new(is_terminal: bool) -> Self {
        Self { is_terminal, head: Vec::new(), left: 0, output: 0, begun: Default::default(), said: None }
    }

    /// Takes what came and hands out every line that is complete now.
    ///
    /// # Errors
    /// When it is not what Docker sends.
    pub fn feed(&mut self, mut bytes: &[u8], each: Each<'_>) -> Result<(), Failure> {
        if self.is_terminal {
            self.write(bytes, each);
            return Ok(());
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if self.head.len() == HEAD {
                    self.open()?;
                }
                continue;
            }
            let (text, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= text.len();
            self.write(text, each);
            bytes = rest;
        }
        Ok(())
    }

    /// Begins a frame.
    fn open(&mut self) -> Result<(), Failure> {
        let strange = |what: String| {
            Failure::new(
                Reason::Protocol,
                format!("this is not how Docker sends a log: {what}; is it Docker's socket?"),
            )
        };
        let head = std::mem::take(&mut self.head);
        let &[output, 0, 0, 0, a, b, c, d] = head.as_slice() else {
            return Err(strange(format!("a frame begins with {head:?}")));
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if output > 3 || length > MAX_FRAME {
            return Err(strange(format!("a frame of {length} bytes for output {output}")));
        }
        self.output = usize::from(output.saturating_sub(1));
        self.left = length as usize;
        self.begun[self.output].join();
        Ok(())
    }

    /// Adds text to the line that has begun.
    fn write(&mut self, mut text: &[u8], each: Each<'_>) {
        while let Some(end) = memchr::memchr(b'\n', text) {
            self.begun[self.output].push(&text[..end]);
            self.end(self.output, each);
            text = &text[end + 1..];
        }
        self.begun[self.output].push(text);
    }

    /// Hands out the line that has begun.
    fn end(&mut self, output: usize, each: Each<'_>) {
        let begun = std::mem::take(&mut self.begun[output]);
        if output == 2 {
            let said = String::from_utf8_lossy(&begun.raw);
            self.said = Some(one_line(&said).chars().take(MAX_SAID).collect());
            return;
        }
        let open = self.begun[..2].iter().filter_map(Begun::stamp).min();
        begun.hand_out(self.is_terminal, open, each);
    }

    /// There is nothing more to come: what has begun is complete.
    pub fn finish(&mut self, each: Each<'_>) {
        for output in 0..2 {
            if !self.begun[output].raw.is_empty() {
                self.end(output, each);
            }
        }
    }

    /// What Docker itself says in between, which is that it cannot read on.
    pub fn complaint(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

/// A line that has begun.
#[derive(Debug, Default)]
struct Begun {
    raw: Vec<u8>,
    /// Where frames begin in it.
    joins: Vec<usize>,
}

impl Begun {
    fn push(&mut self, text: &[u8]) {
        let room = MAX_RAW.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// A frame begins here.
    fn join(&mut self) {
        if !self.raw.is_empty() && self.raw.len() < MAX_RAW && self.joins.last() != Some(&self.raw.len()) {
            self.joins.push(self.raw.len());
        }
    }

    fn stamp(&self) -> Option<i64> {
        split(&self.raw).map(|(stamp, _)| stamp)
    }

    /// Puts pieces together, each of which has the time of the first before it. One that has another time begins a
    /// line of its own: the former had no end, because who wrote it was ended.
    fn hand_out(mut self, is_terminal: bool, open: Option<i64>, each: Each<'_>) {
        if is_terminal {
            if self.raw.last() == Some(&b'\r') {
                self.raw.pop();
            }
            self.joins = joins_of_pieces(&self.raw);
        }
        let (mut stamp, mut head) = split(&self.raw).map_or((None, 0), |(stamp, head)| (Some(stamp), head));
        let (mut begin, mut text) = (0, Vec::new());
        for join in self.joins {
            let rest = &self.raw[join..];
            if head > 0 && rest.starts_with(&self.raw[begin..begin + head]) {
                text.extend_from_slice(&self.raw[begin + head..join]);
                // The same time again is left out, as the first was.
                begin = join;
            } else if let Some((other, other_head)) = split(rest).filter(|_| head > 0) {
                text.extend_from_slice(&self.raw[begin + head..join]);
                each(&Line { stamp, text: &text }, stamp.into_iter().chain(open).min());
                text.clear();
                (stamp, head, begin) = (Some(other), other_head, join);
            }
        }
        let last = &self.raw[begin + head..];
        if text.is_empty() {
            each(&Line { stamp, text: last }, open);
        } else {
            text.extend_from_slice(last);
            each(&Line { stamp, text: &text }, open);
        }
    }
}

/// Where the pieces of a line from a terminal begin: each is as long as Docker makes them, and has the same time.
fn joins_of_pieces(raw: &[u8]) -> Vec<usize> {
    let Some((_, head)) = split(raw) else { return Vec::new() };
    let ends = (1..).map(|pieces| pieces * (head + PIECE));
    ends.take_while(|end| *end < raw.len() && raw[*end..].starts_with(&raw[..head])).collect()
}

/// The time at the beginning of a text, and its length with the space behind it.
fn split(raw: &[u8]) -> Option<(i64, usize)> {
    let end = memchr::memchr(b' ', &raw[..raw.len().min(MAX_STAMP)])?;
    let stamp = OffsetDateTime::parse(std::str::from_utf8(&raw[..end]).ok()?, &Rfc3339).ok()?;
    Some((i64::try_from(stamp.unix_timestamp_nanos()).ok()?, end + 1))
}

#[cfg(test)]
mod tests;
