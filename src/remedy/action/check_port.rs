//! Says who listens on a port of this host and whether it takes connections: what a person would look at first. It changes
//! nothing, and asks no address but those of this host itself.

use super::{Context, Done, Effect, Finding, Kind, Scene, Setback, Settings};
use crate::machine::holders::{Order, Sight, look, owners};
use crate::machine::sockets::Protocol;
use crate::values::{Invalid, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "check_port",
    summary: "Says who listens on a port of this host, and whether it takes a connection; changes nothing",
    example: "\
- check_port: { port: 8082 }
- check_port: { port: 5432, address: 127.0.0.1 }
",
    effect: Effect::Looks,
};

/// The block `check_port:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CheckPortAction")]
pub struct Config {
    /// The port, of TCP.
    pub port: NonZeroU16,
    /// The address to connect to, one of this host itself (`127.0.0.0/8` or `::1`); by default both `127.0.0.1` and `::1`.
    #[serde(default)]
    pub address: Option<String>,
    /// The longest that it may take.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(5))
}

/// What listens takes a connection within this time, or is as good as not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

impl Settings for Config {
    type Action = Action;

    fn build(&self, _: &Context) -> Result<Action, Vec<Invalid>> {
        let both = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = match self.address.as_deref().map(str::parse::<IpAddr>) {
            None => both,
            Some(Ok(address)) if address.to_canonical().is_loopback() => vec![address.to_canonical()],
            Some(_) => {
                let message = "not an address of this host itself: write 127.0.0.1 or ::1, or remove it";
                return Err(vec![Invalid::new("address", message)]);
            }
        };
        Ok(Action { port: self.port.get(), addresses })
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// A port to look at.
pub struct Action {
    port: u16,
    addresses: Vec<IpAddr>,
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        let addresses: Vec<_> = self.sockets().map(|address| address.to_string()).collect();
        Ok(vec![format!("would say who listens on TCP port {} and connect to {}", self.port, addresses.join(" and "))])
    }

    async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
        let order = Order { port: self.port, protocol: Protocol::Tcp, address: None, program: None, uid: None };
        let looking = spawn_blocking(move || look(&order, &[]));
        let mut lines = Vec::new();
        // One after the other would wait for two that hang.
        match *self.sockets().collect::<Vec<_>>() {
            [first, second] => {
                let (first, second) = tokio::join!(connect(first), connect(second));
                lines.extend([first, second]);
            }
            ref all => {
                for address in all {
                    lines.push(connect(*address).await);
                }
            }
        }
        let sight = looking.await.map_err(|error| Setback::Failed(format!("the look at sockets broke: {error}")))??;
        lines.splice(0..0, listening(self.port, &sight));
        let detail = lines.join("; ");
        scene.findings.push(Finding { action: KIND.name, lines });
        Ok(Done::new(detail))
    }
}

impl Action {
    fn sockets(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(*address, self.port))
    }
}

/// No more sockets are told one by one.
const MAX_SOCKETS: usize = 8;

fn listening(port: u16, sight: &Sight) -> Vec<String> {
    if sight.held.is_empty() {
        return vec![format!("nobody listens on port {port}")];
    }
    let mut lines: Vec<String> = sight
        .held
        .iter()
        .take(MAX_SOCKETS)
        .map(|held| {
            let by = if held.owners.is_empty() {
                format!("{} ({})", held.made_by(), sight.why_hidden())
            } else {
                owners([held])
            };
            format!("{} is held by {by}", held.listener.address)
        })
        .collect();
    if sight.held.len() > MAX_SOCKETS {
        lines.push(format!("and {} more sockets", sight.held.len() - MAX_SOCKETS));
    }
    lines
}

async fn connect(to: SocketAddr) -> String {
    let begun = Instant::now();
    match timeout(CONNECT_WITHIN, TcpStream::connect(to)).await {
        Ok(Ok(_)) => format!("{to} takes a connection after {:.1} ms", begun.elapsed().as_secs_f64() * 1e3),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => format!("{to} refuses connections"),
        Ok(Err(error)) => format!("{to} cannot be reached: {error}"),
        Err(_) => format!("{to} takes no connection within {CONNECT_WITHIN:?}: its queue is full, or it is held up"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Action as _;
    use super::*;
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    use std::net::TcpListener;

    fn config(yaml: &str) -> Config {
        serde_yaml::from_str(yaml).unwrap()
    }

    async fn looked(yaml: &str) -> Vec<String> {
        let action = config(yaml).build(&Context::default()).unwrap();
        let mut scene = Scene::default();
        let done = action.act(&mut scene).await.unwrap();
        let lines = scene.findings.pop().unwrap().lines;
        assert_eq!(done.detail, lines.join("; "));
        lines
    }

    #[tokio::test]
    async fn who_listens_and_takes_connections_is_told_and_who_has_gone_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = looked(&format!("{{ port: {port} }}")).await;
        let pid = format!("(pid {}, user ", std::process::id());
        assert!(lines[0].starts_with(&format!("127.0.0.1:{port} is held by ")) && lines[0].contains(&pid), "{lines:?}");
        assert!(lines[1].starts_with(&format!("127.0.0.1:{port} takes a connection after ")), "{lines:?}");
        assert!(lines[2].contains("[::1]:") && !lines[2].contains("takes a connection"), "{lines:?}");
        drop(listener);
        let lines = looked(&format!("{{ port: {port}, address: 127.0.0.1 }}")).await;
        let nobody = [format!("nobody listens on port {port}"), format!("127.0.0.1:{port} refuses connections")];
        assert_eq!(lines, nobody);
    }

    #[tokio::test]
    async fn who_listens_and_takes_nothing_is_not_waited_for_longer_than_a_second() {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let to = listener.local_addr().unwrap();
        let mut guests = Vec::new();
        while let Ok(guest) = std::net::TcpStream::connect_timeout(&to, Duration::from_millis(200)) {
            guests.push(guest);
        }
        let begun = Instant::now();
        let lines = looked(&format!("{{ port: {}, address: 127.0.0.1 }}", to.port())).await;
        assert!(lines[1].contains("takes no connection within 1s"), "{lines:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }

    #[test]
    fn no_address_but_those_of_this_host_itself_is_taken() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(config(&format!("{{ port: 80, address: '{address}' }}")).build(&Context::default()).is_ok());
        }
        for address in ["0.0.0.0", "::", "10.0.0.1", "localhost", "", "::ffff:10.0.0.1", "192.0.2.1"] {
            let mistakes = config(&format!("{{ port: 80, address: '{address}' }}")).build(&Context::default());
            assert_eq!(mistakes.err().unwrap()[0].path, "address", "{address}");
        }
    }
}
