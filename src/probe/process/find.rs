//! Finds the processes that a probe is about, and measures those alone.
//!
//! `/proc` is read directly: sysinfo keeps a record (and an open file) of every process of the host, matched or not,
//! for each probe, while here nothing of an unmatched process outlives the look at it.

use super::text::parse_pid;
use crate::machine::procfs::{Reader, Stat, effective_uid, open_fds, status_number};
use crate::machine::program::{Answer, Look as ProgramLook, Program};
use crate::observation::{Failure, Reason, is_own_shortage};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How a process is told from the others.
#[derive(Debug)]
pub(super) enum Selector {
    /// What it runs.
    Program(Program),
    /// The pid in a file.
    Pidfile(PathBuf),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Program(program) => program.fmt(f),
            Selector::Pidfile(path) => write!(f, "the pid in {}", path.display()),
        }
    }
}

/// Which processes are meant.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) selector: Selector,
    /// Only processes of this effective user.
    pub(super) uid: Option<u32>,
}

/// A process through all of its life: a pid alone is given to another one later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// In clock ticks since the boot.
    pub(super) start: u64,
}

/// A process that was meant, measured.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: Identity,
    pub(super) cpu_ticks: u64,
    pub(super) threads: u64,
    pub(super) resident_pages: u64,
    /// Absent where we may not know.
    pub(super) open_fds: Option<u64>,
    /// Becomes readable when it ends; there if it was not watched yet.
    pub(super) pidfd: Option<OwnedFd>,
}

/// What one look saw.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) found: Vec<Found>,
    /// A process that would have matched, but has ended and was not reaped.
    pub(super) zombie: Option<i32>,
    /// How many processes' executables we may not see, when that is what counts.
    pub(super) hidden: usize,
    /// Why a pidfile led nowhere.
    pub(super) trouble: Option<String>,
    /// When the measuring was done.
    pub(super) at: Instant,
}

/// More descriptors than this are not spent on one probe; beyond it, exits are noticed at the interval.
pub(super) const MAX_WATCHED: usize = 256;

/// Looks once. It blocks on files, so it belongs on a thread of its own.
///
/// # Errors
/// [`Reason::Local`] when we could not look; that nothing was found is no error.
pub(super) fn look(query: &Query, watched: &[Identity]) -> Result<Sight, Failure> {
    let sight = Sight { found: Vec::new(), zombie: None, hidden: 0, trouble: None, at: Instant::now() };
    let mut look = Look { query, reader: Reader::default(), sight };
    match &query.selector {
        Selector::Pidfile(path) => {
            if let Err(trouble) = look.by_pidfile(path)? {
                look.sight.trouble = Some(trouble);
            }
        }
        Selector::Program(program) => look.all(&program.look()?)?,
    }
    look.sight.at = Instant::now();
    look.open_pidfds(watched)?;
    Ok(look.sight)
}

struct Look<'a> {
    query: &'a Query,
    reader: Reader,
    sight: Sight,
}

impl Look<'_> {
    fn all(&mut self, program: &ProgramLook<'_>) -> Result<(), Failure> {
        let folder =
            std::fs::read_dir("/proc").map_err(|error| Failure::io(Reason::Local, "cannot list /proc", &error))?;
        for entry in folder {
            let entry = entry.map_err(|error| Failure::io(Reason::Local, "cannot list /proc", &error))?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let answer = program.at(&mut self.reader, pid)?;
            self.sight.hidden += usize::from(answer == Answer::Hidden);
            if answer == Answer::Yes
                && let Some(stat) = self.reader.stat(pid)?
                && self.has_user(pid)?
            {
                self.take(pid, &stat)?;
            }
        }
        Ok(())
    }

    fn has_user(&mut self, pid: i32) -> Result<bool, Failure> {
        let Some(uid) = self.query.uid else { return Ok(true) };
        Ok(self.reader.read(pid, "status")?.and_then(effective_uid) == Some(uid))
    }

    fn take(&mut self, pid: i32, stat: &Stat) -> Result<(), Failure> {
        if stat.zombie {
            self.sight.zombie.get_or_insert(pid);
        } else if !stat.kernel_thread {
            self.sight.found.push(Found {
                id: Identity { pid, start: stat.start },
                cpu_ticks: stat.cpu_ticks,
                threads: stat.threads,
                resident_pages: stat.resident_pages,
                open_fds: open_fds(pid)?,
                pidfd: None,
            });
        }
        Ok(())
    }

    /// The inner error is why the file leads to no process of ours, in words.
    fn by_pidfile(&mut self, path: &Path) -> Result<Result<(), String>, Failure> {
        let shown = path.display();
        let mut text = Vec::new();
        if let Err(error) = File::open(path).and_then(|file| file.take(MAX_PIDFILE).read_to_end(&mut text)) {
            return if is_own_shortage(&error) {
                Err(Failure::io(Reason::Local, format!("cannot read {shown}"), &error))
            } else {
                Ok(Err(format!("cannot read it: {error}")))
            };
        }
        let Some(pid) = parse_pid(&text) else { return Ok(Err("no process id stands in it".into())) };
        let Some(stat) = self.reader.stat(pid)? else {
            return Ok(Err(format!("pid {pid} does not exist, so the file is stale")));
        };
        let Some(status) = self.reader.read(pid, "status")? else {
            return Ok(Err(format!("pid {pid} has just ended")));
        };
        if status_number(status, "Tgid") != u32::try_from(pid).ok() || stat.kernel_thread {
            return Ok(Err(format!("pid {pid} is a thread of something else by now, so the file is stale")));
        }
        let uid = effective_uid(status);
        if self.query.uid.is_some() && self.query.uid != uid {
            let uid = uid.map_or_else(|| "an unknown uid".to_owned(), |uid| format!("uid {uid}"));
            return Ok(Err(format!("pid {pid} runs as {uid}")));
        }
        self.take(pid, &stat).map(Ok)
    }

    /// Opens a pidfd for what is not watched yet, and forgets what ended since it was measured: nobody would tell us.
    fn open_pidfds(&mut self, watched: &[Identity]) -> Result<(), Failure> {
        let mut budget = MAX_WATCHED.saturating_sub(watched.len());
        let mut index = 0;
        while index < self.sight.found.len() && budget > 0 {
            let found = &mut self.sight.found[index];
            let id = found.id;
            index += 1;
            if watched.contains(&id) {
                continue;
            }
            budget -= 1;
            // No flag: the descriptor is only polled, never read, and NONBLOCK would need Linux 5.10 instead of 5.3.
            match Pid::from_raw(id.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
                Some(Ok(fd)) => found.pidfd = Some(fd),
                Some(Err(rustix::io::Errno::SRCH)) => {}
                Some(Err(error)) => {
                    tracing::debug!(pid = id.pid, %error, "no pidfd: the exit is noticed at the next interval only");
                    break;
                }
                None => continue,
            }
            // The pid may have been given away between the measuring and the opening.
            if self.reader.stat(id.pid)?.is_none_or(|stat| stat.start != id.start || stat.zombie) {
                index -= 1;
                self.sight.found.swap_remove(index);
            }
        }
        Ok(())
    }
}

/// Enough for a pid and what some programs write after it.
const MAX_PIDFILE: u64 = 4096;
