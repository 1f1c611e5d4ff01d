//! `service_restart: { container: … }` with a real Podman, and with a real Docker where one can be started.

use super::{busy, done, failed, step};
use crate::compose::daemon::{Daemon, in_a_network_of_its_own};
use crate::container::podman::Podman;
use crate::support::{eventually, left_out};
use banken::remedy::action::Worker;
use std::path::Path;
use std::time::{Duration, Instant};

fn restart(socket: &Path, name: &str, more: &str) -> Worker {
    let socket = socket.display();
    step(&format!("service_restart: {{ container: {name}, socket: '{socket}', stop_within: 1s{more} }}"))
}

/// Ends when it is asked to, as it should.
const POLITE: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

#[tokio::test]
async fn a_real_podman_restarts_what_runs_and_what_fell() {
    let Some(podman) = Podman::start().await else { return };
    let socket = podman.socket();
    podman.run("bot", &[], POLITE);
    podman.run("falls", &[], "test -e /again || { touch /again; exit 3; }; sleep 1000");
    podman.run("broken", &[], "exit 3");
    podman.run("done", &[], "exit 0");
    let state =
        |name: &str| podman.ask(&["inspect", "--format", "{{.State.Status}} {{.State.StartedAt}}", name]).unwrap();
    for name in ["falls", "broken", "done"] {
        eventually("it has ended", async || state(name).starts_with("exited").then_some(())).await;
    }
    let before = state("bot");
    let (words, took) = done(&restart(&socket, "bot", "")).await;
    println!("podman: a container that runs is restarted in {took:?}: {words}");
    assert!(state("bot").starts_with("running") && state("bot") != before, "{before} and {}", state("bot"));
    let (words, took) = done(&restart(&socket, "falls", "")).await;
    println!("podman: a container that fell is restarted in {took:?}: {words}");
    assert!(state("falls").starts_with("running"));
    podman.tell(&["pause", "falls"]);
    busy(&restart(&socket, "falls", ", start_stopped: true"), "is paused").await;
    podman.tell(&["unpause", "falls"]);
    podman.tell(&["stop", "bot"]);
    busy(&restart(&socket, "bot", ""), "start it yourself, or set start_stopped: true").await;
    done(&restart(&socket, "bot", ", start_stopped: true")).await;
    assert!(state("bot").starts_with("running"));
    failed(&restart(&socket, "nowhere", ""), "there is no container nowhere").await;
}

#[test]
fn a_real_docker_tells_who_was_stopped_from_who_fell() {
    in_a_network_of_its_own(async || {
        let Some(docker) = Daemon::start().await else {
            left_out("restarts by Docker: no daemon can be started");
            return;
        };
        let socket = docker.folder().join("socket");
        import(&docker);
        let run = |name: &str, work: &str| {
            docker.told(&["run", "-d", "--name", name, "--network", "none", "banken-test", "/bin/sh", "-c", work]);
        };
        run("bot", POLITE);
        run("falls", "test -e /again || { touch /again; exit 3; }; sleep 1000");
        docker.told(&["create", "--name", "made", "banken-test", "/bin/sleep", "1"]);
        let state = |name: &str| docker.told(&["inspect", "--format", "{{.State.Status}} {{.State.Pid}}", name]);
        eventually("it has ended", async || state("falls").starts_with("exited").then_some(())).await;
        let (words, took) = done(&restart(&socket, "falls", "")).await;
        println!("docker: a container that fell is restarted in {took:?}: {words}");
        let bot = restart(&socket, "bot", "");
        let (words, took) = done(&bot).await;
        println!("docker: a container that runs is restarted in {took:?}: {words}");
        let mut times = Vec::new();
        for _ in 0..5 {
            let killed = Instant::now();
            // From outside, as what falls does: Docker itself was not asked.
            docker.told(&["exec", "--detach", "bot", "/bin/sh", "-c", "kill -9 -1; kill -TERM 1"]);
            eventually("it has ended", async || state("bot").starts_with("exited").then_some(())).await;
            let (_, took) = done(&bot).await;
            times.push((killed.elapsed(), took));
        }
        println!("docker: from its end (with docker exec) to restart done, and the restart alone: {times:?}");
        assert!(times.iter().all(|(_, took)| *took < Duration::from_secs(5)), "{times:?}");
        docker.told(&["stop", "bot"]);
        busy(&bot, "was stopped by somebody").await;
        done(&restart(&socket, "bot", ", start_stopped: true")).await;
        docker.told(&["kill", "bot"]);
        busy(&bot, "was stopped by somebody").await;
        busy(&restart(&socket, "made", ""), "was made and never started").await;
        docker.told(&["start", "bot"]);
        docker.told(&["pause", "bot"]);
        busy(&bot, "is paused").await;
    });
}

/// An image of one static program.
fn import(docker: &Daemon) {
    let image = docker.folder().join("image");
    std::fs::create_dir_all(image.join("bin")).unwrap();
    std::fs::create_dir_all(image.join("tmp")).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    std::fs::copy(busybox.expect("busybox-static is installed: tests/run does that"), image.join("bin/busybox"))
        .unwrap();
    for program in ["sh", "sleep", "test", "touch", "kill"] {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(program)).unwrap();
    }
    let archive = docker.folder().join("image.tar");
    let mut pack = std::process::Command::new("tar");
    pack.arg("-C").arg(&image).arg("-cf").arg(&archive).arg(".");
    assert!(pack.status().unwrap().success());
    docker.told(&["import", archive.to_str().unwrap(), "banken-test"]);
}
