//! Repairs JSON files that a crash has cut off or garbled at an edge, after a copy of them is safe.
//!
//! Only what has one possible meaning is repaired ([`repair`]); the text of what is whole stays as it is to the byte.

mod repair;
mod schema;
#[cfg(test)]
mod tests;
mod work;

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::confined::relative;
use crate::machine::user::User;
use crate::remedy::files::{Allows, Bench, check_root, check_timeout, owner};
use crate::values::{Invalid, JsonPath, Period, Size};
use schema::Schema;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use work::Task;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "backup_and_fix_json",
    summary: "Repairs JSON files that were cut off or garbled at an edge, after a copy of them is safe",
    example: "\
- backup_and_fix_json: { root: /opt/bot/data, files: [ state.json, cache/prices.json ] }
- backup_and_fix_json:
    root: /opt/bot/data
    files: [ positions.json ]
    requires: [ $.balance, '$.positions[*].symbol' ]
    owner: root
    keep: 20
    max_size: 4MiB
    timeout: 10s
",
    effect: Effect::Tidies,
};

/// The block `backup_and_fix_json:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackupAndFixJsonAction")]
pub struct Config {
    /// The folder beneath which the files lie, by its absolute path without symbolic links.
    pub root: PathBuf,
    /// The files, each by its path relative to `root`.
    pub files: Vec<PathBuf>,
    /// What a repaired file must still hold, as paths (`JSONPath`) that each find something.
    #[serde(default)]
    pub requires: Vec<JsonPath>,
    /// A file with a JSON Schema that a repaired file must match; of its keywords only those that say what a value is.
    #[serde(default)]
    pub schema: Option<PathBuf>,
    /// Only files of this user, a name or a uid; without it, of the user that runs Banken.
    #[serde(default)]
    pub owner: Option<User>,
    /// How many copies of each file are kept, in the folder `backups` of `state_dir`.
    #[serde(default = "default_keep")]
    pub keep: usize,
    /// A larger file is left alone; at most 64MiB.
    #[serde(default = "default_size")]
    pub max_size: Size,
    /// The longest that it may take; the work ends a little before.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_keep() -> usize {
    10
}

const fn default_size() -> Size {
    Size(16 << 20)
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(30))
}

/// The file, its repaired text and its values are in memory at once.
const MAX_SIZE: u64 = 64 << 20;

/// More files than this are a misunderstanding.
const MAX_FILES: usize = 100;

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_root(&self.root, Allows::Named, &context.backups).into_iter().collect();
        invalid.extend(check_timeout(self.timeout));
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            invalid.push(Invalid::new("files", format!("name the files that are meant, 1 to {MAX_FILES}")));
        }
        for (index, file) in self.files.iter().enumerate() {
            invalid.extend(relative(file).err().map(|why| Invalid::new(format!("files[{index}]"), why)));
        }
        if !(1..=1000).contains(&self.keep) {
            invalid.push(Invalid::new("keep", "nothing is repaired without a copy: write 1 to 1000"));
        }
        if !(1..=MAX_SIZE).contains(&self.max_size.0) {
            invalid.push(Invalid::new("max_size", "write a size up to 64MiB"));
        }
        if context.backups.as_os_str().is_empty() {
            invalid.push(Invalid::new("", "there is no place for copies: set state_dir"));
        }
        let schema = self.schema.as_deref().map(Schema::read).transpose();
        let schema = schema.map_err(|why| invalid.push(Invalid::new("schema", why)));
        let owner = owner(self.owner.as_ref()).map_err(|mistake| invalid.push(mistake));
        match (schema, owner) {
            (Ok(schema), Ok(owner)) if invalid.is_empty() => {
                let task = Task {
                    root: self.root.clone(),
                    files: self.files.clone(),
                    requires: self.requires.clone(),
                    schema,
                    owner,
                    keep: self.keep,
                    max_size: self.max_size.0,
                    backups: context.backups.clone(),
                };
                Ok(Action { task, bench: Bench::new(self.timeout.0) })
            }
            _ => Err(invalid),
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// Files that can be repaired.
pub struct Action {
    task: Task,
    bench: Bench,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let task = self.task.clone();
        self.bench.work(move |until| task.rehearse(until)).await
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        let task = self.task.clone();
        self.bench.work(move |until| task.carry_out(SystemTime::now(), until)).await
    }
}
