//! Whatever an alert may hold, its message is one that Discord takes, and whole.

use super::discord::length;
use super::rendered::{Message, alert};
use serde_json::Value;

/// An alert in which everything that may be long is as long as this text.
fn long(status: &str, text: &str) -> Value {
    let labels = [("alertname", text), ("severity", "critical"), ("group", text), ("instance", text), ("probe", text)];
    // As long as links may be, where the text itself cannot be one.
    let link = |most: usize| {
        let fits = text.chars().all(|c| c.is_ascii_alphanumeric());
        format!("http://h/{}", if fits { text.to_owned() } else { "x".repeat(most - 2) })
    };
    let (runbook, dashboard) = (link(200), link(400));
    let annotations = [
        ("summary", text),
        ("summary_ja", text),
        ("description", text),
        ("description_ja", text),
        ("runbook_url", runbook.as_str()),
        ("dashboard_url", dashboard.as_str()),
    ];
    alert(status, &labels, &annotations)
}

/// Texts whose characters take one unit or two, are escaped, or end words and lines.
fn texts() -> Vec<String> {
    let ones = ["x", "語", "🔥", "*", "[", "_", "\\", "<@1>", "語\n", "👩‍💻", "%", "\"", "a)(", "&+?#"];
    let mut texts: Vec<_> = ones.iter().map(|one| one.repeat(1200 / one.chars().count())).collect();
    // Links just within what is shown.
    texts.extend([190, 195, 390, 395].map(|count| "x".repeat(count)));
    texts.extend([30, 60, 100].map(|count| "語".repeat(count)));
    texts
}

#[test]
fn whatever_an_alert_holds_title_and_message_keep_within_the_limits_of_discord_in_english() {
    keeps_within_the_limits("en");
}

#[test]
fn whatever_an_alert_holds_title_and_message_keep_within_the_limits_of_discord_in_japanese() {
    keeps_within_the_limits("ja");
}

fn keeps_within_the_limits(language: &str) {
    let mut longest = [0, 0, 0];
    for text in texts() {
        for (firing, resolved) in [(1, 0), (0, 1), (40, 0), (0, 40), (40, 40)] {
            let alerts = [vec![long("firing", &text); firing], vec![long("resolved", &text); resolved]].concat();
            let mut message = Message::of(alerts);
            message.base = format!("http://{}", "b".repeat(150));
            let parts = message.parts(language);
            let shape = format!("{language} {firing}+{resolved} {text:.20}");
            for (at, (part, most)) in parts.iter().zip([256, 4096, 256]).enumerate() {
                assert!((1..=most).contains(&length(part)), "{shape}: {} {part}", length(part));
                longest[at] = longest[at].max(length(part));
                assert!(!part.contains('\u{fffd}'), "{shape}: {part}");
                assert_eq!(part.trim(), part, "{shape}");
            }
            let [title, body, content] = parts;
            assert!(!title.contains('\n') && !content.contains('\n'), "{shape}: {title:?} {content:?}");
            links_are_whole(&body, &shape);
            lines_are_short(&body, &shape);
            if firing + resolved > 1 {
                assert_eq!(counted(&body), firing + resolved, "{shape}: {body}");
            }
        }
    }
    println!("longest title, message and content: {longest:?}");
    assert!(longest[0] > 190 && longest[1] > 3000, "these texts try nothing: {longest:?}");
}

/// The last line is links and nothing but links, where there are any.
fn links_are_whole(message: &str, shape: &str) {
    let Some(line) = message.lines().find(|line| line.starts_with('[')) else {
        assert!(!message.contains("]("), "{shape}: {message}");
        return;
    };
    let one = r"\[[^\]]+\]\(https?://[^\s()<>]+\)";
    let links = regex::Regex::new(&format!("^{one}( · {one})*$")).unwrap();
    assert!(links.is_match(line), "{shape}: {line}");
    assert_eq!(message.lines().last(), Some(line), "{shape}");
}

/// No line but the links takes more than the table in the templates allows it.
fn lines_are_short(message: &str, shape: &str) {
    for line in message.lines().filter(|line| !line.starts_with('[')) {
        let listed = line.starts_with("• ") || line.starts_with("✅ ") || line.starts_with("**");
        let most = if listed { 330 } else { 1602 };
        assert!(length(line) <= most, "{shape}: {} {line}", length(line));
    }
}

/// Alerts that a message lists or counts as more.
fn counted(message: &str) -> usize {
    let count = |line: &str| {
        if line.starts_with("• ") || line.starts_with("✅ ") {
            return 1;
        }
        let more = line.strip_prefix("… ").unwrap_or_default();
        more.split(' ').find_map(|word| word.parse().ok()).unwrap_or(0)
    };
    message.lines().map(count).sum()
}
