//! How the page keeps up: at once, over restarts, with a thousand probes, and within bounds.

use super::browser::Browser;
use crate::stage::Stage;
use crate::support::{Banken, PATIENCE, client, eventually};
use crate::targets::Target;
use std::time::{Duration, Instant};

/// The events as they come, one at a time.
struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    async fn of(banken: &Banken, path: &str) -> Self {
        let request = client().get(format!("{}{path}", banken.base)).header("accept-encoding", "gzip");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert!(!answer.headers().contains_key("content-encoding"), "a compressor would keep events back");
        Self { answer, text: String::new() }
    }

    /// The next event that is not a sign of life; none at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if !event.contains("event: beat") {
                    return Some(event);
                }
                continue;
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("not even a sign of life came");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }
}

/// The version of the page that is shown.
async fn version(banken: &Banken) -> String {
    let html = banken.get("/").await.text().await.unwrap();
    html.split_once("/events?since=").unwrap().1.split_once('"').unwrap().0.to_owned()
}

fn quiet(target: &Target) -> String {
    format!("host: false\nprobes:\n  - {{ name: good, interval: 1h, http: {{ url: '{}' }} }}\n", target.url())
}

#[tokio::test]
async fn who_has_the_page_open_is_sent_what_changed_since_and_everything_after_a_reload() {
    let good = Target::saying("fine").await;
    let banken = Banken::start(&quiet(&good)).await;
    let mut events = Events::of(&banken, &format!("/events?since={}", version(&banken).await)).await;
    banken.write_config(&format!("{}  - {{ name: more, tcp: {{ address: '{}' }} }}\n", quiet(&good), good.address));
    assert_eq!(client().post(format!("{}/-/reload", banken.base)).send().await.unwrap().status(), 200);
    let event = events.next().await.unwrap();
    assert!(event.contains("event: everything"), "{event}");
    let event = events.next().await.unwrap();
    assert!(event.contains("event: parts") && event.contains("probe-more"), "{event}");
    assert!(!event.contains("probe-good\\\""), "nothing of it changed: {event}");
    // A page from before a restart is fetched anew.
    let mut stranger = Events::of(&banken, "/events?since=1-1").await;
    assert!(stranger.next().await.unwrap().contains("event: everything"));
}

#[tokio::test]
async fn the_page_of_a_probe_hears_of_each_of_its_runs() {
    let good = Target::saying("fine").await;
    let banken = Banken::start(&quiet(&good).replace("interval: 1h", "interval: 200ms, timeout: 100ms")).await;
    let mut events = Events::of(&banken, "/events?probe=good").await;
    for _ in 0..2 {
        assert!(events.next().await.unwrap().contains("event: everything"));
    }
}

#[tokio::test]
async fn more_readers_than_there_is_room_for_are_turned_away_and_a_slot_is_free_again_when_one_leaves() {
    let good = Target::saying("fine").await;
    let banken = Banken::start(&quiet(&good)).await;
    let mut readers = Vec::new();
    for _ in 0..64 {
        readers.push(Events::of(&banken, "/events").await);
    }
    let refused = banken.get("/events").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(banken.status_code("/").await, 200);
    readers.pop();
    eventually("a slot is free", async || {
        let answer = client().get(format!("{}/events", banken.base)).send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn events_end_with_banken_and_do_not_hold_up_its_end() {
    let good = Target::saying("fine").await;
    let mut banken = Banken::start(&quiet(&good)).await;
    let mut events = Events::of(&banken, &format!("/events?since={}", version(&banken).await)).await;
    banken.process.signal(rustix::process::Signal::TERM);
    let begun = Instant::now();
    assert_eq!(events.next().await, None);
    assert!(banken.process.ended().await.success());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_failure_is_on_the_page_soon_after_it_is_seen() {
    let stage = Stage::set().await;
    let mut browser = Browser::open(&stage.banken.base).await;
    // The moment at which the page says so, by the clock that Banken has too.
    let watch = "new Promise(told => { const look = () => {
        const word = document.querySelector('#probe-ticker .badge').textContent;
        word.includes('healthy') && !word.includes('un') ? setTimeout(look, 5) : told(Date.now() / 1000);
    }; look(); })";
    stage.demo.fault("missing_field", "").await;
    let shown = browser.evaluate_async(watch).await.as_f64().unwrap();
    let failure = stage.banken.probe("ticker").await["last_failures"].as_array().unwrap().last().unwrap().clone();
    // RFC 3339 to the second: the page of the API says no more, so the change of state is read from the log.
    let seen =
        time::OffsetDateTime::parse(failure["at"].as_str().unwrap(), &time::format_description::well_known::Rfc3339);
    let delay = shown - seen.unwrap().unix_timestamp() as f64;
    println!(
        "the failure was on the page within {delay:.2} s, of which up to 1 s is the grain of the time that is told"
    );
    assert!(delay < PATIENCE.as_secs_f64());
    browser.close().await;
}

#[tokio::test]
async fn an_open_page_survives_a_restart_of_banken_and_then_shows_what_is_new() {
    let good = Target::saying("fine").await;
    let dead = "  - { name: dead, failure_threshold: 1, tcp: { address: '127.0.0.1:1' } }\n";
    let mut banken = Banken::start(&quiet(&good)).await;
    let listen = banken.base.strip_prefix("http://").unwrap().to_owned();
    let mut browser = Browser::open(&banken.base).await;
    browser.until("document.querySelector('#probe-good .badge').innerText === '✓ healthy'").await;
    banken.process.signal(rustix::process::Signal::TERM);
    assert!(banken.process.ended().await.success());
    browser.until("document.title === 'no answer – Banken'").await;
    let text = browser.text().await;
    assert!(text.contains("Banken does not answer") && text.contains("good"), "{text}");
    let again = Banken::start(&format!("listen: {listen}\n{}{dead}", quiet(&good))).await;
    browser.until("document.querySelector('#probe-dead .badge')?.innerText === '✗ unhealthy'").await;
    browser.until("document.title === 'unhealthy – Banken'").await;
    assert_eq!(browser.evaluate("document.querySelector('.stale')").await, serde_json::Value::Null);
    browser.close().await;
    drop(again);
}

#[tokio::test]
async fn a_thousand_probes_are_all_on_the_page_and_it_is_kept_current() {
    let good = Target::saying("fine").await;
    let probe = |n: usize| {
        format!("  - {{ name: p{n:04}, group: g{}, interval: 1h, http: {{ url: '{}' }} }}\n", n / 100, good.url())
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let dying = format!("  - {{ name: dying, interval: 300ms, failure_threshold: 1, file: {{ path: {path} }} }}\n");
    let yaml: String = std::iter::once("host: false\nprobes:\n".to_owned()).chain((0..1000).map(probe)).collect();
    let banken = Banken::launch(&format!("{yaml}{dying}"), Banken::command()).await;
    banken.until_ready().await;
    banken.until_status("dying", "healthy").await;
    let mut browser = Browser::open(&banken.base).await;
    assert_eq!(browser.evaluate("document.querySelectorAll('.row').length").await, 1001);
    let bytes = browser.evaluate("performance.getEntriesByType('navigation')[0].transferSize").await;
    println!("{bytes} bytes for 1,001 probes");
    file.close().unwrap();
    browser.until("document.querySelector('#attention .name')?.innerText === 'dying'").await;
    assert_eq!(browser.close().await, Vec::<String>::new());
}
