//! Empties a cache: the files in a folder of one service, or the keys of Redis that begin with a prefix. Never a whole
//! store.

mod keys;

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::user::User;
use crate::remedy::files::sweep::{AgeBy, Broom, Rules};
use crate::remedy::files::{Allows, check_root, check_timeout, owner};
use crate::values::{Invalid, Period, Size};
pub use keys::RedisKeys;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "cache_clear",
    summary: "Empties a cache: the files of one folder, or the keys of Redis with one prefix",
    example: "\
- cache_clear: { root: /opt/bot/cache, older_than: 1h }
- cache_clear:
    root: /var/cache/bot
    owner: root
    max_files: 100000
    max_bytes: 50GiB
    timeout: 2m
- cache_clear: { redis: { address: 127.0.0.1:6379, prefix: 'cache:' } }
- cache_clear:
    redis: { address: 127.0.0.1:6379, username: tidy, password: change-me, database: 2, prefix: 'page:', max_keys: 500000 }
    timeout: 30s
",
    effect: Effect::Tidies,
};

/// The block `cache_clear:`, with either `root` or `redis`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CacheClearAction")]
pub struct Config {
    /// The folder that is emptied of its files, by its absolute path without symbolic links. It and the folders in it stay.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// The keys of Redis that are removed.
    #[serde(default)]
    pub redis: Option<RedisKeys>,
    /// Only files that were last written longer ago.
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
    Period(Duration::ZERO)
}

const fn default_files() -> usize {
    10_000
}

const fn default_bytes() -> Size {
    Size(10 << 30)
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(60))
}

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid: Vec<_> = check_timeout(self.timeout).into_iter().collect();
        let built = match (&self.root, &self.redis) {
            (Some(root), None) => {
                invalid.extend(check_root(root, Allows::Clearing, &context.backups));
                let owner = owner(self.owner.as_ref()).map_err(|mistake| invalid.push(mistake));
                owner.map(|owner| Action::Folder(Broom::new(root, self.rules(owner), self.timeout.0)))
            }
            (None, Some(redis)) => {
                let mistakes = self.mistakes_beside_redis();
                invalid.extend(mistakes);
                redis.build(context).map(Action::Keys).map_err(|mistakes| {
                    invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("redis")));
                })
            }
            _ => {
                invalid.push(Invalid::new("", "it is not said which cache: write either root or redis"));
                Err(())
            }
        };
        match built {
            Ok(action) if invalid.is_empty() => Ok(action),
            _ => Err(invalid),
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

impl Config {
    fn rules(&self, owner: u32) -> Rules {
        Rules {
            files: None,
            older_than: self.older_than.0,
            age_by: AgeBy::Modified,
            owner,
            keep_newest: 0,
            max_files: self.max_files,
            max_bytes: self.max_bytes.0,
        }
    }

    /// What would be ignored is a misunderstanding.
    fn mistakes_beside_redis(&self) -> Vec<Invalid> {
        let written = [
            ("older_than", self.older_than != default_age()),
            ("owner", self.owner.is_some()),
            ("max_files", self.max_files != default_files()),
            ("max_bytes", self.max_bytes != default_bytes()),
        ];
        let written = written.into_iter().filter(|(_, is_written)| *is_written);
        written
            .map(|(key, _)| Invalid::new(key, "this is about files, and keys of Redis have none: remove it"))
            .collect()
    }
}

/// A clearing that is ready.
pub enum Action {
    /// Of a folder.
    Folder(Broom),
    /// Of keys.
    Keys(keys::Keys),
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        match self {
            Action::Folder(broom) => broom.rehearse().await,
            Action::Keys(keys) => keys.rehearse().await,
        }
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        match self {
            Action::Folder(broom) => broom.sweep().await,
            Action::Keys(keys) => keys.clear().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action as _;
    use super::*;

    fn mistakes(yaml: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.path).collect()
    }

    #[tokio::test]
    async fn a_folder_is_emptied_of_its_files_and_stays_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for name in ["x", ".hidden", "a/y", "a/b/z"] {
            std::fs::write(root.join(name), "12345").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let config: Config = serde_yaml::from_str(&format!("{{ root: {} }}", root.display())).unwrap();
        let action = config.build(&Context::default()).unwrap();
        let told = action.rehearse(&Scene::default()).await.unwrap();
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(told[4], "4 files, 20 B in all; left: 1 no regular file with one name");
        let done = action.act(&mut Scene::default()).await.unwrap();
        assert!(done.detail.starts_with("removed 4 files, 20 B"), "{done:?}");
        assert!(root.join("a/b").is_dir() && root.join("link").is_symlink());
        assert_eq!(std::fs::read_dir(root.join("a/b")).unwrap().count(), 0);
    }

    #[test]
    fn one_cache_is_named_and_never_a_whole_store() {
        assert_eq!(mistakes("{}"), [""]);
        assert_eq!(mistakes("{ root: /opt/x, redis: { address: 'a:1', prefix: 'abc' } }"), [""]);
        assert_eq!(mistakes("{ root: /var/cache }"), ["root"]);
        for prefix in ["", "ab", "'***'", "'?a*'"] {
            let yaml = format!("{{ redis: {{ address: 'a:1', prefix: {prefix} }} }}");
            let config = serde_yaml::from_str::<Config>(&yaml);
            let path = config.ok().and_then(|config| Some(config.build(&Context::default()).err()?[0].path.clone()));
            assert!(path.is_none_or(|path| path == "redis.prefix"), "{prefix}");
        }
        assert_eq!(
            mistakes("{ owner: root, redis: { address: 'a:1', prefix: 'abc', username: x } }"),
            ["owner", "redis.username"]
        );
    }
}
