//! The choice of files to remove, and their removal: the same choice is told by a rehearsal and carried out by the act.
//!
//! A file is removed by its name in a folder that is held open, after it was looked at there once more: what was exchanged
//! meanwhile is left alone. So nothing that lies outside of the root can be hit, and a link that somebody puts there is
//! neither followed nor removed.

mod left;
#[cfg(test)]
mod tests;

use super::{Bench, count, show_size};
use crate::machine::confined::{Below, Bounds, Entry, Facts, Folder, Trouble, walk};
use crate::machine::open_files::Holders;
use crate::machine::until::Until;
use crate::remedy::action::{Done, Setback};
pub use left::Left;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How far the walk goes.
const BOUNDS: Bounds = Bounds { names: 200_000, depth: 32 };

/// Which of its times makes a file old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeBy {
    /// When it was last written.
    Modified,
    /// The latest of everything: a file that was just unpacked has old dates and is new all the same.
    Touched,
}

/// Which files are chosen.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which are meant at all; `None` means all.
    pub files: Option<Vec<Below>>,
    /// Only those that are older.
    pub older_than: Duration,
    /// By which of their times.
    pub age_by: AgeBy,
    /// Only those of this user.
    pub owner: u32,
    /// In each folder, so many of the newest that are meant are kept.
    pub keep_newest: usize,
    /// So many at most, the oldest first.
    pub max_files: usize,
    /// So many bytes at most.
    pub max_bytes: u64,
}

impl Rules {
    fn means(&self, entry: &Entry<'_>) -> bool {
        self.files.as_ref().is_none_or(|files| files.iter().any(|below| below.fits(entry.folders, entry.name)))
    }

    fn leads_into(&self, folders: &[OsString]) -> bool {
        self.files.as_ref().is_none_or(|files| files.iter().any(|below| below.leads_into(folders)))
    }

    fn age(&self, facts: &Facts, now: SystemTime) -> Duration {
        let since = match self.age_by {
            AgeBy::Modified => facts.modified,
            AgeBy::Touched => facts.touched(),
        };
        // A date in the future is no age.
        now.duration_since(since).unwrap_or_default()
    }
}

/// Chooses and removes beneath one root, as the actions do it.
#[derive(Debug)]
pub struct Broom {
    root: PathBuf,
    pub(in crate::remedy) rules: Rules,
    bench: Bench,
}

impl Broom {
    /// For an action with this timeout.
    pub fn new(root: &Path, rules: Rules, timeout: Duration) -> Self {
        Self { root: root.to_owned(), rules, bench: Bench::new(timeout) }
    }

    /// Says what would be removed.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub async fn rehearse(&self) -> Result<Vec<String>, Setback> {
        self.plan_and(|plan, _| Ok(plan.lines())).await
    }

    /// Removes it.
    ///
    /// # Errors
    /// When the root cannot be read, or a file could not be removed.
    pub async fn sweep(&self) -> Result<Done, Setback> {
        self.plan_and(Plan::carry_out).await
    }

    async fn plan_and<T: Send + 'static>(
        &self,
        then: impl FnOnce(Plan, &Until) -> Result<T, Setback> + Send + 'static,
    ) -> Result<T, Setback> {
        let (root, rules) = (self.root.clone(), self.rules.clone());
        let work = self.bench.work(move |until| {
            let plan = plan(Folder::root(&root)?, &rules, SystemTime::now(), until)?;
            then(plan, until)
        });
        work.await
    }
}

/// One file that was chosen.
#[derive(Debug)]
struct Item {
    folder: PathBuf,
    of_folder: Facts,
    name: OsString,
    facts: Facts,
}

/// What would be removed, and what would not.
#[derive(Debug)]
pub struct Plan {
    root: Folder,
    chosen: Vec<Item>,
    bytes: u64,
    left: Left,
}

/// Chooses. Nothing is changed.
///
/// # Errors
/// When the root cannot be read.
pub fn plan(root: Folder, rules: &Rules, now: SystemTime, until: &Until) -> Result<Plan, Trouble> {
    let mut left = Left::default();
    let mut meant: BTreeMap<PathBuf, Vec<Item>> = BTreeMap::new();
    let tour = walk(&root, BOUNDS, until, &|folders| rules.leads_into(folders), &mut |entry| {
        if !rules.means(entry) {
            return;
        }
        if !entry.facts.is_lone_file() {
            left.not_lone += 1;
        } else if entry.facts.uid != rules.owner {
            left.foreign += 1;
        } else {
            let folder = entry.folder();
            let item = Item {
                folder: folder.clone(),
                of_folder: entry.of_folder,
                name: entry.name.to_owned(),
                facts: entry.facts,
            };
            meant.entry(folder).or_default().push(item);
        }
    })?;
    left.passed = tour.passed;
    left.cut = tour.cut;
    if left.cut.is_some() && rules.keep_newest > 0 {
        // The newest are only known once all are known.
        left.unsure = meant.values().map(Vec::len).sum();
        meant.clear();
    }
    let mut old = Vec::new();
    for mut items in meant.into_values() {
        items.sort_by_key(|item| std::cmp::Reverse(item.facts.modified));
        let (kept, rest) = items.split_at(rules.keep_newest.min(items.len()));
        left.newest += kept.len();
        let first = items.len() - rest.len();
        for item in items.drain(first..) {
            if rules.age(&item.facts, now) > rules.older_than { old.push(item) } else { left.young += 1 }
        }
    }
    old.sort_by_key(|item| item.facts.modified);
    let holders = if old.is_empty() { Holders::default() } else { Holders::beneath(root.path(), until) };
    let mut plan = Plan { root, chosen: Vec::new(), bytes: 0, left };
    for item in old {
        let size = item.facts.size;
        if holders.may_hold(&plan.root.path().join(&item.folder).join(&item.name)) {
            plan.left.open += 1;
        } else if plan.chosen.len() >= rules.max_files || plan.bytes.saturating_add(size) > rules.max_bytes {
            plan.left.too_many += 1;
        } else {
            plan.bytes += size;
            plan.chosen.push(item);
        }
    }
    Ok(plan)
}

impl Plan {
    /// One line for each thing that would be done, and one for what would be left.
    pub fn lines(&self) -> Vec<String> {
        let items = self.chosen.iter().map(|item| {
            format!("would remove {} ({})", self.root.shown(item.folder.join(&item.name)), show_size(item.facts.size))
        });
        let mut lines = super::first_lines(items);
        lines.push(match self.chosen.len() {
            0 => format!("nothing to remove beneath {}{}", self.root.shown(""), self.left),
            number => format!("{}, {} in all{}", count(number, "file"), show_size(self.bytes), self.left),
        });
        lines
    }

    /// Removes what was chosen.
    ///
    /// # Errors
    /// When a file could not be removed; what was removed all the same is said.
    pub fn carry_out(self, until: &Until) -> Result<Done, Setback> {
        let Self { root, chosen, mut left, .. } = self;
        let (mut removed, mut bytes) = (0, 0);
        let mut failures = Vec::new();
        let mut open: Option<Folder> = None;
        for item in chosen {
            if until.is_over() {
                left.cut = Some("the time was over before everything was removed".into());
                break;
            }
            match remove(&root, &mut open, &item) {
                Ok(true) => {
                    removed += 1;
                    bytes += item.facts.size;
                }
                Ok(false) => left.changed += 1,
                Err(trouble) => failures.push(trouble.to_string()),
            }
        }
        let what = match removed {
            0 => format!("nothing was removed beneath {}", root.shown("")),
            _ => format!("removed {}, {}, beneath {}", count(removed, "file"), show_size(bytes), root.shown("")),
        };
        match failures.first() {
            None => Ok(Done::new(format!("{what}{left}"))),
            Some(first) => {
                let failed = count(failures.len(), "file");
                Err(Setback::Failed(format!("{what}{left}; {failed} could not be removed: {first}")))
            }
        }
    }
}

/// Whether the file was removed; it is not where it is no longer what was chosen.
fn remove(root: &Folder, open: &mut Option<Folder>, item: &Item) -> Result<bool, Trouble> {
    if open.as_ref().is_none_or(|folder| folder.path() != root.path().join(&item.folder)) {
        *open = match root.folder(&item.folder) {
            Ok(folder) => Some(folder),
            // Somebody exchanged it.
            Err(trouble) if trouble.is_missing() || trouble.is_forbidden() => None,
            Err(trouble) => return Err(trouble),
        };
    }
    let Some(folder) = open else { return Ok(false) };
    if !folder.own_facts()?.is_same_file(&item.of_folder) {
        return Ok(false);
    }
    match folder.facts(&item.name)? {
        Some(facts) if facts.is_unchanged(&item.facts) => {}
        _ => return Ok(false),
    }
    match folder.unlink(&item.name) {
        Ok(()) => Ok(true),
        Err(trouble) if trouble.is_missing() => Ok(false),
        Err(trouble) => Err(trouble),
    }
}
