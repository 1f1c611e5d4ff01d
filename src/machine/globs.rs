//! Paths with wildcards, taken apart: which folders must be looked into, and which names in them are meant.

use globset::GlobBuilder;
pub use globset::GlobMatcher;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// One pattern, by the parts of its path.
#[derive(Debug, Clone)]
pub struct Trail {
    /// Everything before the first part with a wildcard or the name.
    pub base: PathBuf,
    /// The folders below it.
    pub folders: Vec<Part>,
    /// The file's name.
    pub name: Part,
}

/// One part of a pattern between two slashes.
#[derive(Debug, Clone)]
pub enum Part {
    /// Exactly this.
    Literal(Vec<u8>),
    /// A wildcard within the part.
    Wild(GlobMatcher),
    /// `**`: any number of folders.
    Deep,
}

impl Part {
    /// Whether a name fits. `**` fits every name.
    pub fn fits(&self, name: &OsStr) -> bool {
        match self {
            Self::Literal(literal) => literal == name.as_bytes(),
            Self::Wild(glob) => glob.is_match(name),
            Self::Deep => true,
        }
    }
}

impl Trail {
    /// A path whose parts may hold `*`, `?`, `[…]`, `{…,…}`, or be `**`.
    ///
    /// # Errors
    /// Why it names no file, and what to write.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.trim().is_empty() {
            return Err("this path is empty: name a file, or a pattern such as /var/log/app/*.log".into());
        }
        if pattern.ends_with('/') {
            return Err(format!("{pattern} is a folder: name the files in it, for example {pattern}*.log"));
        }
        if pattern.contains('\0') {
            return Err("a path cannot hold a NUL byte: remove it".into());
        }
        if split_in_braces(pattern) {
            return Err(format!("{pattern} has a / within {{…}}: write a path for each alternative"));
        }
        let path =
            std::path::absolute(pattern).map_err(|error| format!("{pattern}: {error}: write an absolute path"))?;
        let mut base = PathBuf::new();
        let mut folders = Vec::new();
        let parts = path.components().map(|component| match component {
            Component::Normal(name) => part(name, pattern),
            other => Ok(Part::Literal(other.as_os_str().as_bytes().to_vec())),
        });
        let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
        let name = match parts.pop() {
            Some(Part::Literal(name)) if matches!(name.as_slice(), b"/" | b"..") => {
                return Err(format!("{pattern} is a folder: name the files in it, for example *.log"));
            }
            // `/var/log/**` is every file at any depth.
            Some(Part::Deep) => {
                parts.push(Part::Deep);
                Part::Deep
            }
            Some(name) => name,
            None => return Err(format!("{pattern} names no file: write a path such as /var/log/app/*.log")),
        };
        for part in parts {
            match part {
                Part::Literal(literal) if folders.is_empty() => base.push(OsStr::from_bytes(&literal)),
                part => folders.push(part),
            }
        }
        Ok(Self { base, folders, name })
    }

    /// Whether the files of this folder may be wanted.
    pub fn leads_to(&self, folder: &Path) -> bool {
        fn walk(parts: &[Part], names: &[&OsStr]) -> bool {
            match (parts, names) {
                ([], []) => true,
                ([Part::Deep, rest @ ..], _) => walk(rest, names) || (!names.is_empty() && walk(parts, &names[1..])),
                ([part, rest @ ..], [name, below @ ..]) => part.fits(name) && walk(rest, below),
                _ => false,
            }
        }
        let Ok(below) = folder.strip_prefix(&self.base) else { return false };
        let names: Vec<&OsStr> = below.iter().collect();
        walk(&self.folders, &names)
    }

    /// Whether it is the path of one file, without a wildcard.
    pub fn is_plain(&self) -> bool {
        self.folders.is_empty() && matches!(self.name, Part::Literal(_))
    }
}

fn split_in_braces(pattern: &str) -> bool {
    let mut depth = 0_usize;
    pattern.chars().any(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '/' && depth > 0
    })
}

/// One part between two slashes. `pattern` is the path of which it is a part.
pub(super) fn part(name: &OsStr, pattern: &str) -> Result<Part, String> {
    let Some(text) = name.to_str() else { return Ok(Part::Literal(name.as_bytes().to_vec())) };
    if text == "**" {
        return Ok(Part::Deep);
    }
    if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
        return Ok(Part::Literal(text.as_bytes().to_vec()));
    }
    glob(text, pattern).map(Part::Wild)
}

/// One glob: `*` and `?` stop at a slash, a backslash takes the meaning from what follows.
///
/// # Errors
/// Why it is none. `whole` is the path of which it is a part.
pub fn glob(text: &str, whole: &str) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    let glob = built.map_err(|error| {
        format!("{whole} is not a pattern: {}: put [ and ] around a character that is meant literally", error.kind())
    })?;
    Ok(glob.compile_matcher())
}
