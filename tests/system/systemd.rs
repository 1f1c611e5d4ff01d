//! `systemd:` with a real systemd where this machine allows one, and everywhere with a real bus and a stand-in on it for
//! what a real systemd does not do on demand: hang, refuse, come and go.

pub mod bus;
mod faults;
pub mod manager;
mod unit;

use crate::support::{Banken, value_of};

/// A configuration of probes on one bus, each with its block.
fn config(interval: &str, bus: &str, units: &[(&str, &str)]) -> String {
    let mut yaml = format!("host: false\ndefaults: {{ interval: {interval}, retry_interval: 100ms }}\nprobes:\n");
    for (name, block) in units {
        yaml.push_str(&format!("  - name: {name}\n    systemd: {{ bus: '{bus}', {block} }}\n"));
    }
    yaml
}

/// A sample of a probe.
async fn sample(banken: &Banken, family: &str, probe: &str) -> Option<f64> {
    value_of(&banken.metrics().await, &format!("{family}{{probe=\"{probe}\",kind=\"systemd\"}}"))
}
