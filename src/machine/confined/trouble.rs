//! What can come in the way, and how a path is shown.

use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Why something beneath a folder was not done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A symbolic link, where none is followed.
    #[error("{0} is a symbolic link or lies behind one: write the path without links")]
    Link(String),
    /// Another file system begins there.
    #[error("{0} is on another file system: what is mounted there needs an entry of its own")]
    Elsewhere(String),
    /// Something that is no folder stands where one is needed.
    #[error("{0} is no folder")]
    NoFolder(String),
    /// A name that could lead out of its folder.
    #[error("{0} is no plain name")]
    NoName(String),
    /// It is not there.
    #[error("{0} is not there")]
    Missing(String),
    /// The system said no.
    #[error("{what}: {error}")]
    Io {
        /// What was tried, and with what.
        what: String,
        /// The answer.
        error: io::Error,
    },
}

impl Trouble {
    /// Whether what is found there must not be touched, as opposed to: could not be.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Trouble::Link(_) | Trouble::Elsewhere(_) | Trouble::NoFolder(_) | Trouble::NoName(_))
    }

    /// Whether it is merely not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Trouble::Missing(_))
    }

    pub(super) fn of(what: &str, shown: String, error: Errno) -> Self {
        match error {
            Errno::NOENT => Trouble::Missing(shown),
            Errno::LOOP => Trouble::Link(shown),
            Errno::XDEV => Trouble::Elsewhere(shown),
            Errno::NOTDIR => Trouble::NoFolder(shown),
            error => Trouble::Io { what: format!("cannot {what} {shown}"), error: error.into() },
        }
    }

    /// An error of reading or writing a file that is open.
    pub fn io(what: impl Into<String>, error: io::Error) -> Self {
        Trouble::Io { what: what.into(), error }
    }
}

/// A path for people: on one line, whatever bytes it is made of.
pub fn show(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().as_os_str().as_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.extend(chunk.valid().chars().flat_map(|c| {
            // Only what would break the line or the terminal is escaped.
            let escaped = (c.is_control() || c == '\u{2028}' || c == '\u{2029}').then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!c.is_control() && c != '\u{2028}' && c != '\u{2029}').then_some(c))
        }));
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        text
    });
    if text.is_empty() { ".".into() } else { text }
}
