//! Makes folders that are missing, and touches none that is there.

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::confined::{Folder, Trouble, relative, show};
use crate::machine::until::Until;
use crate::machine::user::{Group, User};
use crate::remedy::files::{Allows, Bench, check_root, check_timeout, count};
use crate::values::{FileMode, Invalid, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "create_missing_dirs",
    summary: "Makes the folders that a service needs and that are missing; those that are there stay as they are",
    example: "\
- create_missing_dirs: { root: /opt/bot, dirs: [ data, logs, uploads/images, cache ] }
- create_missing_dirs:
    root: /srv/app
    dirs: [ run ]
    mode: '0755'
    owner: root
    group: 0
    timeout: 5s
",
    effect: Effect::Tidies,
};

/// The block `create_missing_dirs:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateMissingDirsAction")]
pub struct Config {
    /// The folder beneath which they are made, by its absolute path without symbolic links. It must be there.
    pub root: PathBuf,
    /// The folders, relative to `root`. Those on the way are made too.
    pub dirs: Vec<PathBuf>,
    /// The permissions of those that are made, in octal and in quotes.
    #[serde(default = "default_mode")]
    pub mode: FileMode,
    /// Who owns those that are made, a name or a uid; another user than the one that runs Banken only if that is root.
    #[serde(default)]
    pub owner: Option<User>,
    /// The group of those that are made, a name or a gid.
    #[serde(default)]
    pub group: Option<Group>,
    /// The longest that it may take.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_mode() -> FileMode {
    FileMode(0o750)
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(10))
}

/// More folders than this are a misunderstanding.
const MAX_DIRS: usize = 1000;

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_root(&self.root, Allows::Named, &context.backups).into_iter().collect();
        invalid.extend(check_timeout(self.timeout));
        if self.dirs.is_empty() || self.dirs.len() > MAX_DIRS {
            invalid.push(Invalid::new("dirs", format!("name the folders that must be there, 1 to {MAX_DIRS}")));
        }
        for (index, dir) in self.dirs.iter().enumerate() {
            invalid.extend(relative(dir).err().map(|why| Invalid::new(format!("dirs[{index}]"), why)));
        }
        let owner = self.owner.as_ref().map(|user| user.uid(Path::new("/etc/passwd"))).transpose();
        let owner = owner.map_err(|why| invalid.push(Invalid::new("owner", why)));
        let group = self.group.as_ref().map(|group| group.gid(Path::new("/etc/group"))).transpose();
        let group = group.map_err(|why| invalid.push(Invalid::new("group", why)));
        match (owner, group) {
            (Ok(owner), Ok(group)) if invalid.is_empty() => {
                let wanted = Wanted { root: self.root.clone(), dirs: self.dirs.clone(), mode: self.mode, owner, group };
                Ok(Action { wanted, bench: Bench::new(self.timeout.0) })
            }
            _ => Err(invalid),
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// Folders that are wanted.
pub struct Action {
    wanted: Wanted,
    bench: Bench,
}

#[derive(Clone)]
struct Wanted {
    root: PathBuf,
    dirs: Vec<PathBuf>,
    mode: FileMode,
    owner: Option<u32>,
    group: Option<u32>,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let wanted = self.wanted.clone();
        let work = self.bench.work(move |_| {
            let root = Folder::root(&wanted.root)?;
            let missing = wanted.missing(&root)?;
            let lines = missing.iter().map(|dir| format!("would create {} ({})", root.shown(dir), wanted.mode));
            let mut lines = crate::remedy::files::first_lines(lines);
            if lines.is_empty() {
                lines.push("every folder is there".into());
            }
            Ok(lines)
        });
        work.await
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        let wanted = self.wanted.clone();
        self.bench.work(move |until| wanted.make_all(until)).await
    }
}

impl Wanted {
    /// The folders that are not there, those on the way included, from the top down.
    fn missing(&self, root: &Folder) -> Result<Vec<PathBuf>, Setback> {
        let we_are = rustix::process::geteuid().as_raw();
        if we_are != 0 && self.owner.is_some_and(|owner| owner != we_are) {
            let words = "only root can make folders for another user: remove owner, or run Banken as that user";
            return Err(Setback::Refused(words.into()));
        }
        let mut missing: Vec<PathBuf> = Vec::new();
        for dir in &self.dirs {
            let mut on_the_way = PathBuf::new();
            for part in dir.components() {
                on_the_way.push(part);
                if missing.contains(&on_the_way) {
                    continue;
                }
                let is_beneath_missing = on_the_way.parent().is_some_and(|above| missing.iter().any(|it| it == above));
                if is_beneath_missing {
                    missing.push(on_the_way.clone());
                    continue;
                }
                match root.folder(&on_the_way) {
                    Ok(_) => {}
                    Err(trouble) if trouble.is_missing() => missing.push(on_the_way.clone()),
                    Err(trouble) => return Err(trouble.into()),
                }
            }
        }
        Ok(missing)
    }

    fn make_all(&self, until: &Until) -> Result<Done, Setback> {
        let root = Folder::root(&self.root)?;
        let missing = self.missing(&root)?;
        let mut made: Vec<String> = Vec::new();
        for dir in &missing {
            let done = if until.is_over() {
                Err(Trouble::io("cannot go on", std::io::ErrorKind::TimedOut.into()))
            } else {
                self.make(&root, dir)
            };
            match done {
                Ok(()) => made.push(show(dir)),
                Err(trouble) if made.is_empty() => return Err(trouble.into()),
                Err(trouble) => {
                    return Err(Setback::Failed(format!("{trouble}; before that, created {}", made.join(", "))));
                }
            }
        }
        let detail = match made.len() {
            0 => format!("every folder is there beneath {}", root.shown("")),
            number => format!("created {} beneath {}: {}", count(number, "folder"), root.shown(""), made.join(", ")),
        };
        Ok(Done::new(detail))
    }

    /// Makes one folder under another name and gives it its own when it is as it should be: a folder that is there is
    /// never touched again, so none may be there half finished.
    fn make(&self, root: &Folder, dir: &Path) -> Result<(), Trouble> {
        let (parent, name) = root.holder(dir)?;
        let beside = beside(name);
        // Of a run that was cut off.
        match parent.remove_folder(&beside) {
            Err(trouble) if !trouble.is_missing() => return Err(trouble),
            _ => {}
        }
        parent.make_folder(&beside)?;
        let furnished = parent.folder(Path::new(&beside)).and_then(|folder| {
            let facts = folder.own_facts()?;
            let is_ours = facts.uid == rustix::process::geteuid().as_raw() && facts.mode() & 0o777 == 0o700;
            // Somebody who may write in the parent has put another one in its place.
            if !is_ours || !folder.names(1)?.0.is_empty() {
                return Err(Trouble::NoFolder(parent.shown(&beside)));
            }
            folder.furnish(self.owner, self.group, self.mode.0)
        });
        let placed = furnished.and_then(|()| parent.rename(&beside, name));
        match placed {
            Ok(()) => parent.sync(),
            Err(trouble) => {
                // What could not be finished is not left; if this fails too, the next run does it.
                let _ = parent.remove_folder(&beside);
                match parent.folder(Path::new(name)) {
                    // Somebody else was quicker.
                    Ok(_) => Ok(()),
                    Err(_) => Err(trouble),
                }
            }
        }
    }
}

fn beside(name: &OsStr) -> OsString {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".banken-new");
    beside
}

#[cfg(test)]
mod tests;
