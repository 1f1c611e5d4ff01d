//! `copytruncate`: a live file was truncated, and what it held may stand in a copy.

use super::Tail;
use super::tracked::{Role, Tracked};
use std::path::Path;
use std::time::Instant;

impl Tail {
    /// Begins truncated files anew. What they held and was not read yet is read from their copies.
    ///
    /// All of it happens between two saves: a kill finds either the old place or the new one together with the copy's.
    pub(super) fn recover(&mut self, truncated: &[(u64, u64)], now: Instant) {
        self.discover(now, true);
        for &key in truncated {
            let is_it = |file: &Tracked| file.key() == key;
            let Some(index) = self.files.iter().position(is_it) else { continue };
            if self.files[index].mark.role == Role::Live {
                let path = self.files[index].mark.path.clone();
                self.read_on_in_copy(index, &path);
            }
            let file = &mut self.files[index];
            tracing::info!(log = self.intake.cell().descriptor().name, file = %file.mark.path.display(), "truncated");
            file.reset();
            self.intake.cell().update(|record| record.counts.truncations += 1);
            self.keeper.touch();
        }
    }

    fn read_on_in_copy(&mut self, index: usize, path: &Path) {
        let mark = self.files[index].mark.clone();
        let mut copies = Vec::new();
        for (other, copy) in self.files.iter_mut().enumerate() {
            if copy.mark.role != Role::Copy || copy.original.as_deref() != Some(path) || copy.missing_since.is_some() {
                continue;
            }
            // A copy that cannot be read is as good as none: the truncation is counted.
            match copy.is_what_it_was() {
                Ok(true) => {
                    copies.push((copy.leads_up_to(mark.offset, mark.tail).unwrap_or(false), copy.mark.size, other));
                }
                // It is no copy, and will not become one any more.
                Ok(false) => copy.become_own(),
                Err(_) => {}
            }
        }
        let best = copies.iter().filter(|(leads, ..)| *leads).max().map(|(.., other)| *other);
        for (.., other) in copies {
            if best == Some(other) {
                continue;
            }
            // A former copy holds nothing that the best one lacks. What does is another file that begins alike, as
            // after a second truncation. (Only files that are equal byte by byte cannot be told apart.)
            let extract = self.files[other].extract();
            let held = |best: usize| {
                let Ok((head, size, end)) = &extract else { return true };
                self.files[best].contains(head, *size, *end).unwrap_or(true)
            };
            let is_former = best.is_none_or(held);
            let copy = &mut self.files[other];
            if is_former { copy.count_as_read() } else { copy.become_own() }
        }
        if let Some(best) = best {
            self.files[best].read_from(&mark);
        }
    }

    /// A file that began like a copy and goes on otherwise is a file of its own.
    pub(super) fn check_copies(&mut self) {
        for copy in self.files.iter_mut().filter(|file| file.mark.role == Role::Copy && file.missing_since.is_none()) {
            if copy.is_open() || copy.is_behind() {
                let Ok(first) = copy.first_bytes() else { continue };
                if first.len() < usize::from(copy.mark.print.len) {
                    copy.close();
                    continue;
                }
                let fits = copy.mark.print.fits(&first);
                copy.close();
                copy.checked();
                if !fits {
                    copy.become_own();
                    self.keeper.touch();
                }
            }
        }
    }
}
