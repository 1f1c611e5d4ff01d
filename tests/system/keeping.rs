//! Connections that are kept, as a real nginx sees them: which connection each request came over.

use crate::support::{Banken, Process, client, eventually, free_port, value_of};
use std::path::Path;
use std::process::Command;

/// An nginx that writes down the connection of each request, in clear and over TLS with HTTP/2.
struct Nginx {
    process: Process,
    port: u16,
    tls_port: u16,
    folder: tempfile::TempDir,
}

/// A request as nginx saw it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    connection: String,
    /// Which request of its connection it was, from 1.
    number: u32,
    protocol: String,
    connection_header: String,
}

impl Nginx {
    async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(path.join("cert.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let config = CONFIG
            .replace("FOLDER", &path.display().to_string())
            .replace("TLS_PORT", &tls_port.to_string())
            .replace("PORT", &port.to_string())
            .replace("SETTINGS", settings);
        std::fs::write(path.join("nginx.conf"), config).unwrap();
        let process = run_nginx(path, port).await;
        Self { process, port, tls_port, folder }
    }

    /// Kills it and starts it again at the same place.
    async fn restart(&mut self) {
        self.process.signal(rustix::process::Signal::KILL);
        self.process.ended().await;
        self.process = run_nginx(self.folder.path(), self.port).await;
    }

    /// What was asked of a path so far.
    fn seen(&self, path: &str) -> Vec<Seen> {
        let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let of_path = log.lines().filter_map(|line| line.strip_prefix(path)?.strip_prefix('|'));
        let seen = of_path.map(|entry| {
            let [connection, number, protocol, header]: [&str; 4] =
                entry.split('|').collect::<Vec<_>>().try_into().unwrap();
            Seen {
                connection: connection.to_owned(),
                number: number.parse().unwrap(),
                protocol: protocol.to_owned(),
                connection_header: header.to_owned(),
            }
        });
        seen.collect()
    }

    async fn until_seen(&self, path: &str, times: usize) -> Vec<Seen> {
        eventually(&format!("{path} was asked for {times} times"), async || {
            let seen = self.seen(path);
            (seen.len() >= times).then_some(seen)
        })
        .await
    }

    fn probe(&self, name: &str, tls: bool, more: &str) -> String {
        let (scheme, port) = if tls { ("https", self.tls_port) } else { ("http", self.port) };
        let ca = self.folder.path().join("cert.pem");
        let tls = if tls { format!(", tls: {{ ca: {{ file: {} }} }}", ca.display()) } else { String::new() };
        format!("  - {{ name: {name}, http: {{ url: '{scheme}://127.0.0.1:{port}/{name}'{tls}{more} }} }}\n")
    }
}

async fn run_nginx(folder: &Path, port: u16) -> Process {
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    let process = Process::start(&mut command);
    let url = format!("http://127.0.0.1:{port}/");
    eventually("nginx answers", async || client().get(&url).send().await.ok()).await;
    process
}

const CONFIG: &str = r"
daemon off;
master_process off;
pid FOLDER/nginx.pid;
events {}
http {
    log_format seen '$uri|$connection|$connection_requests|$server_protocol|$http_connection';
    access_log FOLDER/access.log seen;
    client_body_temp_path FOLDER/client;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    SETTINGS
    server {
        listen 127.0.0.1:PORT;
        listen 127.0.0.1:TLS_PORT ssl http2;
        ssl_certificate FOLDER/cert.pem;
        ssl_certificate_key FOLDER/key.pem;
        location / { default_type text/plain; return 200 'here'; }
    }
}
";

/// `banken_probe_…` of a probe of kind http.
fn sample(scrape: &str, family: &str, probe: &str) -> Option<f64> {
    value_of(scrape, &format!("{family}{{probe=\"{probe}\",kind=\"http\"}}"))
}

fn phase(scrape: &str, probe: &str, phase: &str) -> Option<f64> {
    let labels = format!("probe=\"{probe}\",kind=\"http\",phase=\"{phase}\"");
    value_of(scrape, &format!("banken_probe_phase_duration_seconds{{{labels}}}"))
}

fn failures(scrape: &str, probe: &str) -> f64 {
    let begin = format!("banken_probe_failures_total{{probe=\"{probe}\",");
    scrape
        .lines()
        .filter(|line| line.starts_with(&begin))
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test]
async fn a_kept_connection_serves_run_after_run_and_a_stranger_comes_anew_each_time() {
    let nginx = Nginx::start("keepalive_timeout 300s;").await;
    let yaml = format!(
        "host: false\ndefaults: {{ interval: 200ms, timeout: 10s }}\nprobes:\n{}{}{}{}",
        nginx.probe("kept", false, ", keep_alive: true, expect: { body_matches: '^here$' }"),
        nginx.probe("stranger", false, ""),
        nginx.probe("kept-h2", true, ", keep_alive: true, expect: { body_matches: '^here$' }"),
        nginx.probe("stranger-h2", true, ""),
    );
    let banken = Banken::start(&yaml).await;
    for (name, protocol) in [("kept", "HTTP/1.1"), ("kept-h2", "HTTP/2.0")] {
        let seen = nginx.until_seen(&format!("/{name}"), 5).await;
        for (index, request) in seen.iter().take(5).enumerate() {
            let wanted = Seen {
                connection: seen[0].connection.clone(),
                number: index as u32 + 1,
                protocol: protocol.to_owned(),
                connection_header: "-".to_owned(),
            };
            assert_eq!(*request, wanted, "{name}: {seen:#?}");
        }
    }
    for name in ["stranger", "stranger-h2"] {
        let seen = nginx.until_seen(&format!("/{name}"), 5).await;
        let mut connections: Vec<_> = seen.iter().map(|request| request.connection.clone()).collect();
        connections.sort_unstable();
        connections.dedup();
        assert_eq!(connections.len(), seen.len(), "{name}: {seen:#?}");
        assert!(seen.iter().all(|request| request.number == 1), "{name}: {seen:#?}");
    }
    assert!(nginx.seen("/stranger").iter().all(|request| request.connection_header == "close"));
    let scrape = eventually("what was kept is published", async || {
        let scrape = banken.metrics().await;
        (sample(&scrape, "banken_probe_http_connection_reused", "kept") == Some(1.0)).then_some(scrape)
    })
    .await;
    let reused = |name| sample(&scrape, "banken_probe_http_connection_reused", name);
    assert_eq!([reused("kept-h2"), reused("stranger"), reused("stranger-h2")], [Some(1.0), None, None]);
    for opening in ["resolve", "connect", "tls"] {
        assert_eq!([phase(&scrape, "kept", opening), phase(&scrape, "kept-h2", opening)], [None; 2], "{opening}");
        assert!(phase(&scrape, "stranger-h2", opening).is_some(), "{opening}");
    }
    assert!(phase(&scrape, "kept", "wait").is_some() && phase(&scrape, "kept-h2", "wait").is_some());
    let date = |name| sample(&scrape, "banken_probe_tls_not_after_timestamp_seconds", name);
    assert!(date("kept-h2").is_some() && date("kept-h2") == date("stranger-h2"));
    assert_eq!(sample(&scrape, "banken_probe_tls_verified", "kept-h2"), Some(1.0));
    for name in ["kept", "stranger", "kept-h2", "stranger-h2"] {
        assert_eq!(failures(&scrape, name), 0.0, "{name}: {:#}", banken.probe(name).await);
    }
}

#[tokio::test]
async fn an_idle_timeout_shorter_than_the_interval_is_never_a_failure() {
    let nginx = Nginx::start("keepalive_timeout 1s;").await;
    let kept = [
        ("get", false, ", keep_alive: true"),
        ("post", false, ", keep_alive: true, method: POST, body: text"),
        ("tls", true, ", keep_alive: true, protocol: http1"),
        ("h2", true, ", keep_alive: true, method: POST, body: text"),
    ];
    let probes: String = kept.iter().map(|(name, tls, more)| nginx.probe(name, *tls, more)).collect();
    let yaml = format!("host: false\ndefaults: {{ interval: 1500ms, timeout: 10s }}\nprobes:\n{probes}");
    let banken = Banken::start(&yaml).await;
    for (name, ..) in kept {
        let seen = nginx.until_seen(&format!("/{name}"), 4).await;
        assert!(seen.iter().all(|request| request.number == 1), "{name}: each was idle for too long: {seen:#?}");
    }
    let scrape = banken.metrics().await;
    for (name, ..) in kept {
        assert_eq!(failures(&scrape, name), 0.0, "{name}: {:#}", banken.probe(name).await);
        assert_eq!(sample(&scrape, "banken_probe_http_connection_reused", name), Some(0.0), "{name}");
        assert!(phase(&scrape, name, "connect").is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_limit_of_requests_for_each_connection_is_never_a_failure() {
    let nginx = Nginx::start("keepalive_timeout 300s; keepalive_requests 3;").await;
    let kept = [("get", false, ", keep_alive: true"), ("h2", true, ", keep_alive: true, method: POST, body: text")];
    let probes: String = kept.iter().map(|(name, tls, more)| nginx.probe(name, *tls, more)).collect();
    let yaml = format!("host: false\ndefaults: {{ interval: 100ms, timeout: 10s }}\nprobes:\n{probes}");
    let banken = Banken::start(&yaml).await;
    for (name, ..) in kept {
        let seen = nginx.until_seen(&format!("/{name}"), 9).await;
        let numbers: Vec<_> = seen.iter().take(9).map(|request| request.number).collect();
        assert_eq!(numbers, [1, 2, 3, 1, 2, 3, 1, 2, 3], "{name}");
        assert_eq!(failures(&banken.metrics().await, name), 0.0, "{name}: {:#}", banken.probe(name).await);
    }
}

#[tokio::test]
async fn a_target_that_was_restarted_is_asked_over_a_new_connection_without_a_failure() {
    let mut nginx = Nginx::start("keepalive_timeout 300s;").await;
    let probes = nginx.probe("kept", false, ", keep_alive: true, method: POST, body: text");
    let yaml = format!("host: false\ndefaults: {{ interval: 4s, timeout: 3s }}\nprobes:\n{probes}");
    let banken = Banken::start(&yaml).await;
    // Right after a run there is time until the next one.
    let before = nginx.seen("/kept").len() + 1;
    nginx.until_seen("/kept", before).await;
    nginx.restart().await;
    let seen = nginx.until_seen("/kept", before + 1).await;
    assert_eq!(seen.last().unwrap().number, 1, "{seen:#?}");
    let scrape = banken.metrics().await;
    assert_eq!(failures(&scrape, "kept"), 0.0, "{:#}", banken.probe("kept").await);
}
