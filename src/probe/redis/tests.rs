//! Servers that answer as a test tells them to, down to the byte.

mod connection;
mod info;
mod refusals;

use super::*;
use crate::observation::{Family, Phase};
use crate::probe::Probe as _;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Long enough on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:one\r\nuptime_in_seconds:1000\r\nserver_time_usec:2000000000000000\r\n\
    # Clients\r\nconnected_clients:20\r\nmaxclients:100\r\nblocked_clients:1\r\n# Memory\r\nused_memory:800\r\n\
    used_memory_rss:900\r\nmaxmemory:1000\r\n# Persistence\r\nloading:0\r\nrdb_changes_since_last_save:7\r\n\
    rdb_last_save_time:1999999000\r\nrdb_last_bgsave_status:ok\r\naof_enabled:0\r\naof_last_write_status:ok\r\n# Stats\r\n\
    total_connections_received:10\r\nrejected_connections:3\r\nkeyspace_hits:50\r\n# Replication\r\nrole:master\r\n\
    connected_slaves:2\r\nslave0:ip=127.0.0.1,port=1,state=online,offset=1,lag=4\r\n\
    slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=99\r\n\
    # Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=0\r\ndb10:keys=7,expires=1,avg_ttl=0\r\n";

const REPLICA: &str =
    "run_id:two\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:3\r\nconnected_slaves:0\r\n";

/// What a fake server does with a command.
enum Do {
    Say(Vec<u8>),
    Hang,
    Close,
}

fn say(text: &str) -> Do {
    Do::Say(format!("{text}\r\n").into_bytes())
}

fn text(body: &str) -> Do {
    Do::Say(format!("${}\r\n{body}\r\n", body.len()).into_bytes())
}

/// PING and INFO as they should be answered.
fn well(command: &str) -> Do {
    match command {
        "PING" => say("+PONG"),
        "INFO" => text(INFO),
        _ => say("+OK"),
    }
}

/// A server that answers each command, by the number of its connection from 1.
struct Fake {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn start(answer: impl Fn(usize, &str) -> Do + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (answer, log) = (Arc::new(answer), Arc::clone(&heard));
        let serving = tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(command) = command_of(&mut stream).await {
                        log.lock().unwrap().push(format!("{connection} {command}"));
                        match answer(connection, &command) {
                            Do::Say(bytes) => stream.get_mut().write_all(&bytes).await.unwrap(),
                            Do::Hang => pending().await,
                            Do::Close => break,
                        }
                    }
                });
            }
        });
        Self { address, heard, serving }
    }

    /// Says this as soon as somebody connects.
    async fn greeting(words: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(words).await.unwrap();
            }
        });
        (address, serving)
    }

    /// What was heard since the last time, with the number of the connection.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    fn probe(&self, more: &str) -> Probe {
        probe(&format!("{{ address: '{}', {more} }}", self.address))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn command_of(stream: &mut BufReader<TcpStream>) -> Option<String> {
    async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        line.trim_end().get(1..)?.parse().ok()
    }
    let mut words = Vec::new();
    for _ in 0..number(stream).await? {
        let mut word = vec![0; number(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8(word).unwrap().trim_end().to_owned());
    }
    Some(words.join(" "))
}

fn probe(yaml: &str) -> Probe {
    let config: Config = serde_yaml::from_str(yaml).unwrap();
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn run_within(probe: &mut Probe, time: Duration) -> (Option<Result<(), Failure>>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + time, None);
    (timeout(time, probe.run(&mut out)).await.ok(), out)
}

async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    let (outcome, out) = run_within(probe, PATIENCE).await;
    (outcome.expect("it ends"), out)
}

async fn failure(probe: &mut Probe) -> Failure {
    run(probe).await.0.unwrap_err()
}

fn note<'a>(out: &'a Readings, what: &str) -> Option<&'a str> {
    out.notes().iter().find(|(known, _)| *known == what).map(|(_, fact)| fact.as_str())
}

fn family(name: &str) -> &'static Family {
    families::ALL
        .iter()
        .find(|family| family.name == format!("banken_redis_{name}"))
        .unwrap_or_else(|| panic!("{name}"))
}

fn value(out: &Readings, name: &str) -> Option<f64> {
    out.value(family(name))
}

fn added(out: &Readings, name: &str) -> Vec<f64> {
    let family = family(name);
    out.increments().iter().filter(|r| std::ptr::eq(r.family, family)).map(|r| r.value).collect()
}
