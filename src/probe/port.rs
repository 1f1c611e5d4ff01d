//! Says who listens on a port of this host: nobody, the expected process, or another one.
//!
//! Sockets are those of Banken's own network namespace. Who holds a socket of another user can be seen only with
//! privileges; where it cannot, that is said, and is no failure.

#[cfg(test)]
mod tests;

use super::{Context, Kind, Settings};
use crate::machine::aside::Aside;
use crate::machine::holders::{Held, Order, Sight, look, named, owners};
use crate::machine::program::Program;
use crate::machine::sockets;
use crate::machine::user::{PASSWD, User};
use crate::observation::{Failure, Family, Readings, Reason, Scope};
use crate::values::{Invalid, Pattern};
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

static LISTENING: Family =
    Family::gauge("banken_port_listening", Scope::Probe, &[], "Whether anybody listens on the port, 1 or 0");

static LISTENERS: Family =
    Family::gauge("banken_port_listeners", Scope::Probe, &[], "Number of sockets that listen on the port");

static EXPECTED: Family = Family::gauge(
    "banken_port_expected",
    Scope::Probe,
    &[],
    "Whether the port is held as expected, 1 or 0; absent where its owner may not be seen",
);

static OWNER_KNOWN: Family = Family::gauge(
    "banken_port_owner_known",
    Scope::Probe,
    &[],
    "Whether every process that holds the port may be seen, 1 or 0; absent while nobody listens",
);

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "port",
    summary: "Who listens on a port of this host: nobody, the expected process, or another one",
    example: "\
- name: dashboard-port
  port: { port: 8082, process: python3, user: root }
- name: database-port
  port: { port: 5432, address: 127.0.0.1 }
- name: no-telnet
  port: { port: 23, expect: free }
",
    reasons: &[Reason::Missing, Reason::Status, Reason::Timeout],
    families: &[&LISTENING, &LISTENERS, &EXPECTED, &OWNER_KNOWN],
    signals: &[],
};

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP; sockets that have a peer do not count.
    Udp,
}

/// How a port should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// Somebody listens: whoever is named, or anybody if nobody is.
    #[default]
    Listening,
    /// Nobody listens.
    Free,
}

/// The block `port:`. At most one of `process`, `exe` and `cmdline` says which process should listen.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The port.
    pub port: NonZeroU16,
    /// `tcp` or `udp`.
    #[serde(default)]
    pub protocol: Protocol,
    /// Only whoever would be given what arrives for this IP address; `0.0.0.0` and `::` ask for somebody who is given
    /// everything. Without it, any address.
    #[serde(default)]
    pub address: Option<String>,
    /// `listening` or `free`.
    #[serde(default)]
    pub expect: Expect,
    /// The name that the kernel gives the process, or the base name of its executable or of the first argument; exact.
    #[serde(default)]
    pub process: Option<String>,
    /// The absolute path of its executable; links are followed.
    #[serde(default)]
    pub exe: Option<PathBuf>,
    /// Searched in its arguments, joined by spaces.
    #[serde(default)]
    pub cmdline: Option<Pattern>,
    /// The user as whom it runs: a name from /etc/passwd or a uid.
    #[serde(default)]
    pub user: Option<User>,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = self.mistakes();
        let mut programs: Vec<Program> = Vec::new();
        programs.extend(self.process.clone().map(Program::Name));
        programs.extend(self.exe.clone().map(Program::Exe));
        programs.extend(self.cmdline.clone().map(Program::Cmdline));
        if programs.len() > 1 {
            invalid.push(Invalid::new("", "several processes are named: keep one of process, exe and cmdline"));
        }
        if self.expect == Expect::Free && (!programs.is_empty() || self.user.is_some()) {
            let message = "of a port that should be free nobody is the owner: remove process, exe, cmdline and user";
            invalid.push(Invalid::new("expect", message));
        }
        let address = self.address.as_ref().and_then(|text| {
            let wrong = |_| {
                let message = format!("{text:?} is no IP address: write one such as 127.0.0.1 or ::1, or remove it");
                invalid.push(Invalid::new("address", message));
            };
            text.parse::<IpAddr>().map_err(wrong).ok()
        });
        let uid = self.user.as_ref().and_then(|user| {
            user.uid(Path::new(PASSWD)).map_err(|message| invalid.push(Invalid::new("user", message))).ok()
        });
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let protocol = match self.protocol {
            Protocol::Tcp => sockets::Protocol::Tcp,
            Protocol::Udp => sockets::Protocol::Udp,
        };
        let order = Order { port: self.port.get(), protocol, address, program: programs.pop(), uid };
        Ok(Probe {
            order: Arc::new(order),
            free: self.expect == Expect::Free,
            aside: Aside::new("the look at sockets"),
            holders: Vec::new(),
        })
    }
}

impl Config {
    fn mistakes(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        if self.process.as_ref().is_some_and(|name| name.is_empty() || name.contains('/')) {
            invalid.push(Invalid::new("process", "a name has no '/' and is not empty: for a path, use exe"));
        }
        if self.exe.as_ref().is_some_and(|path| !path.is_absolute()) {
            invalid.push(Invalid::new("exe", "not an absolute path: begin it with '/'"));
        }
        if self.cmdline.as_ref().is_some_and(|pattern| pattern.is_match(b"")) {
            invalid.push(Invalid::new("cmdline", "this matches even an empty text, so it would match every process"));
        }
        invalid
    }
}

/// A port probe that was built.
pub struct Probe {
    order: Arc<Order>,
    free: bool,
    aside: Aside,
    /// Who held the port as expected when it was looked at last: the first place to look again.
    holders: Vec<i32>,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let (order, holders) = (Arc::clone(&self.order), self.holders.clone());
        let sight = self.aside.run(move || look(&order, &holders)).await??;
        self.holders =
            sight.held.iter().flat_map(|held| &held.owners).filter(|one| one.expected).map(|one| one.pid).collect();
        self.holders.sort_unstable();
        self.holders.dedup();
        self.write(&sight, out);
        self.judge(&sight)
    }
}

impl Probe {
    fn write(&self, sight: &Sight, out: &mut Readings) {
        let held = &sight.held;
        out.flag(&LISTENING, !held.is_empty());
        out.set(&LISTENERS, held.len() as f64);
        if let Some(expected) = self.is_as_expected(held) {
            out.flag(&EXPECTED, expected);
        }
        if held.is_empty() {
            return;
        }
        let unknown = held.iter().filter(|held| held.owners.is_empty()).count();
        out.flag(&OWNER_KNOWN, unknown == 0);
        let addresses: Vec<_> = held.iter().map(|held| held.listener.address).collect();
        out.note("listens", shown(&addresses));
        if unknown < held.len() {
            out.note("owner", owners(held));
        }
        if let Some(held) = held.iter().find(|held| held.owners.is_empty()) {
            out.note("unseen", format!("{}; {}", held.made_by(), sight.why_hidden()));
        }
    }

    /// None where the owners would have to be seen.
    fn is_as_expected(&self, held: &[Held]) -> Option<bool> {
        if self.free || held.is_empty() {
            return Some(self.free == held.is_empty());
        }
        if held.iter().any(Held::is_foreign) {
            return Some(false);
        }
        let decided = !self.order.names_somebody() || held.iter().all(|held| !held.owners.is_empty());
        decided.then_some(true)
    }

    fn judge(&self, sight: &Sight) -> Result<(), Failure> {
        let (held, what) = (&sight.held, self.order.to_string());
        if self.free {
            if held.is_empty() {
                return Ok(());
            }
            let by = if held.iter().all(|held| held.owners.is_empty()) { held[0].made_by() } else { owners(held) };
            return Err(Failure::new(Reason::Status, format!("{what} is held by {by}, it should be free")));
        }
        if held.is_empty() {
            let detail = match sight.elsewhere.as_slice() {
                [] => format!("nobody listens on {what}"),
                elsewhere => format!("nobody listens on {what}, only on {}", shown(elsewhere)),
            };
            return Err(Failure::new(Reason::Missing, detail));
        }
        let foreign: Vec<&Held> = held.iter().filter(|held| held.is_foreign()).collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let detail = format!("{what} is held by {}, expected {}", owners(foreign), self.order.expected());
        Err(Failure::new(Reason::Status, detail))
    }
}

fn shown(addresses: &[SocketAddr]) -> String {
    named(addresses.iter().map(ToString::to_string).collect())
}
