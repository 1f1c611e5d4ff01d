//! An app of PM2: its daemon restarts each of its instances. No daemon is ever started.

use super::protected;
use super::{Config, START_STOPPED, Setback};
use crate::machine::pm2::{App as Instance, Pm2, resolve_home};
use crate::machine::user::PASSWD;
use crate::values::Invalid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// An app, and the daemon that it belongs to.
pub(super) struct App {
    name: String,
    pm2: Pm2,
    start_stopped: bool,
}

/// What is to be done.
pub(super) struct Plan {
    instances: Vec<Instance>,
    /// In words, after `would`.
    pub(super) would: String,
}

/// How often to look whether an instance is online: PM2 has said so already, and a look costs it a millisecond or two.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often to look in vain. PM2 calls an app online as soon as it has started it.
const LOOKS: u32 = 100;

impl App {
    pub(super) fn new(config: &Config, name: &str) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if name.is_empty() || name == "all" {
            invalid.push(Invalid::new("pm2", "an app has a name: write it as pm2 list shows it"));
        }
        if let Err(message) = protected::check_name(name) {
            invalid.push(Invalid::new("pm2", message));
        }
        let home = config.home.clone().unwrap_or_else(|| PathBuf::from("~/.pm2"));
        match resolve_home(&home, Path::new(PASSWD)) {
            Ok(home) if invalid.is_empty() => {
                Ok(Self { name: name.to_owned(), pm2: Pm2::new(home), start_stopped: config.start_stopped })
            }
            Ok(_) => Err(invalid),
            Err(message) => {
                invalid.push(Invalid::new("home", message));
                Err(invalid)
            }
        }
    }

    async fn instances(&self) -> Result<Vec<Instance>, Setback> {
        let mut apps = self.pm2.apps().await?;
        apps.retain(|app| app.name == self.name);
        Ok(apps)
    }

    pub(super) async fn plan(&self) -> Result<Plan, Setback> {
        let instances = self.instances().await?;
        protected::check_processes(&format!("the app {}", self.name), instances.iter().filter_map(|app| app.pid))?;
        let instances = decide(&self.name, instances, self.start_stopped)?;
        let each: Vec<_> = instances.iter().map(shown).collect();
        let would = format!("have PM2 restart the app {}: {}", self.name, each.join(", "));
        Ok(Plan { instances, would })
    }

    pub(super) async fn restart(&self) -> Result<String, Setback> {
        let begun = Instant::now();
        let Plan { instances, .. } = self.plan().await?;
        let mut done = Vec::new();
        // One after the other, so that those that serve are not all away at once.
        for before in &instances {
            match self.restart_one(before).await {
                Ok(pid) => done.push(format!("{} (pid {pid})", shown(before))),
                Err(why) => {
                    let others = if done.is_empty() { "no other instance".into() } else { done.join(", ") };
                    return Err(Setback::Failed(format!("the app {}: {why}; restarted: {others}", self.name)));
                }
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(format!("PM2 has restarted the app {} in {seconds:.2} s: {}", self.name, done.join(", ")))
    }

    /// Gives the new process.
    async fn restart_one(&self, before: &Instance) -> Result<i32, String> {
        self.pm2.restart(before.id).await.map_err(|failure| format!("instance {}: {}", before.id, failure.detail))?;
        let mut status = String::from("gone");
        for _ in 0..LOOKS {
            let instances = self.instances().await.map_err(|setback| setback.to_string())?;
            let now = instances.into_iter().find(|app| app.id == before.id);
            if let Some(now) = now {
                match now.pid.filter(|_| now.status == "online") {
                    Some(pid) if Some(pid) != before.pid => return Ok(pid),
                    _ => status = now.status,
                }
            }
            if matches!(status.as_str(), "stopped" | "errored") {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        Err(format!("instance {} was restarted and is {status}", before.id))
    }
}

/// Which instances to restart. Pure.
fn decide(name: &str, instances: Vec<Instance>, start_stopped: bool) -> Result<Vec<Instance>, Setback> {
    if instances.is_empty() {
        return Err(Setback::Failed(format!("PM2 knows no app {name}: write it as pm2 list shows it, or start it")));
    }
    // In PM2's words; what is not known here is on its way too.
    let is_settled = |app: &&Instance| matches!(app.status.as_str(), "online" | "stopped" | "errored");
    if let Some(app) = instances.iter().find(|app| !is_settled(app)) {
        return Err(Setback::Busy(format!("instance {} of the app {name} is {}", app.id, app.status)));
    }
    let all = instances.len();
    let chosen: Vec<_> = instances.into_iter().filter(|app| start_stopped || app.status != "stopped").collect();
    if chosen.is_empty() {
        let count = if all == 1 { "is".to_owned() } else { format!("is {all} times") };
        return Err(Setback::Busy(format!("the app {name} {count} stopped: {START_STOPPED}")));
    }
    Ok(chosen)
}

fn shown(app: &Instance) -> String {
    match app.status.as_str() {
        "errored" => {
            let exit = app.exit_code.map_or_else(String::new, |code| format!(", exit status {code}"));
            format!("instance {}, which PM2 had given up after {} restarts{exit}", app.id, app.restarts)
        }
        status => format!("instance {}, which was {status}", app.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(id: u64, status: &str) -> Instance {
        Instance {
            id,
            name: "bot".into(),
            status: status.into(),
            restarts: 16,
            exit_code: Some(3),
            ..Instance::default()
        }
    }

    #[test]
    fn what_runs_or_was_given_up_is_restarted_and_what_was_stopped_is_not() {
        let chosen = |statuses: &[&str], start_stopped| {
            let apps = statuses.iter().zip(0..).map(|(status, id)| app(id, status)).collect();
            decide("bot", apps, start_stopped).map(|apps| apps.iter().map(|app| app.id).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["online"], false), Ok(vec![0]));
        assert_eq!(chosen(&["errored"], false), Ok(vec![0]));
        assert_eq!(chosen(&["online", "stopped", "errored"], false), Ok(vec![0, 2]));
        assert_eq!(chosen(&["online", "stopped"], true), Ok(vec![0, 1]));
        for (statuses, words) in [
            (&["stopped"][..], "is stopped: start it yourself, or set start_stopped: true"),
            (&["stopped", "stopped"], "is 2 times stopped"),
            (&["online", "launching"], "instance 1 of the app bot is launching"),
            (&["stopping"], "is stopping"),
            (&["waiting restart"], "is waiting restart"),
            (&["something new"], "is something new"),
        ] {
            let left = chosen(statuses, false);
            assert!(matches!(&left, Err(Setback::Busy(said)) if said.contains(words)), "{words}: {left:?}");
        }
        assert_eq!(chosen(&["stopped"], true), Ok(vec![0]));
        assert!(matches!(chosen(&["launching"], true), Err(Setback::Busy(_))));
        assert!(matches!(chosen(&[], true), Err(Setback::Failed(said)) if said.contains("no app bot")));
        assert!(shown(&app(7, "errored")).contains("had given up after 16 restarts, exit status 3"));
    }
}
