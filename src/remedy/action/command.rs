//! Runs a program of the user's own. Nothing of what is broken becomes a part of its arguments.
//!
//! It is told which incident it is for (`BANKEN_REMEDY`, `BANKEN_INCIDENT`, `BANKEN_ATTEMPT` in its environment), all of
//! which Banken made up itself. What the program starts in the background lives on when it ends by itself, and is killed with it when it is cut off.

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::child::{Ended, Keep, Program, in_words};
use crate::values::{Invalid, Period, Redactor, Secret};
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

fn root() -> PathBuf {
    "/".into()
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(30))
}

impl Settings for Config {
    type Action = Action;

    fn build(&self, _: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if !self.argv.first().is_some_and(|program| program.starts_with('/')) {
            let message = "a program that repairs is named by its absolute path: begin it with '/'";
            invalid.push(Invalid::new("argv", message));
        }
        for (index, _) in self.argv.iter().enumerate().filter(|(_, argument)| argument.contains('\0')) {
            invalid.push(Invalid::new(format!("argv[{index}]"), "an argument cannot hold NUL"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                let message = "a variable has a name without '=', and no NUL anywhere";
                invalid.push(Invalid::new(format!("env.{name}"), message));
            }
        }
        if !self.dir.is_absolute() {
            invalid.push(Invalid::new("dir", "not an absolute path: begin it with '/'"));
        }
        match self.argv.split_first() {
            Some((program, args)) if invalid.is_empty() => Ok(Action::new(self, program, args)),
            _ => Err(invalid),
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// How much is read of what a program says; only its first line is ever shown.
const MAX_OUTPUT: usize = 16 << 10;

/// A program that is ready to be run.
pub struct Action {
    program: Program,
    shown: String,
    keep: Keep,
    redactor: Redactor,
}

impl Action {
    fn new(config: &Config, program: &str, args: &[String]) -> Self {
        let env = config.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        let redactor = Redactor::hiding(config.env.values().map(|secret| secret.expose().to_owned()));
        let room = MAX_OUTPUT.max(redactor.wanted_bytes());
        Self {
            program: Program::new(program).args(args).env(env).dir(&config.dir).sparing_what_it_started(),
            shown: config.argv.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "),
            keep: Keep { stdout: room, stderr: room },
            redactor,
        }
    }

    /// What it says first; whatever fails says so in its complaints.
    fn first_line(&self, ended: &Ended) -> Option<String> {
        [&ended.stderr.text, &ended.stdout.text].into_iter().find_map(|text| {
            let text = self.redactor.redact(&String::from_utf8_lossy(text)).into_owned();
            let line = text.lines().find(|line| !line.trim().is_empty())?;
            Some(self.redactor.excerpt(line.trim().as_bytes()))
        })
    }
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        Ok(vec![format!("would run {}", self.shown)])
    }

    async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
        let attempt = scene.attempt.to_string();
        let told =
            [("BANKEN_REMEDY", &scene.remedy), ("BANKEN_INCIDENT", &scene.incident), ("BANKEN_ATTEMPT", &attempt)];
        let told = told.map(|(name, value)| (name.to_owned(), Secret::from(value.clone())));
        let ended = self.program.clone().env(told).run(self.keep).await?;
        let said = self.first_line(&ended).map_or_else(String::new, |line| format!(": {line}"));
        let words = format!("{} ended with {}{said}", self.shown, in_words(ended.status));
        if ended.status.success() { Ok(Done::new(words)) } else { Err(Setback::Failed(words)) }
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

    #[test]
    fn a_program_without_a_whole_path_is_refused() {
        for argv in ["[]", "[ reboot ]", "[ ./x ]"] {
            let config: Config = serde_yaml::from_str(&format!("{{ argv: {argv} }}")).unwrap();
            let mistakes = config.build(&Context::default()).err().unwrap();
            assert_eq!(mistakes[0].path, "argv", "{argv}");
        }
    }
}
