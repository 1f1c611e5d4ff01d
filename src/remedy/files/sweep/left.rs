//! What a choice of files left, and why.

use std::fmt;

/// How many files were meant and left, by the reason.
#[derive(Debug, Default)]
pub struct Left {
    /// Not old enough.
    pub young: usize,
    /// Among the newest of their folder.
    pub newest: usize,
    /// Of another user.
    pub foreign: usize,
    /// Not a regular file with one name.
    pub not_lone: usize,
    /// Open in a process.
    pub open: usize,
    /// Beyond what one run may remove.
    pub too_many: usize,
    /// No longer what they were when they were chosen.
    pub changed: usize,
    /// Not all of their folder could be looked at, so that the newest are not known.
    pub unsure: usize,
    /// Folders that were passed by.
    pub passed: Vec<String>,
    /// Why the search, or the removal, was not finished.
    pub cut: Option<String>,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.young, "not old enough"),
            (self.newest, "kept as the newest"),
            (self.foreign, "of another user"),
            (self.not_lone, "no regular file with one name"),
            (self.open, "open in a process"),
            (self.too_many, "beyond max_files or max_bytes"),
            (self.changed, "changed meanwhile"),
            (self.unsure, "in a folder of which not all was seen"),
        ];
        let told: Vec<_> =
            reasons.iter().filter(|(number, _)| *number > 0).map(|(number, why)| format!("{number} {why}")).collect();
        if !told.is_empty() {
            write!(f, "; left: {}", told.join(", "))?;
        }
        for passed in &self.passed {
            write!(f, "; passed by: {passed}")?;
        }
        self.cut.iter().try_for_each(|cut| write!(f, "; {cut}"))
    }
}
