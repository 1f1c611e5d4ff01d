//! Whether the content of a file is what its reader will understand, with the place of the first mistake.

use super::tally::{Found, Stamp};
use super::walk::there;
use crate::observation::{Failure, Reason, unix_now};
use rustix::fs::{CWD, Mode, OFlags, openat};
use saphyr_parser::{Event, Parser, ScalarStyle};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::time::Instant;

/// In which language a file must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// One JSON value (RFC 8259).
    Json,
    /// YAML 1.2, one document or several; a key that stands twice in one mapping is a mistake.
    Yaml,
}

impl Syntax {
    /// The reason for which a file of this language fails.
    pub(super) fn reason(self) -> Reason {
        match self {
            Syntax::Json => Reason::Json,
            Syntax::Yaml => Reason::Body,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Syntax::Json => "JSON",
            Syntax::Yaml => "YAML",
        }
    }

    /// What is wrong first, with line and column.
    fn mistake(self, bytes: &[u8], deadline: Instant) -> Result<Option<String>, Failure> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return Ok(Some(format!("not UTF-8 at {}", place(bytes, error.valid_up_to())))),
        };
        match self {
            Syntax::Json => Ok(json(text)),
            Syntax::Yaml => yaml(text, deadline),
        }
    }
}

/// What is known of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) found: Found,
    /// What is wrong, with the path.
    pub(super) mistake: Option<Failure>,
    /// Whether it holds until the stamp changes. Just after a change, the next one could have the same stamp.
    pub(super) lasts: bool,
}

/// The coarsest time of a file system (FAT) and some more.
const COARSEST: f64 = 3.0;

/// Reads a file and says whether it is right; nothing but a regular file is ever opened for reading.
///
/// # Errors
/// [`Reason::Local`] where we may not read, [`Reason::Missing`] where the file system fails, [`Reason::Timeout`] after the
/// deadline. A mistake in the file is no error but the verdict.
pub(super) fn examine(found: Found, syntax: Syntax, max: u64, deadline: Instant) -> Result<Verdict, Failure> {
    let mistake = |found: Found, reason, what: String| {
        let failure = Failure::new(reason, format!("{} {what}", found.path.display()));
        Ok(Verdict { found, mistake: Some(failure), lasts: false })
    };
    // A descriptor that only names the file: to open a FIFO would wait for its writer, and a device may do anything.
    let named = openat(CWD, &found.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(std::io::Error::from);
    let Some(named) = there(named, "look at", &found.path)? else {
        return mistake(found, Reason::Missing, "has just gone".into());
    };
    let named = File::from(named);
    if !there(named.metadata(), "look at", &found.path)?.is_some_and(|metadata| metadata.is_file()) {
        return mistake(found, Reason::Missing, "is no regular file any more".into());
    }
    let opened = File::open(format!("/proc/self/fd/{}", named.as_raw_fd()));
    let Some(mut file) = there(opened, "read", &found.path)? else {
        return Err(Failure::new(Reason::Local, "cannot read through /proc/self/fd: is /proc mounted?"));
    };
    let stamp = |file: &File| Ok(there(file.metadata(), "look at", &found.path)?.as_ref().map(Stamp::of));
    let before = stamp(&file)?;
    let mut bytes = Vec::new();
    there(file.by_ref().take(max.saturating_add(1)).read_to_end(&mut bytes), "read", &found.path)?;
    let mistake = if bytes.len() as u64 > max {
        let detail = format!(
            "{} is larger than {max} bytes, of which no more are parsed: raise max_parse",
            found.path.display()
        );
        Some(Failure::new(Reason::Limit, detail))
    } else {
        syntax.mistake(&bytes, deadline)?.map(|what| {
            Failure::new(syntax.reason(), format!("{} is not {}: {what}", found.path.display(), syntax.name()))
        })
    };
    let after = stamp(&file)?;
    let quiet = after.is_some_and(|stamp| unix_now() - super::tally::seconds(stamp.changed) > COARSEST);
    let lasts = quiet && before == after && after == Some(found.stamp);
    Ok(Verdict { found, mistake, lasts })
}

/// Line and column of a byte, both from 1.
fn place(bytes: &[u8], at: usize) -> String {
    let before = &bytes[..at.min(bytes.len())];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let begin = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[begin..]).chars().count() + 1;
    format!("line {line} column {column}")
}

fn json(text: &str) -> Option<String> {
    if text.starts_with('\u{feff}') {
        return Some("it begins with a byte order mark, which JSON does not allow".into());
    }
    serde_json::from_str::<IgnoredAny>(text).err().map(|error| error.to_string())
}

/// A mapping or a sequence that is open.
enum Open {
    Mapping { keys: HashSet<(bool, String)>, key_is_next: bool },
    Sequence,
}

/// How many events pass between two looks at the clock.
const EVENTS: u32 = 4096;

fn yaml(text: &str, deadline: Instant) -> Result<Option<String>, Failure> {
    // The parser takes a NUL for the end, which is what a file that was cut off by a power failure is full of.
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    if let Some(at) = text.as_bytes().iter().position(control) {
        let byte = text.as_bytes()[at];
        return Ok(Some(format!("control character 0x{byte:02x} at {}", place(text.as_bytes(), at))));
    }
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    let mut events = 0_u32;
    while let Some(event) = parser.next_event() {
        events = events.wrapping_add(1);
        if events.is_multiple_of(EVENTS) && Instant::now() >= deadline {
            return Err(Failure::new(Reason::Timeout, "still parsing"));
        }
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = error.marker();
                return Ok(Some(format!("{} at line {} column {}", error.info(), at.line(), at.col() + 1)));
            }
        };
        let twice = match event {
            Event::StreamEnd => break,
            Event::MappingStart(..) => {
                begin(&mut open, None);
                open.push(Open::Mapping { keys: HashSet::new(), key_is_next: true });
                None
            }
            Event::SequenceStart(..) => {
                begin(&mut open, None);
                open.push(Open::Sequence);
                None
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                None
            }
            Event::Scalar(text, style, ..) => begin(&mut open, Some((style == ScalarStyle::Plain, text.into_owned()))),
            Event::Alias(_) => begin(&mut open, None),
            _ => None,
        };
        if let Some(key) = twice {
            let (line, column) = (span.start.line(), span.start.col() + 1);
            return Ok(Some(format!(
                "the key {key:?} stands twice in one mapping, again at line {line} column {column}"
            )));
        }
    }
    Ok(None)
}

/// Notes that a value begins; gives the key that it is, if that was there before.
fn begin(open: &mut [Open], scalar: Option<(bool, String)>) -> Option<String> {
    let Some(Open::Mapping { keys, key_is_next }) = open.last_mut() else { return None };
    let is_key = std::mem::replace(key_is_next, !*key_is_next);
    let key = scalar.filter(|_| is_key)?;
    // Merging several mappings by several `<<` is widespread and harmless.
    (key.1 != "<<" && !keys.insert(key.clone())).then_some(key.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use std::time::Duration;

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn said(syntax: Syntax, text: &[u8]) -> String {
        syntax.mistake(text, deadline()).unwrap().unwrap_or_default()
    }

    #[test]
    fn json_is_one_value_and_a_mistake_has_its_place() {
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        for text in ["{}", " [1, 2.5e3, null, \"\\u00e9\"]\n", "7", "{\"a\": 1, \"a\": 2}", &deep] {
            assert_eq!(said(Syntax::Json, text.as_bytes()), "", "{text}");
        }
        let cases: [(&[u8], &str); 7] = [
            (b"", "EOF while parsing a value at line 1 column 0"),
            (b"{\n  \"a\": 1,\n}", "key must be a string at line 3 column 1"),
            (b"{\"a\": 1} x", "trailing characters at line 1 column 10"),
            (b"{\"a\": [1, 2", "EOF while parsing a list at line 1 column 11"),
            (b"{\"a\": NaN}", "expected value at line 1 column 7"),
            (b"{\n\"\xc3\xa9\xff\"}", "not UTF-8 at line 2 column 3"),
            ("\u{feff}{}".as_bytes(), "it begins with a byte order mark, which JSON does not allow"),
        ];
        for (text, expected) in cases {
            assert_eq!(said(Syntax::Json, text), expected);
        }
    }

    #[test]
    fn yaml_may_have_several_documents_and_no_key_twice() {
        let good = [
            "",
            "a: 1\nb: [x, {a: 1}]\n",
            "---\na: 1\n---\na: 2\n",
            "base: &b {x: 1}\nother: &c {y: 2}\nboth:\n  <<: *b\n  <<: *c\n",
            "1: int\n\"1\": text\n",
            "a: {k: 1}\nb: {k: 1}\n- bad",
        ];
        for text in &good[..5] {
            assert_eq!(said(Syntax::Yaml, text.as_bytes()), "", "{text}");
        }
        let wrong = [
            ("a: 1\nb: 2\na: 3\n", "the key \"a\" stands twice in one mapping, again at line 3 column 1"),
            ("x:\n  - {k: 1, k: 2}\n", "the key \"k\" stands twice in one mapping, again at line 2 column 12"),
            ("[a, b]: 1\nx: 1\nx: 2\n", "the key \"x\" stands twice in one mapping, again at line 3 column 1"),
            ("a: 1\0\0\0", "control character 0x00 at line 1 column 5"),
        ];
        for (text, expected) in wrong {
            assert_eq!(said(Syntax::Yaml, text.as_bytes()), expected);
        }
        for text in ["a: [1, 2\n", "a: *nobody\n", "a: b: c\n", "a:\n\t- 1\n", good[5], "\"open\n"] {
            let said = said(Syntax::Yaml, text.as_bytes());
            assert!(said.contains("line ") && said.contains(" column "), "{text:?}: {said:?}");
        }
    }

    #[test]
    fn a_parser_that_takes_too_long_is_stopped() {
        let text = "- a\n".repeat(5000);
        let failure = Syntax::Yaml.mistake(text.as_bytes(), Instant::now()).unwrap_err();
        assert_eq!(failure.reason, Reason::Timeout);
    }

    fn found(path: &Path) -> Found {
        Found { path: path.to_owned(), stamp: Stamp::of(&std::fs::metadata(path).unwrap()) }
    }

    #[test]
    fn a_verdict_on_what_has_just_changed_does_not_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "{}").unwrap();
        let verdict = examine(found(&path), Syntax::Json, 100, deadline()).unwrap();
        assert_eq!((verdict.mistake, verdict.lasts), (None, false));
        // A file of the system is older than a few seconds.
        let old = examine(found(Path::new("/etc/passwd")), Syntax::Json, 1 << 20, deadline()).unwrap();
        assert!(old.lasts && old.mistake.is_some());
        let mut other = found(Path::new("/etc/passwd"));
        other.stamp.ino += 1;
        assert!(
            !examine(other, Syntax::Json, 1 << 20, deadline()).unwrap().lasts,
            "this is another file than was found"
        );
    }

    #[test]
    fn no_more_is_read_than_allowed_and_never_from_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "[1,2,3]").unwrap();
        assert_eq!(examine(found(&path), Syntax::Json, 7, deadline()).unwrap().mistake, None);
        let failure = examine(found(&path), Syntax::Json, 6, deadline()).unwrap().mistake.unwrap();
        assert_eq!(failure.reason, Reason::Limit);
        let was = found(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(examine(was.clone(), Syntax::Json, 6, deadline()).unwrap().mistake.unwrap().reason, Reason::Missing);
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let failure = examine(was, Syntax::Json, 6, deadline()).unwrap().mistake.unwrap();
        assert_eq!(failure.reason, Reason::Missing);
        assert!(failure.detail.ends_with("is no regular file any more"), "{failure}");
    }

    proptest! {
        #[test]
        fn nothing_that_stands_in_a_file_makes_the_parsers_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Syntax::Json.mistake(&text, deadline());
            let _ = Syntax::Yaml.mistake(&text, deadline());
        }

        #[test]
        fn nothing_that_resembles_yaml_makes_the_parser_panic(text in "[-a:?{}\\[\\]&*!|>'\"%@#, \n\té\u{feff}]{0,60}") {
            let _ = Syntax::Yaml.mistake(text.as_bytes(), deadline());
        }
    }
}
