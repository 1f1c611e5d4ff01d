//! The status page in a real browser: what it shows, how it keeps up, and how it looks.

mod axe;
mod browser;
mod history;
mod live;

use crate::stage::{Stage, replaced};
use crate::support::{Banken, Demo, Page, eventually, page_of};
use browser::Browser;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DESKTOP: (u32, u32) = (1200, 900);
const PHONE: (u32, u32) = (390, 844);
const SMALL_PHONE: (u32, u32) = (320, 568);
const TABLET: (u32, u32) = (820, 1000);

/// The badge of a probe: its state in a word.
fn badge(probe: &str) -> String {
    format!("document.querySelector('#probe-{probe} .badge').innerText")
}

#[tokio::test]
async fn the_page_shows_every_probe_in_its_group_and_the_browser_has_no_complaint() {
    let stage = Stage::set().await;
    let mut browser = Browser::open(&stage.banken.base).await;
    let report = stage.banken.json("/api/v1/status").await;
    for (name, check) in report["checks"].as_object().unwrap() {
        assert_eq!(browser.evaluate(&badge(name)).await, "✓ healthy", "{name}");
        let section =
            format!("document.querySelector('#probe-{name}').closest('section').querySelector('h2').innerText");
        assert_eq!(browser.evaluate(&section).await, check["group"].as_str().unwrap_or("Everything else"), "{name}");
    }
    let count = report["checks"].as_object().unwrap().len();
    let text = browser.text().await;
    assert!(text.contains(&format!("All is well: {count} probes, 1 log, 2 jobs healthy")), "{text}");
    // The bot sees patterns in its market now and then, and says so in its log.
    for (id, badges) in [("log-app", ["✓ healthy", "i info"]), ("job-continuous-processing", ["? unknown"; 2])] {
        let shown = browser.evaluate(&format!("document.querySelector('#{id} .badge').innerText")).await;
        assert!(badges.iter().any(|badge| shown == *badge), "{id}: {shown}");
    }
    assert_eq!(browser.evaluate("document.title").await, "healthy – Banken");
    // The script has run: the time of the page goes on.
    let before = browser.evaluate("document.querySelector('.updated').innerText").await;
    browser.until(&format!("document.querySelector('.updated').innerText !== {before}")).await;
    assert_eq!(browser.close().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_page_shows_a_failure_and_the_recovery_by_itself_and_keeps_open_what_is_open() {
    let stage = Stage::set().await;
    let mut browser = Browser::open(&stage.banken.base).await;
    browser.evaluate("document.querySelector('#job-atr-init summary').click()").await;
    browser.evaluate("document.querySelector('#probe-ticker .name').focus()").await;
    stage.demo.fault("missing_field", "").await;
    stage.banken.until_status("ticker", "unhealthy").await;
    let failed = Instant::now();
    browser.until(&format!("{} === '✗ unhealthy'", badge("ticker"))).await;
    assert!(failed.elapsed() < Duration::from_secs(6), "it took {:?}", failed.elapsed());
    let first_section = browser.evaluate("document.querySelector('section:not([hidden])').innerText").await;
    let first_section = first_section.as_str().unwrap();
    assert!(first_section.starts_with("Needs attention"), "{first_section}");
    assert!(first_section.contains("field current_price ($.current_price) is missing"), "{first_section}");
    assert_eq!(browser.evaluate("document.querySelector('#job-atr-init details').open").await, true);
    assert_eq!(browser.evaluate("document.querySelectorAll('details[open]').length").await, 1);
    assert_eq!(browser.evaluate("document.activeElement.innerText").await, "ticker", "the reader's place is kept");
    assert_eq!(browser.evaluate("document.title").await, "unhealthy – Banken");
    let text = browser.text().await;
    let report = stage.banken.json("/api/v1/status").await;
    let count: usize = ["checks", "logs", "jobs"].iter().map(|sense| report[sense].as_object().unwrap().len()).sum();
    assert!(text.contains(&format!("1 of {count} needs attention")), "{text}");
    stage.demo.reset().await;
    browser.until("document.title === 'healthy – Banken'").await;
    assert_eq!(browser.evaluate(&badge("ticker")).await, "✓ healthy");
    assert_eq!(browser.evaluate("document.querySelector('#job-atr-init details').open").await, true);
    assert_eq!(browser.evaluate("document.querySelector('#attention').hidden").await, true);
    assert_eq!(browser.close().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_threshold_that_is_crossed_is_told_in_a_word_and_not_by_a_colour_alone() {
    let stage =
        Stage::set_with(|config| replaced(&config, "memory: { warning: 512MiB", "memory: { warning: 1MiB")).await;
    let mut browser = Browser::open(&stage.banken.base).await;
    assert_eq!(browser.evaluate(&badge("process")).await, "! warning");
    let text = browser.text().await;
    assert!(text.contains("is above 1.0 MiB (warning)"), "{text}");
    browser.close().await;
}

#[tokio::test]
async fn the_page_says_that_its_news_is_old_when_banken_is_gone() {
    let Stage { mut demo, banken } = Stage::set().await;
    let mut browser = Browser::open(&banken.base).await;
    drop(banken);
    browser.until("document.title === 'no answer – Banken'").await;
    let text = browser.text().await;
    assert!(text.contains("Banken does not answer; this is what it last said."), "{text}");
    assert!(text.contains("All is well"), "what it last said is gone: {text}");
    browser.close().await;
    assert!(demo.process.is_running());
}

#[tokio::test]
async fn what_a_target_answers_never_becomes_part_of_the_page() {
    let hostile = "<b id=injected>!</b><script>document.title='owned'</script>";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = hostile.len();
            let head = format!("HTTP/1.1 500 Broken\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            if stream.read(&mut request).await.is_ok() {
                let _ = stream.write_all((head + hostile).as_bytes()).await;
            }
        }
    });
    let config = format!("host: false\nprobes: [ {{ name: hostile, http: {{ url: 'http://{address}/' }} }} ]\n");
    let banken = Banken::start(&config).await;
    let mut browser = Browser::open(&banken.base).await;
    let text = browser.text().await;
    assert!(text.contains(hostile), "{text}");
    assert_eq!(browser.evaluate("document.querySelectorAll('#injected').length").await, 0);
    assert_eq!(browser.evaluate("document.title").await, "degraded – Banken");
    assert_eq!(browser.close().await, Vec::<String>::new());
}

/// Whether something of the page is wider than the screen.
const OVERFLOWS: &str = "document.documentElement.scrollWidth > document.documentElement.clientWidth
    || [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll'))
        .some(e => e.getBoundingClientRect().right > innerWidth + 0.5)";

/// The least contrast between text and what it stands on (WCAG 2.2), over everything that is written.
const LEAST_CONTRAST: &str = "(() => {
    // A mixed colour is told in parts of one, another in parts of 255.
    const light = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => c.startsWith('color(') ? +v : v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => { for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } return 'rgb(255,255,255)'; };
    const written = [...document.querySelectorAll('body *')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
    return Math.min(...written.map(e => {
        const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    }));
})()";

#[tokio::test]
async fn the_page_fits_a_desktop_and_a_phone_and_can_be_read_in_light_and_dark() {
    let mut demo = Demo::start(&["--watch", "--watch-listen", "127.0.0.1:0"]).await;
    let page = Page { base: page_of(&demo.process).await };
    eventually("everything is healthy", async || {
        (page.json("/api/v1/status").await["overall_status"] == "healthy").then_some(())
    })
    .await;
    demo.fault("missing_field", "").await;
    demo.fault("slow", "value=1200ms").await;
    page.until_status("ticker", "unhealthy").await;
    let mut browser = Browser::open(&page.base).await;
    browser.until("document.querySelector('#probe-ticker .message').innerText.includes('(warning)')").await;
    for (path, screen, name) in [
        ("/", DESKTOP, "desktop"),
        ("/", TABLET, "tablet"),
        ("/", PHONE, "phone"),
        ("/", SMALL_PHONE, "small phone"),
        ("/probes/ticker", DESKTOP, "probe on a desktop"),
        ("/probes/ticker", SMALL_PHONE, "probe on a small phone"),
    ] {
        browser.go(&format!("{}{path}", page.base)).await;
        for scheme in ["light", "dark"] {
            browser.show_on(screen, scheme).await;
            let contrast = browser.evaluate(LEAST_CONTRAST).await.as_f64().unwrap();
            assert!(contrast >= 4.5, "{name}, {scheme}: {contrast}");
            for open in ["false", "true"] {
                browser.evaluate(&format!("document.querySelectorAll('details').forEach(d => d.open = {open})")).await;
                assert_eq!(browser.evaluate(OVERFLOWS).await, false, "{name}, {scheme}, open: {open}");
            }
            let shown = browser.folder().join("shown.png");
            browser.screenshot(&shown).await;
            assert!(std::fs::metadata(&shown).unwrap().len() > 10_000, "{name}, {scheme}: nothing is seen");
        }
    }
    assert_eq!(browser.close().await, Vec::<String>::new());
    assert!(demo.process.is_running());
}
