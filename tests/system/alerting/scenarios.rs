//! What can go wrong, and who hears of it: one row for each message that must arrive.

use super::pace::Pace;
use crate::support::Demo;
use std::path::Path;

/// One thing that goes wrong.
pub struct Scenario {
    pub fault: &'static str,
    pub begin: Begin,
    pub messages: &'static [Message],
}

/// How it is made to go wrong.
pub enum Begin {
    /// The process of a demo ends.
    Crash(Role),
    /// A demo is told to misbehave.
    Fault(Role, &'static str, &'static str),
    /// These lines are written into the log `charts`.
    Lines(&'static [&'static str]),
    /// The small disk is filled.
    FillDisk,
}

/// Which demo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It ends.
    Mortal,
    /// All of its answers are slow.
    Sluggish,
    /// It does everything else wrong.
    Bot,
    /// Its cycles do not run.
    Idle,
}

/// An alert that must be heard of, once, and again when it is over.
pub struct Message {
    pub alert: &'static str,
    pub severity: &'static str,
    /// What its text names.
    pub names: &'static str,
}

const fn message(alert: &'static str, severity: &'static str, names: &'static str) -> Message {
    Message { alert, severity, names }
}

/// Everything at once: each fault has a target of its own.
pub const SCENARIOS: [Scenario; 12] = [
    Scenario {
        fault: "down",
        begin: Begin::Crash(Role::Mortal),
        messages: &[
            message("BankenProbeDown", "critical", "dead-port"),
            // It does something, which does not help, and gives up.
            message("BankenRemedyActed", "info", "restart-shop"),
            message("BankenRemedyExhausted", "critical", "restart-shop"),
        ],
    },
    Scenario {
        fault: "slow",
        begin: Begin::Fault(Role::Sluggish, "slow", "value=2500ms"),
        messages: &[message("BankenProbeSlow", "critical", "slow-page")],
    },
    Scenario {
        fault: "price field missing",
        begin: Begin::Fault(Role::Bot, "missing_field", "value=current_price"),
        messages: &[message("BankenJsonFieldMissing", "critical", "quotation")],
    },
    Scenario {
        fault: "API-only mode",
        begin: Begin::Fault(Role::Bot, "api_only", ""),
        messages: &[message("BankenApiOnlyMode", "critical", "trading-mode")],
    },
    Scenario {
        fault: "ATR hang",
        begin: Begin::Fault(Role::Bot, "atr_hang", ""),
        messages: &[message("BankenAtrInitHung", "critical", "volatility")],
    },
    Scenario {
        fault: "external data",
        begin: Begin::Fault(Role::Bot, "external_data", ""),
        messages: &[
            message("BankenExternalDataFailing", "warning", "candle-feed"),
            message("BankenExternalDataFailing", "critical", "candle-feed"),
        ],
    },
    Scenario {
        fault: "job too slow",
        begin: Begin::Fault(Role::Bot, "job_slow", "value=1h"),
        messages: &[message("BankenJobSlow", "critical", "long-cycle")],
    },
    Scenario {
        fault: "job late",
        begin: Begin::Fault(Role::Idle, "job_skip", ""),
        messages: &[message("BankenJobLate", "critical", "idle-cycle")],
    },
    Scenario {
        fault: "log error",
        // One burst, and it is over by itself.
        begin: Begin::Fault(Role::Bot, "log_errors", "for=1s"),
        messages: &[message("BankenLogErrors", "warning", "database_gone")],
    },
    Scenario {
        fault: "new pattern",
        begin: Begin::Lines(&["Pattern detected: double_top", "Pattern detected: rsi_divergence"]),
        messages: &[
            message("BankenPatternDetected", "info", "double_top"),
            message("BankenPatternDetected", "info", "rsi_divergence"),
        ],
    },
    Scenario {
        fault: "disk full",
        begin: Begin::FillDisk,
        messages: &[message("BankenHostDiskFull", "critical", DISK)],
    },
    Scenario {
        fault: "memory high",
        begin: Begin::Fault(Role::Bot, "memory", "value=192MiB"),
        messages: &[message("BankenProcessMemoryHigh", "warning", "hungry")],
    },
];

/// What may be heard of besides, once: an outage that goes on spends the error budget, and the windows of that alert are days.
pub const BESIDES: [&str; 1] = ["BankenErrorBudgetBurn"];

/// What a machine that is too busy brings about when every wait is a twentieth: three seconds without a scrape are an outage then.
pub const OF_THE_MACHINE: [&str; 3] = ["BankenDown", "BankenProbeStalled", "BankenScheduleLagging"];

/// What no message names: a failure that another one explains, and what is never broken.
pub const NEVER_NAMED: [&str; 2] = ["dead-page", "balance"];

/// The last part of the path of the small disk.
pub const DISK: &str = "small-disk";

/// The demos, and where things are.
pub struct Places<'a> {
    pub demo: &'a dyn Fn(Role) -> &'a Demo,
    pub folder: &'a Path,
    /// Where Banken listens.
    pub listen: &'a str,
    /// Patterns for the mounts that are none of our business.
    pub other_mounts: &'a [String],
}

/// The configuration of the Banken that watches all of it.
pub fn banken_yml(places: &Places<'_>, pace: Pace) -> String {
    let service = |role| format!("http://{}", (places.demo)(role).http);
    let (mortal, sluggish, bot) = (service(Role::Mortal), service(Role::Sluggish), service(Role::Bot));
    let port = (places.demo)(Role::Mortal).http;
    let home = (places.demo)(Role::Bot).folder.path().display();
    let Places { listen, .. } = places;
    let folder = places.folder.display();
    let others = places.other_mounts.join(", ");
    let defaults = pace.probes;
    // The cores and the memory of the machine that the tests run on are nobody's target. The initialization of the ATR takes long
    // beside quick windows: a second failure in a row would be a low success rate before a third one is an outage.
    format!(
        "listen: {listen}
state_dir: {folder}/state
defaults: {defaults}
host:
  thresholds: {{ cpu: {{ critical: 10000% }}, memory: {{ critical: 100% }}, swap: {{ critical: 100% }} }}
  disks: {{ exclude_mounts: [ {others} ] }}
probes:
  - {{ name: dead-port, group: mortal, tcp: {{ address: '{port}' }} }}
  - {{ name: dead-page, group: mortal, depends_on: [ dead-port ], http: {{ url: '{mortal}/' }} }}
  - name: slow-page
    group: sluggish
    thresholds: {{ duration: {{ warning: 1s, critical: 2s }} }}
    http: {{ url: '{sluggish}/' }}
  - name: quotation
    group: prices
    http:
      url: {bot}/api/ticker/DOGE_JPY
      json: [ {{ field: current_price, path: $.current_price, type: number, above: 0 }} ]
  - name: trading-mode
    group: modes
    http:
      url: {bot}/health/detailed
      json: [ {{ field: mode, path: $.mode, equals: live }} ]
  - name: volatility
    group: candles
    interval: 5s
    failure_threshold: 1
    atr:
      url: {bot}/v1/candlesticks/DOGE_JPY
      preset: bitbank
      candle: 5m
      attempts: 2
      timeout: 2s
      backoff: {{ initial: 100ms, max: 100ms }}
  - name: candle-feed
    group: external-data
    http:
      url: {bot}/health/detailed
      json: [ {{ field: status, path: $.external_data.status, equals: ok }} ]
  - name: balance
    group: bot
    http: {{ url: '{bot}/api/private/balance', auth: {{ bearer: demo-token }} }}
  - name: hungry
    group: bot
    process: {{ pidfile: {home}/demo.pid }}
    thresholds: {{ memory: {{ warning: 128MiB }} }}
logs:
  - name: service
    group: bot
    paths: [ {home}/app.log ]
    rules: [ {{ id: database_gone, pattern: 'OperationalError: connection to server', severity: error }} ]
  - name: charts
    group: bot
    paths: [ {folder}/charts.log ]
    rules:
      - id: pattern_detected
        pattern: 'Pattern detected: (?P<shape>\\w+)'
        severity: info
        captures: {{ shape: {{ values: [ double_top, double_bottom, rsi_divergence ] }} }}
jobs:
  - {{ name: long-cycle, group: bot, every: 1d, thresholds: {{ duration: {{ critical: 4s }} }} }}
  - {{ name: idle-cycle, group: bot, every: 5s, grace: 5s }}
remedies:
  - name: restart-shop
    when: {{ all_down: [ dead-port, dead-page ] }}
    armed: true
    start_grace: 0s
    max_attempts: 1
    steps: [ {{ command: {{ argv: [ /bin/true ] }} }} ]
"
    )
}
