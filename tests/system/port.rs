//! The kind `port` against real listeners.

use crate::privilege::as_nobody;
use crate::support::{Banken, Process, eventually, free_port, left_out, value_of};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

/// nginx with a parent and a worker, in a folder of its own; it says where it is by listening.
fn nginx(port: u16, folder: &Path) -> Process {
    let config = format!(
        "daemon off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/error.log;\n\
         events {{ worker_connections 16; }}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; server {{ listen 127.0.0.1:{port}; }} }}\n",
        folder.display()
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    Process::start(Command::new("nginx").arg("-c").arg(path).arg("-e").arg(folder.join("error.log")))
}

fn yaml(probes: &str) -> String {
    format!(
        "host: false\ndefaults: {{ interval: 100ms, retry_interval: 100ms, timeout: 20s, failure_threshold: 1, \
         success_threshold: 1 }}\nprobes:\n{probes}"
    )
}

fn message(probe: &serde_json::Value) -> &str {
    probe["message"].as_str().unwrap_or_default()
}

fn series(family: &str) -> String {
    format!("{family}{{probe=\"it\",kind=\"port\"}}")
}

#[tokio::test]
async fn a_port_that_another_process_takes_is_a_conflict_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let banken = Banken::start(&yaml(&format!("  - {{ name: it, port: {{ port: {port}, process: nginx }} }}\n"))).await;
    let failed = banken.until_reason("it", "missing").await;
    let missing = format!("missing: nobody listens on tcp port {port}");
    assert!(message(&failed).starts_with(&missing), "{failed}");
    assert_eq!(banken.sample(&series("banken_port_listening")).await, Some(0.0));
    assert_eq!(banken.sample(&series("banken_port_owner_known")).await, None);

    let server = nginx(port, folder.path());
    banken.until_status("it", "healthy").await;
    let scrape = banken.metrics().await;
    for family in ["listening", "listeners", "expected", "owner_known"] {
        assert_eq!(value_of(&scrape, &series(&format!("banken_port_{family}"))), Some(1.0), "{family}");
    }
    server.signal(rustix::process::Signal::TERM);
    banken.until_reason("it", "missing").await;
    drop(server);

    let taken = eventually("the port is free again", async || TcpListener::bind(("127.0.0.1", port)).ok()).await;
    let failed = banken.until_reason("it", "status").await;
    let told = message(&failed);
    let pid = format!("(pid {}, user ", std::process::id());
    assert!(told.starts_with(&format!("status: tcp port {port} is held by ")), "{told}");
    assert!(told.contains(&pid) && told.contains(", expected nginx"), "{told}");
    assert_eq!(banken.sample(&series("banken_port_expected")).await, Some(0.0));
    drop(taken);
    banken.until_reason("it", "missing").await;
}

#[tokio::test]
async fn a_port_that_should_be_free_is_told_when_it_is_taken_over_udp_too() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let banken =
        Banken::start(&yaml(&format!("  - {{ name: it, port: {{ port: {port}, protocol: udp, expect: free }} }}\n")))
            .await;
    banken.until_status("it", "healthy").await;
    let _taken = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let failed = banken.until_reason("it", "status").await;
    assert!(message(&failed).contains(", it should be free"), "{failed}");
}

#[tokio::test]
async fn a_socket_of_ipv6_that_takes_ipv4_too_counts_for_both() {
    let Ok(wild) = TcpListener::bind("[::]:0") else { return };
    let port = wild.local_addr().unwrap().port();
    let entry =
        |name: &str, address: &str| format!("  - {{ name: {name}, port: {{ port: {port}, address: '{address}' }} }}\n");
    let probes = [entry("v4", "127.0.0.1"), entry("v6", "::1"), entry("wide", "0.0.0.0")].concat();
    let banken = Banken::start(&yaml(&probes)).await;
    let is_shared = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").unwrap().trim() == "0";
    for (name, listens) in [("v4", is_shared), ("v6", true), ("wide", is_shared)] {
        banken.until_status(name, if listens { "healthy" } else { "unhealthy" }).await;
    }
    drop(wild);
    let local = eventually("the port is free again", async || TcpListener::bind(("127.0.0.1", port)).ok()).await;
    banken.until_reason("wide", "missing").await;
    banken.until_status("v4", "healthy").await;
    let failed = banken.until_reason("v6", "missing").await;
    let address = local.local_addr().unwrap();
    let missing = format!("missing: nobody listens on tcp [::1]:{port}, only on {address}");
    assert!(message(&failed).starts_with(&missing), "{failed}");
}

#[tokio::test]
async fn an_owner_that_may_not_be_seen_is_no_conflict_and_is_told() {
    // Of one's own user everything may be seen.
    if !rustix::process::geteuid().is_root() {
        left_out("the socket of another user needs root");
        return;
    }
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let (_place, _banken, page) = as_nobody(&format!(
        "listen: 127.0.0.1:0\n{}",
        yaml(&format!("  - {{ name: it, port: {{ port: {port}, process: nginx }} }}\n"))
    ))
    .await;
    let probe = page.until_status("it", "healthy").await;
    let scrape = page.metrics().await;
    assert_eq!(value_of(&scrape, &series("banken_port_owner_known")), Some(0.0));
    assert_eq!(value_of(&scrape, &series("banken_port_expected")), None);
    assert_eq!(value_of(&scrape, &series("banken_port_listening")), Some(1.0));
    assert!(probe.to_string().contains("user root made the socket"), "{probe:#}");
    drop(socket);
    page.until_reason("it", "missing").await;
}
