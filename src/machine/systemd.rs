//! What systemd is asked over D-Bus, what it tells by itself, and the one thing that it is told: to restart a service.
//!
//! All who watch units on one bus share one connection. It is made when it is first needed, replaced when it is broken or
//! when somebody waited for an answer in vain, and ends with the last of them.

mod failure;
mod link;
mod unit;

pub use unit::{ActiveState, Course, MainExit, Rest, Unit};

use crate::observation::{Failure, Phase, Readings};
use failure::{failure, restart_failure};
use link::Link;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;
use zbus::{Address, Error};

/// Where the bus of the system listens.
pub const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Where the bus of our own user's session listens.
pub fn own_bus() -> String {
    format!("unix:path=/run/user/{}/bus", rustix::process::geteuid().as_raw())
}

/// Whether this can be the address of a bus on this machine.
///
/// # Errors
/// How an address is written.
pub fn parse_address(text: &str) -> Result<Address, String> {
    let remedy = "write unix:path=SOCKET, as in unix:path=/run/dbus/system_bus_socket";
    if !["unix:path=", "unix:abstract="].iter().any(|begin| text.starts_with(begin)) {
        return Err(format!("{text:?} is not the address of a bus on this machine: {remedy}"));
    }
    Address::from_str(text).map_err(|error| format!("{text:?} is not the address of a bus ({error}): {remedy}"))
}

/// The endings of units, and the interface of each on the bus. A target has nothing of its own to say.
const INTERFACES: [(&str, Option<&str>); 11] = [
    ("service", Some("org.freedesktop.systemd1.Service")),
    ("timer", Some("org.freedesktop.systemd1.Timer")),
    ("socket", Some("org.freedesktop.systemd1.Socket")),
    ("mount", Some("org.freedesktop.systemd1.Mount")),
    ("automount", Some("org.freedesktop.systemd1.Automount")),
    ("path", Some("org.freedesktop.systemd1.Path")),
    ("scope", Some("org.freedesktop.systemd1.Scope")),
    ("slice", Some("org.freedesktop.systemd1.Slice")),
    ("swap", Some("org.freedesktop.systemd1.Swap")),
    ("device", None),
    ("target", None),
];

/// The longest name that systemd takes.
const MAX_NAME: usize = 255;

/// Whether this can be the name of a unit that has a state.
///
/// # Errors
/// How a name is written.
pub fn check_unit(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let Some((prefix, ending)) = name.rsplit_once('.') else {
        return Err(format!("{name:?} has no ending: write the whole name, as in {name}.service"));
    };
    if !INTERFACES.iter().any(|(known, _)| *known == ending) {
        return Err(format!("{name:?} does not end like a unit: write the whole name, as in {name}.service"));
    }
    if prefix.is_empty() || name.len() > MAX_NAME || !name.chars().all(legal) {
        return Err(format!("{name:?} is not the name of a unit: write it as systemctl list-units shows it"));
    }
    if prefix.ends_with('@') {
        return Err(format!("{name:?} is a template, which has no state: name an instance, as in {prefix}1.{ending}"));
    }
    Ok(())
}

/// The buses that are in use, so that all who watch units on one of them share it.
#[derive(Debug, Default)]
pub struct Buses(Mutex<HashMap<String, Weak<Bus>>>);

impl Buses {
    /// The bus at this address.
    pub fn at(&self, address: &Address) -> Arc<Bus> {
        let shown = address.to_string();
        let mut buses = lock(&self.0);
        if let Some(bus) = buses.get(&shown).and_then(Weak::upgrade) {
            return bus;
        }
        let bus = Arc::new(Bus::new(address.clone()));
        buses.insert(shown, Arc::downgrade(&bus));
        bus
    }
}

/// A unit in the list of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUnit {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// `loaded`, `not-found`, …
    pub load_state: String,
    /// `active`, `failed`, …
    pub active_state: String,
    /// Finer, and different for each kind of unit.
    pub sub_state: String,
}

/// What became of a job that restarts a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restarted {
    /// It is done.
    Done,
    /// It ended otherwise, in systemd's word: `failed`, `timeout`, `canceled`, `dependency`, …
    Ended(String),
    /// It is no more, and systemd did not tell how it ended.
    Unheard,
    /// There was none, because another one stands in its way.
    Conflict,
}

/// A bus on which systemd can be asked.
#[derive(Debug)]
pub struct Bus {
    address: Address,
    shown: String,
    link: Mutex<Option<Arc<Link>>>,
    /// One connects, the others wait for it.
    connecting: tokio::sync::Mutex<()>,
}

impl Bus {
    fn new(address: Address) -> Self {
        Self { shown: address.to_string(), address, link: Mutex::default(), connecting: tokio::sync::Mutex::default() }
    }

    /// What systemd says about a unit. From now on, the rope is pulled when it changes.
    ///
    /// # Errors
    /// [`Reason::Missing`](crate::observation::Reason::Missing) if it cannot be such a unit; otherwise why systemd did not say.
    pub async fn unit(&self, name: &str, rope: &Arc<Notify>, out: &mut Readings) -> Result<Unit, Failure> {
        out.enter(Phase::Connect);
        let link = self.link().await?;
        out.enter(Phase::Wait);
        let mut asking = Asking { bus: self, link: &link, answered: false };
        let answer = link.unit(name, rope).await;
        asking.answered = is_answer(&answer);
        out.leave();
        answer.map_err(|error| self.failure(error))
    }

    /// Has systemd restart a unit, or start it where it does not run, and waits until that is done. A start limit that is hit
    /// is not set back, and no job of somebody else is put off.
    ///
    /// # Errors
    /// [`Reason::Auth`](crate::observation::Reason::Auth) where polkit does not allow it, with the file that would; otherwise why
    /// systemd did not answer.
    pub async fn restart(&self, name: &str) -> Result<Restarted, Failure> {
        let link = self.link().await?;
        let mut asking = Asking { bus: self, link: &link, answered: false };
        let answer = link.restart(name).await;
        asking.answered = is_answer(&answer);
        match answer {
            Ok(Some(result)) if result == "done" => Ok(Restarted::Done),
            Ok(Some(result)) => Ok(Restarted::Ended(result)),
            Ok(None) => Ok(Restarted::Unheard),
            Err(Error::MethodError(error, ..)) if error == "org.freedesktop.systemd1.TransactionIsDestructive" => {
                Ok(Restarted::Conflict)
            }
            Err(error) => Err(restart_failure(&self.shown, name, error)),
        }
    }

    /// Every unit that systemd has loaded.
    ///
    /// # Errors
    /// Why systemd did not say.
    pub async fn units(&self) -> Result<Vec<ListedUnit>, Failure> {
        let link = self.link().await?;
        let mut asking = Asking { bus: self, link: &link, answered: false };
        let answer = link.units().await;
        asking.answered = is_answer(&answer);
        answer.map_err(|error| self.failure(error))
    }

    async fn link(&self) -> Result<Arc<Link>, Failure> {
        let _connecting = self.connecting.lock().await;
        if let Some(link) = lock(&self.link).as_ref().filter(|link| link.is_good()) {
            return Ok(Arc::clone(link));
        }
        let link = Link::open(&self.address).await.map_err(|error| self.failure(error))?;
        let link = Arc::new(link);
        *lock(&self.link) = Some(Arc::clone(&link));
        Ok(link)
    }

    /// The next one who asks connects anew, unless somebody else has done so already.
    fn give_up(&self, link: &Arc<Link>) {
        let mut current = lock(&self.link);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            *current = None;
        }
    }

    fn failure(&self, error: Error) -> Failure {
        failure(&self.shown, error)
    }
}

/// Who asks and is called away before there is an answer leaves a connection of which nobody knows what it is worth: a
/// question may have been sent in part.
struct Asking<'a> {
    bus: &'a Bus,
    link: &'a Arc<Link>,
    answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.bus.give_up(self.link);
        }
    }
}

/// A refusal is an answer too.
fn is_answer<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Ok(_) | Err(Error::MethodError(..) | Error::FDO(_)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
