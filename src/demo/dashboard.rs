//! The dashboard of the simulated service, drawn from the same prices that the API gives.

use askama::Template;

use super::Service;
use super::health::Health;
use super::market::{Candle, PAIRS, rfc3339};

/// Size of the drawing, in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 260.0;

#[derive(Template)]
#[template(path = "demo_dashboard.html")]
pub(super) struct Dashboard {
    pairs: Vec<(&'static str, f64)>,
    health: Health,
    cards: [(&'static str, String); 4],
    bars: Vec<Bar>,
    requests: u64,
    alerts: u64,
    updated: String,
    control: String,
}

/// One candle as it is drawn.
struct Bar {
    middle: f64,
    left: f64,
    width: f64,
    high: f64,
    low: f64,
    top: f64,
    height: f64,
    class: &'static str,
}

impl Dashboard {
    /// `control` is the control API's host and port, as they are written in a link.
    pub fn of(service: &Service, control: String) -> Self {
        let now = service.now();
        let health = Health::of(service);
        Self {
            pairs: PAIRS.iter().map(|pair| (pair.name, pair.price(now))).collect(),
            cards: [
                ("Kelly ratio", format!("{:.2}", health.kpi.kelly_ratio)),
                ("Win rate", format!("{:.0} %", health.kpi.win_rate * 100.0)),
                ("Drawdown", format!("{:.1} %", health.kpi.drawdown * 100.0)),
                ("Sharpe ratio", format!("{:.2}", health.kpi.sharpe_ratio)),
            ],
            health,
            bars: bars(&PAIRS[0].candles(now)),
            requests: service.counters.requests(),
            alerts: service.counters.alerts(),
            updated: rfc3339(now),
            control,
        }
    }
}

fn bars(candles: &[Candle]) -> Vec<Bar> {
    let highest = candles.iter().map(|candle| candle.high).fold(f64::MIN, f64::max);
    let lowest = candles.iter().map(|candle| candle.low).fold(f64::MAX, f64::min);
    let scale = HEIGHT / (highest - lowest).max(f64::EPSILON);
    let place = |price: f64| (highest - price) * scale;
    let step = WIDTH / candles.len().max(1) as f64;
    candles
        .iter()
        .enumerate()
        .map(|(index, candle)| {
            let left = step * (index as f64 + 0.15);
            let (top, bottom) = (place(candle.open.max(candle.close)), place(candle.open.min(candle.close)));
            Bar {
                middle: step * (index as f64 + 0.5),
                left,
                width: step * 0.7,
                high: place(candle.high),
                low: place(candle.low),
                top,
                height: (bottom - top).max(1.0),
                class: if candle.close >= candle.open { "up" } else { "down" },
            }
        })
        .collect()
}
