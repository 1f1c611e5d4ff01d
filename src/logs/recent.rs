//! The last lines of a log, read once and from its end: what somebody looks at who is called because of a fault. Nothing
//! is counted and no position is kept.

mod files;

use super::tail::Files;
use super::{SOURCES, container, journald};
use crate::observation::{Failure, Reason};
use crate::values::Invalid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::spawn_blocking;

/// The most that is read of one file, or of the journal, or of a container.
const MAX_BYTES: usize = 1 << 20;

/// The most files: the newest.
const MAX_FILES: usize = 3;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// The most lines of each file.
    pub lines: usize,
    /// From when on, in seconds since the Unix epoch. Files do not know when a line was written: there it is for the
    /// reader of the lines.
    pub since: Option<f64>,
}

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recently {
    /// Which file, unit or container.
    pub name: String,
    /// Lines, each with its end.
    pub text: Vec<u8>,
}

/// A log whose end can be read.
#[derive(Debug, Clone)]
pub struct Recent(Source);

#[derive(Debug, Clone)]
enum Source {
    Files(Files),
    Journald(journald::Config),
    Container(container::Config),
}

impl Recent {
    /// Resolves a source, of which there must be exactly one; mistakes go to `invalid`, with the keys of [`SOURCES`].
    pub fn build(
        paths: &[String],
        journald: Option<&journald::Config>,
        container: Option<&container::Config>,
        invalid: &mut Vec<Invalid>,
    ) -> Option<Self> {
        let source = match (paths, journald, container) {
            ([_, ..], None, None) => Source::Files(Files::build(paths, &[], MAX_FILES, invalid)?),
            ([], Some(config), None) => {
                invalid.extend(config.check().into_iter().map(|mistake| mistake.within("journald")));
                Source::Journald(config.clone())
            }
            ([], None, Some(config)) => {
                invalid.extend(config.check().into_iter().map(|mistake| mistake.within("container")));
                Source::Container(config.clone())
            }
            _ => {
                invalid.push(Invalid::new("", format!("write exactly one of {}", SOURCES.join(", "))));
                return None;
            }
        };
        Some(Self(source))
    }

    /// Where the lines come from, for people.
    pub fn shown(&self) -> String {
        match &self.0 {
            Source::Files(files) => files.shown(),
            Source::Journald(config) => {
                let chosen: Vec<_> =
                    [&config.unit, &config.identifier].into_iter().flatten().map(String::as_str).collect();
                format!("the journal of {}", chosen.join(" "))
            }
            Source::Container(config) => format!("the container {}", config.name),
        }
    }

    /// Reads the last lines: of files those of the three newest, the newest first. It may be dropped at any time.
    ///
    /// # Errors
    /// Why there is nothing to be read. Files of which some can be read are no failure.
    pub async fn read(&self, ask: Ask) -> Result<Vec<Recently>, Failure> {
        let text = match &self.0 {
            Source::Files(files) => {
                let files = files.clone();
                let stop = StopWhenDropped::default();
                let flag = Arc::clone(&stop.0);
                let reading = spawn_blocking(move || files::read(&files, MAX_FILES, MAX_BYTES, &flag)).await;
                let mut found =
                    reading.map_err(|error| Failure::new(Reason::Local, format!("the look broke: {error}")))??;
                for file in &mut found {
                    keep_last(&mut file.text, ask.lines);
                }
                return Ok(found);
            }
            Source::Journald(config) => journald::recent(config, &ask, MAX_BYTES).await?,
            Source::Container(config) => container::recent(config, &ask, MAX_BYTES).await?,
        };
        let mut text = text;
        keep_last(&mut text, ask.lines);
        Ok(vec![Recently { name: self.shown(), text }])
    }
}

/// Keeps so many lines from the end.
fn keep_last(text: &mut Vec<u8>, lines: usize) {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let Some(body) = text.len().checked_sub(1) else { return };
    let begin = memchr::memrchr_iter(b'\n', &text[..body]).nth(lines.saturating_sub(1));
    if let Some(begin) = begin {
        text.drain(..=begin);
    }
}

/// Tells a look that nobody waits for it.
#[derive(Default)]
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_are_kept_from_the_end() {
        let cases =
            [("", 2, ""), ("a", 2, "a\n"), ("a\nb\nc\n", 2, "b\nc\n"), ("a\nb\nc", 1, "c\n"), ("a\nb\n", 9, "a\nb\n")];
        for (text, lines, kept) in cases {
            let mut bytes = text.as_bytes().to_vec();
            keep_last(&mut bytes, lines);
            assert_eq!(String::from_utf8_lossy(&bytes), kept, "{text:?} {lines}");
        }
    }
}
