//! `docs/metrics.md` says what the binary says, and the binary publishes what the page says.

use crate::stage::{Scrape, Stage, every_kind_and_threshold};
use crate::support::Banken;
use banken::observation::Unit;
use banken::probe::KINDS;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn page_file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "docs", "metrics.md"].iter().collect()
}

/// The page as the binary writes it.
fn generated() -> String {
    let output = Banken::command().args(["kinds", "--metrics"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_of_metrics_is_what_the_binary_generates() {
    let generated = generated();
    if std::env::var_os("BANKEN_BLESS").is_some_and(|wish| wish == "1") {
        std::fs::write(page_file(), &generated).unwrap();
    }
    let committed = std::fs::read_to_string(page_file()).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).find(|(committed, generated)| committed != generated);
    assert!(
        committed == generated,
        "docs/metrics.md is not what `banken kinds --metrics` prints; write it with \
         `BANKEN_BLESS=1 cargo test --test system metrics_doc`. The first difference: {differs:#?}"
    );
}

/// A family as the page and a scrape describe it: type and explanation.
type Described = BTreeMap<String, (String, String)>;

/// The rows of the page's tables, and the labels of each.
fn described_on_the_page() -> (Described, BTreeMap<String, Vec<String>>) {
    let page = generated();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| {
        let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").map(str::to_owned).collect();
        let [name, family_type, labels, help] = cells.try_into().unwrap();
        let labels = labels.split(", ").map(str::to_owned).collect::<Vec<_>>();
        (name.trim_end_matches('`').to_owned(), family_type, labels, help)
    });
    let rows: Vec<_> = rows.collect();
    let labels = rows.iter().map(|(name, _, labels, _)| (name.clone(), labels.clone())).collect();
    (rows.into_iter().map(|(name, family_type, _, help)| (name, (family_type, help))).collect(), labels)
}

/// The comment lines of a scrape.
fn described_by(scrape: &str) -> Described {
    let comments = |begin| scrape.lines().filter_map(move |line: &str| line.strip_prefix(begin)?.split_once(' '));
    let helps: BTreeMap<_, _> = comments("# HELP ").collect();
    comments("# TYPE ")
        .map(|(name, family_type)| {
            (name.to_owned(), (family_type.to_owned(), helps[name].trim_end_matches('.').to_owned()))
        })
        .collect()
}

/// The family of a sample, and the keys of its labels.
fn family_and_keys<'a>(series: &'a str, families: &Described) -> (String, Vec<&'a str>) {
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
    let of_histogram = |suffix| name.strip_suffix(suffix).filter(|name| families.contains_key(*name));
    let family = ["_bucket", "_sum", "_count"].into_iter().find_map(of_histogram).unwrap_or(name);
    let keys = labels.split("\",").filter_map(|pair| Some(pair.split_once("=\"")?.0)).collect();
    (family.to_owned(), keys)
}

/// A probe of every kind that can be configured: the first of its examples, with thresholds on all that can have them.
/// Whether it succeeds does not matter: which families there are is known before the first run.
fn one_of_each_kind() -> String {
    let mut text = "probes:\n".to_owned();
    for kind in KINDS.iter().filter(|kind| kind.name != "host") {
        let mut entries: Vec<serde_yaml::Mapping> = serde_yaml::from_str(kind.example).unwrap();
        let entry = &mut entries[0];
        let level = |unit: Unit| if unit == Unit::Seconds { "1h" } else { "1" };
        let thresholds =
            kind.signals.iter().map(|signal| format!("{}: {{ warning: {} }}", signal.key, level(signal.unit)));
        let thresholds = format!("{{ {} }}", thresholds.collect::<Vec<_>>().join(", "));
        entry.insert("name".into(), format!("of-kind-{}", kind.name).into());
        entry.insert("thresholds".into(), serde_yaml::from_str(&thresholds).unwrap());
        entry.insert("depends_on".into(), vec![serde_yaml::Value::from("host")].into());
        text.push_str(&serde_yaml::to_string(&entries[..1]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_scrape_with_every_kind_and_every_threshold_has_the_families_of_the_page_and_no_other() {
    let every_kind = Banken::launch(&one_of_each_kind(), Banken::command()).await;
    let report = every_kind.json("/api/v1/status").await;
    let watched: Vec<_> = report["checks"].as_object().unwrap().values().map(|check| &check["kind"]).collect();
    for kind in KINDS {
        assert!(watched.iter().any(|watched| *watched == kind.name), "there is no probe of kind {}", kind.name);
    }
    let stage = Stage::set_with(every_kind_and_threshold).await;
    let scrape = stage.banken.metrics().await;
    let mut published = described_by(&every_kind.metrics().await);
    published.extend(described_by(&scrape));
    let (documented, labels) = described_on_the_page();
    assert!(published.len() > 150, "{published:#?}");
    let differences: Vec<_> = published
        .iter()
        .filter(|(name, description)| documented.get(*name) != Some(description))
        .map(|(name, _)| (name, published.get(name), documented.get(name)))
        .chain(documented.keys().filter(|name| !published.contains_key(*name)).map(|name| (name, None, None)))
        .collect();
    assert!(differences.is_empty(), "(family, published, documented): {differences:#?}");
    for (series, _) in Scrape::parse(&scrape).samples() {
        let (family, keys) = family_and_keys(series, &published);
        let known = |key: &str| key == "le" || labels[&family].iter().any(|label| label == key);
        assert!(keys.iter().all(|key| known(key)), "{series} has a label that the page does not name");
    }
}
