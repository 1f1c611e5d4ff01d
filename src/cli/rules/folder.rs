//! Rule files in a folder of Prometheus. Each begins with a line that says by what it was written, with a checksum of the
//! rest. So a file that a person has changed is known, and kept.

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// How the first line begins.
const MARK: &str = "# Written by banken rules";

/// What is read of a file that is there. Ours are far smaller; a larger one is somebody else's.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// How many names of the folder are looked at for what an earlier version has left.
const MAX_ENTRIES: usize = 10_000;

/// What was done.
pub struct Done {
    written: usize,
    unchanged: usize,
    /// Files of an earlier version that are no longer among the rules.
    left_over: Vec<String>,
}

impl Done {
    pub fn in_words(&self, folder: &Path) -> String {
        let folder = folder.display();
        let mut text =
            format!("{folder}: {} rule files written, {} were there already\n", self.written, self.unchanged);
        for name in &self.left_over {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{folder}/{name} is from an earlier version and no longer needed: remove it");
        }
        let _ = writeln!(text, "next: name {folder}/*.yml below rule_files in prometheus.yml, and reload Prometheus");
        text
    }
}

/// What is there under a file's name.
enum Found {
    Nothing,
    /// As we wrote it.
    Ours(Vec<u8>),
    /// Changed by hand, or never ours.
    Foreign,
}

/// Writes files into a folder, which is made if it is not there; each as a whole or not at all. Nothing is written if one
/// of them would replace what is not ours, unless `force` says so.
///
/// # Errors
/// When a file must not or cannot be written.
pub fn write(folder: &Path, files: &[(&str, String)], force: bool) -> anyhow::Result<Done> {
    let mut fresh = Vec::new();
    let mut foreign = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        let text = sealed(text);
        match look(&path).with_context(|| format!("cannot read {}", path.display()))? {
            Found::Ours(before) if before == text.as_bytes() => continue,
            Found::Foreign if !force => foreign.push(path.display().to_string()),
            _ => {}
        }
        fresh.push((path, text));
    }
    if !foreign.is_empty() {
        anyhow::bail!(
            "nothing was written, because this was not written by banken rules or was changed since:\n  {}\n\
             keep such changes in a file of another name, or overwrite them with --force",
            foreign.join("\n  ")
        );
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (path, text) in &fresh {
        replace(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (written, unchanged) = (fresh.len(), files.len() - fresh.len());
    Ok(Done { written, unchanged, left_over: left_over(folder, files) })
}

/// A text below the line that marks it.
fn sealed(text: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{MARK} {version}; it keeps a file that was changed by hand. sha256={}\n{text}", checksum(text.as_bytes()))
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn look(path: &Path) -> io::Result<Found> {
    match fs::metadata(path) {
        // To open a pipe would wait for whoever writes into it.
        Ok(metadata) if !metadata.is_file() => return Ok(Found::Foreign),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let is_ours = memchr::memchr(b'\n', &bytes).is_some_and(|end| {
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        line.starts_with(MARK.as_bytes()) && line.ends_with(format!("sha256={}", checksum(rest)).as_bytes())
    });
    Ok(if is_ours { Found::Ours(bytes) } else { Found::Foreign })
}

/// Beside its place first, under a name that `*.yml` does not take, then renamed over it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let result = (|| {
        let mut file = File::create_new(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    if result.is_err() {
        // What could not be finished is of no use.
        let _ = fs::remove_file(&fresh);
    }
    result
}

/// Files that we wrote and that nobody changed, but which this version does not have. What cannot be read is not ours to tell.
fn left_over(folder: &Path, files: &[(&str, String)]) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(MAX_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            Path::new(name).extension().is_some_and(|found| found == "yml")
                && files.iter().all(|(kept, _)| kept != name)
        })
        .filter(|name| matches!(look(&folder.join(name)), Ok(Found::Ours(_))))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<(&'static str, String)> {
        vec![("a.yml", format!("a: {text}\n")), ("b.yml", "b: 1\n".to_owned())]
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_the_text_below_one_line_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("rules/banken");
        let done = write(&below, &files("1"), false).unwrap();
        assert_eq!((done.written, done.unchanged), (2, 0));
        assert_eq!(names(&below), ["a.yml", "b.yml"]);
        let text = fs::read_to_string(below.join("a.yml")).unwrap();
        assert_eq!(text.split_once('\n').unwrap().1, "a: 1\n");
        assert!(text.starts_with(&format!("# Written by banken rules {}", env!("CARGO_PKG_VERSION"))), "{text}");
    }

    #[test]
    fn a_newer_text_replaces_ours_and_what_is_the_same_stays_untouched() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files("1"), false).unwrap();
        let before = fs::metadata(folder.path().join("b.yml")).unwrap().modified().unwrap();
        let done = write(folder.path(), &files("2"), false).unwrap();
        assert_eq!((done.written, done.unchanged), (1, 1));
        assert!(fs::read_to_string(folder.path().join("a.yml")).unwrap().ends_with("a: 2\n"));
        assert_eq!(fs::metadata(folder.path().join("b.yml")).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn what_a_person_changed_or_wrote_is_kept_and_then_nothing_is_written() {
        for (name, change) in
            [("a.yml", "# Written by banken rules 0.0.1; sha256=\na: mine\n"), ("b.yml", "b: mine\n"), ("a.yml", "")]
        {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &files("1"), false).unwrap();
            fs::write(folder.path().join(name), change).unwrap();
            let error = write(folder.path(), &files("2"), false).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}\n")) && error.contains("--force"), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), change);
            if name == "b.yml" {
                assert!(fs::read_to_string(folder.path().join("a.yml")).unwrap().ends_with("a: 1\n"), "nothing at all");
            }
            let done = write(folder.path(), &files("2"), true).unwrap();
            assert!(done.written >= 1);
            assert!(fs::read_to_string(folder.path().join("a.yml")).unwrap().ends_with("a: 2\n"));
            assert!(fs::read_to_string(folder.path().join("b.yml")).unwrap().ends_with("b: 1\n"));
        }
    }

    #[test]
    fn one_changed_byte_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files("1"), false).unwrap();
        let path = folder.path().join("a.yml");
        let text = fs::read_to_string(&path).unwrap().replace("a: 1", "a: 7");
        fs::write(&path, &text).unwrap();
        assert!(write(folder.path(), &files("1"), false).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_an_earlier_version_left_is_named_and_what_others_wrote_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut before = files("1");
        before.push(("old.yml", "old: 1\n".to_owned()));
        write(folder.path(), &before, false).unwrap();
        fs::write(folder.path().join("own.yml"), "groups: []\n").unwrap();
        let done = write(folder.path(), &files("1"), false).unwrap();
        assert_eq!(done.left_over, ["old.yml"]);
        assert!(done.in_words(folder.path()).contains("/old.yml is from an earlier version"));
        assert!(folder.path().join("old.yml").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named_and_nothing_half_done_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a.yml/in-the-way")).unwrap();
        let error = write(folder.path(), &files("1"), true).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("a.yml"), "{error:#}");
        assert_eq!(names(folder.path()), ["a.yml"]);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file, &files("1"), false).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("/file"), "{error:#}");
    }
}
