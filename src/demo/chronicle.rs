//! What the simulated service says in its log as time goes by: a pure function of ticks, time and faults.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::Service;
use super::faults::{Fault, TABLE};
use super::logfile::line;
use super::market::{Kpi, PAIRS, hash};

/// Ticks (half seconds) between two patterns, the first after five seconds.
const PATTERN_EVERY: u64 = 40;
/// Ticks between two rounds of the ATR initialization.
const ATR_EVERY: u64 = 120;
/// Ticks a round takes: the 3.2 s it reports, rounded up.
const ATR_TICKS: u64 = 7;
/// Ticks between two reminders of a fault that goes on.
const REMIND_EVERY: u64 = 20;
/// Ticks between two incidents while errors are wanted.
const INCIDENT_EVERY: u64 = 4;

const PATTERNS: [&str; 6] =
    ["double_top", "double_bottom", "head_and_shoulders", "ascending_triangle", "bullish_engulfing", "rsi_divergence"];

const ATR: &str = "trading_bot.init";

/// Errors as they appear in the logs of real services: logger, level, text.
const INCIDENTS: [(&str, &str, &str); 10] = [
    (
        "trading_bot.engine",
        "ERROR",
        "Unhandled exception in strategy loop\nTraceback (most recent call last):\n  File \"/app/trading_bot/engine.py\", line 212, in run_once\n    signal = self.strategy.evaluate(frame)\n  File \"/app/trading_bot/strategy.py\", line 88, in evaluate\n    atr = frame[\"atr_14\"].iloc[-1]\nKeyError: 'atr_14'",
    ),
    (
        "trading_bot.database",
        "ERROR",
        "psycopg2.OperationalError: connection to server at \"localhost\" (127.0.0.1), port 5432 failed: Connection refused",
    ),
    ("trading_bot.storage", "ERROR", "OSError: [Errno 28] No space left on device: '/app/data/candles.parquet'"),
    (
        "trading_bot.cache",
        "ERROR",
        "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
    ),
    (
        "trading_bot.storage",
        "ERROR",
        "json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 4096 (char 4095)",
    ),
    (
        "trading_bot.features",
        "CRITICAL",
        "MemoryError: Unable to allocate 1.20 GiB for an array with shape (1610612, 101)",
    ),
    ("trading_bot.storage", "ERROR", "PermissionError: [Errno 13] Permission denied: '/app/data/state.json'"),
    (
        "trading_bot.exchange",
        "ERROR",
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired",
    ),
    ("trading_bot.main", "ERROR", "OSError: [Errno 98] Address already in use: ('0.0.0.0', 8082)"),
    ("trading_bot.exchange", "ERROR", "requests.exceptions.HTTPError: 502 Server Error: Bad Gateway for url: https://public.bitbank.cc/doge_jpy/ticker"),
];

/// Remembers what has been said.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    tick: u64,
    known: BTreeSet<Fault>,
}

impl Chronicle {
    /// The lines of the next half second.
    pub fn tick(&mut self, now: OffsetDateTime, service: &Service) -> Vec<String> {
        let mut lines = vec![ordinary(self.tick, now)];
        if self.tick % PATTERN_EVERY == PATTERN_EVERY / 4 {
            service.counters.alert();
            lines.push(pattern(self.tick, now));
        }
        lines.extend(self.atr(now, service));
        for row in TABLE {
            let (on, known) = (service.switches.is_on(row.fault), self.known.contains(&row.fault));
            if on && (!known || self.tick.is_multiple_of(REMIND_EVERY)) {
                lines.extend(complaint(row.fault).map(|(logger, level, text)| line(now, logger, level, text)));
            }
            if on && !known && row.fault == Fault::LogErrors {
                lines.extend(INCIDENTS.map(|(logger, level, text)| line(now, logger, level, text)));
            } else if on && row.fault == Fault::LogErrors && self.tick.is_multiple_of(INCIDENT_EVERY) {
                let (logger, level, text) = INCIDENTS[hash(31, self.tick) as usize % INCIDENTS.len()];
                lines.push(line(now, logger, level, text));
            }
            if on {
                self.known.insert(row.fault)
            } else {
                self.known.remove(&row.fault)
            };
        }
        self.tick += 1;
        lines
    }

    fn atr(&self, now: OffsetDateTime, service: &Service) -> Option<String> {
        let (on, known) = (service.switches.is_on(Fault::AtrHang), self.known.contains(&Fault::AtrHang));
        let text = match (on, known) {
            (true, false) => "ATR initialization started (attempt 1)",
            (false, true) => "ATR initialization finished (attempt 1, 3.2s)",
            (false, false) if self.tick.is_multiple_of(ATR_EVERY) => "ATR initialization started (attempt 1)",
            (false, false) if self.tick % ATR_EVERY == ATR_TICKS => "ATR initialization finished (attempt 1, 3.2s)",
            _ => return None,
        };
        Some(line(now, ATR, "INFO", text))
    }
}

fn ordinary(tick: u64, now: OffsetDateTime) -> String {
    let mix = hash(33, tick);
    let pair = &PAIRS[tick as usize % PAIRS.len()];
    match mix % 4 {
        0 => line(now, "trading_bot.market", "INFO", &format!("Ticker {} {}", pair.name, pair.price(now))),
        1 => line(now, "trading_bot.features", "INFO", &format!("101 features computed in {}ms", 30 + mix % 40)),
        2 => line(now, "trading_bot.aggregator", "INFO", &format!("{} candles aggregated, 5m to 1h", 10 + mix % 3)),
        _ => {
            let kpi = Kpi::at(now);
            let text = format!("Kelly {} win rate {} drawdown {}", kpi.kelly_ratio, kpi.win_rate, kpi.drawdown);
            line(now, "trading_bot.risk", "INFO", &text)
        }
    }
}

fn pattern(tick: u64, now: OffsetDateTime) -> String {
    let name = PATTERNS[(tick / PATTERN_EVERY) as usize % PATTERNS.len()];
    let pair = PAIRS[hash(34, tick) as usize % PAIRS.len()].name;
    line(now, "trading_bot.patterns", "INFO", &format!("Pattern detected: {name} ({pair}, 5m)"))
}

/// What the service itself would notice of a fault.
fn complaint(fault: Fault) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match fault {
        Fault::ApiOnly => {
            ("trading_bot.main", "WARNING", "Live trading is not available, falling back to API-only mode")
        }
        Fault::AuthFailed => {
            ("trading_bot.exchange", "ERROR", "Exchange API authentication failed: 20001 invalid API key")
        }
        Fault::ExternalData => {
            ("trading_bot.external_data", "WARNING", "External data fetch failed: yfinance returned no data")
        }
        Fault::AtrHang => (ATR, "WARNING", "ATR calculation has not finished, still waiting for candles"),
        Fault::Slow => ("trading_bot.api", "WARNING", "Slow request: event loop blocked"),
        Fault::Error => ("trading_bot.api", "ERROR", "Exception in ASGI application"),
        Fault::Memory => ("trading_bot.features", "WARNING", "Feature cache keeps growing, memory is not released"),
        Fault::JobSlow => ("trading_bot.continuous_processing", "WARNING", "Processing time exceeds the threshold"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::faults::Value;
    use crate::demo::tests::service;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn told(service: &Service, chronicle: &mut Chronicle, ticks: u64) -> String {
        (0..ticks).flat_map(|_| chronicle.tick(NOW, service)).collect()
    }

    #[test]
    fn ordinary_life_has_patterns_and_paired_atr_lines_and_nothing_that_sounds_like_an_error() {
        let service = service();
        let text = told(&service, &mut Chronicle::default(), 240);
        assert!(text.lines().count() >= 240);
        for name in PATTERNS {
            assert!(text.contains(&format!("Pattern detected: {name} (")), "{name} never detected");
        }
        assert_eq!(service.counters.alerts(), 6);
        assert_eq!(text.matches("ATR initialization started (attempt 1)").count(), 2);
        assert_eq!(text.matches("ATR initialization finished (attempt 1, 3.2s)").count(), 2);
        for word in ["error", "fail", "exception", "warning", "critical", "refused", "denied"] {
            assert!(!text.to_lowercase().contains(word), "ordinary lines say {word:?}");
        }
    }

    #[test]
    fn a_hanging_atr_starts_and_only_finishes_when_the_fault_ends() {
        let (service, mut chronicle) = (service(), Chronicle::default());
        told(&service, &mut chronicle, ATR_TICKS + 1);
        service.switches.on(Fault::AtrHang, Value::None, None);
        let during = told(&service, &mut chronicle, 300);
        assert_eq!(during.matches("ATR initialization started").count(), 1);
        assert!(!during.contains("ATR initialization finished"));
        service.switches.off(Fault::AtrHang);
        assert!(told(&service, &mut chronicle, 1).contains("ATR initialization finished"));
    }

    #[test]
    fn wanted_errors_come_as_a_burst_then_trickle_then_end() {
        let (service, mut chronicle) = (service(), Chronicle::default());
        service.switches.on(Fault::LogErrors, Value::None, None);
        let burst = told(&service, &mut chronicle, 1);
        for (_, _, text) in INCIDENTS {
            assert!(burst.contains(text));
        }
        let after = told(&service, &mut chronicle, 40);
        assert_eq!(after.matches(" - ERROR - ").count() + after.matches(" - CRITICAL - ").count(), 10);
        service.switches.off(Fault::LogErrors);
        assert!(!told(&service, &mut chronicle, 40).contains(" - ERROR - "));
    }
}
