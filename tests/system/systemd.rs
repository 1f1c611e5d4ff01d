//! `systemd:` with a real systemd where this machine allows one, and everywhere with a real bus and a stand-in on it for
//! what a real systemd does not do on demand: hang, refuse, come and go.

mod bus;
mod faults;
mod manager;

use crate::support::{Banken, PATIENCE, value_of};
use std::time::{Duration, Instant};

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

/// The message of a probe's last run.
async fn message(banken: &Banken, probe: &str) -> String {
    banken.probe(probe).await["message"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the message of a probe's last run holds these words.
async fn until_message(banken: &Banken, probe: &str, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = message(banken, probe).await;
        if said.contains(words) {
            return;
        }
        assert!(Instant::now() < deadline, "{probe} says {said:?} and not {words:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
