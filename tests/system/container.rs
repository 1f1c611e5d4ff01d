//! `container:` with a real Podman where this machine allows one, and everywhere with something that answers in the shapes
//! of Docker and of Podman.

mod podman;
mod shapes;

use crate::support::{Banken, PATIENCE, value_of};
use std::path::Path;
use std::time::{Duration, Instant};

/// A configuration of probes of containers behind one socket, each with its block.
fn config(interval: &str, socket: &Path, containers: &[(&str, &str)]) -> String {
    let mut yaml = format!("host: false\ndefaults: {{ interval: {interval}, retry_interval: {interval} }}\nprobes:\n");
    for (name, block) in containers {
        yaml.push_str(&format!("  - name: {name}\n    container: {{ socket: {}, {block} }}\n", socket.display()));
    }
    yaml
}

/// A sample of a probe; `family` may have a label of its own behind a comma.
async fn sample(banken: &Banken, family: &str, probe: &str) -> Option<f64> {
    let (family, label) = family.split_once(',').map_or((family, String::new()), |(f, l)| (f, format!(",{l}")));
    value_of(&banken.metrics().await, &format!("{family}{{probe=\"{probe}\",kind=\"container\"{label}}}"))
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
