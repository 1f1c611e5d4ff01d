//! Prices, candles and key figures as pure functions of the time: smooth noise, the same for whoever asks.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Every field of the ticker.
pub(super) const TICKER_FIELDS: [&str; 6] = ["ask", "bid", "current_price", "pair", "timestamp", "volume_24h"];

const CANDLES: u64 = 100;
/// Seconds covered by one candle.
const CANDLE: u64 = 300;

/// What is traded.
#[derive(Debug, PartialEq)]
pub(super) struct Pair {
    pub name: &'static str,
    base: f64,
    decimals: i32,
    volume: f64,
}

pub(super) const PAIRS: &[Pair] = &[
    Pair { name: "DOGE_JPY", base: 35.0, decimals: 3, volume: 48_000_000.0 },
    Pair { name: "BTC_JPY", base: 15_200_000.0, decimals: 0, volume: 310.0 },
    Pair { name: "USD_JPY", base: 152.0, decimals: 3, volume: 2_400_000.0 },
];

/// One candle of five minutes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candle {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    /// Milliseconds since the Unix epoch at which the candle opened.
    pub opened_ms: u64,
}

/// The key figures of the trading.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Kpi {
    pub kelly_ratio: f64,
    pub win_rate: f64,
    pub drawdown: f64,
    pub sharpe_ratio: f64,
}

impl Kpi {
    pub fn at(now: OffsetDateTime) -> Self {
        let drift = |seed, middle, swing| round(middle + swing * wave(seed, seconds(now), 1800.0), 4);
        Self {
            kelly_ratio: drift(11, 0.18, 0.04),
            win_rate: drift(12, 0.57, 0.03),
            drawdown: drift(13, 0.06, 0.02),
            sharpe_ratio: drift(14, 1.42, 0.2),
        }
    }
}

impl Pair {
    /// The pair of that name, in upper case as in the ticker or in lower case as the exchange writes it.
    pub fn named(name: &str) -> Option<&'static Self> {
        PAIRS.iter().find(|pair| pair.name.eq_ignore_ascii_case(name))
    }

    pub fn price(&self, now: OffsetDateTime) -> f64 {
        self.price_at(seconds(now))
    }

    fn price_at(&self, seconds: f64) -> f64 {
        let seed = self.volume.to_bits();
        let swing = [(0.02, 21_600.0), (0.008, 1800.0), (0.002, 120.0), (0.0005, 5.0)]
            .iter()
            .zip(seed..)
            .map(|((size, period), seed)| size * wave(seed, seconds, *period))
            .sum::<f64>();
        round(self.base * (1.0 + swing), self.decimals)
    }

    pub fn ticker(&self, now: OffsetDateTime) -> Value {
        let price = self.price(now);
        let spread = self.base * 0.0003;
        let volume = self.volume * (1.0 + 0.1 * wave(7, seconds(now), 3600.0));
        json!({
            "pair": self.name,
            "current_price": price,
            "bid": round(price - spread, self.decimals),
            "ask": round(price + spread, self.decimals),
            "volume_24h": format!("{volume:.4}"),
            "timestamp": rfc3339(now),
        })
    }

    /// The latest candles, oldest first; the last one is still open.
    pub fn candles(&self, now: OffsetDateTime) -> Vec<Candle> {
        let now = seconds(now);
        let latest = now as u64 / CANDLE;
        (latest.saturating_sub(CANDLES - 1)..=latest).map(|index| self.candle(index * CANDLE, now)).collect()
    }

    fn candle(&self, opened: u64, now: f64) -> Candle {
        let opened_at = opened as f64;
        let lasted = (now - opened_at).clamp(0.0, CANDLE as f64);
        let prices =
            (0..=20).map(|step| self.price_at(opened_at + lasted * f64::from(step) / 20.0)).collect::<Vec<_>>();
        Candle {
            open: self.price_at(opened_at),
            high: prices.iter().copied().fold(f64::MIN, f64::max),
            low: prices.iter().copied().fold(f64::MAX, f64::min),
            close: self.price_at(opened_at + lasted),
            volume: round(self.volume / 288.0 * (1.0 + 0.5 * unit(9, opened)) * lasted / CANDLE as f64, 4),
            opened_ms: opened * 1000,
        }
    }

    /// The candles in the shape in which the exchange bitbank gives them: numbers as strings, the time as a number.
    pub fn candlesticks(&self, now: OffsetDateTime) -> Value {
        let places = usize::try_from(self.decimals).unwrap_or(0);
        let rows = self
            .candles(now)
            .into_iter()
            .map(|candle| {
                let text = |value: f64| Value::from(format!("{value:.places$}"));
                let volume = Value::from(format!("{:.4}", candle.volume));
                json!([
                    text(candle.open),
                    text(candle.high),
                    text(candle.low),
                    text(candle.close),
                    volume,
                    candle.opened_ms
                ])
            })
            .collect::<Vec<_>>();
        let timestamp = (seconds(now) * 1000.0) as u64;
        json!({"success": 1, "data": {"candlestick": [{"type": "5min", "ohlcv": rows}], "timestamp": timestamp}})
    }
}

/// A number from a smooth random walk around 0, within −1 and 1, that turns about once per `period` seconds.
fn wave(seed: u64, seconds: f64, period: f64) -> f64 {
    let position = seconds / period;
    let step = position.floor();
    let part = position - step;
    let eased = part * part * (3.0 - 2.0 * part);
    let (from, to) = (unit(seed, step as u64), unit(seed, step as u64 + 1));
    from + (to - from) * eased
}

/// A number within −1 and 1 that only depends on the arguments (the finalizer of splitmix64).
pub(super) fn unit(seed: u64, step: u64) -> f64 {
    (hash(seed, step) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// A well-mixed number that only depends on the arguments.
pub(super) fn hash(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(step).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

fn seconds(now: OffsetDateTime) -> f64 {
    (now.unix_timestamp_nanos() / 1_000_000) as f64 / 1000.0
}

/// The time as RFC 3339 with milliseconds, in UTC.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    let milliseconds = time.millisecond();
    time.replace_millisecond(milliseconds).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 04:27:31.250 UTC);

    #[test]
    fn candles_are_ordered_fresh_and_agree_with_the_ticker() {
        for pair in PAIRS {
            let candles = pair.candles(NOW);
            assert_eq!(candles.len(), 100);
            for candle in &candles {
                let Candle { open, high, low, close, .. } = *candle;
                assert!(low <= open && low <= close && high >= open && high >= close && low > 0.0, "{candle:?}");
            }
            for two in candles.windows(2) {
                assert_eq!(two[1].opened_ms - two[0].opened_ms, 300_000);
                assert!((two[0].close - two[1].open).abs() < f64::EPSILON, "a gap between {two:?}");
            }
            let last = candles.last().unwrap();
            assert_eq!(last.opened_ms, 1_795_321_500_000);
            assert!((last.close - pair.price(NOW)).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn the_price_moves_within_bounds() {
        let pair = Pair::named("doge_jpy").unwrap();
        let mut seen = Vec::new();
        for minute in 0..1440 {
            let price = pair.price(NOW + time::Duration::minutes(minute));
            assert!((33.0..37.0).contains(&price), "{price}");
            seen.push(price.to_bits());
        }
        seen.dedup();
        assert!(seen.len() > 1000, "the price hardly moves: {} values", seen.len());
    }

    #[test]
    fn the_ticker_has_exactly_the_fields_that_can_be_left_out() {
        let ticker = PAIRS[0].ticker(NOW);
        let mut fields = ticker.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        fields.sort_unstable();
        assert_eq!(fields, TICKER_FIELDS);
        assert_eq!(ticker["timestamp"], "2026-11-22T04:27:31.25Z");
        assert!(ticker["volume_24h"].is_string());
        assert!(ticker["bid"].as_f64() < ticker["ask"].as_f64());
    }
}
