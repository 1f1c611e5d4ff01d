//! A real bus, and somebody on it who answers as systemd does.

use crate::support::{Process, eventually};
use futures_util::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, ObjectPath, Variant};

/// As any session has it, without services that are started on demand.
pub const CONFIG: &str = "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"
 \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">
<busconfig><type>session</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context=\"default\"><allow user=\"*\"/><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>
<allow own=\"*\"/></policy></busconfig>
";

/// `dbus-daemon` on a socket of its own.
pub struct Bus {
    process: Option<Process>,
    folder: PathBuf,
}

impl Bus {
    pub async fn start(folder: &Path) -> Self {
        let mut bus = Self { process: None, folder: folder.to_owned() };
        std::fs::write(bus.folder.join("bus.conf"), CONFIG.replace("SOCKET", &bus.socket().display().to_string()))
            .unwrap();
        bus.start_again().await;
        bus
    }

    pub async fn start_again(&mut self) {
        if self.process.is_some() {
            self.end();
        }
        let config = format!("--config-file={}", self.folder.join("bus.conf").display());
        self.process = Some(Process::start(Command::new("dbus-daemon").args([&config, "--nofork", "--nopidfile"])));
        eventually("the bus listens", async || tokio::net::UnixStream::connect(self.socket()).await.ok()).await;
    }

    pub fn end(&mut self) {
        self.process = None;
        let _ = std::fs::remove_file(self.socket());
    }

    /// Leaves it as it is, and gives its socket to whoever is started next.
    pub fn abandon(&mut self) -> Process {
        std::fs::remove_file(self.socket()).unwrap();
        self.process.take().unwrap()
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("bus")
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// Who is connected, apart from whoever asks.
    pub async fn guests(&self) -> Vec<String> {
        let connection = connect(&self.address()).await;
        let bus = "org.freedesktop.DBus";
        let answer = connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "ListNames", &()).await;
        let mut names: Vec<String> = answer.unwrap().body().deserialize().unwrap();
        let own = connection.unique_name().unwrap().to_string();
        names.retain(|name| name.starts_with(':') && *name != own);
        names
    }
}

async fn connect(address: &str) -> Connection {
    zbus::connection::Builder::address(address).build().await.unwrap()
}

/// What the stand-in does with questions.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    Answers,
    /// Says nothing about units.
    Hangs,
    /// Refuses with this error.
    Refuses(&'static str),
    /// Answers, but restarts nothing and says this error.
    RefusesRestarts(&'static str),
}

pub struct World {
    pub manner: Manner,
    /// Active state, sub-state and further properties, by name.
    pub units: HashMap<String, (&'static str, &'static str)>,
    pub restarts: u32,
    /// How often units were looked at.
    pub looks: usize,
    /// Who has asked, and how often each of them has subscribed.
    pub clients: BTreeMap<String, usize>,
}

/// Owns systemd's name on a bus until it is dropped.
pub struct Systemd {
    connection: Connection,
    world: Arc<Mutex<World>>,
    answering: JoinHandle<()>,
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

impl Systemd {
    pub async fn on(bus: &Bus, units: &[&str]) -> Self {
        let connection = connect(&bus.address()).await;
        let world = Arc::new(Mutex::new(World {
            manner: Manner::Answers,
            units: units.iter().map(|unit| ((*unit).to_owned(), ("active", "running"))).collect(),
            restarts: 0,
            looks: 0,
            clients: BTreeMap::new(),
        }));
        let questions = MessageStream::from(&connection);
        let answering = tokio::spawn(answer(connection.clone(), questions, Arc::clone(&world)));
        connection.request_name("org.freedesktop.systemd1").await.unwrap();
        Self { connection, world, answering }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Leaves the bus.
    pub async fn leave(self) {
        self.connection.clone().close().await.unwrap();
    }

    pub fn is_subscribed(&self) -> bool {
        self.world().clients.values().any(|subscriptions| *subscriptions > 0)
    }

    /// Changes a unit, and says so.
    pub async fn change(&self, unit: &str, state: (&'static str, &'static str)) {
        self.world().units.insert(unit.to_owned(), state);
        self.tell(unit).await;
    }

    /// Says that something about a unit has changed.
    pub async fn tell(&self, unit: &str) {
        let changed: HashMap<&str, Variant<'_>> = HashMap::new();
        let body = ("org.freedesktop.systemd1.Unit", changed, Vec::<String>::new());
        let interface = "org.freedesktop.DBus.Properties";
        self.connection.emit_signal(None::<&str>, path_of(unit), interface, "PropertiesChanged", &body).await.unwrap();
    }
}

fn path_of(unit: &str) -> ObjectPath<'static> {
    let escape = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:02x}", c as u32) };
    let label: String = unit.chars().map(escape).collect();
    ObjectPath::try_from(format!("/org/freedesktop/systemd1/unit/{label}")).unwrap()
}

async fn answer(connection: Connection, mut questions: MessageStream, world: Arc<Mutex<World>>) {
    while let Some(Ok(question)) = questions.next().await {
        if question.message_type() == Type::MethodCall {
            let reply = reply(&question, &mut world.lock().unwrap());
            if let Some(reply) = reply {
                connection.send(&reply).await.unwrap();
            }
        }
    }
}

fn reply(question: &Message, world: &mut World) -> Option<Message> {
    let header = question.header();
    let subscriptions = world.clients.entry(header.sender().unwrap().to_string()).or_default();
    let back = Message::method_return(&header);
    match header.member().unwrap().as_str() {
        "Subscribe" => {
            *subscriptions += 1;
            return Some(back.build(&()).unwrap());
        }
        _ if world.manner == Manner::Hangs => return None,
        "RestartUnit" => {
            let Manner::RefusesRestarts(error) = world.manner else { return None };
            return Some(Message::error(&header, error).build(&"a policy says no").unwrap());
        }
        "LoadUnit" => {
            if let Manner::Refuses(error) = world.manner {
                return Some(Message::error(&header, error).build(&"a policy says no").unwrap());
            }
            let name: String = question.body().deserialize().unwrap();
            return Some(back.build(&path_of(&name)).unwrap());
        }
        _ => {}
    }
    let path = header.path().unwrap().to_string();
    let unit = world.units.iter().find(|(unit, _)| path_of(unit).as_str() == path);
    let (name, (active, sub)) = unit.map_or(("gone.service", ("inactive", "dead")), |(name, state)| (name, *state));
    let interface: String = question.body().deserialize().unwrap();
    let facts: HashMap<&str, Variant<'_>> = if interface.ends_with(".Unit") {
        world.looks += 1;
        let load = if unit.is_some() { "loaded" } else { "not-found" };
        [("Id", name), ("LoadState", load), ("ActiveState", active), ("SubState", sub)]
            .map(|(key, value)| (key, Variant::from(value)))
            .into()
    } else {
        [
            ("Result", Variant::from("success")),
            ("NRestarts", Variant::from(world.restarts)),
            ("MemoryCurrent", Variant::from(u64::MAX)),
        ]
        .into()
    };
    Some(back.build(&facts).unwrap())
}
