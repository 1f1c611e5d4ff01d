//! The sockets of this network namespace that wait for somebody, and the processes that hold them.
//!
//! The kernel is asked over netlink (`sock_diag`), which says of an IPv6 socket whether it takes IPv4 as well and gives
//! only the sockets that are asked for. Where that is not to be had (a sandbox without `AF_NETLINK`, a kernel without
//! it), `/proc/net` says the rest. Neither needs a privilege; to see the owner of a socket that belongs to another user
//! does.

mod diag;
mod table;

use super::procfs::seen;
use crate::observation::{Failure, Reason, is_own_shortage};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;

/// What a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP: a listener is a socket in the state LISTEN.
    Tcp,
    /// UDP: a listener is a socket that has a port and no peer.
    Udp,
}

impl Protocol {
    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// A socket that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// To what it is bound.
    pub address: SocketAddr,
    /// Its inode, by which its owners are found; 0 for a socket of the kernel's own.
    pub inode: u64,
    /// The user who made it.
    pub uid: u32,
    /// Whether an IPv6 socket leaves IPv4 alone. Where only `/proc/net` could be read this is not known, and guessed from
    /// the system's default and from the IPv4 sockets beside it.
    pub v6_only: bool,
}

impl Listener {
    /// Whether it is given what arrives for this address. Of the unspecified addresses, `0.0.0.0` asks for a socket that is
    /// given everything that arrives over IPv4, `::` for everything over IPv6.
    pub fn accepts(&self, to: IpAddr) -> bool {
        let (own, to) = (self.address.ip(), to.to_canonical());
        match (own, to) {
            (IpAddr::V6(wild), IpAddr::V4(_)) if wild.is_unspecified() => !self.v6_only,
            // A mapped address, ::ffff:127.0.0.1, is one of IPv4.
            _ => {
                let own = own.to_canonical();
                own == to || (own.is_unspecified() && own.is_ipv4() == to.is_ipv4())
            }
        }
    }
}

/// More listeners than this are no host, but a mistake: they are not told.
const MAX_LISTENERS: usize = 100_000;

/// Every listener of this network namespace, in the order of their ports. It blocks for as long as the kernel takes.
///
/// # Errors
/// [`Reason::Local`] when the kernel could be asked in no way.
pub fn listeners(protocol: Protocol) -> Result<Vec<Listener>, Failure> {
    let mut found = match diag::listeners(protocol) {
        Ok(found) => found,
        Err(error) if is_own_shortage(&error) => {
            return Err(Failure::io(Reason::Local, "cannot ask for listeners", &error));
        }
        Err(error) => {
            tracing::debug!(%error, "no netlink: listeners are read from /proc/net");
            table::listeners(protocol)?
        }
    };
    found.sort_by_key(|listener| (listener.address.port(), listener.address.ip(), listener.inode));
    Ok(found)
}

/// Which processes hold which sockets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owners {
    /// The pids by inode, in order. A socket that nobody was seen to hold is not in it.
    pub pids: BTreeMap<u64, Vec<i32>>,
    /// How many processes did not let us see what they hold: with those, a socket without an owner may have one.
    pub hidden: usize,
}

/// Finds the processes that hold these sockets, in one walk over `/proc`: it looks at every open file of every process that
/// may be seen, and blocks for as long.
///
/// # Errors
/// [`Reason::Local`] when `/proc` cannot be read.
pub fn owners(inodes: &BTreeSet<u64>) -> Result<Owners, Failure> {
    let mut owners = Owners::default();
    if inodes.is_empty() {
        return Ok(owners);
    }
    let cannot = |error: std::io::Error| Failure::io(Reason::Local, "cannot list /proc", &error);
    for entry in std::fs::read_dir("/proc").map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if let Some(pid) = pid {
            owners.look_at(pid, inodes)?;
        }
    }
    owners.pids.values_mut().for_each(|pids| pids.sort_unstable());
    Ok(owners)
}

/// The same among a few processes only: cheap, for whoever knows where to look first.
///
/// # Errors
/// [`Reason::Local`] when `/proc` cannot be read.
pub fn owners_among(pids: &[i32], inodes: &BTreeSet<u64>) -> Result<Owners, Failure> {
    let mut owners = Owners::default();
    for pid in pids {
        owners.look_at(*pid, inodes)?;
    }
    Ok(owners)
}

impl Owners {
    fn look_at(&mut self, pid: i32, inodes: &BTreeSet<u64>) -> Result<(), Failure> {
        let folder = format!("/proc/{pid}/fd");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.hidden += 1;
                return Ok(());
            }
            Err(error) => return seen(Err(error)).map(|_: Option<()>| ()),
        };
        for entry in entries {
            // The process may end meanwhile, or close the file.
            let Some(entry) = seen(entry)? else { break };
            let Some(link) = seen(std::fs::read_link(entry.path()))? else { continue };
            let Some(inode) = inode_of(link.as_os_str()).filter(|inode| inodes.contains(inode)) else { continue };
            let pids = self.pids.entry(inode).or_default();
            if pids.last() != Some(&pid) {
                pids.push(pid);
            }
        }
        Ok(())
    }
}

/// The inode of a descriptor's link, `socket:[4242]`.
fn inode_of(link: &OsStr) -> Option<u64> {
    let digits = link.as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;

    fn listener(address: &str, v6_only: bool) -> Listener {
        Listener { address: address.parse().unwrap(), inode: 1, uid: 0, v6_only }
    }

    #[test]
    fn a_listener_accepts_what_the_kernel_would_give_it() {
        let cases = [
            ("127.0.0.1:80", false, "127.0.0.1", true),
            ("127.0.0.1:80", false, "127.0.0.2", false),
            ("127.0.0.1:80", false, "0.0.0.0", false),
            ("127.0.0.1:80", false, "::1", false),
            ("0.0.0.0:80", false, "127.0.0.1", true),
            ("0.0.0.0:80", false, "0.0.0.0", true),
            ("0.0.0.0:80", false, "::1", false),
            ("0.0.0.0:80", false, "::", false),
            ("[::]:80", false, "127.0.0.1", true),
            ("[::]:80", false, "0.0.0.0", true),
            ("[::]:80", true, "127.0.0.1", false),
            ("[::]:80", true, "::1", true),
            ("[::1]:80", false, "::1", true),
            ("[::1]:80", false, "127.0.0.1", false),
            ("[::1]:80", false, "::", false),
            ("[::ffff:127.0.0.1]:80", false, "127.0.0.1", true),
            ("[::ffff:127.0.0.1]:80", false, "::1", false),
            ("[::ffff:0.0.0.0]:80", false, "10.0.0.1", true),
            ("127.0.0.1:80", false, "::ffff:127.0.0.1", true),
        ];
        for (own, v6_only, to, accepts) in cases {
            assert_eq!(listener(own, v6_only).accepts(to.parse().unwrap()), accepts, "{own} ({v6_only}) for {to}");
        }
    }

    /// Both ways of asking, each of which must say this.
    fn both(protocol: Protocol) -> [(&'static str, Vec<Listener>); 2] {
        [("netlink", diag::listeners(protocol).unwrap()), ("/proc/net", table::listeners(protocol).unwrap())]
    }

    fn on(listeners: &[Listener], port: u16) -> Vec<&Listener> {
        listeners.iter().filter(|listener| listener.address.port() == port).collect()
    }

    #[test]
    fn a_listener_is_seen_with_its_address_and_its_user_and_a_connection_is_none() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let _there = TcpStream::connect(address).unwrap();
        let _accepted = socket.accept().unwrap();
        for (way, found) in both(Protocol::Tcp) {
            let found = on(&found, address.port());
            assert_eq!(found.len(), 1, "{way}: {found:?}");
            assert_eq!(found[0].address, address, "{way}");
            assert_eq!(found[0].uid, rustix::process::geteuid().as_raw(), "{way}");
            assert!(found[0].inode > 0, "{way}");
        }
        drop(socket);
        for (way, found) in both(Protocol::Tcp) {
            assert!(on(&found, address.port()).is_empty(), "{way}");
        }
    }

    #[test]
    fn of_udp_a_socket_with_a_peer_listens_to_nobody_else() {
        let (free, tied) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        tied.connect(free.local_addr().unwrap()).unwrap();
        for (way, found) in both(Protocol::Udp) {
            assert_eq!(on(&found, free.local_addr().unwrap().port()).len(), 1, "{way}");
            assert!(on(&found, tied.local_addr().unwrap().port()).is_empty(), "{way}");
        }
    }

    /// A listener on every address of IPv6. None where this host has no IPv6.
    fn wild(v6_only: bool) -> Option<(OwnedFd, u16)> {
        let fd = socket(AddressFamily::INET6, SocketType::STREAM, None).ok()?;
        sockopt::set_ipv6_v6only(&fd, v6_only).unwrap();
        bind(&fd, &"[::]:0".parse::<SocketAddr>().unwrap()).ok()?;
        listen(&fd, 1).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&fd).unwrap()).unwrap();
        Some((fd, address.port()))
    }

    #[test]
    fn netlink_says_whether_a_socket_of_ipv6_takes_ipv4_too() {
        for v6_only in [false, true] {
            let Some((_fd, port)) = wild(v6_only) else { return };
            let found = diag::listeners(Protocol::Tcp).unwrap();
            let found = on(&found, port);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].v6_only, v6_only);
            assert_eq!(found[0].accepts("127.0.0.1".parse().unwrap()), !v6_only);
        }
    }

    #[test]
    fn the_table_takes_a_socket_of_ipv6_for_one_that_leaves_ipv4_alone_if_another_has_it() {
        let Some((_fd, port)) = wild(true) else { return };
        let guess = |port| {
            let found = table::listeners(Protocol::Tcp).unwrap();
            on(&found, port).into_iter().find(|listener| listener.address.is_ipv6()).unwrap().v6_only
        };
        let by_default = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").unwrap().trim() == "1";
        assert_eq!(guess(port), by_default);
        if let Ok(_beside) = TcpListener::bind(("0.0.0.0", port)) {
            assert!(guess(port));
        }
    }

    #[test]
    fn the_owner_of_a_socket_is_found_among_all_and_among_a_few() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let inode = on(&listeners(Protocol::Tcp).unwrap(), port)[0].inode;
        let (inodes, ourselves) = (BTreeSet::from([inode]), std::process::id().cast_signed());
        // A second descriptor of the same process is no second owner.
        let _again = socket.try_clone().unwrap();
        assert!(owners(&inodes).unwrap().pids[&inode].contains(&ourselves));
        let among = owners_among(&[ourselves], &inodes).unwrap();
        assert_eq!(among, Owners { pids: BTreeMap::from([(inode, vec![ourselves])]), hidden: 0 });
        assert_eq!(owners_among(&[i32::MAX], &inodes).unwrap(), Owners::default());
        assert_eq!(owners_among(&[ourselves], &BTreeSet::from([u64::MAX])).unwrap(), Owners::default());
    }

    #[test]
    fn only_the_link_of_a_socket_has_an_inode() {
        assert_eq!(inode_of(OsStr::new("socket:[4242]")), Some(4242));
        for link in ["pipe:[4242]", "socket:[]", "socket:[42", "/dev/null", "socket:[-1]"] {
            assert_eq!(inode_of(OsStr::new(link)), None, "{link}");
        }
    }
}
