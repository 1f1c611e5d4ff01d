//! What the simulated service counts, in Prometheus's text format 0.0.4.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use time::OffsetDateTime;

use super::market::{Kpi, PAIRS};

/// Upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 8] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 600.0];
const CODES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counted since the service started.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: [AtomicU64; CODES.len()],
    cycle_buckets: [AtomicU64; BUCKETS.len()],
    cycle_microseconds: AtomicU64,
    cycles_ok: AtomicU64,
    cycles_failed: AtomicU64,
    alerts: AtomicU64,
}

impl Counters {
    pub fn request(&self, status: StatusCode) {
        if let Some(counter) = self.requests.get(usize::from(status.as_u16() / 100).saturating_sub(1)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn cycle(&self, took: Duration, good: bool) {
        if let Some(index) = BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            self.cycle_buckets[index].fetch_add(1, Ordering::Relaxed);
        }
        self.cycle_microseconds.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        let counter = if good { &self.cycles_ok } else { &self.cycles_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn alert(&self) {
        self.alerts.fetch_add(1, Ordering::Relaxed);
    }

    pub fn alerts(&self) -> u64 {
        self.alerts.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> u64 {
        self.requests.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    /// The whole page. `api_only` is the mode the service says it is in.
    pub fn page(&self, now: OffsetDateTime, started: OffsetDateTime, api_only: bool) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut page = Page::default();
        page.family("trading_bot_http_requests_total", "counter", "Requests answered, by class of status.");
        for (code, counter) in CODES.iter().zip(&self.requests) {
            page.sample("trading_bot_http_requests_total", &format!("{{code=\"{code}\"}}"), read(counter));
        }
        page.family("trading_bot_cycles_total", "counter", "Processing cycles that ended, by result.");
        page.sample("trading_bot_cycles_total", "{result=\"success\"}", read(&self.cycles_ok));
        page.sample("trading_bot_cycles_total", "{result=\"failure\"}", read(&self.cycles_failed));
        self.cycle_durations(&mut page);
        page.single("trading_bot_alerts_generated_total", "counter", "Alerts generated from patterns.", self.alerts());
        let kpi = Kpi::at(now);
        page.single("trading_bot_kelly_ratio", "gauge", "Share of the capital to risk, by Kelly.", kpi.kelly_ratio);
        page.single("trading_bot_win_rate", "gauge", "Share of trades won, 0 to 1.", kpi.win_rate);
        page.single("trading_bot_drawdown", "gauge", "Loss from the last peak, 0 to 1.", kpi.drawdown);
        page.single("trading_bot_sharpe_ratio", "gauge", "Return per unit of risk.", kpi.sharpe_ratio);
        page.family("trading_bot_price", "gauge", "Latest price, by pair.");
        for pair in PAIRS {
            page.sample("trading_bot_price", &format!("{{pair=\"{}\"}}", pair.name), pair.price(now));
        }
        page.single(
            "trading_bot_api_only_mode",
            "gauge",
            "Whether trading is off and only the API serves.",
            u8::from(api_only),
        );
        page.single(
            "trading_bot_start_time_seconds",
            "gauge",
            "Start of the service, Unix time.",
            started.unix_timestamp(),
        );
        page.0
    }

    fn cycle_durations(&self, page: &mut Page) {
        let name = "trading_bot_cycle_duration_seconds";
        page.family(name, "histogram", "Time that processing cycles took.");
        // The buckets and the total are not read at one instant; the total must never be the smaller.
        let counts = self.cycle_buckets.iter().map(|counter| counter.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let mut sum = 0;
        for (bound, count) in BUCKETS.iter().zip(counts) {
            sum += count;
            page.sample(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), sum);
        }
        let total = sum.max(self.cycles_ok.load(Ordering::Relaxed) + self.cycles_failed.load(Ordering::Relaxed));
        page.sample(&format!("{name}_bucket"), "{le=\"+Inf\"}", total);
        page.sample(&format!("{name}_sum"), "", self.cycle_microseconds.load(Ordering::Relaxed) as f64 / 1e6);
        page.sample(&format!("{name}_count"), "", total);
    }
}

/// Text under construction; writing to a string cannot fail.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn page() -> String {
        let counters = Counters::default();
        counters.request(StatusCode::OK);
        counters.request(StatusCode::BAD_GATEWAY);
        counters.cycle(Duration::from_millis(700), true);
        counters.cycle(Duration::from_secs(2000), false);
        counters.alert();
        counters.page(OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH, true)
    }

    #[test]
    fn the_page_counts_what_happened() {
        let page = page();
        for line in [
            "trading_bot_http_requests_total{code=\"2xx\"} 1",
            "trading_bot_http_requests_total{code=\"5xx\"} 1",
            "trading_bot_cycles_total{result=\"failure\"} 1",
            "trading_bot_cycle_duration_seconds_bucket{le=\"0.5\"} 0",
            "trading_bot_cycle_duration_seconds_bucket{le=\"1\"} 1",
            "trading_bot_cycle_duration_seconds_bucket{le=\"600\"} 1",
            "trading_bot_cycle_duration_seconds_bucket{le=\"+Inf\"} 2",
            "trading_bot_cycle_duration_seconds_sum 2000.7",
            "trading_bot_cycle_duration_seconds_count 2",
            "trading_bot_alerts_generated_total 1",
            "trading_bot_api_only_mode 1",
        ] {
            assert!(page.lines().any(|have| have == line), "no line {line:?} in\n{page}");
        }
    }

    #[test]
    fn promtool_has_nothing_to_say_about_the_page() {
        let started =
            Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut promtool) = started else {
            eprintln!("skipped: promtool is not installed");
            return;
        };
        promtool.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
