//! The real servers around Banken: a Prometheus and an nginx from Debian's packages, in folders of their own.

use crate::support::{Process, client, eventually, free_port};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The name and the labels of a series.
pub type Series = BTreeMap<String, String>;

pub struct Prometheus {
    // Ends before its folder goes.
    _process: Process,
    base: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes every second; `jobs` is what stands below `scrape_configs:`.
    pub async fn start(jobs: &str) -> Self {
        let global = "global: { scrape_interval: 1s, scrape_timeout: 1s }";
        Self::with_config(&format!("{global}\nscrape_configs:\n{jobs}")).await
    }

    /// Starts with a whole configuration.
    pub async fn with_config(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, text).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let process = Process::start(&mut command);
        let prometheus = Self { _process: process, base: format!("http://{address}"), _folder: folder };
        eventually("Prometheus is ready", async || {
            let answer = client().get(format!("{}/-/ready", prometheus.base)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    /// Where it answers, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What an instant query gives.
    pub async fn query(&self, expression: &str) -> Vec<(Series, f64)> {
        let url = format!("{}/api/v1/query", self.base);
        let url = reqwest::Url::parse_with_params(&url, [("query", expression)]).unwrap();
        let answer: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let samples = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}"));
        let sample = |sample: &Value| {
            let series = serde_json::from_value(sample["metric"].clone()).unwrap();
            (series, sample["value"][1].as_str().unwrap().parse().unwrap())
        };
        samples.iter().map(sample).collect()
    }

    /// The one value that a query gives, where it gives one.
    pub async fn value(&self, expression: &str) -> Option<f64> {
        let mut samples = self.query(expression).await;
        assert!(samples.len() <= 1, "{expression} gives several values: {samples:?}");
        samples.pop().map(|(_, value)| value)
    }

    /// Waits until the one value of a query is as wanted.
    pub async fn until(&self, expression: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let what = format!("{expression} is as wanted");
        eventually(&what, async || self.value(expression).await.filter(|value| wanted(*value))).await
    }

    /// Health and last error of every target, by job.
    pub async fn targets(&self) -> BTreeMap<String, (String, String)> {
        let url = format!("{}/api/v1/targets?state=active", self.base);
        let answer: Value = client().get(url).send().await.unwrap().json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let targets = answer["data"]["activeTargets"].as_array().unwrap().iter();
        targets.map(|t| (text(&t["labels"]["job"]), (text(&t["health"]), text(&t["lastError"])))).collect()
    }
}

/// An nginx with a page, a JSON answer and a way through to Banken's metrics; in clear and over TLS, with gzip.
pub struct Nginx {
    pub process: Process,
    pub port: u16,
    pub tls_port: u16,
    folder: tempfile::TempDir,
}

impl Nginx {
    pub async fn start(behind: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).unwrap();
        let path = folder.path();
        std::fs::write(path.join("cert.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let config = CONFIG
            .replace("FOLDER", &path.display().to_string())
            .replace("TLS_PORT", &tls_port.to_string())
            .replace("BEHIND", &behind.to_string())
            .replace("PORT", &port.to_string());
        std::fs::write(path.join("nginx.conf"), config).unwrap();
        Self::start_in(folder, port, tls_port).await
    }

    async fn start_in(folder: tempfile::TempDir, port: u16, tls_port: u16) -> Self {
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        let process = Process::start(&mut command);
        let url = format!("http://127.0.0.1:{port}/");
        eventually("nginx answers", async || client().get(&url).send().await.ok()).await;
        Self { process, port, tls_port, folder }
    }

    /// Ends it, and gives what is needed to start it again.
    pub async fn end(mut self) -> impl Future<Output = Self> {
        self.process.signal(rustix::process::Signal::KILL);
        self.process.ended().await;
        let Self { port, tls_port, folder, .. } = self;
        Self::start_in(folder, port, tls_port)
    }

    pub fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// What was asked of `path`, and how it was answered: user agent, Accept, Content-Type, Content-Encoding.
    pub fn negotiations(&self, path: &str) -> Vec<[String; 4]> {
        let log = std::fs::read_to_string(Path::new(self.folder.path()).join("access.log")).unwrap();
        let entries = log.lines().filter_map(|line| line.strip_prefix(path)?.strip_prefix('|'));
        entries.map(|entry| entry.split('|').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()).collect()
    }
}

const CONFIG: &str = r#"
daemon off;
master_process off;
pid FOLDER/nginx.pid;
events {}
http {
    log_format negotiation '$uri|$http_user_agent|$http_accept|$sent_http_content_type|$sent_http_content_encoding';
    access_log FOLDER/access.log negotiation;
    client_body_temp_path FOLDER/client;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    gzip on;
    gzip_min_length 1;
    gzip_types application/json;
    server {
        listen 127.0.0.1:PORT;
        listen 127.0.0.1:TLS_PORT ssl;
        ssl_certificate FOLDER/cert.pem;
        ssl_certificate_key FOLDER/key.pem;
        location / { default_type text/html; return 200 '<title>A page of nginx</title>'; }
        location /price { default_type application/json; return 200 '{"price": "12.5"}'; }
        location /metrics { proxy_pass http://127.0.0.1:BEHIND; }
    }
}
"#;
