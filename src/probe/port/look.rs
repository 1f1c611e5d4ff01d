//! One look at the sockets of a port and at those who hold them.

use super::PASSWD;
use crate::machine::procfs::{Reader, effective_uid};
use crate::machine::program::{Answer, Look as ProgramLook, Program, shown_name};
use crate::machine::sockets::{self, Listener, Owners, Protocol, listeners};
use crate::machine::user;
use crate::observation::Failure;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What is looked for, ready to be handed to a thread.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) address: Option<IpAddr>,
    pub(super) program: Option<Program>,
    pub(super) uid: Option<u32>,
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
    pub(super) fn names_somebody(&self) -> bool {
        self.program.is_some() || self.uid.is_some()
    }

    /// Who should hold it, in words.
    pub(super) fn expected(&self) -> String {
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
pub(super) struct Owner {
    pub(super) pid: i32,
    name: String,
    user: String,
    /// Whether it is whom the configuration names.
    pub(super) expected: bool,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}, user {})", self.name, self.pid, self.user)
    }
}

#[cfg(test)]
impl Owner {
    pub(super) fn made_up(pid: i32, name: &str, expected: bool) -> Self {
        Self { pid, name: name.into(), user: "u".into(), expected }
    }
}

/// A socket and those who hold it, as far as they may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) listener: Listener,
    pub(super) owners: Vec<Owner>,
}

impl Held {
    /// Whether it is held by others than whom the configuration names. One of several is enough to be right: children
    /// inherit sockets, and systemd keeps those that it made for a service.
    pub(super) fn is_foreign(&self) -> bool {
        !self.owners.is_empty() && !self.owners.iter().any(|owner| owner.expected)
    }

    /// What is known without seeing an owner.
    pub(super) fn made_by(&self) -> String {
        let by = user::called(self.listener.uid, Path::new(PASSWD));
        format!("a process that may not be seen; user {by} made the socket")
    }
}

/// What one look saw.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) held: Vec<Held>,
    /// On which other addresses somebody listens on this port.
    pub(super) elsewhere: Vec<SocketAddr>,
    /// How many processes did not let us see what they hold.
    pub(super) hidden: usize,
}

impl Sight {
    pub(super) fn why_hidden(&self) -> String {
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
pub(super) fn look(order: &Order, holders: &[i32]) -> Result<Sight, Failure> {
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
