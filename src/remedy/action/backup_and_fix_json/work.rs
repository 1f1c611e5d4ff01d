//! From a broken file to a whole one: judged, copied aside, written beside, exchanged.

use super::repair::{Repaired, Verdict, judge};
use super::schema::Schema;
use crate::machine::confined::{Facts, Folder, Trouble, furnish, show};
use crate::machine::until::Until;
use crate::remedy::action::{Done, Setback};
use crate::remedy::files::show_size;
use crate::values::JsonPath;
use rustix::fs::OFlags;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is wanted.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub root: PathBuf,
    pub files: Vec<PathBuf>,
    pub requires: Vec<JsonPath>,
    pub schema: Option<Schema>,
    pub owner: u32,
    pub keep: usize,
    pub max_size: u64,
    pub backups: PathBuf,
}

/// One file that was read.
struct Looked {
    parent: Folder,
    name: OsString,
    shown: String,
    facts: Facts,
    bytes: Vec<u8>,
    verdict: Verdict,
}

/// So many names in the folder of copies are looked at.
const MAX_COPIES: usize = 100_000;

impl Task {
    pub(super) fn rehearse(&self, until: &Until) -> Result<Vec<String>, Setback> {
        let looked = self.look_at_all(until)?;
        Ok(looked
            .iter()
            .map(|looked| match &looked.verdict {
                Verdict::Valid => format!("{} is valid and stays as it is", looked.shown),
                Verdict::Repaired(repaired) => {
                    let size = show_size(looked.facts.size);
                    format!(
                        "would copy {} ({size}) to {} and repair it: {}",
                        looked.shown,
                        show(&self.backups),
                        words(repaired)
                    )
                }
                Verdict::Hopeless(why) => format!("{} cannot be repaired: {why}", looked.shown),
            })
            .collect())
    }

    pub(super) fn carry_out(&self, now: SystemTime, until: &Until) -> Result<Done, Setback> {
        let looked = self.look_at_all(until)?;
        self.repair_all(&looked, now, until)
    }

    /// With something that happens at the worst moment.
    #[cfg(test)]
    pub(super) fn carry_out_after_look(&self, between: impl FnOnce()) -> Result<Done, Setback> {
        let (until, _waiting) = Until::after(std::time::Duration::from_secs(60));
        let looked = self.look_at_all(&until)?;
        between();
        self.repair_all(&looked, SystemTime::now(), &until)
    }

    fn repair_all(&self, looked: &[Looked], now: SystemTime, until: &Until) -> Result<Done, Setback> {
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for looked in looked {
            match &looked.verdict {
                Verdict::Valid => done.push(format!("{} is valid", looked.shown)),
                Verdict::Hopeless(why) => failures.push(format!("{} cannot be repaired: {why}", looked.shown)),
                Verdict::Repaired(_) if until.is_over() => failures.push("the time was over".into()),
                Verdict::Repaired(repaired) => match self.repair(looked, repaired, now) {
                    Ok(copy) => {
                        done.push(format!("{} repaired ({}), the former one is {copy}", looked.shown, words(repaired)));
                    }
                    Err(trouble) => failures.push(format!("{}: {trouble}", looked.shown)),
                },
            }
        }
        if failures.is_empty() {
            return Ok(Done::new(done.join("; ")));
        }
        failures.extend(done);
        Err(Setback::Failed(failures.join("; ")))
    }

    /// # Errors
    /// When one of them must not be touched, so that none is.
    fn look_at_all(&self, until: &Until) -> Result<Vec<Looked>, Setback> {
        let root = Folder::root(&self.root)?;
        let mut all = Vec::new();
        for file in &self.files {
            if until.is_over() {
                return Err(Setback::Failed(
                    "the time was over before everything was looked at; nothing was touched".into(),
                ));
            }
            all.push(self.look(&root, file)?);
        }
        Ok(all)
    }

    fn look(&self, root: &Folder, path: &Path) -> Result<Looked, Setback> {
        let (parent, name) = root.holder(path)?;
        let shown = parent.shown(name);
        let refuse = |why: String| Err(Setback::Refused(format!("{shown} {why}")));
        let Some(seen) = parent.facts(name)? else {
            return Err(Setback::Failed(format!("{shown} is not there, and nothing can be made of nothing")));
        };
        if !seen.is_lone_file() {
            return refuse(format!("is {}, and only files with one name are repaired", seen.kind_in_words()));
        }
        if seen.uid != self.owner {
            return refuse(format!("belongs to the user {}: set owner to that user, if this is right", seen.uid));
        }
        if seen.mode() & 0o7000 != 0 {
            return refuse(format!("has a setuid, setgid or sticky bit ({:04o}): look at it yourself", seen.mode()));
        }
        if seen.size > self.max_size {
            return refuse(format!("has {}, more than max_size", show_size(seen.size)));
        }
        let file = parent.open_same(name, OFlags::RDONLY, &seen)?;
        let read = |error| Trouble::io(format!("cannot read {shown}"), error);
        let facts = Facts::of(&file).map_err(|error| read(error.into()))?;
        let mut bytes = Vec::new();
        file.take(self.max_size + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 != facts.size {
            return Err(Setback::Failed(format!("{shown} is being written; nothing was touched")));
        }
        let verdict = self.judge(&bytes);
        Ok(Looked { name: name.to_owned(), parent, shown, facts, bytes, verdict })
    }

    /// The repair, if what comes of it is what a reader expects.
    fn judge(&self, bytes: &[u8]) -> Verdict {
        let verdict = judge(bytes);
        let text = match &verdict {
            Verdict::Valid => bytes,
            Verdict::Repaired(repaired) => &repaired.text,
            Verdict::Hopeless(_) => return verdict,
        };
        match (self.mismatch(text), &verdict) {
            (None, _) => verdict,
            (Some(why), Verdict::Valid) => Verdict::Hopeless(format!("it is valid JSON, but {why}")),
            (Some(why), _) => Verdict::Hopeless(format!("what would be left is not what it must be: {why}")),
        }
    }

    fn mismatch(&self, text: &[u8]) -> Option<String> {
        if self.requires.is_empty() && self.schema.is_none() {
            return None;
        }
        let value: Value = match serde_json::from_slice(text) {
            Ok(value) => value,
            Err(error) => return Some(error.to_string()),
        };
        let missing = self.requires.iter().find(|path| path.select(&value).is_empty());
        let missing = missing.map(|path| format!("{} finds nothing", path.as_str()));
        missing.or_else(|| self.schema.as_ref()?.mismatch(&value))
    }

    /// Copies the file aside and puts the repaired one in its place. Gives the name of the copy.
    fn repair(&self, looked: &Looked, repaired: &Repaired, now: SystemTime) -> Result<String, Trouble> {
        let copy = self.back_up(looked, now)?;
        let Looked { parent, name, facts, .. } = looked;
        let beside = beside(name);
        match parent.facts(&beside)? {
            // Of a run that was cut off.
            Some(leftover) if leftover.is_lone_file() => parent.unlink(&beside)?,
            _ => {}
        }
        let file = parent.create(&beside)?;
        let written = write(&file, &repaired.text)
            .and_then(|()| Ok(furnish(&file, Some(facts.uid), Some(facts.gid), facts.mode())?))
            .and_then(|()| file.sync_all())
            .map_err(|error| Trouble::io(format!("cannot write {}", parent.shown(&beside)), error))
            .and_then(|()| put_in_place(looked, &beside));
        // What stands there now goes if it is the repaired one or the one of which there is a copy, and nothing else.
        let ours = Facts::of(&file).ok();
        let removed = match parent.facts(&beside)? {
            Some(there) if there.is_same_file(facts) || ours.is_some_and(|ours| there.is_same_file(&ours)) => {
                parent.unlink(&beside)
            }
            _ => Ok(()),
        };
        written?;
        removed?;
        parent.sync()?;
        Ok(copy)
    }

    /// The copy is on the disk, and so is its name, before anything else happens.
    fn back_up(&self, looked: &Looked, now: SystemTime) -> Result<String, Trouble> {
        let folder = self.open_backups()?;
        let prefix = prefix(&looked.parent.path().join(&looked.name));
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut number = since.as_nanos();
        let (name, file) = loop {
            let name = OsString::from(format!("{prefix}.{number:020}.json"));
            match folder.create(&name) {
                Ok(file) => break (name, file),
                Err(Trouble::Io { error, .. }) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(trouble) => return Err(trouble),
            }
        };
        let written = write(&file, &looked.bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a copy is none, and takes room where there is none.
            let _ = folder.unlink(&name);
            return Err(Trouble::io(format!("cannot write the copy {}", folder.shown(&name)), error));
        }
        folder.sync()?;
        self.forget_oldest(&folder, &prefix)?;
        Ok(folder.shown(&name))
    }

    fn open_backups(&self) -> Result<Folder, Trouble> {
        match Folder::root(&self.backups) {
            Err(trouble) if trouble.is_missing() => {}
            opened => return opened,
        }
        let (Some(parent), Some(name)) = (self.backups.parent(), self.backups.file_name()) else {
            return Err(Trouble::NoName(show(&self.backups)));
        };
        let parent = Folder::root(parent)?;
        match parent.make_folder(name) {
            Err(Trouble::Io { error, .. }) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        parent.sync()?;
        Folder::root(&self.backups)
    }

    fn forget_oldest(&self, folder: &Folder, prefix: &str) -> Result<(), Trouble> {
        let (names, _) = folder.names(MAX_COPIES)?;
        let mut copies: Vec<_> = names.into_iter().filter(|name| is_copy(name, prefix)).collect();
        // The number in their names has always the same length.
        copies.sort();
        let surplus = copies.len().saturating_sub(self.keep);
        copies.iter().take(surplus).try_for_each(|name| folder.unlink(name))
    }
}

fn words(repaired: &Repaired) -> String {
    repaired.repairs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn write(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)
}

/// Lets the repaired file and the broken one change places, if that is still the one that was read: what somebody wrote
/// meanwhile gets its place back.
fn put_in_place(looked: &Looked, beside: &OsStr) -> Result<(), Trouble> {
    let Looked { parent, name, facts, .. } = looked;
    let is_same = |there: &OsStr| -> Result<bool, Trouble> {
        // A change of name is a change too, so that of the times only that of writing counts.
        let now = parent.facts(there)?;
        Ok(now.is_some_and(|now| now.is_same_file(facts) && now.size == facts.size && now.modified == facts.modified))
    };
    let meanwhile =
        || Trouble::io("it was written meanwhile and stays as it is", std::io::ErrorKind::ResourceBusy.into());
    if !is_same(name)? {
        return Err(meanwhile());
    }
    if !parent.exchange(beside, name)? {
        return parent.replace(beside, name);
    }
    if is_same(beside)? {
        return Ok(());
    }
    parent.exchange(beside, name)?;
    Err(meanwhile())
}

fn beside(name: &OsStr) -> OsString {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".banken-new");
    beside
}

/// How the names of all copies of one file begin: readable, and different for each path.
fn prefix(path: &Path) -> String {
    let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let readable: String = name.chars().map(|c| if is_harmless(c) { c } else { '_' }).take(80).collect();
    let hash = Sha256::digest(path.as_os_str().as_bytes());
    hash.iter().take(6).fold(format!("{readable}."), |mut prefix, byte| {
        // Writing to a String cannot fail.
        let _ = write!(prefix, "{byte:02x}");
        prefix
    })
}

fn is_copy(name: &OsStr, prefix: &str) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_prefix('.')?.strip_suffix(".json"));
    number.is_some_and(|number| number.len() == 20 && number.bytes().all(|digit| digit.is_ascii_digit()))
}
