//! The average true range as J. Welles Wilder defined it, with the beginning that TA-Lib chose: the first value is the
//! plain average of the first `period` true ranges, and the first candle only gives the close before them.

use super::candles::Candle;
use std::num::NonZeroU32;

/// The average true range at the last candle; none for fewer than `period` + 1 candles.
pub(super) fn average_true_range(candles: &[Candle], period: NonZeroU32) -> Option<f64> {
    let mut ranges = candles.windows(2).map(|pair| true_range(pair[0].close, &pair[1]));
    let length = f64::from(period.get());
    let mut sum = 0.0;
    for _ in 0..period.get() {
        sum += ranges.next()?;
    }
    Some(ranges.fold(sum / length, |average, range| (average * (length - 1.0) + range) / length))
}

/// How far the price moved, the gap from the close before included.
fn true_range(close_before: f64, candle: &Candle) -> f64 {
    let moved = candle.high - candle.low;
    moved.max((candle.high - close_before).abs()).max((candle.low - close_before).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candles(rows: &[[f64; 3]]) -> Vec<Candle> {
        rows.iter()
            .map(|[high, low, close]| Candle { open: None, high: *high, low: *low, close: *close, time: None })
            .collect()
    }

    fn atr(rows: &[[f64; 3]], period: u32) -> Option<f64> {
        average_true_range(&candles(rows), NonZeroU32::new(period).unwrap())
    }

    #[test]
    fn a_gap_from_the_close_before_counts_upward_and_downward() {
        assert_eq!(atr(&[[11.0, 9.0, 10.0], [12.0, 10.5, 11.0]], 1), Some(2.0), "from the close 10 to the high 12");
        assert_eq!(atr(&[[11.0, 9.0, 10.0], [8.0, 7.0, 7.5]], 1), Some(3.0), "from the close 10 to the low 7");
        assert_eq!(atr(&[[11.0, 9.0, 10.0], [12.0, 8.0, 9.0]], 1), Some(4.0), "from the low 8 to the high 12");
    }

    #[test]
    fn it_begins_with_a_plain_average_and_goes_on_smoothed() {
        // True ranges 2, 4 and then 8: (2 + 4) / 2 = 3, and (3 × 1 + 8) / 2 = 5.5.
        let rows = [[10.0, 10.0, 10.0], [11.0, 9.0, 10.0], [12.0, 8.0, 10.0], [14.0, 6.0, 10.0]];
        assert_eq!(atr(&rows[..3], 2), Some(3.0));
        assert_eq!(atr(&rows, 2), Some(5.5));
        assert_eq!(atr(&rows, 3), Some(14.0 / 3.0));
    }

    #[test]
    fn with_too_few_candles_there_is_no_value() {
        let rows = [[11.0, 9.0, 10.0]; 14];
        assert_eq!(atr(&rows, 14), None);
        assert_eq!(atr(&rows, 13), Some(2.0));
        assert_eq!(atr(&[], 1), None);
    }
}
