//! What there is to do for each log: pure but for looking.

use super::Method;
use super::names::{Form, Rotated, of_fresh};
use super::writer::Writer;
use crate::machine::confined::{Below, Bounds, Entry, Facts, Folder, show, walk};
use crate::machine::open_files::has_open;
use crate::machine::until::Until;
use crate::remedy::action::Setback;
use crate::remedy::files::show_size;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How far the walk goes.
const BOUNDS: Bounds = Bounds { names: 50_000, depth: 16 };

/// So many logs are looked after by one action.
const MAX_LOGS: usize = 1000;

/// A rotated file that was written within this time may still be written.
const QUIET: Duration = Duration::from_secs(60);

/// What is wanted.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub root: PathBuf,
    pub files: Vec<Below>,
    pub above: u64,
    pub keep: usize,
    pub max_age: Duration,
    pub compress: bool,
    pub method: Method,
}

/// What there is to do.
pub(super) struct Plan {
    pub root: Folder,
    pub logs: Vec<Log>,
    /// Who must be told to open its logs again; only there if somebody must be told.
    pub writer: Option<Writer>,
    pub notes: Vec<String>,
    pub now: SystemTime,
}

/// A name in the folder of a log.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub name: OsString,
    pub facts: Facts,
}

/// What there is to do for one log.
#[derive(Debug)]
pub(super) struct Log {
    pub folder: PathBuf,
    pub name: OsString,
    pub of_folder: Facts,
    /// It is too large.
    pub rotate: Option<Facts>,
    /// The fresh file of a rotation that was cut off, and whether the place of the log is free for it.
    pub fresh: Option<(Named, bool)>,
    /// Its writer still writes into a rotated file.
    pub is_held: bool,
    pub compress: Vec<Named>,
    pub remove: Vec<(Named, &'static str)>,
}

#[derive(Default)]
struct Seen {
    of_folder: Option<Facts>,
    log: Option<Facts>,
    fresh: Option<Named>,
    rotated: Vec<(Rotated, Named)>,
}

impl Rules {
    /// Looks, and decides. Nothing is changed.
    ///
    /// # Errors
    /// When the root cannot be read, or a rule of safety forbids the whole.
    pub(super) fn plan(&self, now: SystemTime, until: &Until) -> Result<Plan, Setback> {
        let root = Folder::root(&self.root)?;
        let mut notes = Vec::new();
        let mut odd = Vec::new();
        let mut seen: BTreeMap<(PathBuf, OsString), Seen> = BTreeMap::new();
        let enters = |folders: &[OsString]| self.files.iter().any(|below| below.leads_into(folders));
        let tour = walk(&root, BOUNDS, until, &enters, &mut |entry| self.see(entry, &mut seen, &mut odd))?;
        notes.extend(tour.cut.into_iter().chain(tour.passed));
        for (path, kind, is_named) in odd {
            let words = format!("{} is {kind}, and only files with one name are rotated", root.shown(&path));
            if is_named {
                return Err(Setback::Refused(words));
            }
            notes.push(words);
        }
        if seen.len() > MAX_LOGS {
            return Err(Setback::Refused(format!(
                "{} logs are meant, more than {MAX_LOGS}: write closer patterns",
                seen.len()
            )));
        }
        // Whom to ask is only looked for where somebody may have to be asked.
        let may_tell = seen.values().any(|seen| seen.fresh.is_some() || self.is_due(seen) || seen.has_plain());
        let writer = match &self.method {
            Method::Signal(reopening) if may_tell => Some(reopening.find()),
            _ => None,
        };
        let pid = writer.as_ref().and_then(|writer| Some(writer.as_ref().ok()?.pid()));
        let mut logs = Vec::new();
        for ((folder, name), seen) in seen {
            logs.extend(self.log(&root, folder, name, seen, pid, now)?);
        }
        let must_tell = logs.iter().any(|log| log.rotate.is_some() || log.is_held || log.fresh.is_some());
        let writer = if must_tell { writer.transpose()? } else { None };
        Ok(Plan { root, logs, writer, notes, now })
    }

    fn see(
        &self,
        entry: &Entry<'_>,
        seen: &mut BTreeMap<(PathBuf, OsString), Seen>,
        odd: &mut Vec<(PathBuf, &'static str, bool)>,
    ) {
        let means = |name: &OsStr| self.files.iter().any(|below| below.fits(entry.folders, name));
        let rotated = Rotated::parse(entry.name);
        let fresh = of_fresh(entry.name);
        let log = match (&rotated, &fresh) {
            (Some(rotated), _) => rotated.log.clone(),
            (None, Some(log)) => log.clone(),
            (None, None) => entry.name.to_owned(),
        };
        if !means(&log) {
            return;
        }
        if !entry.facts.is_lone_file() {
            let path = entry.folder().join(entry.name);
            let is_named = self.files.iter().any(|below| below.plain().as_deref() == Some(&path));
            odd.push((path, entry.facts.kind_in_words(), is_named));
            return;
        }
        let seen = seen.entry((entry.folder(), log)).or_default();
        seen.of_folder = Some(entry.of_folder);
        let named = Named { name: entry.name.to_owned(), facts: entry.facts };
        match (rotated, fresh) {
            (Some(rotated), _) => seen.rotated.push((rotated, named)),
            (None, Some(_)) => seen.fresh = Some(named),
            (None, None) => seen.log = Some(entry.facts),
        }
    }

    fn is_due(&self, seen: &Seen) -> bool {
        seen.log.is_some_and(|facts| facts.size > self.above)
    }

    /// What there is to do for one log, if anything.
    fn log(
        &self,
        root: &Folder,
        folder: PathBuf,
        name: OsString,
        mut seen: Seen,
        writer: Option<i32>,
        now: SystemTime,
    ) -> Result<Option<Log>, Setback> {
        let Some(of_folder) = seen.of_folder else { return Ok(None) };
        let rotate = seen.log.filter(|_| self.is_due(&seen));
        seen.rotated.sort_by_key(|(rotated, _)| std::cmp::Reverse(rotated.at));
        let mut log = Log {
            is_held: false,
            rotate,
            fresh: seen.fresh.map(|fresh| (fresh, seen.log.is_none())),
            compress: Vec::new(),
            remove: Vec::new(),
            folder,
            name,
            of_folder,
        };
        let most = self.keep.saturating_sub(usize::from(rotate.is_some()));
        let mut kept: Vec<i64> = Vec::new();
        for (rotated, named) in seen.rotated {
            let is_held = writer.is_some_and(|pid| has_open(pid, &named.name) == Some(true));
            log.is_held |= is_held;
            let is_new = !kept.contains(&rotated.at);
            if rotated.form == Form::Part {
                log.remove.push((named, "left by a rotation that was cut off"));
            } else if is_held {
                kept.push(rotated.at);
            } else if rotated.age(now) > self.max_age {
                log.remove.push((named, "older than max_age"));
            } else if is_new && kept.len() >= most {
                log.remove.push((named, "beyond keep"));
            } else {
                kept.push(rotated.at);
                let is_quiet = now.duration_since(named.facts.modified).is_ok_and(|quiet| quiet > QUIET);
                if self.compress && rotated.form == Form::Plain && is_quiet {
                    log.compress.push(named);
                }
            }
        }
        let has_work = log.rotate.is_some()
            || log.fresh.is_some()
            || log.is_held
            || !log.compress.is_empty()
            || !log.remove.is_empty();
        if !has_work {
            return Ok(None);
        }
        Self::check_folder(root, &log, seen.log.map(|facts| facts.uid))?;
        Ok(Some(log))
    }

    /// In a folder in which others may write, names are theirs to exchange: a rotation there is never safe.
    fn check_folder(root: &Folder, log: &Log, owner: Option<u32>) -> Result<(), Setback> {
        let shown = root.shown(&log.folder);
        let mode = log.of_folder.mode();
        if mode & 0o022 != 0 {
            let who = if mode & 0o002 != 0 { "everybody" } else { "its group" };
            let words = format!("{shown} can be written by {who} ({mode:04o}): take that away (chmod go-w {shown})");
            return Err(Setback::Refused(words));
        }
        let uid = log.of_folder.uid;
        let we_are = rustix::process::geteuid().as_raw();
        if uid != 0 && uid != we_are && Some(uid) != owner {
            let words =
                format!("{shown} belongs to the user {uid}, who does not own the log: give it to the log's owner");
            return Err(Setback::Refused(words));
        }
        Ok(())
    }
}

impl Seen {
    fn has_plain(&self) -> bool {
        self.rotated.iter().any(|(rotated, _)| rotated.form == Form::Plain)
    }
}

impl Plan {
    /// One line for each thing that would be done.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for log in &self.logs {
            let shown = |name: &OsStr| self.root.shown(log.folder.join(name));
            for (named, why) in &log.remove {
                lines.push(format!("would remove {} ({}), {why}", shown(&named.name), show_size(named.facts.size)));
            }
            if let Some((fresh, is_free)) = &log.fresh {
                let what = if *is_free { "put in place" } else { "remove" };
                lines.push(format!("would {what} {}, left by a rotation that was cut off", shown(&fresh.name)));
            }
            if let Some(facts) = &log.rotate {
                lines.push(format!("would rotate {} ({})", shown(&log.name), show_size(facts.size)));
            }
            for named in &log.compress {
                lines.push(format!("would compress {} ({})", shown(&named.name), show_size(named.facts.size)));
            }
        }
        lines.extend(self.writer.iter().map(|writer| format!("would send {writer}")));
        if lines.is_empty() {
            lines.push(format!("nothing to rotate beneath {}", show(self.root.path())));
        }
        lines.extend(self.notes.iter().map(|note| format!("passed by: {note}")));
        lines
    }
}
