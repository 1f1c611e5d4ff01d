//! A walk through a folder and those beneath it, from descriptor to descriptor.

use super::{Facts, Folder, Trouble};
use crate::machine::until::Until;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// How far a walk goes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many names are looked at.
    pub names: usize,
    /// So many folders deep; each holds a descriptor.
    pub depth: usize,
}

/// One name on the way.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The names of the folders from the root to where it is.
    pub folders: &'a [OsString],
    /// Its name.
    pub name: &'a OsStr,
    /// What is known of it.
    pub facts: Facts,
    /// What is known of its folder.
    pub of_folder: Facts,
}

/// How a walk went.
#[derive(Debug, Default)]
pub struct Tour {
    /// So many names were looked at.
    pub names: usize,
    /// Why it was not gone to its end.
    pub cut: Option<String>,
    /// Folders that were passed by, and why; the first few.
    pub passed: Vec<String>,
}

/// So many folders that were passed by are told.
const MAX_PASSED: usize = 5;

/// Looks at everything beneath a folder, as far as `enters` says for the names of a folder. What cannot be entered is
/// passed by and told: folders without permission, other file systems, and those that vanished.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn walk(
    root: &Folder,
    bounds: Bounds,
    until: &Until,
    enters: &dyn Fn(&[OsString]) -> bool,
    see: &mut dyn FnMut(&Entry<'_>),
) -> Result<Tour, Trouble> {
    let mut walker = Walker { bounds, until, enters, see, folders: Vec::new(), tour: Tour::default() };
    walker.visit(root)?;
    Ok(walker.tour)
}

struct Walker<'a> {
    bounds: Bounds,
    until: &'a Until,
    enters: &'a dyn Fn(&[OsString]) -> bool,
    see: &'a mut dyn FnMut(&Entry<'_>),
    folders: Vec<OsString>,
    tour: Tour,
}

impl Walker<'_> {
    fn visit(&mut self, folder: &Folder) -> Result<(), Trouble> {
        let of_folder = folder.own_facts()?;
        let (names, more) = folder.names(self.bounds.names.saturating_sub(self.tour.names))?;
        if more {
            self.tour.cut = Some(format!("only the first {} names were looked at", self.bounds.names));
        }
        for name in names {
            if self.until.is_over() {
                self.tour.cut = Some("the time was over before everything was looked at".into());
                return Ok(());
            }
            self.tour.names += 1;
            // What has vanished since is nobody's concern.
            let Ok(Some(facts)) = folder.facts(&name) else { continue };
            if facts.is_folder() {
                self.enter(folder, name);
            } else {
                (self.see)(&Entry { folders: &self.folders, name: &name, facts, of_folder });
            }
        }
        Ok(())
    }

    fn enter(&mut self, folder: &Folder, name: OsString) {
        self.folders.push(name);
        if (self.enters)(&self.folders) {
            if self.folders.len() > self.bounds.depth {
                self.pass(format!("{} is too deep", folder.shown(self.last())));
            } else {
                let visited = folder.folder(self.last()).and_then(|below| self.visit(&below));
                match visited {
                    Err(trouble) if !trouble.is_missing() => self.pass(trouble.to_string()),
                    _ => {}
                }
            }
        }
        self.folders.pop();
    }

    fn last(&self) -> &Path {
        self.folders.last().map_or(Path::new(""), Path::new)
    }

    fn pass(&mut self, why: String) {
        if self.tour.passed.len() < MAX_PASSED {
            self.tour.passed.push(why);
        }
    }
}

impl Entry<'_> {
    /// The path of its folder from the root.
    pub fn folder(&self) -> PathBuf {
        self.folders.iter().collect()
    }
}
