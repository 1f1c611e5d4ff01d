//! Who is asked: the one server of the configuration, or those of the system.

use crate::net::{IpChoice, resolve};
use crate::observation::{Failure, Phase, Readings, Reason};
use crate::values::{Address, file::read_small_file};
use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// Where the system says which servers it asks.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How long what was read there holds: it changes with the network.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// As many servers as the system's own resolver asks.
const MAX_SYSTEM_SERVERS: usize = 3;

/// The port on which DNS is spoken.
const PORT: u16 = 53;

/// Who is asked.
pub(super) enum Servers {
    /// An address.
    Fixed([SocketAddr; 1]),
    /// A name, looked up at each run.
    Named(Address, Vec<SocketAddr>),
    /// Those of the system.
    System(System),
}

/// The servers of the system, as they were last read.
pub(super) struct System {
    path: PathBuf,
    known: Vec<SocketAddr>,
    read_at: Option<Instant>,
    /// A look that a former run had to leave behind: there is never more than one.
    looking: Option<JoinHandle<Result<Vec<SocketAddr>, String>>>,
}

impl Servers {
    pub(super) fn new(server: Option<&Address>) -> Self {
        match server {
            None => Servers::System(System::new(RESOLV_CONF)),
            Some(address) => match address.host.parse::<IpAddr>() {
                Ok(ip) => Servers::Fixed([SocketAddr::new(ip, address.port)]),
                Err(_) => Servers::Named(address.clone(), Vec::new()),
            },
        }
    }

    /// In the order in which they are asked.
    ///
    /// # Errors
    /// [`Reason::Resolve`] when there is none.
    pub(super) async fn addresses(&mut self, out: &mut Readings) -> Result<&[SocketAddr], Failure> {
        match self {
            Servers::Fixed(address) => Ok(address),
            Servers::Named(address, found) => {
                out.enter(Phase::Resolve);
                *found = resolve(&address.host, address.port, IpChoice::Any).await?;
                out.leave();
                Ok(found)
            }
            Servers::System(system) => system.addresses().await,
        }
    }
}

impl System {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), known: Vec::new(), read_at: None, looking: None }
    }

    pub(super) async fn addresses(&mut self) -> Result<&[SocketAddr], Failure> {
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_AGAIN_AFTER) {
            self.known = self.look().await.map_err(|message| Failure::new(Reason::Local, message))?;
            self.read_at = Some(Instant::now());
        }
        if self.known.is_empty() {
            let detail = format!("{} names no server: set server, or mend that file", self.path.display());
            return Err(Failure::new(Reason::Resolve, detail));
        }
        Ok(&self.known)
    }

    async fn look(&mut self) -> Result<Vec<SocketAddr>, String> {
        if let Some(leftover) = &mut self.looking {
            // What it saw is old by now.
            let _ = leftover.await;
            self.looking = None;
        }
        let path = self.path.clone();
        let looking = self.looking.insert(spawn_blocking(move || {
            let text = read_small_file(&path)?;
            Ok(nameservers(&String::from_utf8_lossy(&text)))
        }));
        let seen = looking.await;
        self.looking = None;
        seen.unwrap_or_else(|error| Err(format!("the look at {} broke: {error}", self.path.display())))
    }
}

/// The servers that a `resolv.conf` names (resolv.conf(5)).
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(str::split_ascii_whitespace);
    let named = words.filter_map(|mut words| (words.next() == Some("nameserver")).then(|| words.next()).flatten());
    named.filter_map(server_of).take(MAX_SYSTEM_SERVERS).collect()
}

/// An address, or one that is only right on an interface: `fe80::1%eth0`.
fn server_of(text: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    };
    let interface = || {
        let is_name = !zone.is_empty() && !zone.contains('/') && zone != "." && zone != "..";
        let file = is_name.then(|| Path::new("/sys/class/net").join(zone).join("ifindex"))?;
        fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    let scope = zone.parse().ok().or_else(interface)?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_in_order_and_what_is_none_is_passed_over() {
        let text = "# nameserver 9.9.9.9\nsearch example.org\nnameserver 192.0.2.1 # first\n nameserver\t2001:db8::1\n\
                    nameserver nonsense\nnameserver fe80::1%7\nnameserver 192.0.2.4\n";
        let found: Vec<_> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53"]);
        assert!(server_of("fe80::1%lo").is_some(), "the name of an interface");
        for wrong in ["fe80::1%", "fe80::1%../lo", "fe80::1%none-such", "192.0.2.1%lo"] {
            assert_eq!(server_of(wrong), None, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_is_read_again_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let mut system = System::new(&file);
        assert_eq!(system.addresses().await.unwrap_err().reason, Reason::Local, "our own file is not there");
        fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(system.addresses().await.unwrap().len(), 1);
        fs::write(&file, "options edns0\n").unwrap();
        assert_eq!(system.addresses().await.unwrap().len(), 1, "it was read just now");
        tokio::time::advance(READ_AGAIN_AFTER).await;
        let failure = system.addresses().await.unwrap_err();
        assert_eq!(failure.reason, Reason::Resolve);
        assert!(failure.detail.contains("names no server"), "{}", failure.detail);
    }
}
