//! The real compose file, run by a real Docker daemon, with the profile demo: everything comes up as confined as it is written,
//! and a price that is missing becomes a message.

use super::daemon::{Daemon, OUTSIDE, in_a_network_of_its_own};
use super::{deploy, images, read, said, services};
use crate::alerting::debian::{Places, adapted};
use crate::alerting::discord::Discord;
use crate::support::client;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// With the intervals that are shipped. On a machine that does nothing else it takes 20 to 60 seconds.
const PATIENCE: Duration = Duration::from_secs(150);

const ENVIRONMENT: &str = "environments/demo.env";

struct Stack<'a> {
    daemon: &'a Daemon,
    folder: PathBuf,
}

impl<'a> Stack<'a> {
    /// The files of the repository, with secrets; Alertmanager's configuration as Debian's takes it.
    fn prepare(daemon: &'a Daemon, discord: &str) -> Self {
        let project = daemon.folder().join("project");
        std::fs::create_dir(&project).unwrap();
        for folder in ["deploy", "alert-rules", "grafana"] {
            said(Command::new("cp").arg("-r").arg(deploy().parent().unwrap().join(folder)).arg(&project));
        }
        let folder = project.join("deploy");
        // What somebody keeps there is none of our business.
        std::fs::remove_dir_all(folder.join("secrets")).unwrap();
        let places = Places::prepare(&folder, "en", discord);
        std::fs::write(folder.join("secrets/grafana_password"), "a-long-password").unwrap();
        let templates = PathBuf::from("/etc/alertmanager/templates");
        let config = folder.join("alertmanager/alertmanager.yml");
        let fit = adapted(&read(&config), &Places { secrets: places.secrets, templates }).unwrap();
        std::fs::write(config, fit).unwrap();
        Self { daemon, folder }
    }

    fn compose(&self, arguments: &[&str]) -> String {
        said(self.daemon.compose(&self.folder, &["--env-file", ENVIRONMENT]).args(arguments))
    }

    /// The container of a service.
    fn container(&self, service: &str) -> String {
        let filter = format!("label=com.docker.compose.service={service}");
        let containers = self.daemon.told(&["ps", "--all", "--quiet", "--filter", &filter]);
        assert_eq!(containers.lines().count(), 1, "{service}: {containers}");
        containers.trim().to_owned()
    }

    fn inspect(&self, service: &str) -> Value {
        let text = self.daemon.told(&["inspect", &self.container(service)]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list[0].clone()
    }

    /// Polls until `look` sees something.
    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(
                Instant::now() < deadline,
                "it did not happen within {PATIENCE:?}: {what}\n{}",
                self.compose(&["logs", "--tail=30"])
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn fault(&self, name: &str) {
        let answer = client().put(format!("http://127.0.0.1:8083/demo/{name}")).send().await.unwrap();
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
    }
}

async fn json(url: &str) -> Option<Value> {
    client().get(url).send().await.ok()?.json().await.ok()
}

/// Lets containers reach who listens on the loopback only. Gives the address for them.
async fn within_reach(base: &str) -> String {
    let inside: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
    let listener = TcpListener::bind((OUTSIDE, 0)).await.unwrap();
    let outside = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut to = TcpStream::connect(inside).await?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    outside
}

#[test]
fn the_stack_comes_up_confined_and_a_missing_price_becomes_a_message() {
    let mut place = None;
    in_a_network_of_its_own(async || {
        let Some(daemon) = Daemon::start().await else { return };
        place = Some(daemon.folder().to_owned());
        let services = services("docker-compose.yml");
        images::make(&daemon, |service| services[service]["image"].as_str().unwrap().to_owned());
        let discord = Discord::start().await;
        let stack = Stack::prepare(&daemon, &within_reach(&discord.base).await);
        stack.compose(&["up", "--detach", "--no-build"]);
        everything_is_well(&stack).await;
        banken_is_confined(&stack);
        a_fault_reaches_discord(&stack, &discord).await;
        who_crashes_is_started_again(&stack).await;
        stack.compose(&["stop", "banken"]);
        assert_eq!(stack.inspect("banken")["State"]["ExitCode"], 0, "it ends by itself when it is asked to");
    });
    if let Some(place) = place {
        nothing_is_left_of(&place);
    }
}

async fn everything_is_well(stack: &Stack<'_>) {
    for service in ["banken", "prometheus", "alertmanager", "grafana"] {
        stack
            .until(&format!("{service} is healthy"), async || {
                (stack.inspect(service)["State"]["Health"]["Status"] == "healthy").then_some(())
            })
            .await;
    }
    stack
        .until("Banken finds everything healthy, by the names of the compose network", async || {
            let status = json("http://127.0.0.1:9810/api/v1/status").await?;
            let watched = ["prometheus-itself", "alertmanager-itself", "grafana", "ticker", "atr"];
            watched.iter().all(|probe| status["checks"][probe]["status"] == "healthy").then_some(())?;
            // Cycles are reported to it, and it reads a log of another container.
            let job = &status["jobs"]["continuous-processing"]["status"];
            (job == "healthy" && status["logs"]["app"]["lines"].as_u64()? > 0).then_some(())
        })
        .await;
    stack
        .until("Prometheus scrapes everything", async || {
            let targets = json("http://127.0.0.1:9090/api/v1/targets").await?;
            let targets = targets["data"]["activeTargets"].as_array()?.clone();
            assert_eq!(targets.len(), 3);
            targets.iter().all(|target| target["health"] == "up").then_some(())
        })
        .await;
    let rules = json("http://127.0.0.1:9090/api/v1/rules").await.unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    assert!(groups.len() >= 2, "{rules}");
}

fn banken_is_confined(stack: &Stack<'_>) {
    let banken = stack.inspect("banken");
    assert_eq!(banken["Config"]["User"], "9810:9810");
    let host = &banken["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges:true"]));
    assert_eq!(host["Memory"], 256 << 20);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    let container = stack.container("banken");
    assert_eq!(stack.daemon.told(&["exec", &container, "/banken", "healthy"]), "alive\n");
    // Even root may not write to what it stands on, so that it can only be the mount that refuses.
    let any = "127.0.0.1:0";
    let write = ["/banken", "demo", "--dir", "/new", "--listen", any, "--tls-listen", any, "--control", any];
    let refused = stack.daemon.ask(&[&["exec", "--user", "0", &container], &write[..]].concat()).unwrap_err();
    assert!(refused.contains("Read-only file system"), "{refused}");
    // What it may write belongs to whom it runs as.
    let state = stack.daemon.folder().join("data/volumes/banken-demo_banken/_data");
    let files: Vec<_> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().metadata().unwrap()).collect();
    assert!(!files.is_empty(), "{} is empty", state.display());
    assert!(files.iter().all(|file| (file.uid(), file.gid()) == (9810, 9810)), "{files:?}");
}

async fn a_fault_reaches_discord(stack: &Stack<'_>, discord: &Discord) {
    stack.fault("missing_field").await;
    stack
        .until("Alertmanager holds the alert", async || {
            let alerts = json("http://127.0.0.1:9093/api/v2/alerts").await?;
            let of_it =
                |alert: &&Value| alert["labels"]["probe"] == "ticker" && alert["labels"]["severity"] == "critical";
            let alert = alerts.as_array()?.iter().find(of_it)?.clone();
            (alert["status"]["state"] == "active").then_some(())
        })
        .await;
    for channel in ["critical", "administrator"] {
        stack
            .until(&format!("the message is in {channel}"), async || {
                let messages = discord.messages(channel);
                messages.iter().any(|message| message.title().contains("ticker")).then_some(())
            })
            .await;
    }
}

async fn who_crashes_is_started_again(stack: &Stack<'_>) {
    stack.fault("crash").await;
    stack
        .until("the demo is started again", async || {
            let demo = stack.inspect("demo");
            (demo["RestartCount"].as_u64()? > 0 && demo["State"]["Running"] == true).then_some(())
        })
        .await;
}

/// No process, no mount and no file.
fn nothing_is_left_of(place: &Path) {
    let place = place.to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut left = vec![String::new()];
    while !left.is_empty() && Instant::now() < deadline {
        left = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| {
                let command = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                command.contains(place).then_some(command)
            })
            .collect();
        left.extend(read("/proc/mounts").lines().filter(|mount| mount.contains(place)).map(str::to_owned));
        left.extend(Path::new(place).exists().then(|| place.to_owned()));
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(left, [""; 0]);
}
