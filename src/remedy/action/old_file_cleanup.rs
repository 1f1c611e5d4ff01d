//! Removes files that have not been written for long: rotated logs, exports, old dumps.

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::confined::Below;
use crate::machine::user::User;
use crate::remedy::files::sweep::{AgeBy, Broom, Rules};
use crate::remedy::files::{Allows, check_root, check_timeout, owner};
use crate::values::{Invalid, Period, Size};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "old_file_cleanup",
    summary: "Removes files that were not written for a long time, by patterns beneath one folder",
    example: "\
- old_file_cleanup: { root: /opt/bot/logs, files: [ '*.log.*' ] }
- old_file_cleanup:
    root: /opt/bot/data
    files: [ 'exports/**/*.csv', 'dumps/*.sql.gz' ]
    older_than: 90d
    keep_newest: 3
    owner: root
    max_files: 500
    max_bytes: 20GiB
    timeout: 2m
",
    effect: Effect::Tidies,
};

/// The block `old_file_cleanup:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OldFileCleanupAction")]
pub struct Config {
    /// The folder beneath which files are removed, by its absolute path without symbolic links.
    pub root: PathBuf,
    /// Which files are meant: patterns relative to `root`, with `*`, `?`, `[…]`, `{…,…}` and `**`.
    pub files: Vec<String>,
    /// Only files that were last written longer ago; at least a day.
    #[serde(default = "default_age")]
    #[schemars(with = "Period")]
    pub older_than: Period,
    /// In each folder, so many of the newest files that are meant are kept, however old.
    #[serde(default = "default_keep")]
    pub keep_newest: usize,
    /// Only files of this user, a name or a uid; without it, of the user that runs Banken.
    #[serde(default)]
    pub owner: Option<User>,
    /// So many files are removed at most in one run, the oldest first.
    #[serde(default = "default_files")]
    pub max_files: usize,
    /// So many bytes are removed at most in one run.
    #[serde(default = "default_bytes")]
    pub max_bytes: Size,
    /// The longest that it may take; the work ends a little before.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_age() -> Period {
    Period(Duration::from_secs(30 * 86_400))
}

const fn default_keep() -> usize {
    1
}

const fn default_files() -> usize {
    1000
}

const fn default_bytes() -> Size {
    Size(10 << 30)
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(60))
}

/// A younger file is not old, whoever says so.
const YOUNGEST: Duration = Duration::from_secs(86_400);

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_root(&self.root, Allows::Removing, &context.backups).into_iter().collect();
        invalid.extend(check_timeout(self.timeout));
        if self.older_than.0 < YOUNGEST {
            invalid.push(Invalid::new("older_than", "a file younger than a day is not old: write at least 1d"));
        }
        let files = patterns(&self.files, &mut invalid);
        let owner = owner(self.owner.as_ref()).unwrap_or_else(|mistake| {
            invalid.push(mistake);
            0
        });
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let rules = Rules {
            files: Some(files),
            older_than: self.older_than.0,
            age_by: AgeBy::Modified,
            owner,
            keep_newest: self.keep_newest,
            max_files: self.max_files,
            max_bytes: self.max_bytes.0,
        };
        Ok(Action(Broom::new(&self.root, rules, self.timeout.0)))
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

fn patterns(files: &[String], invalid: &mut Vec<Invalid>) -> Vec<Below> {
    if files.is_empty() {
        invalid.push(Invalid::new("files", "no file is meant: write patterns such as '*.log.*'"));
    }
    let parsed = files.iter().enumerate().map(|(index, text)| {
        Below::parse(text).map_err(|why| invalid.push(Invalid::new(format!("files[{index}]"), why)))
    });
    parsed.filter_map(Result::ok).collect()
}

/// A cleaning up that is ready.
pub struct Action(Broom);

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        self.0.rehearse().await
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        self.0.sweep().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action as _;
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    fn mistakes(yaml: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.path).collect()
    }

    #[tokio::test]
    async fn old_files_go_the_newest_of_each_folder_and_whatever_is_not_meant_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("deep")).unwrap();
        for (name, days) in [("a.log.1", 40), ("a.log.2", 50), ("a.log.3", 2), ("deep/a.log.1", 99), ("a.txt", 99)] {
            let file = File::create(root.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
        }
        let yaml = format!("{{ root: {}, files: [ '**/*.log.*' ] }}", root.display());
        let config: Config = serde_yaml::from_str(&yaml).unwrap();
        let action = config.build(&Context::default()).unwrap();
        let told = action.rehearse(&Scene::default()).await.unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].ends_with("a.log.2 (0 B)") && told[1].ends_with("a.log.1 (0 B)"), "{told:?}");
        assert!(root.join("a.log.2").exists(), "a rehearsal removes nothing");
        let done = action.act(&mut Scene::default()).await.unwrap();
        assert!(done.detail.starts_with("removed 2 files, 0 B"), "{done:?}");
        let there = |name: &str| root.join(name).exists();
        assert!(!there("a.log.1") && !there("a.log.2"));
        assert!(there("a.log.3") && there("deep/a.log.1") && there("a.txt"));
        let done = action.act(&mut Scene::default()).await.unwrap();
        assert!(done.detail.starts_with("nothing was removed"), "{done:?}");
    }

    #[test]
    fn mistakes_are_found_at_their_place() {
        assert_eq!(mistakes("{ root: /opt/x, files: [] }"), ["files"]);
        assert_eq!(mistakes("{ root: /opt/x, files: [ a, ../b ] }"), ["files[1]"]);
        assert_eq!(
            mistakes("{ root: /etc, files: [ a ], older_than: 1h, timeout: 2h, owner: no-such-user }"),
            ["root", "timeout", "older_than", "owner"]
        );
        assert_eq!(mistakes("{ root: /opt/x, files: [ '*' ] }"), [""; 0]);
    }
}
