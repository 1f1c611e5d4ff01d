//! Questions to servers that answer as a test tells them to, down to the byte.

mod records;
mod tcp;
mod udp;

use super::question::{Form, Question};
use super::*;
use crate::probe::Probe as _;
use hickory_proto::op::{MessageType, Metadata, OpCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, MX, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// Long enough on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

fn probe(yaml: &str) -> Probe {
    config(yaml).build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn run_within(probe: &mut Probe, time: Duration) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + time, None);
    let outcome = tokio::time::timeout(time + PATIENCE, probe.run(&mut out)).await.unwrap();
    (outcome, out)
}

async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    run_within(probe, PATIENCE).await
}

fn note<'a>(out: &'a Readings, what: &str) -> Option<&'a str> {
    out.notes().iter().find(|(known, _)| *known == what).map(|(_, fact)| fact.as_str())
}

fn added(out: &Readings, family: &'static Family) -> f64 {
    out.increments().iter().filter(|reading| std::ptr::eq(reading.family, family)).map(|reading| reading.value).sum()
}

/// A server over UDP: for each question (its number from 1, and its message) the datagrams that it sends back.
struct Fake {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn start(answer: impl Fn(usize, &Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    fn on(socket: UdpSocket, answer: impl Fn(usize, &Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
                let question = Message::from_vec(&bytes[..length]).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                for datagram in answer(number, &question) {
                    socket.send_to(&datagram, from).await.unwrap();
                }
            }
        });
        Self { address, asked, serving }
    }

    /// Answers each question with what this makes of it.
    async fn answering(change: impl Fn(&mut Message) + Send + 'static) -> Self {
        Self::start(move |_, question| vec![answer_to(question, &change)]).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn probe(&self, more: &str) -> Probe {
        probe(&format!("{{ name: Example.org, server: '{}', {more} }}", self.address))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer_to(question: &Message, change: impl Fn(&mut Message)) -> Vec<u8> {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.queries.clone_from(&question.queries);
    change(&mut answer);
    answer.to_vec().unwrap()
}

fn record(ttl: u32, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii("example.org.").unwrap(), ttl, data)
}

fn address(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn good(answer: &mut Message) {
    answer.add_answer(record(300, address(1)));
}
