//! A Docker daemon of the test's own: in a chamber with its own mounts, processes and control groups, and in a network of its
//! own, so that bridges, addresses and rules of the firewall are nobody else's and are gone with it.

use super::compose;
use crate::chamber::Chamber;
use crate::support::{PATIENCE, Process, eventually, left_out};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Where containers reach whoever listens in the network of the test: an address of no network in the world.
pub const OUTSIDE: &str = "192.0.2.1";

/// Does the work in a network that nothing else is in. Whatever it starts is in it too. Nothing, and a loud word, where that
/// is not allowed.
pub fn in_a_network_of_its_own(work: impl AsyncFnOnce() + Send) {
    let does = || {
        let mut holder = Command::new("unshare");
        // It ends when it is killed, or by itself long after the test.
        holder.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 900"]);
        let mut holder = Process::start(&mut holder);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let is_up = runtime.block_on(eventually("a network is there, or cannot be", async || {
            let is_up = holder.output().contains("up\n");
            (is_up || !holder.is_running()).then_some(is_up)
        }));
        if !is_up {
            left_out(&format!("no network can be made on this machine: {}", holder.output().trim()));
            return;
        }
        let network = std::fs::File::open(format!("/proc/{}/ns/net", holder.pid())).unwrap();
        // Of this thread alone, and of the threads and processes that it starts from now on.
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let inside = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        inside.block_on(work());
    };
    let result = std::thread::scope(|scope| scope.spawn(does).join());
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

pub struct Daemon {
    // Ends before its folder is removed.
    chamber: Chamber,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Nothing, and a loud word, where none can be started.
    pub async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("daemon.json"), "{}").unwrap();
        let mut command = Command::new("dockerd");
        for (option, path) in [
            ("--config-file", at("daemon.json")),
            ("--data-root", at("data")),
            ("--exec-root", at("exec")),
            ("--pidfile", at("pid")),
        ] {
            command.arg(option).arg(path);
        }
        command.arg("--host").arg(format!("unix://{}", at("socket").display()));
        command.arg("--bip").arg(format!("{OUTSIDE}/24"));
        let chamber = Chamber::open(&mut command).await?;
        let mut daemon = Self { chamber, folder };
        let deadline = Instant::now() + PATIENCE;
        while daemon.ask(&["version"]).is_err() {
            if !daemon.chamber.is_open() || Instant::now() > deadline {
                let output = daemon.chamber.output();
                let last = output.lines().rev().find(|line| !line.starts_with("group ")).unwrap_or_default();
                left_out(&format!("no Docker daemon can be started on this machine: {last}"));
                return None;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Some(daemon)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// The client of the same package, where there are several: not every one can build.
    pub fn docker(&self) -> Command {
        let debian = PathBuf::from("/usr/bin/docker");
        let mut command = Command::new(if debian.exists() { debian } else { "docker".into() });
        command.env("DOCKER_HOST", self.socket()).env("DOCKER_CONFIG", self.folder.path()).env("DOCKER_BUILDKIT", "1");
        command
    }

    /// Asks it by its client.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.docker().args(arguments).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Asks for something that it surely can.
    pub fn told(&self, arguments: &[&str]) -> String {
        self.ask(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
    }

    /// A command of docker-compose in a folder.
    pub fn compose(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = compose(folder, arguments);
        command.env("DOCKER_HOST", self.socket()).env("DOCKER_CONFIG", self.folder.path());
        command
    }
}
