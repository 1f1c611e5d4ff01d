//! Which files belong to a log, by their paths alone.

use super::names;
use crate::machine::globs::{GlobMatcher, glob};
pub use crate::machine::globs::{Part, Trail};
use crate::values::Invalid;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Which files, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Written {
    paths: Vec<String>,
    exclude: Vec<String>,
}

/// Which files.
#[derive(Debug, Clone)]
pub struct Files {
    written: Written,
    /// The most that are followed at once.
    pub most: usize,
    trails: Vec<Trail>,
    excluded: Vec<Excluded>,
}

/// The patterns follow from what is written.
impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        (&self.written, self.most) == (&other.written, other.most)
    }
}

#[derive(Debug, Clone)]
struct Excluded {
    glob: GlobMatcher,
    /// Without a slash it is compared with the name alone.
    name_only: bool,
}

impl Files {
    /// Resolves what is written; mistakes go to `invalid`.
    pub fn build(paths: &[String], exclude: &[String], max_files: usize, invalid: &mut Vec<Invalid>) -> Option<Self> {
        let before = invalid.len();
        if max_files == 0 {
            invalid.push(Invalid::new("max_files", "no file would be followed: write 1 or more"));
        }
        let mut gather = |key: &str, index: usize, message: String| {
            invalid.push(Invalid::new(format!("{key}[{index}]"), message));
        };
        let mut trails = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            match Trail::parse(path) {
                Ok(trail) => trails.push(trail),
                Err(message) => gather("paths", index, message),
            }
        }
        let mut excluded = Vec::new();
        for (index, pattern) in exclude.iter().enumerate() {
            match exclusion(pattern) {
                Ok(exclusion) => excluded.push(exclusion),
                Err(message) => gather("exclude", index, message),
            }
        }
        let written = Written { paths: paths.to_vec(), exclude: exclude.to_vec() };
        (invalid.len() == before).then_some(Self { written, most: max_files, trails, excluded })
    }

    /// What was written, to be found again after a restart.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// The patterns as they are written, for people.
    pub fn shown(&self) -> String {
        self.written.paths.join(", ")
    }

    /// The same files as an earlier configuration named them; none where that cannot be understood any more.
    pub fn earlier(written: &Written) -> Option<Self> {
        Self::build(&written.paths, &written.exclude, 1, &mut Vec::new())
    }

    /// The patterns.
    pub fn trails(&self) -> &[Trail] {
        &self.trails
    }

    /// Whether a file of this path is left alone.
    pub fn is_excluded(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        self.excluded.iter().any(|excluded| {
            if excluded.name_only { excluded.glob.is_match(name) } else { excluded.glob.is_match(path) }
        })
    }

    /// Whether this path is one of those that are wanted.
    pub fn wants(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        !self.is_excluded(path) && self.trails.iter().any(|trail| trail.name.fits(name) && trail.leads_to(folder))
    }
}

fn exclusion(pattern: &str) -> Result<Excluded, String> {
    if pattern.trim().is_empty() {
        return Err("this pattern is empty: name files, for example *.tmp".into());
    }
    if !pattern.contains('/') {
        return Ok(Excluded { glob: glob(pattern, pattern)?, name_only: true });
    }
    let path = std::path::absolute(pattern).map_err(|error| format!("{pattern}: {error}: write an absolute path"))?;
    Ok(Excluded { glob: glob(&path.to_string_lossy(), pattern)?, name_only: false })
}

/// Whether a file of this name, in a folder where names like `wanted` are followed, was rotated away from one of them.
pub fn base_of(name: &OsStr, wanted: impl Fn(&OsStr) -> bool) -> Option<Vec<u8>> {
    names::bases(name.as_bytes()).find(|base| wanted(OsStr::from_bytes(base)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(paths: &[&str], exclude: &[&str]) -> Result<Files, Vec<Invalid>> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut invalid = Vec::new();
        Files::build(&own(paths), &own(exclude), 10, &mut invalid).ok_or(invalid)
    }

    #[test]
    fn a_path_is_wanted_if_every_part_fits_and_nothing_excludes_it() {
        let files = build(&["/var/log/*/app-[0-9].log", "/srv/**/x.log", "/a/b.log"], &["*.tmp.log", "/srv/old/**"]);
        let files = files.unwrap();
        for path in ["/var/log/web/app-1.log", "/srv/x.log", "/srv/a/b/x.log", "/a/b.log"] {
            assert!(files.wants(Path::new(path)), "{path}");
        }
        for path in ["/var/log/app-1.log", "/var/log/a/b/app-1.log", "/srv/old/x.log", "/a/b.log.1", "/a/c/b.log", "/"]
        {
            assert!(!files.wants(Path::new(path)), "{path}");
        }
        assert_eq!(files.trails()[0].base, Path::new("/var/log"));
        assert_eq!(files.trails()[2].base, Path::new("/a"));
        assert!(build(&["/srv/**"], &[]).unwrap().wants(Path::new("/srv/deep/down.txt")));
        assert!(build(&["logs/*.log"], &[]).unwrap().wants(&std::path::absolute("logs/a.log").unwrap()));
    }

    #[test]
    fn what_cannot_be_a_file_is_a_mistake_with_its_place_and_a_remedy() {
        let mistakes = build(&["/ok.log", "", "/var/log/", "/a/[z-a].log", "/a/{b/c,d}.log", "/"], &["", "[z"]);
        let mistakes = mistakes.unwrap_err();
        let paths: Vec<_> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(
            paths,
            ["paths[1]", "paths[2]", "paths[3]", "paths[4]", "paths[5]", "exclude[0]", "exclude[1]"],
            "{mistakes:?}"
        );
        assert!(mistakes.iter().all(|mistake| mistake.message.contains(": ")), "{mistakes:?}");
        let mut invalid = Vec::new();
        assert_eq!(Files::build(&["/a".into()], &[], 0, &mut invalid), None);
        assert_eq!(invalid[0].path, "max_files");
    }
}
