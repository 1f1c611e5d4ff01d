//! How fast a test of alerts goes. Alerts wait for up to a quarter of an hour before they fire; a test divides what is waited
//! for by a constant and changes nothing else.

use regex::{Captures, Regex};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// A length of time as rules and Alertmanager write it.
const LENGTH: &str = r"(?:\d+(?:ms|[smhdwy]))+";

/// How long ago something was, held against a number of seconds.
const AGE: &str = r"(time\(\) - last_over_time\([^()]*\) < )([0-9.]+)";

/// How fast everything goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// By what the waiting times of rules and of Alertmanager are divided.
    divisor: u32,
    /// How often Prometheus scrapes and evaluates.
    pub scrape: &'static str,
    /// What stands for `defaults` in banken.yml.
    pub probes: &'static str,
}

impl Pace {
    /// Waiting times are a twentieth; everything that has an interval has one of a second.
    pub const QUICK: Self =
        Self { divisor: 20, scrape: "1s", probes: "{ interval: 1s, retry_interval: 500ms, timeout: 4s }" };
    /// What is shipped, and the defaults of Banken and Prometheus.
    pub const SHIPPED: Self = Self { divisor: 1, scrape: "15s", probes: "{}" };

    /// What takes this long with what is shipped.
    pub fn length(self, shipped: Duration) -> Duration {
        shipped / self.divisor
    }

    /// How long something may take that takes this long with what is shipped: a busy machine is not a failed test.
    pub fn patience(self, shipped: Duration) -> Duration {
        Duration::from_secs(60) + self.length(shipped)
    }

    /// Whether waiting times are those that are shipped.
    pub fn is_real(self) -> bool {
        self.divisor == 1
    }

    /// What a rule file waits for: `for`, `keep_firing_for`, `interval`, the windows that remember, and ages that are held against
    /// seconds. Not the window of `last_over_time`: that only bridges scrapes that failed, and nobody waits for it.
    pub fn rules(self, text: &str) -> String {
        let ages = Regex::new(AGE).unwrap();
        let text = ages.replace_all(text, |found: &Captures| {
            let seconds: u32 = found[2].parse().unwrap();
            format!("{}{}", &found[1], f64::from(seconds) / f64::from(self.divisor))
        });
        let keys = Regex::new(&format!(r"([\s{{,](?:for|keep_firing_for|interval):\s+)({LENGTH})")).unwrap();
        let text = keys.replace_all(&text, |found: &Captures| format!("{}{}", &found[1], self.shorter(&found[2])));
        let windows = Regex::new(&format!(r"\[({LENGTH})(:?)((?:{LENGTH})?)\]|(offset )({LENGTH})")).unwrap();
        let windows = windows.replace_all(&text, |found: &Captures| {
            let whole = found.get(0).unwrap();
            if let Some(offset) = found.get(5) {
                return format!("offset {}", self.shorter(offset.as_str()));
            }
            if function_around(&text[..whole.start()]) == "last_over_time" {
                return whole.as_str().to_owned();
            }
            let step = if found[3].is_empty() { String::new() } else { self.shorter(&found[3]) };
            format!("[{}{}{step}]", self.shorter(&found[1]), &found[2])
        });
        windows.into_owned()
    }

    /// What Alertmanager waits for before it sends: `group_wait` and `group_interval`, but for a wait of a second or less.
    pub fn alertmanager(self, text: &str) -> String {
        let keys = Regex::new(&format!(r"([\s{{,]group_(?:wait|interval):\s+)({LENGTH})")).unwrap();
        let shorter = |found: &Captures| {
            let length = &found[2];
            let length = if milliseconds(length) <= 1000 { length.to_owned() } else { self.shorter(length) };
            format!("{}{length}", &found[1])
        };
        keys.replace_all(text, shorter).into_owned()
    }

    fn shorter(self, length: &str) -> String {
        if self.divisor == 1 {
            length.to_owned()
        } else {
            format!("{}ms", milliseconds(length) / u64::from(self.divisor))
        }
    }
}

/// The function whose argument this text ends in.
fn function_around(before: &str) -> &str {
    let mut open = 0;
    for (at, letter) in before.char_indices().rev() {
        match letter {
            ')' => open += 1,
            '(' if open == 0 => {
                let name = before[..at].rfind(|letter: char| !letter.is_alphanumeric() && letter != '_');
                return &before[name.map_or(0, |last| last + 1)..at];
            }
            '(' => open -= 1,
            _ => {}
        }
    }
    ""
}

fn milliseconds(length: &str) -> u64 {
    let parts = Regex::new(r"(\d+)(ms|[smhdwy])").unwrap();
    let of = |part: Captures| {
        let unit = match &part[2] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => 31_536_000_000,
        };
        part[1].parse::<u64>().unwrap() * unit
    };
    parts.captures_iter(length).map(of).sum()
}

/// Every rule file that is shipped: name and text.
pub fn rule_files() -> Vec<(String, String)> {
    let files = std::fs::read_dir(super::of_the_project("alert-rules")).unwrap().map(|entry| entry.unwrap().path());
    let rules = files.filter(|path| path.extension().is_some_and(|extension| extension == "yml"));
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let mut named: Vec<_> = rules.map(named).collect();
    named.sort();
    assert!(named.len() >= 2, "{named:?}");
    named
}

/// A text cut at every length of time: what stands between them, and they themselves in milliseconds.
fn cut(text: &str) -> (String, Vec<u64>) {
    let in_milliseconds = |found: &Captures| format!("{}{}ms", &found[1], found[2].parse::<f64>().unwrap() * 1000.0);
    let text = Regex::new(AGE).unwrap().replace_all(text, in_milliseconds);
    let lengths = Regex::new(&format!(r"\b{LENGTH}\b")).unwrap();
    let found = lengths.find_iter(&text).map(|found| milliseconds(found.as_str())).collect();
    (lengths.replace_all(&text, "LENGTH").into_owned(), found)
}

/// Sees that one text is the other but for lengths of time, and gives those that differ.
fn differing(shipped: &str, changed: &str) -> Vec<(u64, u64)> {
    let ((shipped, before), (changed, after)) = (cut(shipped), cut(changed));
    assert_eq!(shipped, changed, "more than lengths of time differs");
    before.into_iter().zip(after).filter(|(before, after)| before != after).collect()
}

/// Sees that a text is the shipped one but for lengths of time that were divided.
fn only_divided(name: &str, shipped: &str, quick: &str) {
    let differing = differing(shipped, quick);
    assert!(name == "thresholds.yml" || !differing.is_empty(), "{name}: nothing changed");
    for (before, after) in differing {
        assert_eq!(before, after * u64::from(Pace::QUICK.divisor), "{name}: {before} ms became {after} ms");
    }
}

#[test]
fn the_quick_rules_differ_from_the_shipped_ones_in_lengths_of_time_only() {
    for (name, shipped) in rule_files() {
        let quick = Pace::QUICK.rules(&shipped);
        only_divided(&name, &shipped, &quick);
        // Nothing is left that a test would have to wait for.
        for (shipped, quick) in rules_of(&shipped).iter().zip(&rules_of(&quick)) {
            for key in ["for", "keep_firing_for"] {
                let length = |rule: &Value| rule[key].as_str().map(milliseconds);
                let wanted = length(shipped).map(|length| length / u64::from(Pace::QUICK.divisor));
                assert_eq!(length(quick), wanted, "{name}: {shipped:#}");
            }
        }
        assert_eq!(Pace::SHIPPED.rules(&shipped), shipped);
    }
}

fn rules_of(file: &str) -> Vec<Value> {
    let file: Value = serde_yaml::from_str(file).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

#[test]
fn the_quick_alertmanager_differs_from_the_shipped_one_in_how_long_groups_wait_only() {
    let shipped = super::shipped();
    let quick = Pace::QUICK.alertmanager(&shipped);
    only_divided("alertmanager.yml", &shipped, &quick);
    for (before, after) in shipped.lines().zip(quick.lines()).filter(|(before, after)| before != after) {
        assert!(before.trim_start().starts_with("group_"), "{before} became {after}");
    }
    assert_eq!(Pace::SHIPPED.alertmanager(&shipped), shipped);
    assert_eq!(
        Pace::QUICK.alertmanager("\n  group_wait: 1s\n  group_interval: 5m\n"),
        "\n  group_wait: 1s\n  group_interval: 15000ms\n"
    );
}

#[test]
fn every_wait_and_every_window_that_remembers_is_shortened_and_no_bridge_over_failed_scrapes() {
    let cases = [
        ("  for: 5m\n", "  for: 15000ms\n"),
        ("- { alert: X, for: 1h30m, expr: x }", "- { alert: X, for: 270000ms, expr: x }"),
        (" keep_firing_for: 10m", " keep_firing_for: 30000ms"),
        (" interval: 1m", " interval: 3000ms"),
        ("increase(x_total[15m]) > 0", "increase(x_total[45000ms]) > 0"),
        ("max_over_time(x{a=\"b (c\"}[3m:30s])", "max_over_time(x{a=\"b (c\"}[9000ms:1500ms])"),
        ("avg_over_time((a + last_over_time(b[3m]))[1h:])", "avg_over_time((a + last_over_time(b[3m]))[180000ms:])"),
        ("last_over_time(x{a=~\"(b|c)\"}[3m])", "last_over_time(x{a=~\"(b|c)\"}[3m])"),
        ("rate(x[5m] offset 1d)", "rate(x[15000ms] offset 4320000ms)"),
        ("time() - last_over_time(x[3m]) < 900", "time() - last_over_time(x[3m]) < 45"),
        ("summary: 'for 5m'", "summary: 'for 5m'"),
        ("expr: vector(300)", "expr: vector(300)"),
    ];
    for (shipped, quick) in cases {
        assert_eq!(Pace::QUICK.rules(shipped), quick);
    }
}
