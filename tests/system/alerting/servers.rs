//! Debian's Alertmanager, alone and without a cluster.

use crate::support::{Process, client, eventually, free_port};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

pub struct Alertmanager {
    /// Where it answers, without a slash at the end.
    pub url: String,
    pub process: Process,
}

impl Alertmanager {
    /// Starts it with this configuration; its files are in `folder`, which outlives it.
    pub async fn start(config: &str, folder: &Path) -> Self {
        let file = folder.join("alertmanager.yml");
        std::fs::write(&file, config).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--web.external-url={url}"))
            .arg("--cluster.listen-address=")
            .arg("--log.level=info");
        let alertmanager = Self { url, process: Process::start(&mut command) };
        eventually("Alertmanager is ready", async || {
            let answer = client().get(format!("{}/-/ready", alertmanager.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        alertmanager
    }

    /// Hands over alerts, as Prometheus does.
    pub async fn post(&self, alerts: &[Value]) {
        let answer = client().post(format!("{}/api/v2/alerts", self.url)).json(alerts).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
    }

    /// The alerts that it holds, with what it makes of them.
    pub async fn alerts(&self) -> Vec<Value> {
        client().get(format!("{}/api/v2/alerts", self.url)).send().await.unwrap().json().await.unwrap()
    }

    /// The value of one of its own metrics, the sum where there are several series.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let scrape = client().get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let of_it = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains(labels);
        let lines = scrape.lines().filter(of_it);
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}
