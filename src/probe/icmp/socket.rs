//! A socket for echo requests: the kernel's own kind where it may be used, else a raw one.

use super::packet::{Heard, Mark, Version, parse, request};
use crate::observation::{Failure, Reason, is_own_shortage};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recvfrom, send, sendto, socket_with,
};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Allowed to the groups of `net.ipv4.ping_group_range`; it shows only answers to its own requests.
    Datagram,
    /// Allowed with `CAP_NET_RAW`; it shows everything of ICMP that arrives.
    Raw,
}

impl Way {
    /// In the order in which they are tried.
    pub(super) const ALL: [Way; 2] = [Way::Datagram, Way::Raw];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Way::Datagram => "datagram (ping_group_range)",
            Way::Raw => "raw (CAP_NET_RAW)",
        }
    }
}

/// A socket for one host.
#[derive(Debug)]
pub(super) struct Socket {
    fd: AsyncFd<OwnedFd>,
    way: Way,
    version: Version,
    target: SocketAddr,
}

impl Socket {
    /// Opens the first kind of socket that may be opened.
    ///
    /// # Errors
    /// [`Reason::Local`] where none may be opened, which says nothing about the host; [`Reason::Connect`] where no route
    /// leads to it.
    pub(super) fn open(target: SocketAddr, ways: &[Way]) -> Result<Self, Failure> {
        let (version, family, protocol) = match target {
            SocketAddr::V4(_) => (Version::V4, AddressFamily::INET, ipproto::ICMP),
            SocketAddr::V6(_) => (Version::V6, AddressFamily::INET6, ipproto::ICMPV6),
        };
        let mut refused = None;
        for way in ways {
            let kind = if *way == Way::Datagram { SocketType::DGRAM } else { SocketType::RAW };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match socket_with(family, kind, flags, Some(protocol)) {
                Ok(fd) => return Self::ready(fd, *way, version, target),
                Err(errno) => refused = Some(errno),
            }
        }
        let refused = refused.map_or_else(|| io::Error::other("no way to open one"), io::Error::from);
        Err(no_socket(&refused))
    }

    fn ready(fd: OwnedFd, way: Way, version: Version, target: SocketAddr) -> Result<Self, Failure> {
        // Only a socket that is connected is told when it is refused. A raw one must stay open for what routers say.
        if way == Way::Datagram {
            connect(&fd, &target).map_err(|errno| cannot_send(target, errno))?;
        }
        #[allow(
            deprecated,
            reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not"
        )]
        let registered = AsyncFd::with_interest(fd, Interest::READABLE);
        let fd = registered.map_err(|error| Failure::io(Reason::Local, "cannot watch a socket", &error))?;
        Ok(Self { fd, way, version, target })
    }

    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Sends a request. A datagram socket puts an identifier of its own into it.
    ///
    /// # Errors
    /// [`Reason::Connect`], or [`Reason::Local`] for what this host forbids or lacks.
    pub(super) fn send(&self, mark: Mark, payload: &[u8]) -> Result<(), Failure> {
        let packet = request(self.version, mark, payload);
        let sent = match self.way {
            Way::Datagram => send(self.fd.get_ref(), &packet, SendFlags::empty()),
            Way::Raw => sendto(self.fd.get_ref(), &packet, SendFlags::empty(), &self.target),
        };
        sent.map(|_| ()).map_err(|errno| cannot_send(self.target, errno))
    }

    /// Waits for a packet and hands over what it says, and who says it. Packets that say nothing give `None`.
    pub(super) async fn receive<T>(
        &self,
        buffer: &mut [u8],
        take: impl FnOnce(Heard<'_>, Option<IpAddr>) -> T,
    ) -> io::Result<Option<T>> {
        loop {
            let mut ready = self.fd.readable().await?;
            if let Ok(read) = ready.try_io(|fd| Ok(recvfrom(fd.get_ref(), &mut *buffer, RecvFlags::empty())?)) {
                let (length, _, from) = read?;
                return Ok(self
                    .understand(buffer.get(..length).unwrap_or_default())
                    .map(|heard| take(heard, ip_of(from))));
            }
        }
    }

    /// The same without waiting; an error when there is nothing.
    pub(super) fn receive_now<T>(
        &self,
        buffer: &mut [u8],
        take: impl FnOnce(Heard<'_>, Option<IpAddr>) -> T,
    ) -> io::Result<Option<T>> {
        let (length, _, from) = recvfrom(self.fd.get_ref(), &mut *buffer, RecvFlags::empty())?;
        Ok(self.understand(buffer.get(..length).unwrap_or_default()).map(|heard| take(heard, ip_of(from))))
    }

    fn understand<'a>(&self, bytes: &'a [u8]) -> Option<Heard<'a>> {
        parse(self.version, self.way == Way::Raw && self.version == Version::V4, bytes)
    }
}

fn ip_of(from: Option<rustix::net::SocketAddrAny>) -> Option<IpAddr> {
    SocketAddr::try_from(from?).ok().map(|address| address.ip())
}

fn no_socket(error: &io::Error) -> Failure {
    let refused = [Errno::ACCESS, Errno::PERM].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    let remedy = if refused {
        "; allow it by the sysctl net.ipv4.ping_group_range, or give the service AmbientCapabilities=CAP_NET_RAW"
    } else {
        ""
    };
    Failure::new(Reason::Local, format!("no socket for ICMP could be opened: {error}{remedy}"))
}

fn cannot_send(target: SocketAddr, errno: Errno) -> Failure {
    let error = io::Error::from(errno);
    // What a packet filter of this host forbids says nothing about the other one.
    let own = is_own_shortage(&error) || matches!(errno, Errno::PERM | Errno::ACCESS);
    let reason = if own { Reason::Local } else { Reason::Connect };
    Failure::new(reason, format!("cannot send to {}: {error}", target.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_is_our_own_trouble_and_has_a_remedy() {
        for errno in [Errno::ACCESS, Errno::PERM] {
            let failure = no_socket(&errno.into());
            assert_eq!(failure.reason, Reason::Local);
            assert!(failure.detail.contains("ping_group_range") && failure.detail.contains("CAP_NET_RAW"), "{failure}");
        }
        let failure = no_socket(&Errno::AFNOSUPPORT.into());
        assert!(failure.reason == Reason::Local && !failure.detail.contains("ping_group_range"), "{failure}");
        let target = "192.0.2.1:0".parse().unwrap();
        assert_eq!(cannot_send(target, Errno::NETUNREACH).reason, Reason::Connect);
        assert_eq!(cannot_send(target, Errno::PERM).reason, Reason::Local);
        assert_eq!(cannot_send(target, Errno::NOBUFS).reason, Reason::Local);
    }

    #[tokio::test]
    async fn without_any_way_nothing_is_opened() {
        assert_eq!(Socket::open("127.0.0.1:0".parse().unwrap(), &[]).unwrap_err().reason, Reason::Local);
    }
}
