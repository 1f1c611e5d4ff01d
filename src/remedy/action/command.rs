//! Runs a program of the user's own. Nothing of what is broken becomes a part of its arguments.
//!
//! It is told which incident it is for (`BANKEN_REMEDY`, `BANKEN_INCIDENT`, `BANKEN_ATTEMPT` in its environment), all of
//! which Banken made up itself. What the program starts in the background lives on when it ends by itself, and is killed with it when it is cut off.

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
    env: { LANG: C.UTF-8 }
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

    async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
        self.script.run_for(scene).await.map(Done::new)
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
    async fn what_it_starts_in_the_background_lives_on_unless_it_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let background = |file: &str, then: &str| {
            let file = folder.path().join(file);
            built(&format!(
                "{{ argv: [ /bin/sh, -c, 'sleep 300 >/dev/null 2>&1 & echo $! > {}; {then}' ] }}",
                file.display()
            ))
        };
        let pid = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap_or_default().trim().to_owned();
        let lives = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        background("spared", "exit 0").act(&mut Scene::default()).await.unwrap();
        assert!(lives(&pid("spared")));
        let spared = rustix::process::Pid::from_raw(pid("spared").parse().unwrap()).unwrap();
        rustix::process::kill_process(spared, rustix::process::Signal::KILL).unwrap();
        let (cut, mut scene) = (background("cut", "exec sleep 300"), Scene::default());
        let begun = async {
            while pid("cut").is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = cut.act(&mut scene) => panic!("it ended by itself"),
            () = begun => {}
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while lives(&pid("cut")) {
            assert!(std::time::Instant::now() < deadline, "it lives on although its program was cut off");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
