//! What people switch holds a remedy back, says so, and lets go of it again.

use super::server::{Server, complained, happened, history, remedy, said, sample, until_happened};
use crate::support::Banken;

/// The server is killed, the remedy is held back for this reason, and nothing was done.
async fn held_back(server: &Server, banken: &Banken, reason: &str) {
    server.kill();
    let entry = until_happened(banken, "suppressed", 1).await;
    assert!(entry["detail"].as_str().unwrap().starts_with(&format!("{reason}: ")), "{entry}");
    assert!(!happened(banken).contains(&"intent".to_owned()), "{:#?}", history(banken));
    assert_eq!((server.starts(), server.is_serving()), (1, false));
    let counted = sample(banken, "banken_remedy_suppressed_total", &format!("reason=\"{reason}\"")).await;
    assert_eq!(counted, Some(1.0));
    let report = banken.json("/api/v1/status").await;
    assert_eq!(report["remedies"]["restart"]["suppressed_by"], reason, "{report:#}");
}

/// Once nothing holds it back any more, it acts on what is still broken.
async fn let_go(server: &Server, banken: &Banken) {
    until_happened(banken, "recovered", 1).await;
    assert_eq!((server.starts(), server.is_serving()), (2, true));
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let server = Server::start().await;
    let banken = server.guarded(&server.config(false, "")).await;
    held_back(&server, &banken, "dry_run").await;
    let would = until_happened(&banken, "would", 1).await;
    let words = format!("would run \"{}\"", server.script());
    assert_eq!(would["detail"], words);
    assert_eq!(sample(&banken, "banken_remedy_armed", "").await, Some(0.0));
    let rehearsed = said(remedy(&banken, &["restart", "--dry-run"]));
    assert!(rehearsed.contains(&words) && rehearsed.contains("it is not armed"), "{rehearsed}");
    assert_eq!(server.starts(), 1);
}

#[tokio::test]
async fn the_file_of_the_kill_switch_holds_everything_back_until_it_is_removed() {
    let server = Server::start().await;
    let banken = server.guarded(&server.config(true, "")).await;
    let switch = server.path("state/remedies/no-repair");
    std::fs::write(&switch, "").unwrap();
    held_back(&server, &banken, "kill_switch").await;
    std::fs::remove_file(switch).unwrap();
    let_go(&server, &banken).await;
}

#[tokio::test]
async fn a_kill_switch_of_ones_own_is_looked_at_instead() {
    let server = Server::start().await;
    let switch = server.path("stop");
    let banken =
        server.guarded(&server.config(true, &format!("repair: {{ kill_switch: {} }}\n", switch.display()))).await;
    std::fs::write(&switch, "").unwrap();
    held_back(&server, &banken, "kill_switch").await;
    std::fs::remove_file(switch).unwrap();
    let_go(&server, &banken).await;
}

#[tokio::test]
async fn a_pause_holds_it_back_until_it_is_ended() {
    let server = Server::start().await;
    let banken = server.guarded(&server.config(true, "")).await;
    assert!(complained(remedy(&banken, &["pause"])).contains("for how long? add --for"));
    assert!(complained(remedy(&banken, &["pause", "--for", "8days"])).contains("at most 7days"));
    let paused = said(remedy(&banken, &["pause", "--for", "10m"]));
    assert!(paused.starts_with("nothing is repaired until "), "{paused}");
    // It is looked at once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    held_back(&server, &banken, "maintenance").await;
    assert_eq!(said(remedy(&banken, &["pause", "--for", "0s"])), "the pause is over\n");
    let_go(&server, &banken).await;
}

#[tokio::test]
async fn a_maintenance_window_that_is_open_holds_back_whom_it_names() {
    let server = Server::start().await;
    let window =
        "repair: { maintenance: [ { cron: '* * * * *', time_zone: Asia/Tokyo, for: 2h, remedies: [ restart ] } ] }\n";
    let banken = server.guarded(&server.config(true, window)).await;
    held_back(&server, &banken, "maintenance").await;
    let other = "  - name: other\n    when: { probe: web }\n    steps: [ { command: { argv: [ /bin/true ] } } ]\n";
    let for_another = format!("{other}{}", window.replace("[ restart ]", "[ other ]"));
    banken.write_config(&server.config(true, &for_another));
    banken.process.signal(rustix::process::Signal::HUP);
    let_go(&server, &banken).await;
}
