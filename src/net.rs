//! Resolve, connect, TLS, with the time of each phase; no policy, nothing about what is said over the connection.

mod roots;
mod tls;

pub use roots::Roots;
pub use tls::{TLS_FAMILIES, TlsClient, TlsConfig, TlsStream};

use crate::observation::{Failure, Phase, Readings, Reason};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Which family of addresses is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IpChoice {
    /// Every address, in the order in which the resolver gives them.
    #[default]
    Any,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
    /// Every address, IPv4 first.
    PreferV4,
    /// Every address, IPv6 first.
    PreferV6,
}

impl IpChoice {
    fn sort(self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        match self {
            IpChoice::Any => {}
            IpChoice::V4 => addresses.retain(SocketAddr::is_ipv4),
            IpChoice::V6 => addresses.retain(SocketAddr::is_ipv6),
            IpChoice::PreferV4 => addresses.sort_by_key(SocketAddr::is_ipv6),
            IpChoice::PreferV6 => addresses.sort_by_key(SocketAddr::is_ipv4),
        }
        addresses
    }
}

/// How long an attempt stays alone before the next address is tried beside it (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// At most this many addresses of a name are tried: a resolver's answer must not cost unbounded sockets.
const MAX_ADDRESSES: usize = 16;

/// Opens a TCP connection to the first address of `host` that accepts one, trying all of them.
///
/// # Errors
/// [`Reason::Resolve`], [`Reason::Connect`], or [`Reason::Local`] when the shortage is ours.
pub async fn dial(host: &str, port: u16, ip: IpChoice, out: &mut Readings) -> Result<TcpStream, Failure> {
    out.enter(Phase::Resolve);
    let addresses = resolve(host, port, ip).await?;
    out.enter(Phase::Connect);
    let (stream, address) = connect_any(&addresses).await?;
    out.leave();
    out.note("address", address.to_string());
    // A probe writes once and waits: holding its small request back helps nobody. A socket that is already gone
    // says so at the first write.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The addresses of a host, sorted and chosen by family; at most 16.
///
/// # Errors
/// [`Reason::Resolve`], or [`Reason::Local`] when the shortage is ours.
pub async fn resolve(host: &str, port: u16, ip: IpChoice) -> Result<Vec<SocketAddr>, Failure> {
    let all: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match tokio::net::lookup_host((host, port)).await {
            Ok(addresses) => addresses.take(MAX_ADDRESSES).collect(),
            Err(error) => return Err(Failure::io(Reason::Resolve, format_args!("cannot resolve {host}"), &error)),
        },
    };
    let found = all.len();
    let chosen = ip.sort(all);
    if chosen.is_empty() {
        let detail = match ip {
            IpChoice::V4 if found > 0 => format!("{host} has no IPv4 address"),
            IpChoice::V6 if found > 0 => format!("{host} has no IPv6 address"),
            _ => format!("{host} has no address"),
        };
        return Err(Failure::new(Reason::Resolve, detail));
    }
    Ok(chosen)
}

/// Connects to the first address that accepts: each next one is tried when the former failed, or beside it when that
/// one has not answered within [`ATTEMPT_DELAY`].
async fn connect_any(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Failure> {
    if let [only] = addresses {
        return connect(*only).await;
    }
    let mut rest = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    attempts.extend(rest.next().map(connect));
    loop {
        let next_attempt = tokio::time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            finished = attempts.next() => match finished {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(failure)) => {
                    failures.push(failure);
                    attempts.extend(rest.next().map(connect));
                }
                None => return Err(gather(failures)),
            },
            () = next_attempt, if rest.len() > 0 => attempts.extend(rest.next().map(connect)),
        }
    }
}

async fn connect(address: SocketAddr) -> Result<(TcpStream, SocketAddr), Failure> {
    match TcpStream::connect(address).await {
        Ok(stream) => Ok((stream, address)),
        Err(error) => Err(Failure::io(Reason::Connect, format_args!("cannot connect to {address}"), &error)),
    }
}

/// One failure of several: what the target did outweighs what we could not do (an address family that this host lacks).
fn gather(failures: Vec<Failure>) -> Failure {
    let theirs = failures.iter().any(|failure| failure.reason != Reason::Local);
    let reason = if theirs { Reason::Connect } else { Reason::Local };
    let details: Vec<_> = failures.into_iter().map(|failure| failure.detail).collect();
    Failure::new(reason, details.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_next_address_is_tried_when_the_first_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (_, answered) = connect_any(&[closed, good]).await.unwrap();
        assert_eq!(answered, good);
        let failure = connect_any(&[closed, closed]).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Connect);
        assert_eq!(failure.detail.matches("cannot connect").count(), 2, "{}", failure.detail);
    }

    #[tokio::test]
    async fn the_family_can_be_chosen() {
        let mut out = Readings::default();
        let failure = dial("127.0.0.1", 9, IpChoice::V6, &mut out).await.unwrap_err();
        assert_eq!(failure, Failure::new(Reason::Resolve, "127.0.0.1 has no IPv6 address"));
        let both: Vec<SocketAddr> = vec!["[::1]:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
        assert!(IpChoice::PreferV4.sort(both.clone())[0].is_ipv4());
        assert!(IpChoice::PreferV6.sort(both.clone())[0].is_ipv6());
        assert_eq!(IpChoice::V4.sort(both).len(), 1);
    }

    #[test]
    fn a_missing_address_family_of_ours_does_not_hide_a_refusal_of_theirs() {
        let own = Failure::new(Reason::Local, "no IPv6 here");
        let theirs = Failure::new(Reason::Connect, "refused");
        assert_eq!(gather(vec![own.clone(), theirs]).reason, Reason::Connect);
        assert_eq!(gather(vec![own]).reason, Reason::Local);
    }
}
