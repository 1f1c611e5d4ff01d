//! Relative paths with wildcards.

use crate::machine::globs::{Part, part};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// A relative path whose parts may hold `*`, `?`, `[…]`, `{…,…}`, or be `**`.
#[derive(Debug, Clone)]
pub struct Below {
    text: String,
    parts: Vec<(Part, Hidden)>,
    name: (Part, Hidden),
}

/// Whether a part is meant for names that begin with a dot. As in a shell, a wildcard does not find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    Passed,
    Meant,
}

impl Below {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Why it is none, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} {why}: write a relative path such as *.log or old/*.gz"));
        if text.trim().is_empty() || text.contains('\0') {
            return wrong("names no file");
        }
        if text.ends_with('/') {
            return wrong("is a folder, and files are meant");
        }
        let mut parts = Vec::new();
        for component in Path::new(text).components() {
            let Component::Normal(name) = component else { return wrong("does not stay beneath root") };
            let hidden = if name.as_bytes().starts_with(b".") { Hidden::Meant } else { Hidden::Passed };
            parts.push((part(name, text)?, hidden));
        }
        // `old/**` is every file at any depth.
        if matches!(parts.last(), Some((Part::Deep, _))) {
            parts.push((Part::Deep, Hidden::Passed));
        }
        let Some(name) = parts.pop() else { return wrong("names no file") };
        Ok(Self { text: text.to_owned(), parts, name })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path, where it has no wildcard.
    pub fn plain(&self) -> Option<PathBuf> {
        self.parts
            .iter()
            .chain([&self.name])
            .all(|(part, _)| matches!(part, Part::Literal(_)))
            .then(|| (&self.text).into())
    }

    /// Whether its name would fit every file.
    pub fn takes_all_names(&self) -> bool {
        match &self.name.0 {
            Part::Literal(_) => false,
            Part::Deep => true,
            Part::Wild(_) => {
                let name = self.text.rsplit('/').next().unwrap_or_default();
                name.chars().all(|c| matches!(c, '*' | '?'))
            }
        }
    }

    /// Whether it means the file of this name in this folder beneath the root.
    pub fn fits(&self, folder: &[OsString], name: &OsStr) -> bool {
        fits(&self.name, name) && walk(&self.parts, folder, false)
    }

    /// Whether something that it means may lie in this folder, or deeper.
    pub fn leads_into(&self, folder: &[OsString]) -> bool {
        walk(&self.parts, folder, true)
    }
}

fn fits((part, hidden): &(Part, Hidden), name: &OsStr) -> bool {
    let is_literal = matches!(part, Part::Literal(_));
    part.fits(name) && (is_literal || *hidden == Hidden::Meant || !name.as_bytes().starts_with(b"."))
}

/// Whether the parts lead through these folders to their end, or, on the way, at least to the last of them.
fn walk(parts: &[(Part, Hidden)], folders: &[OsString], on_the_way: bool) -> bool {
    match (parts, folders) {
        ([], []) => true,
        (_, []) if on_the_way => true,
        ([first @ (Part::Deep, _), rest @ ..], _) => {
            let deeper = folders
                .split_first()
                .is_some_and(|(folder, below)| fits(first, folder) && walk(parts, below, on_the_way));
            walk(rest, folders, on_the_way) || deeper
        }
        ([first, rest @ ..], [folder, below @ ..]) => fits(first, folder) && walk(rest, below, on_the_way),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, path: &str) -> bool {
        let path = Path::new(path);
        let folders: Vec<OsString> =
            path.parent().unwrap().components().map(|part| part.as_os_str().to_owned()).collect();
        let pattern = Below::parse(pattern).unwrap();
        let taken = pattern.fits(&folders, path.file_name().unwrap());
        for depth in 0..=folders.len() {
            assert!(!taken || pattern.leads_into(&folders[..depth]), "the way to {path:?} is not found");
        }
        taken
    }

    #[test]
    fn a_wildcard_stays_in_its_folder_and_passes_hidden_names() {
        for (pattern, path) in [
            ("*.log", "a.log"),
            ("**/*.log", "a.log"),
            ("**/*.log", "x/y/a.log"),
            ("old/**", "old/x/y"),
            (".*", ".a"),
            ("*/b", "a/b"),
            ("[a]?{c,d}", "abd"),
        ] {
            assert!(takes(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.log", "x/a.log"),
            ("*", ".a"),
            ("**", ".git/config"),
            ("**", "x/.a"),
            ("old/**", "new/x"),
            ("*/b", ".a/b"),
            ("a", "b/a"),
        ] {
            assert!(!takes(pattern, path), "{pattern} {path}");
        }
        assert!(!Below::parse("old/*.log").unwrap().leads_into(&["new".into()]));
    }

    #[test]
    fn what_leaves_the_root_is_no_pattern() {
        for text in ["", " ", "/etc/passwd", "../x", "a/../../x", "a/", ".", "a\0b", "[", "a/{b"] {
            assert!(Below::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_fits_everything_is_known() {
        for text in ["*", "**", "a/*", "***", "*?", "**/*"] {
            assert!(Below::parse(text).unwrap().takes_all_names(), "{text}");
        }
        for text in ["*.tmp", "a*", "[ab]*", "*/a"] {
            assert!(!Below::parse(text).unwrap().takes_all_names(), "{text}");
        }
    }
}
