//! The status page as a browser without a script, and a hostile target, see it.

use crate::support::Banken;
use crate::targets::{Target, response};

#[tokio::test]
async fn the_page_works_without_a_script_and_lets_nothing_from_elsewhere_in() {
    let good = Target::saying("fine").await;
    let yaml = format!(
        "host: false\nprobes:\n  - {{ name: good, group: bot, http: {{ url: '{}' }} }}\n  \
         - {{ name: dead, failure_threshold: 1, tcp: {{ address: '127.0.0.1:1' }} }}\n",
        good.url()
    );
    let banken = Banken::start(&yaml).await;
    let answer = banken.get("/").await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let html = answer.text().await.unwrap();
    for seen in
        ["1 of 2 needs attention", "good</a> <small class=\"kind\">http</small>", "no connection", "Connection refused"]
    {
        assert!(html.contains(seen), "{seen} is not in {html}");
    }
    assert!(html.contains("</span> healthy</span>") && html.contains("</span> unhealthy</span>"), "{html}");
    assert!(html.contains("<noscript><meta http-equiv=\"refresh\""), "it stays current without a script");
    // What the policy would forbid is not there either: nothing inline.
    assert!(!html.contains("style=") && !html.contains("<style") && !html.contains(" onclick"), "{html}");
    assert_eq!(html.matches("<script").count(), html.matches("<script src=\"/assets/").count(), "{html}");
    for asset in ["/assets/page.css", "/assets/page.js", "/assets/icon.svg"] {
        assert!(html.contains(asset), "{asset}");
        assert_eq!(banken.status_code(asset).await, 200, "{asset}");
    }
}

#[tokio::test]
async fn what_a_hostile_target_says_is_text_on_the_page() {
    const ATTACK: &str = "<script>alert(1)</script><img src=x onerror='alert(2)'>\" onload=\"alert(3)";
    let hostile = Target::http(|_| response("500 Oops", ATTACK)).await;
    let yaml = format!(
        "host: false\nprobes:\n  - {{ name: hostile, group: '<b>bold</b>', http: {{ url: '{}' }} }}\n",
        hostile.url()
    );
    let banken = Banken::start(&yaml).await;
    let detail = banken.until_reason("hostile", "status").await;
    assert!(detail["message"].as_str().unwrap().contains("<script>alert(1)"), "the body is told: {detail:#}");
    let html = banken.get("/").await.text().await.unwrap();
    assert!(html.contains("alert(1)"), "{html}");
    for raw in ["<script>alert", "<img src=x", "<b>bold", "\" onload=\"alert"] {
        assert!(!html.contains(raw), "{raw} is on the page");
    }
    let answer = banken.get("/api/v1/probes/hostile").await;
    assert_eq!(answer.headers()["content-type"], "application/json");
}
