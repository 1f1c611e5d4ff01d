//! Which probes are proposed for what was found. Pure.

use super::known::{self, EXPORTER, KNOWN, Known, LEFT_OUT, WEB, is_interpreter};
use super::survey::{Container, Listener, Survey, Unit};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// No more of each sort are proposed: a starter configuration is read by a person.
const MAX_OF_A_SORT: usize = 50;

/// One probe that is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its name, not yet unique.
    pub name: String,
    /// What was found, for a comment.
    pub found: String,
    /// The kind's block in several forms, the best first; the first that succeeds is taken.
    pub blocks: Vec<String>,
    /// What to do to see more, for a comment.
    pub hint: &'static str,
    /// The label `group`.
    pub group: Option<String>,
    /// In which part of the file it stands.
    pub section: Section,
}

/// A part of the file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What answers over the network.
    Services,
    /// What runs.
    Processes,
    /// What runs in containers.
    Containers,
    /// What systemd runs.
    Units,
}

impl Section {
    /// Its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Section::Services => "What listens on this machine",
            Section::Processes => "What runs on this machine",
            Section::Containers => "Containers",
            Section::Units => "Units of systemd",
        }
    }
}

/// Proposes a probe for everything that is worth one, each name once.
pub fn propose(survey: &Survey) -> Vec<Proposal> {
    let mut proposals = services(&survey.listeners);
    proposals.extend(processes(survey));
    proposals.extend(survey.containers.iter().take(MAX_OF_A_SORT).map(container));
    proposals.extend(survey.units.iter().filter(|unit| is_worth_a_probe(unit)).take(MAX_OF_A_SORT).map(unit));
    make_unique(&mut proposals);
    proposals
}

/// Several sockets of one program on one port (IPv4 and IPv6, workers that share it) are one service.
fn services(listeners: &[Listener]) -> Vec<Proposal> {
    let mut by_port: BTreeMap<(u16, &str), Vec<&Listener>> = BTreeMap::new();
    for listener in listeners.iter().filter(|listener| !LEFT_OUT.contains(&listener.program.as_str())) {
        by_port.entry((listener.address.port(), &listener.program)).or_default().push(listener);
    }
    let known = |program: &str, port: u16| known::find(program, port);
    // A known program's other ports are its own business: cluster, control, metrics of another day.
    let worth = |(port, program): (u16, &str)| known(program, port).is_some() || !is_known_elsewhere(program);
    by_port
        .into_iter()
        .filter(|(place, _)| worth(*place))
        .take(MAX_OF_A_SORT)
        .map(|((port, program), sockets)| service(program, port, &sockets, known(program, port)))
        .collect()
}

fn is_known_elsewhere(program: &str) -> bool {
    KNOWN.iter().any(|known| known.programs.contains(&program))
}

fn service(program: &str, port: u16, sockets: &[&Listener], known: Option<&Known>) -> Proposal {
    let address = reachable(sockets);
    let blocks = match known {
        Some(known) => known.blocks,
        None if program.ends_with("exporter") => EXPORTER,
        None => WEB,
    };
    let fill =
        |block: &&str| block.replace("{address}", &address.to_string()).replace("{host}", &address.ip().to_string());
    let script = sockets.iter().find_map(|socket| script_of(&socket.program, &socket.arguments));
    let who = match (program, &script) {
        ("", _) => "a program of another user".to_owned(),
        (program, Some(script)) => format!("{program} {script}"),
        (program, None) => program.to_owned(),
    };
    let name = match (known, &script) {
        (Some(known), _) if !known.name.is_empty() => known.name.to_owned(),
        (_, Some(script)) => stem(script).to_owned(),
        _ if program.is_empty() => format!("port-{port}"),
        _ => program.to_owned(),
    };
    let places: BTreeSet<String> = sockets.iter().map(|socket| socket.address.to_string()).collect();
    Proposal {
        group: Some(legal(&name)),
        name,
        found: format!("{who} listens on {}", places.into_iter().collect::<Vec<_>>().join(" and ")),
        blocks: blocks.iter().map(fill).collect(),
        hint: known.map_or("", |known| known.hint),
        section: Section::Services,
    }
}

/// Where to ask: loopback for what listens everywhere, IPv4 first.
fn reachable(sockets: &[&Listener]) -> SocketAddr {
    let ask_at = |address: SocketAddr| {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            // A socket of IPv6 on every address answers over IPv4 too, unless it was told not to.
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, address.port())
    };
    let mut places: Vec<_> = sockets.iter().map(|socket| ask_at(socket.address)).collect();
    places.sort_by_key(|place| (!place.ip().is_loopback(), place.is_ipv6()));
    places.first().copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// Processes behind the services, and programs of interpreters that listen for nothing: bots, workers, schedulers.
fn processes(survey: &Survey) -> Vec<Proposal> {
    let listening: HashSet<i32> = survey.listeners.iter().filter_map(|listener| listener.pid).collect();
    let mut seen = HashSet::new();
    let mut proposals = Vec::new();
    for process in &survey.processes {
        let script = script_of(&process.program, &process.arguments);
        let is_service = listening.contains(&process.pid) && !LEFT_OUT.contains(&process.program.as_str());
        let of_systemd = process.unit.as_deref().is_some_and(|name| survey.units.iter().any(|unit| unit.name == name));
        // What systemd runs is watched as a unit, with its restarts.
        if (!is_service && script.is_none()) || of_systemd || process.in_container {
            continue;
        }
        let (key, block) = match &script {
            Some(script) => (script.clone(), format!("process: {{ cmdline: {} }}", quoted(&regex::escape(script)))),
            None => (process.program.clone(), format!("process: {{ name: {} }}", quoted(&process.program))),
        };
        if !seen.insert(key.clone()) || proposals.len() == MAX_OF_A_SORT {
            continue;
        }
        let base = stem(&key).to_owned();
        proposals.push(Proposal {
            name: format!("{base}-process"),
            // Other arguments may hold secrets.
            found: script.map_or_else(|| format!("{key} runs"), |script| format!("{} {script} runs", process.program)),
            blocks: vec![block],
            hint: "",
            group: Some(legal(&base)),
            section: Section::Processes,
        });
    }
    proposals
}

fn container(container: &Container) -> Proposal {
    let socket = container.socket.as_ref().map(|socket| format!(", socket: {}", quoted(socket))).unwrap_or_default();
    Proposal {
        name: container.name.clone(),
        found: format!("a container of {}, {}", container.image, container.status),
        blocks: vec![format!("container: {{ name: {}{socket} }}", quoted(&container.name))],
        hint: "",
        group: Some(legal(&container.name)),
        section: Section::Containers,
    }
}

fn unit(unit: &Unit) -> Proposal {
    let base = unit.name.trim_end_matches(".service");
    Proposal {
        name: format!("{base}-unit"),
        found: format!("{} ({}) is {}", unit.name, unit.description, unit.state),
        blocks: vec![format!("systemd: {{ unit: {} }}", quoted(&unit.name))],
        hint: "",
        group: Some(legal(base)),
        section: Section::Units,
    }
}

/// Services that somebody installed to be used; the machinery of the system itself is systemd's own affair.
fn is_worth_a_probe(unit: &Unit) -> bool {
    const MACHINERY: &[&str] = &[
        "systemd-",
        "dbus",
        "getty@",
        "serial-getty@",
        "user@",
        "user-runtime-dir@",
        "polkit",
        "init",
        "emergency",
        "rescue",
        "console-",
        "keyboard-",
        "kmod",
        "plymouth",
        "ifupdown",
        "networking",
        "NetworkManager-",
        "ModemManager",
        "accounts-",
        "udisks",
        "upower",
        "avahi",
        "bluetooth",
        "wpa_supplicant",
        "rtkit",
        "colord",
        "packagekit",
        "apt-",
        "dpkg-",
        "man-db",
        "logrotate",
        "fstrim",
        "e2scrub",
        "lvm2",
        "blk-",
        "alsa",
        "apparmor",
        "banken",
    ];
    let begins = |prefix: &&str| unit.name.starts_with(*prefix);
    unit.name.ends_with(".service") && (unit.state == "failed" || !MACHINERY.iter().any(begins))
}

/// What an interpreter runs: the first argument that is no option, or the module after `-m`, or the file after `-jar`.
fn script_of(program: &str, arguments: &[String]) -> Option<String> {
    if !is_interpreter(program) {
        return None;
    }
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-m" | "-jar" => return rest.next().cloned(),
            // What follows is program text, not the name of one.
            "-c" | "-e" | "--eval" => return None,
            option if option.starts_with('-') => {}
            script => return Some(script.to_owned()),
        }
    }
    None
}

/// The name of a script without folders and ending.
fn stem(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split_once('.').map_or(base, |(stem, _)| if stem.is_empty() { base } else { stem })
}

/// A name as the configuration wants it.
fn legal(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept =
        |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    let legal: String = lower.chars().map(kept).take(60).collect();
    let legal = legal.trim_matches(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    if legal.is_empty() { "unnamed".into() } else { legal.into() }
}

/// Text as YAML takes it literally, whatever is in it.
fn quoted(text: &str) -> String {
    // `${…}` would be taken for a variable of the environment.
    let text = text.replace("${", "$${");
    if text.chars().any(char::is_control) {
        // A text of JSON is one of YAML, and knows escapes.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn make_unique(proposals: &mut [Proposal]) {
    let mut taken = HashSet::from(["host".to_owned()]);
    for proposal in proposals {
        let base = legal(&proposal.name);
        let mut name = base.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        proposal.name = name;
    }
}
