//! Restarts one service: a unit of systemd, an app of PM2, a container, a program of supervisor, or by a command of the user's own.
//!
//! Whoever manages the service does it; nothing is done behind his back. What is being started already, and what a person has
//! stopped, is left alone. It returns when the service really runs anew.

mod container;
mod pm2;
mod protected;
mod supervisor;
mod systemd;
#[cfg(test)]
mod tests;

use super::script::{Script, root};
use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::machine::docker::DEFAULT_SOCKET;
use crate::values::{Invalid, Period, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "service_restart",
    summary: "Restarts a unit of systemd, an app of PM2, a container or a program of supervisor, by whoever manages it",
    example: "\
- service_restart: { systemd: crypto-dashboard.service }
- service_restart: { pm2: trading-bot, home: /home/bot/.pm2 }
- service_restart: { container: api, stop_within: 5s }
- service_restart: { supervisor: { program: web, socket: /run/supervisor.sock } }
- service_restart: { argv: [ /opt/bot/restart.sh, --now ] }
",
    effect: Effect::Disturbs,
};

/// The block `service_restart:`. Exactly one of `systemd`, `pm2`, `container`, `supervisor` and `argv` names the service.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ServiceRestartAction")]
pub struct Config {
    /// The whole name of a unit of systemd, which must be a service: bot.service.
    pub systemd: Option<String>,
    /// With `systemd`: whether it is a unit of the user that Banken runs as, instead of the system's.
    pub user: bool,
    /// With `systemd`: where the bus listens, if it is another one than the system's or the user's own.
    pub bus: Option<String>,
    /// The name of an app of PM2; all its instances are restarted, one after the other.
    pub pm2: Option<String>,
    /// With `pm2`: the folder in which PM2 keeps its socket (`PM2_HOME`), absolute or `~/…`; by default `~/.pm2`.
    #[schemars(with = "Option<String>")]
    pub home: Option<PathBuf>,
    /// The name of a container of Docker or Podman.
    pub container: Option<String>,
    /// With `container`: where Docker or Podman listens; by default `/var/run/docker.sock`.
    #[schemars(with = "Option<String>")]
    pub socket: Option<PathBuf>,
    /// With `container`: how long it may take to end by itself before it is killed, in whole seconds; by default 10s.
    #[schemars(with = "Option<Period>")]
    pub stop_within: Option<Period>,
    /// A program of supervisor.
    pub supervisor: Option<Program>,
    /// A command of your own that restarts it: a program by its absolute path and its arguments, without a shell.
    pub argv: Option<Vec<String>>,
    /// Starts a service too that a person has stopped, or of which this cannot be told.
    pub start_stopped: bool,
    /// The longest that it may take.
    #[schemars(with = "Period")]
    pub timeout: Period,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            systemd: None,
            user: false,
            bus: None,
            pm2: None,
            home: None,
            container: None,
            socket: None,
            stop_within: None,
            supervisor: None,
            argv: None,
            start_stopped: false,
            timeout: Period(Duration::from_secs(30)),
        }
    }
}

/// A program of supervisor, and where that listens.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SupervisorProgram")]
pub struct Program {
    /// Its name as `supervisorctl status` shows it: `web`, or `group:web_00`.
    pub program: String,
    /// The Unix socket of supervisord.
    #[serde(default = "supervisor_socket")]
    #[schemars(with = "String")]
    pub socket: PathBuf,
    /// The user name that its socket wants, if it wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// The password that its socket wants, a text or `{ file: PATH }`.
    #[serde(default)]
    pub password: Option<Secret>,
}

fn supervisor_socket() -> PathBuf {
    "/run/supervisor.sock".into()
}

/// How long a container may take to end by itself.
const STOP_WITHIN: Period = Period(Duration::from_secs(10));

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        self.check_companions()?;
        let way = match self {
            Self { systemd: Some(unit), .. } => Way::Systemd(systemd::Unit::new(self, unit, context)?),
            Self { pm2: Some(name), .. } => Way::Pm2(pm2::App::new(self, name)?),
            Self { container: Some(name), .. } => Way::Container(container::Container::new(self, name)?),
            Self { supervisor: Some(program), .. } => Way::Supervisor(supervisor::Program::new(self, program)?),
            Self { argv: Some(argv), .. } => Way::Argv(Script::new(argv, &BTreeMap::new(), &root())?),
            _ => return Err(vec![Invalid::new("", NONE)]),
        };
        Ok(Action { way })
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }

    fn subject(&self) -> String {
        let Self { timeout, .. } = Self::default();
        format!("{:?}", Self { timeout, stop_within: None, start_stopped: false, ..self.clone() })
    }
}

const NONE: &str = "nothing is to be restarted: add one of systemd, pm2, container, supervisor and argv";

impl Config {
    /// What belongs to one way of restarting says nothing in another.
    fn check_companions(&self) -> Result<(), Vec<Invalid>> {
        let ways = [
            ("systemd", self.systemd.is_some()),
            ("pm2", self.pm2.is_some()),
            ("container", self.container.is_some()),
            ("supervisor", self.supervisor.is_some()),
            ("argv", self.argv.is_some()),
        ];
        let named: Vec<_> = ways.iter().filter(|(_, is_there)| *is_there).map(|(way, _)| *way).collect();
        if named.len() > 1 {
            let message = format!("{} name several services: keep one, and make a step of each", named.join(" and "));
            return Err(vec![Invalid::new("", message)]);
        }
        let Some(way) = named.first() else { return Err(vec![Invalid::new("", NONE)]) };
        let companions = [
            ("user", "systemd", self.user),
            ("bus", "systemd", self.bus.is_some()),
            ("home", "pm2", self.home.is_some()),
            ("socket", "container", self.socket.is_some()),
            ("stop_within", "container", self.stop_within.is_some()),
        ];
        let mut invalid: Vec<_> = companions
            .iter()
            .filter(|(_, of, is_there)| *is_there && of != way)
            .map(|(key, of, _)| {
                Invalid::new(*key, format!("this belongs to {of}, and says nothing to {way}: remove it"))
            })
            .collect();
        if self.start_stopped && *way == "argv" {
            let message = "nobody can tell what an own command starts: remove it";
            invalid.push(Invalid::new("start_stopped", message));
        }
        if invalid.is_empty() { Ok(()) } else { Err(invalid) }
    }

    fn docker_socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| DEFAULT_SOCKET.into())
    }
}

/// A service that can be restarted.
pub struct Action {
    way: Way,
}

enum Way {
    Systemd(systemd::Unit),
    Pm2(pm2::App),
    Container(container::Container),
    Supervisor(supervisor::Program),
    Argv(Script),
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let line = match &self.way {
            Way::Systemd(unit) => unit.plan().await?.would,
            Way::Pm2(app) => app.plan().await?.would,
            Way::Container(container) => container.plan().await?.would,
            Way::Supervisor(program) => program.plan().await?.would,
            Way::Argv(script) => {
                script.inspect().await?;
                format!("run {}", script.shown())
            }
        };
        Ok(vec![format!("would {line}")])
    }

    async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
        let words = match &self.way {
            Way::Systemd(unit) => unit.restart().await?,
            Way::Pm2(app) => app.restart().await?,
            Way::Container(container) => container.restart().await?,
            Way::Supervisor(program) => program.restart().await?,
            Way::Argv(script) => script.run_for(scene).await?,
        };
        Ok(Done::new(words))
    }
}

/// The remedy that is told wherever a person may have stopped a service.
const START_STOPPED: &str = "start it yourself, or set start_stopped: true";
