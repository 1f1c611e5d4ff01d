//! One look at the sockets of a port and at those who hold them.
//!
//! Sockets are those of Banken's own network namespace. Who holds a socket of another user can be seen only with privileges.

use super::procfs::{Reader, effective_uid};
use super::program::{Answer, Look as ProgramLook, Program, shown_name};
use super::sockets::{self, Listener, Owners, Protocol, listeners};
use super::user::{self, PASSWD};
use crate::observation::Failure;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What is looked for, ready to be handed to a thread.
#[derive(Debug)]
pub struct Order {
    /// The port.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// Only sockets that would be given what arrives for this address.
    pub address: Option<IpAddr>,
    /// Who should hold it.
    pub program: Option<Program>,
    /// As whom it should run.
    pub uid: Option<u32>,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} {}", self.protocol.as_str(), SocketAddr::new(address, self.port)),
            None => write!(f, "{} port {}", self.protocol.as_str(), self.port),
        }
    }
}

impl Order {
    /// Whether not everybody is right.
    pub fn names_somebody(&self) -> bool {
        self.program.is_some() || self.uid.is_some()
    }

    /// Who should hold it, in words.
    pub fn expected(&self) -> String {
        let user = self.uid.map(|uid| format!("user {}", user::called(uid, Path::new(PASSWD))));
        let program = self.program.as_ref().map(|program| match program {
            Program::Name(name) => name.clone(),
            other => other.to_string(),
        });
        program.into_iter().chain(user).collect::<Vec<_>>().join(" as ")
    }

    fn wants(&self, listener: &Listener) -> bool {
        self.address.is_none_or(|address| listener.accepts(address))
    }
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: i32,
    name: String,
    user: String,
    /// Whether it is whom the configuration names.
    pub expected: bool,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}, user {})", self.name, self.pid, self.user)
    }
}

#[cfg(test)]
impl Owner {
    /// One that does not run.
    pub fn made_up(pid: i32, name: &str, expected: bool) -> Self {
        Self { pid, name: name.into(), user: "u".into(), expected }
    }
}

/// A socket and those who hold it, as far as they may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The socket.
    pub listener: Listener,
    /// The processes that hold it and may be seen.
    pub owners: Vec<Owner>,
}

impl Held {
    /// Whether it is held by others than whom the configuration names. One of several is enough to be right: children
    /// inherit sockets, and systemd keeps those that it made for a service.
    pub fn is_foreign(&self) -> bool {
        !self.owners.is_empty() && !self.owners.iter().any(|owner| owner.expected)
    }

    /// What is known without seeing an owner.
    pub fn made_by(&self) -> String {
        let by = user::called(self.listener.uid, Path::new(PASSWD));
        format!("a process that may not be seen; user {by} made the socket")
    }
}

/// What one look saw.
#[derive(Debug)]
pub struct Sight {
    /// The sockets that were looked for.
    pub held: Vec<Held>,
    /// On which other addresses somebody listens on this port.
    pub elsewhere: Vec<SocketAddr>,
    /// How many processes did not let us see what they hold.
    pub hidden: usize,
}

impl Sight {
    /// Why an owner is not seen.
    pub fn why_hidden(&self) -> String {
        match self.hidden {
            0 => "no process here holds it: the kernel does, or one in another pid namespace".into(),
            hidden => format!("{hidden} processes of other users are closed to Banken"),
        }
    }
}

/// Looks once. It blocks on `/proc`. Whoever held the socket last is looked at first, and if it is still right, nobody
/// else is.
///
/// # Errors
/// [`crate::observation::Reason::Local`] when we could not look.
pub fn look(order: &Order, holders: &[i32]) -> Result<Sight, Failure> {
    let on_port = listeners(order.protocol)?.into_iter().filter(|listener| listener.address.port() == order.port);
    let (wanted, others): (Vec<_>, Vec<_>) = on_port.partition(|listener| order.wants(listener));
    let elsewhere = others.into_iter().map(|listener| listener.address).collect();
    let inodes: BTreeSet<u64> = wanted.iter().map(|listener| listener.inode).filter(|inode| *inode != 0).collect();
    let mut identify =
        Identify { order, program: order.program.as_ref().map(Program::look).transpose()?, reader: Reader::default() };
    let near = sockets::owners_among(holders, &inodes)?;
    let held = identify.all(&wanted, &near)?;
    if held.iter().all(|held| held.owners.iter().any(|owner| owner.expected)) {
        return Ok(Sight { held, elsewhere, hidden: 0 });
    }
    let owners = sockets::owners(&inodes)?;
    Ok(Sight { held: identify.all(&wanted, &owners)?, elsewhere, hidden: owners.hidden })
}

struct Identify<'a> {
    order: &'a Order,
    program: Option<ProgramLook<'a>>,
    reader: Reader,
}

/// Of the processes that hold one socket, no more are looked at: a server may have thousands of workers.
const MAX_OWNERS: usize = 256;

impl Identify<'_> {
    fn all(&mut self, wanted: &[Listener], owners: &Owners) -> Result<Vec<Held>, Failure> {
        let mut held = Vec::with_capacity(wanted.len());
        for listener in wanted {
            let pids = owners.pids.get(&listener.inode).map_or(&[][..], Vec::as_slice);
            let mut seen = Vec::new();
            for pid in pids.iter().take(MAX_OWNERS) {
                seen.extend(self.one(*pid)?);
            }
            held.push(Held { listener: listener.clone(), owners: seen });
        }
        Ok(held)
    }

    /// None if it has gone.
    fn one(&mut self, pid: i32) -> Result<Option<Owner>, Failure> {
        let Some(name) = shown_name(&mut self.reader, pid)? else { return Ok(None) };
        let Some(uid) = self.reader.read(pid, "status")?.and_then(effective_uid) else { return Ok(None) };
        let program = match &self.program {
            Some(program) => program.at(&mut self.reader, pid)? == Answer::Yes,
            None => true,
        };
        let expected = program && self.order.uid.is_none_or(|wanted| wanted == uid);
        Ok(Some(Owner { pid, name, user: user::called(uid, Path::new(PASSWD)), expected }))
    }
}

/// A detail names no more than this many.
pub(crate) const MAX_NAMED: usize = 4;

/// Those who hold these sockets, in words.
pub fn owners<'a>(held: impl IntoIterator<Item = &'a Held>) -> String {
    let mut all: Vec<&Owner> = held.into_iter().flat_map(|held| &held.owners).collect();
    // A whole family of workers holds the socket that their parent made.
    all.sort_by_key(|owner| owner.pid);
    all.dedup_by_key(|owner| owner.pid);
    named(all.into_iter().map(ToString::to_string).collect())
}

/// The first few of them, and how many more there are.
pub fn named(mut all: Vec<String>) -> String {
    all.dedup();
    let more = all.len().saturating_sub(MAX_NAMED);
    all.truncate(MAX_NAMED);
    if more > 0 { format!("{} and {more} more", all.join(", ")) } else { all.join(", ") }
}
