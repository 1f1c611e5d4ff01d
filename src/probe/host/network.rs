//! Traffic by interface: parsed from `/proc/net/dev`, and what it came to since the last run.
//!
//! sysinfo would read a dozen files per interface for it, where the kernel says it all in one.

use super::families::{NETWORK_RECEIVE, NETWORK_TRANSMIT};
use crate::observation::{Labels, Readings};
use crate::values::Pattern;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Which interfaces are reported. `lo` and the host's ends of containers (`veth…`, Calico's and Cilium's) never are:
/// the one is no traffic of the host, the others come and go with every container and see what the bridge sees too.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Left out in addition: patterns searched in the interface's name.
    pub exclude: Vec<Pattern>,
}

/// Counters of one interface since it exists, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// Parses `/proc/net/dev`; lines that are no interface are skipped.
pub(super) fn parse_dev(text: &[u8]) -> Vec<Interface> {
    String::from_utf8_lossy(text).lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Interface> {
    // Old kernels leave no space after the colon when the number is long.
    let (name, counters) = line.split_once(':')?;
    let mut counters = counters.split_ascii_whitespace();
    let received = counters.next()?.parse().ok()?;
    let sent = counters.nth(7)?.parse().ok()?;
    Some(Interface { name: name.trim().to_owned(), received, sent })
}

fn is_built_in_exclusion(name: &str) -> bool {
    // Calico's and Cilium's names end in a hash; lxcbr0 does not and is a bridge that counts.
    let hash = |rest: &str, length| rest.len() == length && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    name == "lo"
        || name == "lxc_health"
        || name.starts_with("veth")
        || name.strip_prefix("cali").is_some_and(|rest| hash(rest, 11))
        || name.strip_prefix("lxc").is_some_and(|rest| hash(rest, 12))
}

/// More interfaces than this are not reported: each is two series.
const MAX_INTERFACES: usize = 256;

/// Turns counters into what was added since the last run.
#[derive(Default)]
pub(super) struct Network {
    before: HashMap<String, (Interface, Arc<Labels>)>,
}

impl Network {
    pub(super) fn write(&mut self, now: Vec<Interface>, config: &Config, out: &mut Readings) {
        let mut before = std::mem::take(&mut self.before);
        let wanted = |interface: &Interface| {
            !is_built_in_exclusion(&interface.name)
                && !config.exclude.iter().any(|pattern| pattern.is_match(interface.name.as_bytes()))
        };
        for interface in now.into_iter().filter(wanted).take(MAX_INTERFACES) {
            let (former, labels) = before.remove(&interface.name).unwrap_or_else(|| {
                let labels = Labels::render(&[("device", &interface.name)]);
                (interface.clone(), Arc::new(labels))
            });
            out.add_with(&NETWORK_RECEIVE, &labels, added(former.received, interface.received) as f64);
            out.add_with(&NETWORK_TRANSMIT, &labels, added(former.sent, interface.sent) as f64);
            self.before.insert(interface.name.clone(), (interface, labels));
        }
    }
}

/// A counter that ran backwards began anew, because the interface was made again or 32 bits were full: what it shows
/// is what came since then.
fn added(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEV: &[u8] = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 36105879   87488    0    0    0     0          0         0 36105879   87488    0    0    0     0       0          0
  eth0:238125308    7557    0    0    0     0          0         0   551774    5206    0    0    0     0       0          0
 broken: 1 2 3
veth1a2b3c4: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0
";

    fn interface(name: &str, received: u64, sent: u64) -> Interface {
        Interface { name: name.into(), received, sent }
    }

    /// What two looks add, as (device, received, sent).
    fn added_between(config: &Config, looks: [&[Interface]; 2]) -> Vec<(String, u64, u64)> {
        let mut network = Network::default();
        network.write(looks[0].to_vec(), config, &mut Readings::default());
        let mut out = Readings::default();
        network.write(looks[1].to_vec(), config, &mut out);
        out.increments()
            .chunks(2)
            .map(|pair| {
                let device = pair[0].labels.as_ref().unwrap().text().split('"').nth(1).unwrap().to_owned();
                (device, pair[0].value as u64, pair[1].value as u64)
            })
            .collect()
    }

    #[test]
    fn interfaces_are_read_with_and_without_a_space_after_the_colon() {
        let expected = [
            interface("lo", 36_105_879, 36_105_879),
            interface("eth0", 238_125_308, 551_774),
            interface("veth1a2b3c4", 1, 1),
        ];
        assert_eq!(parse_dev(DEV), expected);
    }

    #[test]
    fn only_what_was_added_counts_and_a_counter_that_began_anew_counts_from_nothing() {
        let before = [interface("eth0", 100, 1000)];
        let after = [interface("eth0", 150, 30), interface("wg0", 77, 77)];
        let expected = [("eth0".into(), 50, 30), ("wg0".into(), 0, 0)];
        assert_eq!(added_between(&Config::default(), [&before, &after]), expected);
    }

    #[test]
    fn loopback_and_ends_of_containers_are_left_out_and_so_is_what_the_configuration_says() {
        let names =
            ["lo", "lo0", "veth12", "cali0123456789a", "calico", "lxc0123456789ab", "lxcbr0", "docker0", "br-1"];
        let all: Vec<_> = names.map(|name| interface(name, 1, 1)).into();
        let config: Config = serde_yaml::from_str("exclude: ['^br-', '^docker']").unwrap();
        let kept: Vec<_> = added_between(&config, [&all, &all]).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(kept, ["lo0", "calico", "lxcbr0"]);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_dev(&text);
        }

        #[test]
        fn nothing_alike_makes_the_parser_panic(text in "([a-z]{0,3}:( -?[0-9]{0,22}){0,18}\n){0,5}") {
            let _ = parse_dev(text.as_bytes());
        }
    }
}
