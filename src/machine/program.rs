//! Which program a process runs: by its name, its executable or its arguments.

use super::procfs::{Reader, seen};
use crate::observation::Failure;
use crate::values::Pattern;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How a program is told from the others.
#[derive(Debug, Clone, PartialEq)]
pub enum Program {
    /// The name that the kernel gives it, or the base name of its executable as it was called or as it is.
    Name(String),
    /// The file that it executes.
    Exe(PathBuf),
    /// Something in its arguments, joined by spaces. Banken itself is never matched by this.
    Cmdline(Pattern),
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::Name(name) => write!(f, "name {name:?}"),
            Program::Exe(path) => write!(f, "executable {}", path.display()),
            Program::Cmdline(pattern) => write!(f, "a command line that matches {:?}", pattern.as_str()),
        }
    }
}

/// What can be said about one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It runs the program.
    Yes,
    /// It runs another one, or has gone.
    No,
    /// Its executable is what counts, and we may not see it.
    Hidden,
}

impl Program {
    /// Prepares one look at many processes: links in the path of an executable are followed once.
    ///
    /// # Errors
    /// [`crate::observation::Reason::Local`] when we ran out of something ourselves.
    pub fn look(&self) -> Result<Look<'_>, Failure> {
        // The kernel names the file itself, so a link such as /usr/bin/python3 is followed before comparing.
        let real = match self {
            Program::Exe(path) => seen(std::fs::canonicalize(path))?,
            _ => None,
        };
        Ok(Look { program: self, real })
    }
}

/// A program, ready to be compared with processes.
#[derive(Debug)]
pub struct Look<'a> {
    program: &'a Program,
    real: Option<PathBuf>,
}

impl Look<'_> {
    /// Whether a process runs it.
    ///
    /// # Errors
    /// [`crate::observation::Reason::Local`] when we ran out of something ourselves.
    pub fn at(&self, reader: &mut Reader, pid: i32) -> Result<Answer, Failure> {
        let matches = match self.program {
            Program::Name(name) => has_name(reader, pid, name)?,
            Program::Exe(path) => {
                let link = executable(pid);
                if link.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
                    return Ok(Answer::Hidden);
                }
                seen(link)?.is_some_and(|found| {
                    let found = without_deleted(&found);
                    Some(found) == self.real.as_deref() || found == path
                })
            }
            Program::Cmdline(pattern) => has_cmdline(reader, pid, pattern)?,
        };
        Ok(if matches { Answer::Yes } else { Answer::No })
    }
}

fn has_name(reader: &mut Reader, pid: i32, name: &str) -> Result<bool, Failure> {
    let name = name.as_bytes();
    let Some(comm) = reader.read(pid, "comm")? else { return Ok(false) };
    if comm.strip_suffix(b"\n").unwrap_or(comm) == name {
        return Ok(true);
    }
    // The kernel cuts its name after 15 bytes and programs change it; what they were called by stays whole.
    let Some(arguments) = reader.read(pid, "cmdline")? else { return Ok(false) };
    let called = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    if base_name(called) == name {
        return Ok(true);
    }
    Ok(seen(executable(pid))?.is_some_and(|path| base_name(without_deleted(&path).as_os_str().as_bytes()) == name))
}

fn has_cmdline(reader: &mut Reader, pid: i32, pattern: &Pattern) -> Result<bool, Failure> {
    // Our own arguments can hold the pattern, and then nothing else needs to run for a match.
    if u32::try_from(pid) == Ok(std::process::id()) {
        return Ok(false);
    }
    let Some(arguments) = reader.read(pid, "cmdline")? else { return Ok(false) };
    Ok(!arguments.is_empty() && pattern.is_match(&joined(arguments)))
}

/// The file that a process executes, as the kernel names it.
///
/// # Errors
/// When the process has gone, is a thread of the kernel, or does not let us see it.
pub fn executable(pid: i32) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe"))
}

/// The name that the kernel gives a process, for people: what stands in it was chosen by the process.
///
/// # Errors
/// [`crate::observation::Reason::Local`] when we ran out of something ourselves.
pub fn shown_name(reader: &mut Reader, pid: i32) -> Result<Option<String>, Failure> {
    let Some(comm) = reader.read(pid, "comm")? else { return Ok(None) };
    let comm = String::from_utf8_lossy(comm.strip_suffix(b"\n").unwrap_or(comm)).into_owned();
    Ok(Some(comm.chars().map(|c| if c.is_control() { '?' } else { c }).collect()))
}

/// The arguments as they would be typed, without the zero at the end.
fn joined(arguments: &[u8]) -> Vec<u8> {
    let end = arguments.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    arguments[..end].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

/// What stands after the last slash.
fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// An upgrade replaces the file under a running program, and the kernel then marks the link.
fn without_deleted(path: &Path) -> &Path {
    path.as_os_str().as_bytes().strip_suffix(b" (deleted)").map_or(path, |bare| Path::new(OsStr::from_bytes(bare)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_as_they_would_be_typed() {
        assert_eq!(joined(b"python\0main.py\0--live\0"), b"python main.py --live");
        assert_eq!(joined(b"nginx: worker\0\0\0\0"), b"nginx: worker");
        assert_eq!(joined(b"\0\0"), b"");
    }

    #[test]
    fn a_replaced_executable_keeps_its_path() {
        assert_eq!(without_deleted(Path::new("/opt/bot (deleted)")), Path::new("/opt/bot"));
        assert_eq!(base_name(b"/usr/bin/bot"), b"bot");
        assert_eq!(base_name(b"bot"), b"bot");
    }
}
