//! The kind `icmp` against this host, and in network namespaces of its own, where routes and rights are a test's to set.

use crate::support::{Banken, left_out};
use std::process::{Command, Output};

/// Can be entered by root, and by others where the system lets them.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

fn can_be_entered() -> bool {
    let entered = namespace().args(["ip", "link", "set", "lo", "up"]).output();
    let entered = entered.is_ok_and(|output| output.status.success());
    if !entered {
        left_out("no network namespace can be made on this machine, where ICMP is allowed or not as a test wants it");
    }
    entered
}

/// Runs `banken probe it` in a network namespace after a script has furnished it; in the script it is `"$@"`.
async fn probe(script: &str, block: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("banken.yml");
    std::fs::write(&config, format!("host: false\nprobes:\n  - {{ name: it, icmp: {{ {block} }} }}\n")).unwrap();
    let mut command = namespace();
    command.args(["bash", "-c", &format!("set -e; ip link set lo up\n{script}"), "script"]);
    command.arg(env!("CARGO_BIN_EXE_banken")).args(["probe", "it", "--config"]).arg(&config);
    tokio::process::Command::from(command).output().await.unwrap()
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const ALLOWED: &str = "echo '0 0' > /proc/sys/net/ipv4/ping_group_range";
const FORBIDDEN: &str = "echo '1 0' > /proc/sys/net/ipv4/ping_group_range";
const WITHOUT_RAW: &str = "exec setpriv --bounding-set=-net_raw --inh-caps=-net_raw \"$@\"";

#[tokio::test]
async fn without_a_privilege_it_works_where_the_kernel_allows_it() {
    if !can_be_entered() {
        return;
    }
    for host in ["127.0.0.1", "::1"] {
        let script = format!("{ALLOWED}\n{WITHOUT_RAW}");
        let output = probe(&script, &format!("host: '{host}', count: 4, spacing: 10ms, max_loss: 0")).await;
        let shown = shown(&output);
        assert_eq!(output.status.code(), Some(0), "{shown}");
        for part in ["datagram (ping_group_range)", "banken_icmp_loss_ratio 0 ", "banken_icmp_round_trip_mean_seconds"]
        {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
}

#[tokio::test]
async fn with_the_privilege_it_works_where_groups_are_not_allowed() {
    if !can_be_entered() {
        return;
    }
    for host in ["127.0.0.1", "::1"] {
        // Where both are allowed, the privilege is not used.
        for (allowed, socket) in [(FORBIDDEN, "raw (CAP_NET_RAW)"), (ALLOWED, "datagram (ping_group_range)")] {
            let output = probe(&format!("{allowed}\nexec \"$@\""), &format!("host: '{host}'")).await;
            let shown = shown(&output);
            assert_eq!(output.status.code(), Some(0), "{shown}");
            assert!(shown.contains(socket), "{shown}");
        }
    }
}

#[tokio::test]
async fn without_any_right_nothing_is_said_about_the_host_and_the_remedy_is_named() {
    if !can_be_entered() {
        return;
    }
    let output = probe(&format!("{FORBIDDEN}\n{WITHOUT_RAW}"), "host: 127.0.0.1").await;
    let shown = shown(&output);
    for part in ["reason    local", "net.ipv4.ping_group_range", "AmbientCapabilities=CAP_NET_RAW"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(!shown.contains("banken_icmp_loss_ratio"), "{shown}");
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_missing_route_is_no_connection() {
    if !can_be_entered() {
        return;
    }
    // What is routed to the loopback and is nobody's address there goes nowhere.
    let script = "ip route add 192.0.2.0/24 dev lo\nip route add unreachable 198.51.100.0/24\nexec \"$@\"";
    let cases = [
        ("192.0.2.1", "reason    timeout", "192.0.2.1 answered none of 3 requests"),
        ("198.51.100.1", "reason    connect", "cannot send to 198.51.100.1: "),
        ("203.0.113.1", "reason    connect", "Network is unreachable"),
    ];
    for allowed in [ALLOWED, FORBIDDEN] {
        for (host, reason, words) in cases {
            let block = format!("host: {host}, spacing: 10ms, wait: 200ms");
            let output = probe(&format!("{allowed}\n{script}"), &block).await;
            let shown = shown(&output);
            assert_eq!(output.status.code(), Some(1), "{shown}");
            assert!(shown.contains(reason) && shown.contains(words), "{host}: {shown}");
            assert!(shown.contains("banken_icmp_loss_ratio 1 "), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_a_router_says_is_told_and_ends_the_waiting() {
    if !can_be_entered() {
        return;
    }
    // Nobody at the other end of the cable has the address, which the kernel says after it has asked for three seconds.
    let script = "ip link add one type veth peer name two || exit 77
ip addr add 192.0.2.1/24 dev one
ip link set one up
ip link set two up
exec \"$@\"";
    let output = probe(&format!("{FORBIDDEN}\n{script}"), "host: 192.0.2.9, count: 2, spacing: 10ms, wait: 1m").await;
    if output.status.code() == Some(77) {
        left_out("the network of a namespace cannot be furnished on this machine");
        return;
    }
    let shown = shown(&output);
    assert!(shown.contains("reason    connect"), "{shown}");
    assert!(shown.contains("192.0.2.1 says of 192.0.2.9: host unreachable"), "{shown}");
}

#[tokio::test]
async fn loss_above_the_bound_is_told_and_below_it_is_only_measured() {
    if !can_be_entered() {
        return;
    }
    // A line for ten packets a second, and no queue in front of it.
    let line = "tc qdisc add dev lo root tbf rate 8kbit burst 400 limit 400 || exit 77";
    let script = format!("{FORBIDDEN}\n{line}\nexec \"$@\"");
    let many = "host: 127.0.0.1, count: 60, spacing: 10ms, wait: 200ms";
    let output = probe(&script, &format!("{many}, max_loss: 5%")).await;
    if output.status.code() == Some(77) {
        left_out("the network of a namespace cannot be furnished on this machine");
        return;
    }
    let shown_first = shown(&output);
    assert!(shown_first.contains("reason    limit"), "{shown_first}");
    assert!(shown_first.contains(" of 60 requests, at most 5.0 % may be lost"), "{shown_first}");
    let output = probe(&script, many).await;
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

#[tokio::test]
async fn this_host_is_watched_and_a_name_that_does_not_resolve_is_told() {
    let yaml = "host: false\ndefaults: { interval: 300ms, retry_interval: 300ms }\nprobes:\n  \
                - { name: here, icmp: { host: 127.0.0.1, count: 2, spacing: 10ms } }\n  \
                - { name: nowhere, icmp: { host: nowhere.invalid } }\n";
    let banken = Banken::start(yaml).await;
    banken.until_reason("nowhere", "resolve").await;
    let here = crate::support::eventually("the loopback was asked", async || {
        let here = banken.probe("here").await;
        (here["status"] == "healthy" || here["reason"] == "local").then_some(here)
    })
    .await;
    if here["reason"] == "local" {
        left_out("ICMP is not allowed on this machine");
        return;
    }
    let total = |family: &str| format!("banken_icmp_{family}_total{{probe=\"here\",kind=\"icmp\"}}");
    crate::support::eventually("answers add up", async || {
        banken.sample(&total("answers")).await.filter(|answers| *answers >= 6.0)
    })
    .await;
    let scrape = banken.metrics().await;
    let value = |family| crate::support::value_of(&scrape, &total(family)).unwrap();
    assert!(value("requests") >= value("answers"));
}
