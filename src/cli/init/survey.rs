//! What is found on this machine.

use super::known;
use crate::machine::docker::{DEFAULT_SOCKET, Docker};
use crate::machine::procfs::Reader;
use crate::machine::program;
use crate::machine::sockets::{self, Protocol};
use crate::machine::systemd;
use crate::observation::Failure;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A socket that waits for connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name of the executable that holds it; empty where we may not know.
    pub program: String,
    /// The arguments of the process that holds it.
    pub arguments: Vec<String>,
    /// That process, where it is known.
    pub pid: Option<i32>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The name of its executable.
    pub program: String,
    /// What it was started with.
    pub arguments: Vec<String>,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
    /// Whether it runs in a container.
    pub in_container: bool,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// From which image it was made.
    pub image: String,
    /// What Docker says of it.
    pub status: String,
    /// Where that Docker listens, if it is not the usual place.
    pub socket: Option<String>,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its full name.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// active, failed, …
    pub state: String,
}

/// Everything that was found, and what could not be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The name of this machine.
    pub host: String,
    /// Sockets that wait for connections.
    pub listeners: Vec<Listener>,
    /// Processes of programs, without threads of the kernel.
    pub processes: Vec<Process>,
    /// Containers that run.
    pub containers: Vec<Container>,
    /// Services of systemd that run or have failed.
    pub units: Vec<Unit>,
    /// What could not be looked at, and why, for a person.
    pub unseen: Vec<String>,
}

/// Where Docker listens, and Podman when it does.
const DOCKER_SOCKETS: &[&str] = &[DEFAULT_SOCKET, "/run/podman/podman.sock"];

/// How long Docker and systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Survey {
    /// Looks at everything. What cannot be looked at is told, and the rest is there.
    pub async fn take() -> Self {
        let at_proc = tokio::task::spawn_blocking(look_at_proc);
        let (at_proc, containers, units) = tokio::join!(at_proc, containers(), units());
        let mut survey = at_proc.unwrap_or_else(|error| Self {
            unseen: vec![format!("processes and sockets: {error}")],
            ..Self::default()
        });
        survey.host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        match containers {
            Ok(containers) => survey.containers = containers,
            Err(why) => survey.unseen.push(format!("containers: {why}")),
        }
        match units {
            Ok(units) => survey.units = units,
            Err(why) => survey.unseen.push(format!("units of systemd: {why}")),
        }
        survey
    }
}

fn look_at_proc() -> Survey {
    let mut survey = Survey { processes: processes(), ..Survey::default() };
    match listeners(&survey.processes) {
        Ok((listeners, hidden)) => {
            survey.listeners = listeners;
            if hidden > 0 {
                survey.unseen.push(format!(
                    "what {hidden} processes of other users hold open: run this as root to know whose sockets they are"
                ));
            }
        }
        Err(failure) => survey.unseen.push(format!("sockets: {failure}")),
    }
    survey
}

/// Programs that run now; this very one and threads of the kernel are left out.
fn processes() -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut reader = Reader::default();
    pids.into_iter().filter(|pid| *pid != own).filter_map(|pid| process(&mut reader, pid)).collect()
}

fn process(reader: &mut Reader, pid: i32) -> Option<Process> {
    let stat = reader.stat(pid).ok()??;
    if stat.kernel_thread || stat.zombie {
        return None;
    }
    let arguments: Vec<String> = {
        let text = reader.read(pid, "cmdline").ok()??;
        let arguments = text.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned());
        arguments.filter(|argument| !argument.is_empty()).collect()
    };
    let executable = program::executable(pid).ok();
    let program = called(arguments.first().map(String::as_str), executable.as_deref())?;
    let groups = String::from_utf8_lossy(reader.read(pid, "cgroup").ok()?.unwrap_or_default()).into_owned();
    Some(Process { pid, program, arguments, unit: unit_of(&groups), in_container: is_contained(&groups) })
}

/// What a program is called: as it is known, be it by how it was started or by its file, which may be another's (Debian's
/// `redis-server` is a link to `redis-check-rdb`). Others' files are hidden from us; what they call themselves is not.
fn called(argument: Option<&str>, executable: Option<&Path>) -> Option<String> {
    // A program may write a sentence over its arguments: `nginx: master process …`.
    let argument = argument.and_then(|argument| argument.split([' ', ':']).next()).map(Path::new);
    let base = |path: &Path| Some(path.file_name()?.to_string_lossy().trim_end_matches(" (deleted)").to_owned());
    let names: Vec<String> = [executable, argument].into_iter().flatten().filter_map(base).collect();
    names.iter().find(|name| known::is_known(name)).or(names.first()).cloned()
}

/// The service in a control group: `0::/system.slice/nginx.service`.
fn unit_of(groups: &str) -> Option<String> {
    let mut parts = groups.lines().flat_map(|line| line.rsplit('/'));
    parts.find(|part| part.ends_with(".service") && !part.starts_with("user@")).map(str::to_owned)
}

fn is_contained(groups: &str) -> bool {
    ["docker", "libpod", "crio", "containerd", "kubepods", "lxc"].iter().any(|word| groups.contains(word))
}

fn listeners(processes: &[Process]) -> Result<(Vec<Listener>, usize), Failure> {
    let sockets = sockets::listeners(Protocol::Tcp)?;
    let inodes: BTreeSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
    let owners = sockets::owners(&inodes)?;
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let by_pid: HashMap<i32, &Process> = processes.iter().map(|process| (process.pid, process)).collect();
    let mut found = Vec::new();
    for socket in sockets {
        let pids = owners.pids.get(&socket.inode).map_or(&[][..], Vec::as_slice);
        if pids.contains(&own) {
            continue;
        }
        // Workers share their parent's socket, and the parent came first.
        let owner = pids.iter().find_map(|pid| by_pid.get(pid));
        found.push(Listener {
            address: socket.address,
            program: owner.map_or_else(String::new, |process| process.program.clone()),
            arguments: owner.map_or_else(Vec::new, |process| process.arguments.clone()),
            pid: owner.map(|process| process.pid),
        });
    }
    Ok((found, owners.hidden))
}

async fn containers() -> Result<Vec<Container>, String> {
    let mut found = Vec::new();
    for path in DOCKER_SOCKETS.iter().filter(|path| Path::new(path).exists()) {
        let docker = Docker::new(PathBuf::from(path));
        let listed = match tokio::time::timeout(PATIENCE, docker.list()).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(failure)) => return Err(failure.detail),
            Err(_) => return Err(format!("{path} did not answer within {PATIENCE:?}")),
        };
        let socket = (*path != DEFAULT_SOCKET).then(|| (*path).to_owned());
        found.extend(listed.into_iter().map(|listed| Container {
            name: listed.names.first().map_or("", |name| name.trim_start_matches('/')).to_owned(),
            image: listed.image,
            status: listed.state,
            socket: socket.clone(),
        }));
    }
    Ok(found)
}

async fn units() -> Result<Vec<Unit>, String> {
    // Without systemd there is nothing to look at, and nothing to tell.
    if !Path::new("/run/systemd/system").exists() {
        return Ok(Vec::new());
    }
    let bus = systemd::parse_address(systemd::SYSTEM_BUS)?;
    let bus = systemd::Buses::default().at(&bus);
    let listed = match tokio::time::timeout(PATIENCE, bus.units()).await {
        Ok(listed) => listed.map_err(|failure| failure.detail)?,
        Err(_) => return Err(format!("systemd did not answer within {PATIENCE:?}")),
    };
    let runs = |unit: &systemd::ListedUnit| matches!(unit.active_state.as_str(), "active" | "failed" | "activating");
    let named = listed.into_iter().filter(runs);
    Ok(named.map(|unit| Unit { name: unit.name, description: unit.description, state: unit.active_state }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_and_the_container_of_a_process_stand_in_its_control_group() {
        let cases = [
            ("0::/system.slice/nginx.service\n", Some("nginx.service"), false),
            (
                "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n",
                Some("postgresql@15-main.service"),
                false,
            ),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/bot.service\n", Some("bot.service"), false),
            ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", None, false),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", None, false),
            ("0::/system.slice/docker-0123456789ab.scope\n", None, true),
            ("12:cpu:/docker/0123456789ab\n0::/\n", None, true),
            ("0::/\n", None, false),
            ("", None, false),
        ];
        for (groups, unit, contained) in cases {
            assert_eq!((unit_of(groups).as_deref(), is_contained(groups)), (unit, contained), "{groups}");
        }
    }

    #[test]
    fn a_program_is_called_as_it_is_known() {
        let cases = [
            (Some("/usr/bin/redis-server 127.0.0.1:6379"), Some("/usr/bin/redis-check-rdb"), "redis-server"),
            (Some("nginx: master process nginx"), Some("/usr/sbin/nginx (deleted)"), "nginx"),
            (Some("python3"), Some("/usr/bin/python3.11"), "python3.11"),
            (Some("/opt/bot"), Some("/opt/releases/7/bot-7"), "bot-7"),
            (Some("postgres"), None, "postgres"),
        ];
        for (argument, executable, name) in cases {
            assert_eq!(called(argument, executable.map(Path::new)).as_deref(), Some(name), "{argument:?}");
        }
        assert_eq!(called(None, None), None);
    }

    #[tokio::test]
    async fn a_process_of_this_machine_is_found_with_its_program() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // A process that has just been started may have no arguments yet: the kernel sets them last.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let survey = loop {
            let survey = Survey::take().await;
            let whole = |process: &&Process| process.pid == pid && process.arguments.len() == 2;
            if survey.processes.iter().any(|process| whole(&process)) || std::time::Instant::now() > deadline {
                break survey;
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        let process = survey.processes.iter().find(|process| process.pid == pid);
        let process = process.unwrap_or_else(|| panic!("{pid} is not among {:?}", survey.processes));
        assert_eq!((process.program.as_str(), process.arguments.join(" ")), ("sleep", "sleep 60".to_owned()));
        assert!(!survey.host.is_empty());
    }
}
