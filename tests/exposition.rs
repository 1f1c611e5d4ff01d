//! What Banken reads of the text formats of Prometheus agrees with what it writes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use banken::board::Board;
use banken::exposition::{Dialect, Item, Limits, read};
use banken::metrics::{Exposition, Format};
use banken::observation::Labels;
use proptest::prelude::*;
use std::sync::Arc;

/// Name, labels and value of each sample, and the types of the families.
type Text = (Vec<(String, Vec<(String, String)>, u64)>, Vec<String>);

fn samples(text: &[u8], dialect: Dialect) -> Text {
    let (mut samples, mut types) = (Vec::new(), Vec::new());
    for item in read(text, dialect, Limits::default()) {
        match item.unwrap_or_else(|mistake| panic!("{mistake}\n{}", String::from_utf8_lossy(text))) {
            Item::Sample(sample) => {
                let labels = sample.labels.iter().map(|(name, value)| (name.into_owned(), value.into_owned()));
                samples.push((sample.name.into_owned(), labels.collect(), sample.value.to_bits()));
            }
            Item::Type { name, metric_type } => {
                types.push(format!("{} {metric_type:?}", name.trim_end_matches("_total")));
            }
            Item::Help { .. } | Item::Unit { .. } => {}
        }
    }
    (samples, types)
}

#[tokio::test]
async fn a_scrape_of_our_own_is_read_alike_in_both_formats() {
    let text = Exposition::new(Arc::new(Board::default())).open_metrics().unwrap();
    assert_eq!(Dialect::of(&text), Dialect::OpenMetrics);
    let open_metrics = samples(&text, Dialect::OpenMetrics);
    let plain = Format::Prometheus.render(text);
    assert_eq!(Dialect::of(&plain), Dialect::Prometheus);
    assert_eq!(samples(&plain, Dialect::Prometheus), open_metrics);
    assert!(open_metrics.0.len() > 20 && open_metrics.1.contains(&"banken_state_saves Counter".to_owned()));
}

proptest! {
    #[test]
    fn labels_that_we_render_are_read_again(pairs in proptest::collection::vec(("[a-z_][a-z0-9_]{0,8}", any::<String>()), 0..5)) {
        let borrowed: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let text = format!("x{{{}}} 1\n", Labels::render(&borrowed).text());
        let (samples, _) = samples(text.as_bytes(), Dialect::Prometheus);
        prop_assert_eq!(&samples[0].1, &pairs);
    }
}
