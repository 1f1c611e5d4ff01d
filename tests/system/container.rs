//! `container:` with a real Podman where this machine allows one, and everywhere with something that answers in the shapes
//! of Docker and of Podman.

pub mod podman;
mod shapes;

use crate::support::{Banken, value_of};
use std::path::Path;

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
