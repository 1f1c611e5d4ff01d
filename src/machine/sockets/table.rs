//! `/proc/net/tcp` and its kin: what every Linux has.

use super::{Listener, MAX_LISTENERS, Protocol};
use crate::observation::{Failure, Reason};
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A host with a million connections has a file of 150 MB; listeners of TCP stand at its beginning.
const MAX_READ: u64 = 32 << 20;

/// `TCP_LISTEN`, and `TCP_CLOSE` for a UDP socket without a peer, of `include/net/tcp_states.h`.
pub(super) fn state(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 10,
        Protocol::Udp => 7,
    }
}

/// Reads the tables of both families.
///
/// # Errors
/// [`Reason::Local`] when they cannot be read.
pub(super) fn listeners(protocol: Protocol) -> Result<Vec<Listener>, Failure> {
    let mut found = Vec::new();
    let mut tables = 0;
    for family in ["", "6"] {
        let path = format!("/proc/net/{}{family}", protocol.as_str());
        let cannot = |error| Failure::io(Reason::Local, format!("cannot read {path}"), &error);
        let file = match File::open(&path) {
            Ok(file) => file,
            // A kernel without this family has no table of it.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(cannot(error)),
        };
        tables += 1;
        for line in BufReader::new(file.take(MAX_READ)).lines().skip(1) {
            found.extend(parse(&line.map_err(cannot)?, state(protocol)));
            if found.len() > MAX_LISTENERS {
                return Err(Failure::new(Reason::Local, format!("{path} names more than {MAX_LISTENERS} listeners")));
            }
        }
    }
    if tables == 0 {
        return Err(Failure::new(Reason::Local, "there is no /proc/net: is /proc mounted?"));
    }
    guess_v6_only(&mut found);
    Ok(found)
}

/// The tables do not say it. By default a wildcard of IPv6 takes IPv4 too, and then nobody else can have the port there.
fn guess_v6_only(found: &mut [Listener]) {
    let default = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").is_ok_and(|text| text.trim() == "1");
    let taken: Vec<u16> = found.iter().filter(|one| one.address.is_ipv4()).map(|one| one.address.port()).collect();
    for listener in found.iter_mut().filter(|one| one.address.is_ipv6()) {
        listener.v6_only =
            default || (listener.address.ip().is_unspecified() && taken.contains(&listener.address.port()));
    }
}

/// One line: `sl local remote st queues timer retransmits uid timeout inode …`.
fn parse(line: &str, wanted: u8) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let address = address(fields.nth(1)?)?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    (state == wanted && address.port() != 0).then_some(Listener { address, inode, uid, v6_only: false })
}

/// `0100007F:1F92`: words of 32 bits as they lie in memory, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| Some(u32::from_str_radix(ip.get(index * 8..index * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index)?);
            }
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LISTENING: &str = "   0: 0100007F:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 \
        51544 1 0000000000000000 100 0 0 10 0";

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_says_address_user_and_inode() {
        let expected = Listener { address: "127.0.0.1:8082".parse().unwrap(), inode: 51544, uid: 1000, v6_only: false };
        assert_eq!(parse(LISTENING, 10), Some(expected));
        let v6 = LISTENING.replace("0100007F:", "B80D0120000000000000000001000000:");
        assert_eq!(parse(&v6, 10).unwrap().address, "[2001:db8::1]:8082".parse().unwrap());
    }

    #[test]
    fn other_states_and_sockets_without_a_port_are_no_listeners() {
        assert_eq!(parse(&LISTENING.replace(" 0A ", " 01 "), 10), None);
        assert_eq!(parse(&LISTENING.replace("1F92", "0000"), 10), None);
        assert_eq!(parse(LISTENING, 7), None);
    }

    proptest! {
        #[test]
        fn nothing_that_stands_in_a_line_makes_the_parser_panic(line in ".{0,200}") {
            let _ = parse(&line, 10);
        }

        #[test]
        fn nothing_that_resembles_a_line_makes_the_parser_panic(line in "( *[0-9A-F:é]{1,40}){0,14}") {
            let _ = parse(&line, 10);
        }
    }
}
