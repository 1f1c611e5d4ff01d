//! A real Podman, which speaks as Docker does, with real containers in a chamber of its own.

use super::{config, sample};
use crate::chamber::Chamber;
use crate::support::{Banken, eventually};
use std::path::PathBuf;
use std::process::Command;

pub struct Podman {
    chamber: Chamber,
    folder: tempfile::TempDir,
}

/// What a container needs, all of it one static program.
const PROGRAMS: [&str; 8] = ["sh", "sleep", "dd", "tr", "test", "touch", "rm", "cat"];

/// Works a little, and ends when it is asked to.
const WORK: &str = "trap 'exit 7' TERM; while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.1; done";

impl Podman {
    pub async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::create_dir_all(image.join("bin")).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| PathBuf::from(path).exists());
        std::fs::copy(busybox.expect("busybox-static is installed: tests/run does that"), image.join("bin/busybox"))
            .unwrap();
        for program in PROGRAMS {
            std::os::unix::fs::symlink("busybox", image.join("bin").join(program)).unwrap();
        }
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(&image).args(["-cf", "image.tar", "."]).current_dir(&folder);
        assert!(pack.status().unwrap().success());
        let own = "podman --root \"$HOME/root\" --runroot \"$HOME/run\" --tmpdir \"$HOME/tmp\" --storage-driver vfs \
                   --cgroup-manager cgroupfs --events-backend file";
        let script = format!(
            "{own} import \"$HOME/image.tar\" banken-test && exec {own} system service --time=0 \"unix://$HOME/socket\""
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("HOME", folder.path());
        let chamber = Chamber::open(&mut command).await?;
        let podman = Self { chamber, folder };
        eventually("Podman answers", async || podman.ask(&["version"]).is_ok().then_some(())).await;
        Some(podman)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Asks it by its own client.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("podman");
        command.args(["--remote", "--url"]).arg(format!("unix://{}", self.socket().display())).args(arguments);
        let output = command.env("HOME", self.folder.path()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Not on every machine Podman can tell that from any other end by signal 9.
    fn says_out_of_memory(&self, name: &str) -> bool {
        self.ask(&["inspect", "--format", "{{.State.OOMKilled}}", name]).unwrap().trim() == "true"
    }

    pub fn tell(&self, arguments: &[&str]) {
        self.ask(arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}\n{}", self.chamber.output()));
    }

    pub fn run(&self, name: &str, options: &[&str], work: &str) {
        let mut arguments = vec!["run", "-d", "--name", name, "--network", "none", "--log-driver", "k8s-file"];
        arguments.extend(options);
        arguments.extend(["localhost/banken-test", "/bin/sh", "-c", work]);
        self.tell(&arguments);
    }
}

#[tokio::test]
async fn what_a_real_podman_says_of_its_containers_is_published() {
    let Some(podman) = Podman::start().await else { return };
    podman.run("bot", &["--memory", "64m"], WORK);
    podman.run("done", &[], "exit 0");
    podman.run("broken", &[], "exit 3");
    podman.run("hog", &["--memory", "16m"], "x=$(dd if=/dev/zero bs=1M count=64 | tr '\\0' x); sleep 1000");
    let containers = [
        ("bot", "name: bot"),
        ("done", "name: done, expect: { state: exited }"),
        ("broken", "name: broken, expect: { state: exited }"),
        ("hog", "name: hog"),
        ("nowhere", "name: nowhere"),
        ("checked", "name: bot, expect: { health: healthy }"),
    ];
    let banken = Banken::start(&config("200ms", &podman.socket(), &containers)).await;
    for probe in ["bot", "done"] {
        banken.until_status(probe, "healthy").await;
    }
    for (probe, reason, words) in [
        ("broken", "exit", "broken is exited: it ended with exit code 3, at "),
        ("hog", "exit", "it ended with exit code 137 (signal 9)"),
        ("nowhere", "missing", "there is no container nowhere"),
        ("checked", "status", "bot has no health check"),
    ] {
        banken.until_reason(probe, reason).await;
        banken.until_message(probe, words).await;
    }
    for (family, probe, value) in [
        ("banken_container_running", "bot", Some(1.0)),
        ("banken_container_running", "broken", Some(0.0)),
        ("banken_container_running", "nowhere", Some(0.0)),
        ("banken_container_exit_code", "broken", Some(3.0)),
        ("banken_container_exit_code", "bot", None),
        ("banken_container_oom_killed", "hog", Some(f64::from(u8::from(podman.says_out_of_memory("hog"))))),
        ("banken_container_oom_killed", "bot", Some(0.0)),
        ("banken_container_memory_limit_bytes", "bot", Some(64.0 * 1024.0 * 1024.0)),
        ("banken_container_memory_bytes", "broken", None),
        ("banken_container_restarts_total", "bot", Some(0.0)),
        ("banken_container_health,status=\"none\"", "bot", Some(1.0)),
        ("banken_container_health,status=\"healthy\"", "bot", Some(0.0)),
    ] {
        assert_eq!(sample(&banken, family, probe).await, value, "{family} of {probe}");
    }
    let memory = sample(&banken, "banken_container_memory_bytes", "bot").await.unwrap();
    assert!(memory > 0.0 && memory < 64e6, "{memory}");
    let pids = sample(&banken, "banken_container_pids", "bot").await.unwrap();
    assert!((1.0..10.0).contains(&pids), "{pids}");
    let started = sample(&banken, "banken_container_start_timestamp_seconds", "bot").await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(started > now - 120.0 && started <= now, "{started} at {now}");
    eventually("CPU time is counted", async || {
        let seconds = sample(&banken, "banken_container_cpu_seconds_total", "bot").await?;
        let ratio = sample(&banken, "banken_container_cpu_ratio", "bot").await?;
        (seconds > 0.05 && ratio < 2.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_real_podman_tells_of_every_change_and_a_container_made_anew_goes_on() {
    let Some(podman) = Podman::start().await else { return };
    let check = ["--health-cmd", "test ! -e /sick", "--health-interval", "disable"];
    podman.run("bot", &check, WORK);
    // Nothing but what Podman tells by itself is seen in time.
    let banken = Banken::start(&config("1h", &podman.socket(), &[("bot", "name: bot")])).await;
    banken.until_status("bot", "healthy").await;
    let health = async |status: &str| {
        eventually(&format!("it is {status}"), async || {
            // Podman tells of a check before it has written down what was found.
            let _ = podman.ask(&["healthcheck", "run", "bot"]);
            let family = format!("banken_container_health,status=\"{status}\"");
            (sample(&banken, &family, "bot").await? == 1.0).then_some(())
        })
        .await;
    };
    health("healthy").await;
    podman.tell(&["exec", "bot", "/bin/touch", "/sick"]);
    health("unhealthy").await;
    let detail = banken.until_reason("bot", "status").await;
    assert!(detail["message"].as_str().unwrap().contains("bot is unhealthy"), "{detail:#}");
    podman.tell(&["exec", "bot", "/bin/rm", "/sick"]);
    health("healthy").await;
    let cpu = async || sample(&banken, "banken_container_cpu_seconds_total", "bot").await.unwrap();
    podman.tell(&["kill", "bot"]);
    let detail = banken.until_reason("bot", "exit").await;
    assert!(detail["message"].as_str().unwrap().contains("exit code 137 (signal 9)"), "{detail:#}");
    let spent = cpu().await;
    let running = async |expected: f64| {
        eventually("the change is seen", async || {
            (sample(&banken, "banken_container_running", "bot").await? == expected).then_some(())
        })
        .await;
    };
    podman.tell(&["start", "bot"]);
    running(1.0).await;
    assert!(cpu().await >= spent);
    podman.tell(&["rm", "-f", "-t", "0", "bot"]);
    eventually("it is gone", async || (banken.probe("bot").await["reason"] == "missing").then_some(())).await;
    assert_eq!(sample(&banken, "banken_container_running", "bot").await, Some(0.0));
    podman.run("bot", &[], WORK);
    running(1.0).await;
    let kept = cpu().await;
    assert!(kept >= spent, "{kept} is less than {spent}");
}
