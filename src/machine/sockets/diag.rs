//! `sock_diag` over netlink, as `ss` asks it. Layouts are those of `linux/netlink.h` and `linux/inet_diag.h`.

use super::table::state;
use super::{Listener, MAX_LISTENERS, Protocol};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// `NLMSG_ERROR`, `NLMSG_DONE`, `SOCK_DIAG_BY_FAMILY`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLM_F_DUMP_INTR`: what is told changed while it was told.
const INTERRUPTED: u16 = 0x10;
/// `INET_DIAG_SKV6ONLY`.
const V6_ONLY: u16 = 11;
/// `sizeof(struct nlmsghdr)` and `sizeof(struct inet_diag_msg)`.
const HEADER: usize = 16;
const MESSAGE: usize = 72;
/// The kernel answers at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for the listeners of both families.
pub(super) fn listeners(protocol: Protocol) -> io::Result<Vec<Listener>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let mut buffer = vec![0; 64 * 1024];
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let before = found.len();
        let mut attempts = 3;
        while !dump(&socket, family, protocol, &mut buffer, &mut found)? {
            attempts -= 1;
            if attempts == 0 {
                return Err(io::Error::other("the list of sockets changes too fast"));
            }
            found.truncate(before);
        }
    }
    Ok(found)
}

/// False if what was told changed meanwhile.
fn dump(
    socket: &OwnedFd,
    family: AddressFamily,
    protocol: Protocol,
    buffer: &mut [u8],
    found: &mut Vec<Listener>,
) -> io::Result<bool> {
    send(socket, &request(family, protocol), SendFlags::empty())?;
    let mut whole = true;
    loop {
        let (read, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let message = Message::cut(&mut rest).ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?;
            whole &= message.flags & INTERRUPTED == 0;
            match message.kind {
                DONE => return Ok(whole),
                ERROR => return Err(refusal(message.body)),
                BY_FAMILY => found.extend(listener(message.body)),
                _ => {}
            }
        }
        if found.len() > MAX_LISTENERS {
            return Err(io::Error::other(format!("more than {MAX_LISTENERS} listeners")));
        }
    }
}

fn request(family: AddressFamily, protocol: Protocol) -> Vec<u8> {
    let number = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend_from_slice(&72_u32.to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&DUMP.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[family.as_raw() as u8, number, 0, 0]);
    bytes.extend_from_slice(&(1_u32 << state(protocol)).to_ne_bytes());
    // No address and no port: all of them.
    bytes.extend_from_slice(&[0; 48]);
    bytes
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the first message of what was read.
    fn cut(rest: &mut &'a [u8]) -> Option<Self> {
        let length = word(rest, 0)? as usize;
        let body = rest.get(HEADER..length)?;
        let message = Self { kind: half(rest, 4)?, flags: half(rest, 6)?, body };
        *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

fn refusal(body: &[u8]) -> io::Error {
    let code = word(body, 0).map_or(0, u32::cast_signed).saturating_neg();
    io::Error::from_raw_os_error(code)
}

/// `struct inet_diag_msg` and its attributes.
fn listener(body: &[u8]) -> Option<Listener> {
    let ip = match i32::from(*body.first()?) {
        family if family == i32::from(AddressFamily::INET.as_raw()) => {
            IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(body.get(8..12)?).ok()?))
        }
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(body.get(8..24)?).ok()?)),
    };
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let (uid, inode) = (word(body, 64)?, word(body, 68)?);
    let listener = Listener {
        address: SocketAddr::new(ip, port),
        inode: u64::from(inode),
        uid,
        v6_only: v6_only(body.get(MESSAGE..)?),
    };
    (port != 0).then_some(listener)
}

fn v6_only(mut attributes: &[u8]) -> bool {
    while let (Some(length), Some(kind)) = (half(attributes, 0), half(attributes, 2)) {
        let length = usize::from(length);
        if kind == V6_ONLY {
            return attributes.get(4..length).is_some_and(|value| value.first().is_some_and(|flag| *flag != 0));
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_has_the_size_that_it_says() {
        let bytes = request(AddressFamily::INET6, Protocol::Udp);
        assert_eq!(bytes.len(), 72);
        assert_eq!(word(&bytes, 0), Some(72));
        assert_eq!(word(&bytes, 20), Some(1 << 7));
    }

    #[test]
    fn a_refusal_is_told_as_the_error_that_it_is() {
        let body = (-2_i32).to_ne_bytes();
        assert_eq!(refusal(&body).raw_os_error(), Some(2));
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_makes_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut rest = bytes.as_slice();
            while let Some(message) = Message::cut(&mut rest).filter(|_| !rest.is_empty()) {
                let _ = (listener(message.body), refusal(message.body));
            }
            let _ = (listener(&bytes), v6_only(&bytes));
        }
    }
}
