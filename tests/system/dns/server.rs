//! A dnsmasq of Debian's package.

use crate::support::{Process, eventually, free_port};
use std::process::Command;

/// A dnsmasq on a free port of the loopback, which knows what these options say and asks nobody.
pub struct Dnsmasq {
    pub process: Process,
    pub port: u16,
}

impl Dnsmasq {
    pub async fn start(records: &[&str]) -> Self {
        Self::start_at(free_port(), records).await
    }

    pub async fn start_at(port: u16, records: &[&str]) -> Self {
        let mut command = Command::new("dnsmasq");
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
        command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--user="]).arg(format!("--port={port}"));
        let dnsmasq = Self { process: Process::start(command.args(records)), port };
        eventually("dnsmasq is up", async || dnsmasq.process.output().contains("started").then_some(())).await;
        dnsmasq
    }

    /// The entry of a probe that asks it.
    pub fn entry(&self, name: &str, more: &str) -> String {
        format!("  - {{ name: {name}, dns: {{ server: 127.0.0.1:{}, {more} }} }}\n", self.port)
    }
}
