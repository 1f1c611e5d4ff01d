//! Runs a program of the user's own. Nothing of what is broken becomes a part of its arguments.

use super::script::{Script, root};
use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::values::{Invalid, Period, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "command",
    summary: "Runs a program of your own, by its absolute path and without a shell",
    example: "\
- command: { argv: [ /opt/bot/auto_recovery.sh ], timeout: 30s }
- command:
    argv: [ /usr/local/bin/free-memory, --keep, '3' ]
    env: { LEVEL: quiet }
    dir: /opt/bot
",
    effect: Effect::Disturbs,
};

/// The block `command:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CommandAction")]
pub struct Config {
    /// The program by its absolute path, and its arguments, each an element of its own: there is no shell.
    pub argv: Vec<String>,
    /// Its environment, each a text or `{ file: PATH }`, beside `PATH` and `LC_ALL=C`. Nothing of Banken's own is handed on.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// The folder in which it runs.
    #[serde(default = "root")]
    pub dir: PathBuf,
    /// The longest that it may take; then it is killed with everything that it started in its process group.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(30))
}

impl Settings for Config {
    type Action = Action;

    fn build(&self, _: &Context) -> Result<Action, Vec<Invalid>> {
        Script::new(&self.argv, &self.env, &self.dir).map(|script| Action { script })
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// A program that is ready to be run.
pub struct Action {
    script: Script,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        self.script.inspect().await?;
        Ok(vec![format!("would run {}", self.script.shown())])
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        self.script.run().await.map(Done::new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action as _;
    use super::*;

    fn built(yaml: &str) -> Action {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        config.build(&Context::default()).unwrap()
    }

    #[tokio::test]
    async fn a_program_that_fails_is_told_with_its_first_line_and_without_its_secrets() {
        let action = built("{ argv: [ /bin/sh, -c, 'echo no $TOKEN >&2; exit 3' ], env: { TOKEN: hush-hush-1234 } }");
        let Err(Setback::Failed(words)) = action.act(&mut Scene::default()).await else { panic!("it ended well") };
        assert!(words.contains("exit status 3") && words.contains("no "), "{words}");
        assert!(!words.contains("hush"), "{words}");
    }

    #[tokio::test]
    async fn a_rehearsal_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let action = built(&format!("{{ argv: [ /usr/bin/touch, {} ] }}", mark.display()));
        let lines = action.rehearse(&Scene::default()).await.unwrap();
        assert!(lines[0].contains("touch") && !mark.exists(), "{lines:?}");
        action.act(&mut Scene::default()).await.unwrap();
        assert!(mark.exists());
    }

    #[tokio::test]
    async fn a_secret_that_stands_in_an_argument_too_is_shown_nowhere() {
        let action = built("{ argv: [ /bin/echo, --token=hush-hush-1234 ], env: { TOKEN: hush-hush-1234 } }");
        let lines = action.rehearse(&Scene::default()).await.unwrap();
        let done = action.act(&mut Scene::default()).await.unwrap();
        for words in [&lines[0], &done.detail] {
            assert!(words.contains("--token=[hidden]") && !words.contains("hush"), "{words}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_told_by_the_rehearsal_already() {
        let action = built("{ argv: [ /nowhere/repair ] }");
        let told = action.rehearse(&Scene::default()).await.unwrap_err();
        assert_eq!(action.act(&mut Scene::default()).await.unwrap_err(), told);
        assert!(matches!(told, Setback::Failed(words) if words.contains("/nowhere/repair")));
    }

    #[test]
    fn a_program_without_a_whole_path_is_refused() {
        for argv in ["[]", "[ reboot ]", "[ ./x ]"] {
            let config: Config = serde_yaml::from_str(&format!("{{ argv: {argv} }}")).unwrap();
            let mistakes = config.build(&Context::default()).err().unwrap();
            assert_eq!(mistakes[0].path, "argv", "{argv}");
        }
    }
}
