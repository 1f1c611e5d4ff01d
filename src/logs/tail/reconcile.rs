//! What was listed, compared with what is known: which file is which, which is new, which was renamed, which is a copy.

use super::Tail;
use super::content::Print;
use super::listing::Found;
use super::tracked::{Role, Tracked};
use crate::logs::From;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

type Key = (u64, u64);

/// One entry for each file, whatever number of names it has.
type Listed = HashMap<Key, Found>;

impl Tail {
    /// Looks at the folders and makes out what became of every file.
    pub(super) fn discover(&mut self, now: Instant, force: bool) {
        if !self.lister.refresh(now, force) && !self.unsettled {
            return;
        }
        self.unsettled = false;
        let mut listed = self.listed();
        self.other_volume = self.lister.compressed();
        let matched = self.recognise(&mut listed, now);
        let names: HashSet<&Path> = matched.iter().map(|(_, found)| found.path.as_path()).collect();
        let names: HashSet<_> = names.into_iter().chain(listed.values().map(|found| found.path.as_path())).collect();
        let rotated = |found: &Found| found.base.as_deref().is_some_and(|base| !found.wanted || names.contains(base));
        let roles: Vec<bool> = matched.iter().map(|(_, found)| rotated(found)).collect();
        let fresh: Vec<(Found, bool)> = listed.values().map(|found| (found.clone(), rotated(found))).collect();
        let mut rotations = 0;
        for ((index, found), rotated) in matched.into_iter().zip(roles) {
            let file = &mut self.files[index];
            if !self.caught_up {
                file.goal = file.goal.or(Some(found.size));
            }
            rotations += u64::from(meet(file, found, rotated));
        }
        let fresh = self.within_bounds(fresh);
        // All are made out before one is added: what was not known before is nobody's original.
        let begun: Vec<_> = fresh.iter().map(|(found, rotated)| self.begin(found, *rotated, now)).collect();
        if !self.first {
            // Born and rotated away since the last look, or since the last save before a kill: rotations all the same.
            rotations += begun.iter().filter(|file| file.mark.role == Role::Rotated && !file.mark.done).count() as u64;
        }
        if !begun.is_empty() {
            self.files.extend(begun);
            self.keeper.touch();
        }
        self.first = false;
        if self.aside.len() > 2 * self.ignored {
            let listed: HashSet<Key> = self.lister.found().map(|found| (found.id.dev, found.id.ino)).collect();
            self.aside.retain(|key, _| self.ignored > 0 && listed.contains(key));
        }
        if rotations > 0 {
            self.keeper.touch();
            self.intake.cell().update(|record| record.counts.rotations += rotations);
        }
        self.tidy();
    }

    /// Every file once: under the name that is known, else under one that is wanted and no link.
    fn listed(&mut self) -> Listed {
        let known: HashMap<Key, &Path> = self.files.iter().map(|file| (file.key(), file.mark.path.as_path())).collect();
        let mut listed = Listed::new();
        for found in self.lister.found() {
            let key = (found.id.dev, found.id.ino);
            if self.own.contains(&key) {
                if !self.told_own {
                    self.told_own = true;
                    tracing::warn!(file = %found.path.display(), "Banken writes its own log there: it is not read");
                }
                continue;
            }
            let rank = |found: &Found| (known.get(&key) != Some(&found.path.as_path()), !found.wanted, found.is_link);
            if listed.get(&key).is_none_or(|other| rank(found) < rank(other)) {
                listed.insert(key, found.clone());
            }
        }
        listed
    }

    /// Takes out of `listed` what is known, by its place among the files.
    fn recognise(&mut self, listed: &mut Listed, now: Instant) -> Vec<(usize, Found)> {
        let mut matched = Vec::new();
        let mut lost = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let id = file.id();
            match listed.get(&(id.dev, id.ino)).filter(|found| found.id.fits(&id)) {
                Some(_) => matched.extend(listed.remove(&(id.dev, id.ino)).map(|found| (index, found))),
                None => lost.push(index),
            }
        }
        for index in lost {
            let id = self.files[index].id();
            // A device may have another number after a restart or a new mount.
            let key = listed.iter().find(|(_, found)| found.id.fits_elsewhere(&id)).map(|(key, _)| *key);
            match key.and_then(|key| listed.remove(&key)) {
                Some(found) => matched.push((index, found)),
                None => {
                    self.files[index].missing_since.get_or_insert(now);
                }
            }
        }
        matched
    }

    /// Leaves out what is beyond the bound: the files that were written longest ago.
    fn within_bounds(&mut self, fresh: Vec<(Found, bool)>) -> Vec<(Found, bool)> {
        let max = self.lister.files().most;
        let (mut wanted, siblings): (Vec<_>, Vec<_>) = fresh.into_iter().partition(|(found, _)| found.wanted);
        let followed = |file: &Tracked| file.is_followed() && file.missing_since.is_none();
        let mut known: Vec<(i128, Key)> =
            self.files.iter().filter(|file| followed(file)).map(|file| (file.modified, file.key())).collect();
        let mut times: Vec<(i128, bool)> = known.iter().map(|(modified, _)| (*modified, true)).collect();
        times.extend(wanted.iter().map(|(found, _)| (found.modified, false)));
        let beyond = times.len().saturating_sub(max);
        if beyond != self.ignored {
            if beyond > self.ignored {
                tracing::warn!(
                    log = self.name(),
                    beyond,
                    max,
                    "more files than max_files: those that were written longest ago are not followed"
                );
            }
            self.ignored = beyond;
        }
        if beyond > 0 {
            times.sort_unstable_by(|a, b| b.cmp(a));
            let kept = times.iter().take(max).filter(|(_, is_known)| *is_known).count();
            known.sort_unstable_by(|a, b| b.cmp(a));
            let dropped: HashSet<Key> = known.iter().skip(kept).map(|(_, key)| *key).collect();
            let room = max.saturating_sub(kept);
            let aside = &mut self.aside;
            self.files.retain(|file| {
                let is_dropped = followed(file) && dropped.contains(&file.key());
                if is_dropped {
                    aside.insert(file.key(), file.mark.begin.unwrap_or(file.mark.offset));
                }
                !is_dropped
            });
            let begins = |found: &Found, from: From, first: bool| {
                if first && from == From::End { found.size } else { 0 }
            };
            wanted.sort_unstable_by_key(|(found, _)| std::cmp::Reverse(found.modified));
            let (from, first) = (self.from, self.first);
            for (found, _) in wanted.split_off(room.min(wanted.len())) {
                aside.entry((found.id.dev, found.id.ino)).or_insert_with(|| begins(&found, from, first));
            }
        }
        wanted.extend(siblings);
        wanted
    }

    /// Where a file that was not known begins.
    fn begin(&mut self, found: &Found, rotated: bool, now: Instant) -> Tracked {
        let role = if rotated { Role::Rotated } else { Role::Live };
        let mut new = Tracked::new(found, role, now);
        if let Some(offset) = self.aside.remove(&(found.id.dev, found.id.ino)) {
            new.mark.begin = Some(offset).filter(|offset| *offset > 0);
        } else if self.is_from_before(found) {
            let from_start = self.from == From::Beginning || (self.lost && self.from == From::Checkpoint);
            match (from_start, found.wanted) {
                (true, true) => {}
                (true, false) => (new.mark.begin, new.mark.done) = (Some(found.size), true),
                (false, _) => new.mark.begin = Some(found.size),
            }
        } else if rotated {
            self.suspect_copy(&mut new, found, now);
        }
        if !self.caught_up {
            new.goal = Some(found.size);
        }
        new
    }

    /// Whether a file may have been there before this log was first looked at: at the first look everything, later
    /// what only a changed configuration makes ours.
    fn is_from_before(&self, found: &Found) -> bool {
        let wanted_earlier = |path: &Path| self.earlier.as_ref().is_none_or(|earlier| earlier.wants(path));
        self.first
            || self.was_beyond
            || !(wanted_earlier(&found.path) || found.base.as_deref().is_some_and(wanted_earlier))
    }

    /// Whether a new file was copied from a live one, as `copytruncate` does before it truncates that.
    fn suspect_copy(&mut self, new: &mut Tracked, found: &Found, now: Instant) {
        let Some(base) = &found.base else { return };
        let in_place = |file: &&mut Tracked| {
            file.mark.path == *base && file.mark.role == Role::Live && file.missing_since.is_none() && !file.mark.gone
        };
        // Those that are known from before: two that are new at once are not each other's copies.
        let Some(original) = self.files.iter_mut().find(in_place) else { return };
        // What is older than the file in place was there before that: it was renamed.
        if original.mark.born.zip(found.id.born).is_some_and(|(original, copy)| copy < original) {
            return;
        }
        let remembered = original.mark.print;
        // The copy first: what is in it then was in its original before, which only grows while it is not truncated.
        let Ok((head, size, end)) = new.extract() else { return };
        let contained = original.contains(&head, size, end).unwrap_or(false);
        let first = original.first_bytes().unwrap_or_default();
        let (offset, tail) = (original.mark.offset, original.mark.tail);
        let is_former = !contained && remembered.len > 0 && remembered.fits(&head);
        if is_former && new.leads_up_to(offset, tail).unwrap_or(false) {
            // It holds what was read of its original, and that does not hold it any more.
            self.truncated.push(original.key());
        }
        if contained || is_former {
            *new = Tracked::new(found, Role::Copy, now);
            new.mark.print = if contained { Print::of(&first) } else { remembered };
            new.original = Some(base.clone());
        }
        new.close();
    }

    /// Order, and the bound on what is remembered of files that are read or gone.
    fn tidy(&mut self) {
        // Oldest first and rotated before live, so that lines come in the order in which they were written.
        self.files.sort_by_key(|file| (file.mark.role == Role::Live, file.modified));
        let max = self.lister.files().most;
        self.forget_beyond(max, |file| file.mark.gone);
        self.forget_beyond(max.saturating_mul(10), |file| file.mark.done && !file.mark.gone);
    }

    /// Forgets the oldest of these files.
    fn forget_beyond(&mut self, bound: usize, among: impl Fn(&Tracked) -> bool) {
        let mut surplus = self.files.iter().filter(|file| among(file)).count().saturating_sub(bound);
        self.files.retain(|file| {
            let drop = surplus > 0 && among(file);
            surplus -= usize::from(drop);
            !drop
        });
    }
}

/// A known file was found. True if it was rotated away since it was last seen.
fn meet(file: &mut Tracked, found: Found, rotated: bool) -> bool {
    let returns = file.missing_since.take().is_some() || file.mark.gone;
    if returns && file.mark.gone {
        (file.mark.gone, file.mark.done) = (false, false);
        file.close();
    }
    (file.modified, file.is_link) = (found.modified, found.is_link);
    (file.mark.dev, file.mark.born) = (found.id.dev, found.id.born.or(file.mark.born));
    if file.mark.done && found.size != file.mark.size {
        file.mark.done = false;
    }
    if file.mark.role == Role::Copy {
        file.original = found.base;
        file.mark.path = found.path;
        return false;
    }
    let renamed = file.mark.path != found.path;
    let was_live = file.mark.role == Role::Live;
    if rotated && was_live {
        file.mark.role = Role::Rotated;
    } else if renamed && !rotated && found.wanted {
        file.mark.role = Role::Live;
        file.mark.done = false;
    }
    file.mark.path = found.path;
    renamed && was_live
}
