//! What systemd is told, by a socket that stands in for it.

use crate::support::{Banken, eventually};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use tempfile::TempDir;

struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
    heard: Vec<String>,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, folder, heard: Vec::new() }
    }

    async fn start(&self, watchdog_usec: &str) -> Banken {
        let mut command = Banken::command();
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify")).env("WATCHDOG_USEC", watchdog_usec);
        command.env_remove("WATCHDOG_PID");
        Banken::launch("host: false\n", command).await
    }

    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
    }

    /// Waits for so many messages with this line, and gives the latest.
    async fn hears(&mut self, line: &str, times: usize) -> String {
        eventually(&format!("{line} is said {times} times"), async || {
            self.listen();
            let mut said = self.heard.iter().filter(|message| message.lines().any(|said| said == line));
            said.nth(times - 1).cloned()
        })
        .await
    }

    fn position(&self, line: &str, nth: usize) -> usize {
        let places = self.heard.iter().enumerate().filter(|(_, message)| message.lines().any(|said| said == line));
        places.map(|(index, _)| index).nth(nth).unwrap()
    }
}

#[tokio::test]
async fn the_start_the_reload_and_the_end_are_told_in_their_order() {
    let mut manager = Manager::new();
    let mut banken = manager.start("60000000").await;
    manager.hears("READY=1", 1).await;
    banken.process.signal(Signal::HUP);
    let reloading = manager.hears("RELOADING=1", 1).await;
    let stamp = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!(
        (stamp.parse::<f64>().unwrap() / 1e6 - uptime).abs() < 30.0,
        "{stamp} is not the monotonic clock: {uptime}"
    );
    manager.hears("READY=1", 2).await;
    banken.process.signal(Signal::TERM);
    manager.hears("STOPPING=1", 1).await;
    assert!(banken.process.ended().await.success());
    let order = [("READY=1", 0), ("RELOADING=1", 0), ("READY=1", 1), ("STOPPING=1", 0)];
    let places: Vec<_> = order.map(|(line, nth)| manager.position(line, nth)).to_vec();
    assert!(places.is_sorted(), "{:?}", manager.heard);
}

#[tokio::test]
async fn a_refused_reload_is_over_for_the_service_manager_too() {
    let mut manager = Manager::new();
    let banken = manager.start("60000000").await;
    manager.hears("READY=1", 1).await;
    banken.write_config("nonsense: true\n");
    banken.process.signal(Signal::HUP);
    manager.hears("RELOADING=1", 1).await;
    manager.hears("READY=1", 2).await;
}

#[tokio::test]
async fn the_watchdog_is_told_twice_in_its_period() {
    let mut manager = Manager::new();
    let begun = std::time::Instant::now();
    let _banken = manager.start("400000").await;
    manager.hears("WATCHDOG=1", 6).await;
    // Five halves of 400 ms lie between the first and the sixth.
    assert!(begun.elapsed().as_secs_f64() > 0.9, "{:?}", begun.elapsed());
}
