//! Sends echo requests and measures what comes back: loss and round trips.
//!
//! Without a privilege where the kernel allows it (`net.ipv4.ping_group_range`), else with `CAP_NET_RAW`. To be allowed
//! neither is Banken's own trouble, and says nothing about the host.

mod exchange;
mod families;
mod packet;
mod socket;

#[cfg(test)]
mod tests;

use self::exchange::{Exchange, Plan};
use self::families::{ANSWERS, LOSS_RATIO, MAX, MEAN, MIN, REQUESTS};
pub use self::families::{LOSS, ROUND_TRIP};
use self::socket::{Socket, Way};
use super::{Context, Kind, Settings};
use crate::net::{IpChoice, resolve};
use crate::observation::{Failure, Phase, Readings, Reason, Unit};
use crate::values::{Invalid, Period, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "icmp",
    summary: "A host answers echo requests (ping); loss and round trips",
    example: "\
- name: router
  icmp: { host: 192.0.2.1 }
- name: exchange-line
  icmp: { host: example.org, count: 10, max_loss: 20% }
  thresholds: { round_trip: { warning: 100ms }, loss: { warning: 5% } }
",
    reasons: &[Reason::Resolve, Reason::Connect, Reason::Timeout, Reason::Limit],
    families: families::ALL,
    signals: &[&LOSS, &ROUND_TRIP],
};

/// The block `icmp:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A name or an address.
    pub host: String,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// How many requests are sent in one run, 1 to 100.
    #[serde(default = "default_count")]
    pub count: u16,
    /// From one request to the next.
    #[serde(default = "default_spacing")]
    pub spacing: Period,
    /// How long answers are awaited after the last request.
    #[serde(default = "default_wait")]
    pub wait: Period,
    /// Bytes that a request carries, 16 to 65000.
    #[serde(default = "default_size")]
    pub size: u16,
    /// The largest share of requests that may be lost, such as `20%`. Without it, one answer is enough.
    #[serde(default)]
    pub max_loss: Option<Quantity>,
}

fn default_count() -> u16 {
    3
}

fn default_spacing() -> Period {
    Period(Duration::from_millis(200))
}

fn default_wait() -> Period {
    Period(Duration::from_secs(1))
}

fn default_size() -> u16 {
    56
}

/// A run up to this long fits into the default timeout, with time left to resolve a name.
const SHORT: Duration = Duration::from_secs(8);

/// What is left to resolve a name in a run that is longer.
const TO_RESOLVE: Duration = Duration::from_secs(2);

/// Less than this between two requests is a flood.
const SHORTEST_SPACING: Duration = Duration::from_millis(10);

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut demand = |key: &str, right: bool, message: &str| {
            if !right {
                invalid.push(Invalid::new(key, message));
            }
        };
        let is_host = !self.host.is_empty() && !self.host.contains(['/', ' ', '[']);
        demand("host", is_host, "not a name or an address: write it without scheme, port, path and brackets");
        demand("count", (1..=100).contains(&self.count), "write 1 to 100 requests");
        demand("spacing", self.spacing.0 >= SHORTEST_SPACING, "requests so close are a flood: write 10ms or more");
        demand("wait", self.wait.0 >= SHORTEST_SPACING, "no answer comes so soon: write 10ms or more");
        demand("size", (16..=65_000).contains(&self.size), "write 16 to 65000 bytes");
        let max_loss = self.max_loss.as_ref().map(|quantity| quantity.in_unit(Unit::Ratio));
        let max_loss = match max_loss.transpose() {
            Ok(Some(ratio)) if ratio >= 1.0 => {
                invalid.push(Invalid::new("max_loss", "no loss would be too much: write less than 100%"));
                None
            }
            Ok(ratio) => ratio,
            Err(message) => {
                invalid.push(Invalid::new("max_loss", message));
                None
            }
        };
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let plan = Plan { count: self.count, spacing: self.spacing.0, wait: self.wait.0, size: self.size.into() };
        Ok(Probe { host: self.host.clone(), ip: self.ip, plan, max_loss, ways: &Way::ALL })
    }

    fn needs(&self) -> Option<Duration> {
        let length = self.spacing.0.saturating_mul(u32::from(self.count.saturating_sub(1))).saturating_add(self.wait.0);
        (length > SHORT).then(|| length.saturating_add(TO_RESOLVE))
    }
}

/// An ICMP probe that was built.
pub struct Probe {
    host: String,
    ip: IpChoice,
    plan: Plan,
    max_loss: Option<f64>,
    ways: &'static [Way],
}

/// The runner cuts a run off at its deadline; what was seen must be told before.
const MARGIN: Duration = Duration::from_millis(20);

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        out.add(&REQUESTS, 0.0);
        out.add(&ANSWERS, 0.0);
        out.enter(Phase::Resolve);
        let addresses = resolve(&self.host, 0, self.ip).await?;
        out.enter(Phase::Wait);
        let until = out.deadline().checked_sub(MARGIN).unwrap_or_else(Instant::now);
        let mut failures = Vec::new();
        for address in addresses {
            if !failures.is_empty() && Instant::now() + self.plan.wait > until {
                break;
            }
            match self.ask(address, until, out).await {
                Ok(exchange) if exchange.answers().next().is_some() => {
                    out.leave();
                    out.note("address", address.ip().to_string());
                    return self.judge(address, &exchange, out);
                }
                Ok(exchange) => failures.push(exchange.silence()),
                Err(failure) => failures.push(failure),
            }
        }
        let failure = gather(failures);
        if failure.reason != Reason::Local {
            out.set(&LOSS_RATIO, 1.0);
            out.signal(&LOSS, 1.0);
        }
        Err(failure)
    }
}

impl Probe {
    async fn ask(&self, address: SocketAddr, until: Instant, out: &mut Readings) -> Result<Exchange, Failure> {
        let socket = Socket::open(address, self.ways)?;
        out.note("socket", socket.way().as_str());
        let mut exchange = Exchange::begin(&self.plan, address.ip(), socket.way() == Way::Raw)?;
        exchange.run(&socket, until, out).await?;
        Ok(exchange)
    }

    fn judge(&self, address: SocketAddr, exchange: &Exchange, out: &mut Readings) -> Result<(), Failure> {
        let (sent, answered) = (exchange.sent(), exchange.answers().count());
        let loss = 1.0 - answered as f64 / sent as f64;
        out.set(&LOSS_RATIO, loss);
        out.signal(&LOSS, loss);
        let times = || exchange.answers().map(|time| time.as_secs_f64());
        let mean = times().sum::<f64>() / answered as f64;
        out.set(&MIN, times().fold(f64::INFINITY, f64::min));
        out.set(&MEAN, mean);
        out.set(&MAX, times().fold(0.0, f64::max));
        out.signal(&ROUND_TRIP, mean);
        match self.max_loss.filter(|max| loss > *max) {
            None => Ok(()),
            Some(max) => {
                let (ip, most) = (address.ip(), Unit::Ratio.show(max));
                let told = exchange.told().map_or_else(String::new, |told| format!("; {told}"));
                let detail = format!("{ip} answered {answered} of {sent} requests, at most {most} may be lost{told}");
                Err(Failure::new(Reason::Limit, detail))
            }
        }
    }
}

/// One failure of several: what the host did outweighs what we could not do, and what somebody said outweighs silence.
fn gather(failures: Vec<Failure>) -> Failure {
    let weight = |failure: &Failure| match failure.reason {
        Reason::Local => 0,
        Reason::Timeout => 1,
        _ => 2,
    };
    let reason =
        failures.iter().max_by_key(|failure| weight(failure)).map_or(Reason::Timeout, |failure| failure.reason);
    let details: Vec<_> = failures.into_iter().map(|failure| failure.detail).collect();
    Failure::new(reason, details.join("; "))
}
