//! Carries a plan out, log by log.

use super::Method;
use super::compress::{Compressed, compress, remove_leftover};
use super::copy::copy_and_empty;
use super::names::{fresh, rotated, with};
use super::plan::{Log, Named, Plan, Rules};
use crate::machine::confined::{Facts, Folder, Trouble, furnish, show};
use crate::machine::open_files::Holders;
use crate::machine::until::Until;
use crate::remedy::action::{Done, Setback};
use crate::remedy::files::{count, show_size};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// So long it is waited for the writer to let go of the old file, so that it can be compressed at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// What was done, for people.
#[derive(Default)]
struct Report {
    rotated: Vec<String>,
    removed: (usize, u64),
    compressed: (usize, u64, u64),
    notes: Vec<String>,
    failures: Vec<String>,
}

/// Does what the plan says.
///
/// # Errors
/// When something of it could not be done; what was done is said.
pub(super) fn carry_out(rules: &Rules, plan: Plan, until: &Until) -> Result<Done, Setback> {
    let mut report = Report { notes: plan.notes, ..Report::default() };
    let mut waiting: Vec<(PathBuf, Facts, Named)> = Vec::new();
    let packs = rules.compress && plan.logs.iter().any(|log| !log.compress.is_empty());
    let holders = if packs { Holders::beneath(plan.root.path(), until) } else { Holders::default() };
    for log in &plan.logs {
        if until.is_over() {
            report.notes.push("the time was over before everything was done".into());
            break;
        }
        let folder = match held(&plan.root, log) {
            Ok(folder) => folder,
            Err(why) => {
                report.failures.push(why);
                continue;
            }
        };
        // What is removed first makes room for the rest.
        remove(&folder, log, &mut report);
        if let Err(trouble) = finish_former(&folder, log) {
            report.failures.push(trouble.to_string());
            continue;
        }
        if let Some(facts) = &log.rotate {
            match rotate(rules, &folder, log, facts, plan.now, until) {
                Ok(Some(named)) => {
                    report.rotated.push(told(&folder, &log.name, facts.size));
                    waiting.push((log.folder.clone(), log.of_folder, named));
                }
                Ok(None) => report.rotated.push(told(&folder, &log.name, facts.size)),
                Err(trouble) => report.failures.push(trouble.to_string()),
            }
        }
        if rules.compress {
            for named in &log.compress {
                if holders.may_hold(&folder.path().join(&named.name)) {
                    report.notes.push(format!("{} is open in a process: compressed later", folder.shown(&named.name)));
                } else {
                    pack(&folder, named, until, &mut report);
                }
            }
        }
    }
    let is_told = plan.writer.as_ref().map(|writer| writer.tell().map(|heard| (writer, heard)));
    match is_told {
        Some(Ok((writer, true))) => report.notes.push(format!("sent {writer}")),
        Some(Ok((_, false))) => report.notes.push("the writer ended meanwhile".into()),
        Some(Err(setback)) => report.failures.push(setback.to_string()),
        None => {}
    }
    if rules.compress && matches!(rules.method, Method::Signal(_)) {
        compress_what_was_let_go(&plan.root, waiting, until, &mut report);
    }
    report.end(&plan.root)
}

fn told(folder: &Folder, name: &OsStr, size: u64) -> String {
    format!("{} ({})", folder.shown(name), show_size(size))
}

/// The folder of a log, if it is still the one that was judged.
fn held(root: &Folder, log: &Log) -> Result<Folder, String> {
    let folder = root.folder(&log.folder).map_err(|trouble| trouble.to_string())?;
    let facts = folder.own_facts().map_err(|trouble| trouble.to_string())?;
    let is_as_judged =
        facts.is_same_file(&log.of_folder) && facts.mode() == log.of_folder.mode() && facts.uid == log.of_folder.uid;
    if is_as_judged { Ok(folder) } else { Err(format!("{} was exchanged meanwhile", folder.shown(""))) }
}

fn remove(folder: &Folder, log: &Log, report: &mut Report) {
    for (named, _) in &log.remove {
        let removed = folder.facts(&named.name).and_then(|facts| match facts {
            Some(facts) if facts.is_unchanged(&named.facts) => folder.unlink(&named.name).map(|()| true),
            _ => Ok(false),
        });
        match removed {
            Ok(true) => {
                report.removed.0 += 1;
                report.removed.1 += named.facts.size;
            }
            Ok(false) => {}
            Err(trouble) => report.failures.push(trouble.to_string()),
        }
    }
}

/// A rotation that was cut off left its fresh file: either its place is still free, or somebody has filled it.
fn finish_former(folder: &Folder, log: &Log) -> Result<(), Trouble> {
    let Some((named, is_free)) = &log.fresh else { return Ok(()) };
    // A file into which somebody has written is no fresh one of ours.
    if *is_free && named.facts.size == 0 && folder.rename(&named.name, &log.name).is_ok() {
        return folder.sync();
    }
    if named.facts.size == 0 { remove_leftover(folder, &named.name) } else { Ok(()) }
}

/// Rotates one log. The rotated file, where it is still to be compressed.
fn rotate(
    rules: &Rules,
    folder: &Folder,
    log: &Log,
    facts: &Facts,
    now: SystemTime,
    until: &Until,
) -> Result<Option<Named>, Trouble> {
    let target = free_name(folder, &log.name, now)?;
    if let Method::Copy = rules.method {
        copy_and_empty(folder, &log.name, facts, &target, rules.compress, until)?;
        return Ok(None);
    }
    // The fresh file waits ready: if it cannot be made as it should be, the log is not touched.
    let waiting = fresh(&log.name);
    remove_leftover(folder, &waiting)?;
    let file = folder.create(&waiting)?;
    let moved = furnish(&file, Some(facts.uid), Some(facts.gid), facts.mode() & 0o777)
        .map_err(|error| {
            Trouble::io(format!("cannot give {} its owner and mode", folder.shown(&waiting)), error.into())
        })
        .and_then(|()| folder.rename(&log.name, &target))
        .and_then(|()| folder.facts(&target));
    let there = match moved {
        Ok(Some(there)) if there.is_same_file(facts) && there.is_lone_file() => there,
        Ok(_) => {
            // Somebody put another file in its place at the last moment: it gets its name back.
            let back = folder.rename(&target, &log.name);
            remove_leftover(folder, &waiting)?;
            back?;
            return Err(Trouble::Missing(folder.shown(&log.name)));
        }
        Err(trouble) => {
            remove_leftover(folder, &waiting)?;
            return Err(trouble);
        }
    };
    // A writer that was quicker has its own already.
    if folder.rename(&waiting, &log.name).is_err() {
        remove_leftover(folder, &waiting)?;
    }
    folder.sync()?;
    Ok(Some(Named { name: target, facts: there }))
}

/// A name with the time of now, or the next free second.
fn free_name(folder: &Folder, log: &OsStr, now: SystemTime) -> Result<OsString, Trouble> {
    for second in 0..60 {
        let Some(name) = rotated(log, now + Duration::from_secs(second)) else { break };
        if folder.facts(&name)?.is_none() && folder.facts(&with(&name, ".gz"))?.is_none() {
            return Ok(name);
        }
    }
    Err(Trouble::io(format!("no name is free for {}", folder.shown(log)), std::io::ErrorKind::AlreadyExists.into()))
}

fn compress_what_was_let_go(
    root: &Folder,
    mut waiting: Vec<(PathBuf, Facts, Named)>,
    until: &Until,
    report: &mut Report,
) {
    let begun = std::time::Instant::now();
    while !waiting.is_empty() && !until.is_over() {
        let holders = Holders::beneath(root.path(), until);
        let is_held =
            |(path, _, named): &(PathBuf, Facts, Named)| holders.may_hold(&root.path().join(path).join(&named.name));
        let (held, free): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_held);
        waiting = held;
        for (path, of_folder, mut named) in free {
            let Ok(folder) = root.folder(&path) else { continue };
            if !folder.own_facts().is_ok_and(|facts| facts.is_same_file(&of_folder)) {
                continue;
            }
            // It may have grown until its writer heard.
            match folder.facts(&named.name) {
                Ok(Some(facts)) if facts.is_same_file(&named.facts) => named.facts = facts,
                _ => continue,
            }
            pack(&folder, &named, until, report);
        }
        if begun.elapsed() > PATIENCE || (!waiting.is_empty() && !until.pause(LOOK)) {
            break;
        }
    }
    if !waiting.is_empty() {
        let still = count(waiting.len(), "rotated file");
        report.notes.push(format!("{still} still open in a process: compressed the next time"));
    }
}

fn pack(folder: &Folder, named: &Named, until: &Until, report: &mut Report) {
    match compress(folder, named, until) {
        Ok(Compressed::Yes(from, to)) => {
            report.compressed.0 += 1;
            report.compressed.1 += from;
            report.compressed.2 += to;
        }
        Ok(Compressed::NotYet) => {
            report.notes.push(format!("{} is still written: compressed the next time", folder.shown(&named.name)));
        }
        Err(trouble) => report.failures.push(trouble.to_string()),
    }
}

impl Report {
    fn end(mut self, root: &Folder) -> Result<Done, Setback> {
        let mut parts = Vec::new();
        if !self.rotated.is_empty() {
            let number = count(self.rotated.len(), "log");
            self.rotated.truncate(10);
            parts.push(format!("rotated {number}: {}", self.rotated.join(", ")));
        }
        let (number, from, to) = self.compressed;
        if number > 0 {
            parts.push(format!("compressed {} from {} to {}", count(number, "file"), show_size(from), show_size(to)));
        }
        let (number, bytes) = self.removed;
        if number > 0 {
            parts.push(format!("removed {}, {}", count(number, "file"), show_size(bytes)));
        }
        if parts.is_empty() {
            parts.push(format!("nothing was rotated beneath {}", show(root.path())));
        }
        parts.extend(self.notes);
        if self.failures.is_empty() {
            return Ok(Done::new(parts.join("; ")));
        }
        self.failures.truncate(5);
        Err(Setback::Failed(format!("{}; {}", self.failures.join("; "), parts.join("; "))))
    }
}
