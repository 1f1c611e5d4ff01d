//! Removes temporary files that were forgotten, also from folders in which everybody may write.

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
    name: "temp_file_cleanup",
    summary: "Removes forgotten temporary files of one user, by patterns, also from /tmp",
    example: "\
- temp_file_cleanup: { root: /tmp, files: [ 'bot-*.tmp', 'pip-*/**/*.whl' ] }
- temp_file_cleanup:
    root: /var/tmp
    files: [ 'export-*' ]
    older_than: 6h
    owner: root
    max_files: 200
    max_bytes: 1GiB
    timeout: 30s
",
    effect: Effect::Tidies,
};

/// The block `temp_file_cleanup:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TempFileCleanupAction")]
pub struct Config {
    /// The folder beneath which files are removed, by its absolute path without symbolic links.
    pub root: PathBuf,
    /// Which files are meant: patterns relative to `root`, with `*`, `?`, `[…]`, `{…,…}` and `**`. A name cannot be
    /// nothing but a wildcard.
    pub files: Vec<String>,
    /// Only files that were neither written, read nor changed in any way for longer; at least an hour.
    #[serde(default = "default_age")]
    #[schemars(with = "Period")]
    pub older_than: Period,
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
    Period(Duration::from_secs(86_400))
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

/// A program that runs for less may still want its files.
const YOUNGEST: Duration = Duration::from_secs(3600);

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_root(&self.root, Allows::Removing, &context.backups).into_iter().collect();
        invalid.extend(check_timeout(self.timeout));
        if self.older_than.0 < YOUNGEST {
            let message = "a temporary file younger than an hour may still be wanted: write at least 1h";
            invalid.push(Invalid::new("older_than", message));
        }
        if self.files.is_empty() {
            invalid.push(Invalid::new("files", "no file is meant: write patterns such as 'bot-*.tmp'"));
        }
        let mut files = Vec::new();
        for (index, text) in self.files.iter().enumerate() {
            match pattern(text) {
                Ok(below) => files.push(below),
                Err(why) => invalid.push(Invalid::new(format!("files[{index}]"), why)),
            }
        }
        match owner(self.owner.as_ref()) {
            Ok(owner) if invalid.is_empty() => {
                let rules = Rules {
                    files: Some(files),
                    older_than: self.older_than.0,
                    age_by: AgeBy::Touched,
                    owner,
                    keep_newest: 0,
                    max_files: self.max_files,
                    max_bytes: self.max_bytes.0,
                };
                return Ok(Action(Broom::new(&self.root, rules, self.timeout.0)));
            }
            Ok(_) => {}
            Err(mistake) => invalid.push(mistake),
        }
        Err(invalid)
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// Folders of temporary files are shared, so that a pattern must say whose files are meant.
fn pattern(text: &str) -> Result<Below, String> {
    let below = Below::parse(text)?;
    let is_named = text.split('/').any(|part| !part.chars().all(|c| matches!(c, '*' | '?')));
    if below.takes_all_names() && !is_named {
        return Err(format!("{text:?} means everybody's files: write what their names have in common, as in 'bot-*'"));
    }
    Ok(below)
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
    use std::time::SystemTime;

    fn mistakes(yaml: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.path).collect()
    }

    #[tokio::test]
    async fn a_file_with_an_old_date_that_was_just_unpacked_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let path = root.join("bot-1.tmp");
        let long_ago = SystemTime::now() - Duration::from_secs(90 * 86_400);
        let times = std::fs::FileTimes::new().set_modified(long_ago).set_accessed(long_ago);
        std::fs::File::create(&path).unwrap().set_times(times).unwrap();
        let yaml = format!("{{ root: {}, files: [ 'bot-*' ] }}", root.display());
        let config: Config = serde_yaml::from_str(&yaml).unwrap();
        let mut action = config.build(&Context::default()).unwrap();
        let done = action.act(&mut Scene::default()).await.unwrap();
        assert!(path.exists() && done.detail.contains("1 not old enough"), "{done:?}");
        // As if a day had passed.
        action.0.rules.older_than = Duration::ZERO;
        assert!(action.rehearse(&Scene::default()).await.unwrap()[0].contains("bot-1.tmp"));
        action.act(&mut Scene::default()).await.unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_pattern_that_means_everybodys_files_is_refused() {
        for text in ["'*'", "'**'", "'*/*'", "'**/?*'"] {
            assert_eq!(mistakes(&format!("{{ root: /tmp, files: [ {text} ] }}")), ["files[0]"], "{text}");
        }
        assert_eq!(mistakes("{ root: /tmp, files: [ 'bot-*', 'bot/**' ] }"), [""; 0]);
        assert_eq!(mistakes("{ root: /tmp, files: [], older_than: 59m }"), ["older_than", "files"]);
    }
}
