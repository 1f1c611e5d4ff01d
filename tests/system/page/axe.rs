//! What axe-core, the checker of accessibility behind most others, finds on the pages: nothing.

use super::browser::Browser;
use crate::stage::Stage;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The version that is tested with. `tests/run` reads it here.
const VERSION: &str = "4.10.3";

/// The script, which is installed below `target/` once.
fn script() -> String {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let folder = tools.join(format!("axe-core-{VERSION}"));
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        let fresh = tools.join(format!("axe-core-{VERSION}-{}", std::process::id()));
        let output = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--prefix"])
            .arg(&fresh)
            .arg(format!("axe-core@{VERSION}"))
            .output()
            .expect("npm is not there; tests/run installs what is needed");
        assert!(output.status.success(), "{output:?}");
        // Somebody else may have been faster.
        if fs::rename(&fresh, &folder).is_err() {
            fs::remove_dir_all(&fresh).unwrap();
        }
    }
    fs::read_to_string(script).unwrap()
}

/// Every rule, best practices included; what it finds, with the elements.
const RUN: &str = "axe.run().then(found => JSON.stringify(found.violations.map(v =>
    v.id + ': ' + v.nodes.map(n => n.html.slice(0, 200) + ' ' + n.failureSummary).join(' | '))))";

async fn violations(browser: &mut Browser, axe: &str) -> String {
    browser.evaluate(axe).await;
    browser.evaluate_async(RUN).await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn axe_finds_nothing_on_the_pages_in_light_and_dark_and_both_languages_while_something_is_broken() {
    let axe = script();
    let stage = Stage::set().await;
    stage.demo.fault("missing_field", "").await;
    stage.demo.fault("log_errors", "").await;
    stage.banken.until_status("ticker", "unhealthy").await;
    for language in ["en", "ja"] {
        let mut browser = Browser::open_in(&stage.banken.base, language).await;
        assert_eq!(browser.evaluate("document.documentElement.lang").await, language);
        for path in ["/", "/probes/ticker", "/probes/nobody"] {
            browser.go(&format!("{}{path}", stage.banken.base)).await;
            for (screen, scheme) in [((1280, 900), "light"), ((1280, 900), "dark"), ((360, 740), "light")] {
                browser.show_on(screen, scheme).await;
                browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)").await;
                let found = violations(&mut browser, &axe).await;
                assert_eq!(found, "[]", "{language} {path} {scheme} {screen:?}");
            }
        }
        browser.close().await;
    }
    // It would have found something.
    let mut browser = Browser::open(&stage.banken.base).await;
    browser.evaluate("document.documentElement.removeAttribute('lang')").await;
    assert!(violations(&mut browser, &axe).await.contains("html-has-lang"));
    browser.close().await;
}
