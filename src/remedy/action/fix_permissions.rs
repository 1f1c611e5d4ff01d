//! Gives files and folders that are named one by one the permissions that they should have.

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::confined::{Facts, Folder, Trouble, relative, show};
use crate::machine::until::Until;
use crate::machine::user::User;
use crate::remedy::files::{Allows, Bench, check_root, check_timeout, count, owner};
use crate::values::{FileMode, Invalid, Period};
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "fix_permissions",
    summary: "Gives files and folders that are named the permissions that they should have, never wider for others",
    example: "\
- fix_permissions:
    root: /opt/bot
    paths: [ { path: logs, mode: '0750' }, { path: data/state.json, mode: '0640' } ]
- fix_permissions:
    root: /srv/app
    paths: [ { path: settings.ini, mode: '0600' } ]
    owner: root
    timeout: 5s
",
    effect: Effect::Tidies,
};

/// The block `fix_permissions:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FixPermissionsAction")]
pub struct Config {
    /// The folder beneath which they lie, by its absolute path without symbolic links.
    pub root: PathBuf,
    /// The files and folders, each by its name. What is in a folder is not touched.
    pub paths: Vec<Wanted>,
    /// Only what belongs to this user, a name or a uid; without it, to the user that runs Banken.
    #[serde(default)]
    pub owner: Option<User>,
    /// The longest that it may take.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

/// A file or folder, and how it should be.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FixPermissionsPath")]
pub struct Wanted {
    /// Its path, relative to `root`.
    pub path: PathBuf,
    /// Its permissions, in octal and in quotes.
    pub mode: FileMode,
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(10))
}

/// More paths than this are a misunderstanding.
const MAX_PATHS: usize = 1000;

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_root(&self.root, Allows::Named, &context.backups).into_iter().collect();
        invalid.extend(check_timeout(self.timeout));
        if self.paths.is_empty() || self.paths.len() > MAX_PATHS {
            invalid.push(Invalid::new("paths", format!("name what is meant, 1 to {MAX_PATHS} files or folders")));
        }
        for (index, wanted) in self.paths.iter().enumerate() {
            let mistake = relative(&wanted.path).err();
            invalid.extend(mistake.map(|why| Invalid::new(format!("paths[{index}].path"), why)));
        }
        match owner(self.owner.as_ref()) {
            Ok(owner) if invalid.is_empty() => {
                let task = Task { root: self.root.clone(), paths: self.paths.clone(), owner };
                Ok(Action { task, bench: Bench::new(self.timeout.0) })
            }
            Ok(_) => Err(invalid),
            Err(mistake) => {
                invalid.push(mistake);
                Err(invalid)
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// Permissions that should be.
pub struct Action {
    task: Task,
    bench: Bench,
}

#[derive(Clone)]
struct Task {
    root: PathBuf,
    paths: Vec<Wanted>,
    owner: u32,
}

/// One change that is allowed, on what is held open.
struct Change {
    file: File,
    shown: String,
    from: u32,
    to: u32,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let task = self.task.clone();
        let work = self.bench.work(move |_| {
            let changes = task.plan()?;
            let lines = changes.iter().map(|change| format!("would change {}", change.in_words()));
            let mut lines = crate::remedy::files::first_lines(lines);
            if lines.is_empty() {
                lines.push("all permissions are as they should be".into());
            }
            Ok(lines)
        });
        work.await
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        let task = self.task.clone();
        self.bench.work(move |until| task.carry_out(until)).await
    }
}

impl Task {
    /// All changes, or why one of them is not allowed: then none is made.
    fn plan(&self) -> Result<Vec<Change>, Setback> {
        let root = Folder::root(&self.root)?;
        let mut changes = Vec::new();
        for wanted in &self.paths {
            changes.extend(self.change(&root, wanted)?);
        }
        Ok(changes)
    }

    fn change(&self, root: &Folder, wanted: &Wanted) -> Result<Option<Change>, Setback> {
        let shown = root.shown(&wanted.path);
        let (parent, name) = root.holder(&wanted.path)?;
        // It may be unreadable, which is perhaps what is to be mended: this asks for no permission on it.
        let file = parent.open(name, OFlags::PATH)?;
        let look = |errno: rustix::io::Errno| Trouble::io(format!("cannot look at {shown}"), errno.into());
        let facts = Facts::of(&file).map_err(look)?;
        let refuse = |why: String| Err(Setback::Refused(format!("{shown} {why}")));
        if !facts.is_lone_file() && !facts.is_folder() {
            return refuse(format!(
                "is {}, and only folders and files with one name are changed",
                facts.kind_in_words()
            ));
        }
        if facts.uid != self.owner {
            return refuse(format!("belongs to the user {}: set owner to that user, if this is right", facts.uid));
        }
        let from = facts.mode();
        if facts.is_file() && from & 0o6000 != 0 {
            return refuse(format!("has a setuid or setgid bit ({from:04o}): look at it yourself"));
        }
        // Those of a folder mean inheritance and protection, and stay.
        let to = wanted.mode.0 | (from & 0o7000);
        if to & !from & 0o007 != 0 {
            return refuse(format!(
                "has {from:04o}, and {to:04o} would give others more: change it by hand, if this is right"
            ));
        }
        Ok((from != to).then_some(Change { file, shown, from, to }))
    }

    fn carry_out(&self, until: &Until) -> Result<Done, Setback> {
        let changes = self.plan()?;
        if changes.is_empty() {
            return Ok(Done::new(format!("all permissions beneath {} are as they should be", show(&self.root))));
        }
        let mut done: Vec<String> = Vec::new();
        for change in &changes {
            let outcome = if until.is_over() { Err("the time was over".to_owned()) } else { change.carry_out() };
            match outcome {
                Ok(()) => done.push(change.in_words()),
                Err(why) if done.is_empty() => return Err(Setback::Failed(why)),
                Err(why) => return Err(Setback::Failed(format!("{why}; before that, changed {}", done.join(", ")))),
            }
        }
        let number = done.len();
        done.truncate(crate::remedy::files::MAX_LINES);
        Ok(Done::new(format!("changed the mode of {}: {}", count(number, "path"), done.join(", "))))
    }
}

impl Change {
    fn in_words(&self) -> String {
        format!("{} from {:04o} to {:04o}", self.shown, self.from, self.to)
    }

    /// By the descriptor, so that it is this file whatever its name leads to now. What was opened without a permission can
    /// only be changed by its link in `/proc`.
    fn carry_out(&self) -> Result<(), String> {
        let told = |error: rustix::io::Errno| format!("cannot change the mode of {}: {error}", self.shown);
        let facts = Facts::of(&self.file).map_err(told)?;
        if facts.mode() != self.from || !(facts.is_lone_file() || facts.is_folder()) {
            return Err(format!("{} was changed by somebody else meanwhile", self.shown));
        }
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::chmod(&link, rustix::fs::Mode::from_raw_mode(self.to)).map_err(told)?;
        let facts = Facts::of(&self.file).map_err(told)?;
        if facts.mode() == self.to {
            Ok(())
        } else {
            Err(format!("{} has {:04o} although it was set to {:04o}", self.shown, facts.mode(), self.to))
        }
    }
}

#[cfg(test)]
mod tests;
