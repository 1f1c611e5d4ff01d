//! Against this host, where a socket for ICMP may be opened.

use super::*;
use crate::probe::Probe as _;

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

fn build(yaml: &str) -> Probe {
    config(yaml).build(&Context::default()).unwrap_or_else(|error| panic!("{yaml}: {error:?}"))
}

async fn run(probe: &mut Probe, patience: Duration) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + patience, None);
    let outcome = probe.run(&mut out).await;
    (outcome, out)
}

fn total(out: &Readings, family: &'static crate::observation::Family) -> f64 {
    out.increments().iter().filter(|one| std::ptr::eq(one.family, family)).map(|one| one.value).sum()
}

fn says_nothing(failure: &Failure) -> bool {
    failure.reason == Reason::Local
}

#[tokio::test]
async fn this_host_answers_each_request_once() {
    for host in ["127.0.0.1", "::1"] {
        let mut probe = build(&format!("{{ host: '{host}', count: 5, spacing: 10ms, size: 1000, max_loss: 0 }}"));
        let (outcome, out) = run(&mut probe, Duration::from_secs(10)).await;
        match outcome {
            Err(failure) if says_nothing(&failure) => continue,
            outcome => assert_eq!(outcome, Ok(()), "{host}"),
        }
        assert_eq!((total(&out, &REQUESTS), total(&out, &ANSWERS)), (5.0, 5.0), "{host}");
        assert_eq!(out.value(&LOSS_RATIO), Some(0.0));
        let [min, mean, max] = [&MIN, &MEAN, &MAX].map(|family| out.value(family).unwrap());
        assert!(0.0 < min && min <= mean && mean <= max && max < 2.0, "{min} {mean} {max}");
        let signals: Vec<_> = out.signals().iter().map(|(signal, value)| (signal.key, *value)).collect();
        assert_eq!(signals, [("loss", 0.0), ("round_trip", mean)]);
        assert!(out.notes().contains(&("address", host.to_owned())), "{:?}", out.notes());
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_is_told_before_the_runner_gives_up() {
    // A group of this site that nobody is in; where no route leads to it, that is told.
    let mut probe = build("{ host: 239.255.77.77, count: 100, spacing: 10ms, wait: 1m }");
    let (outcome, out) = run(&mut probe, Duration::from_millis(300)).await;
    let failure = outcome.unwrap_err();
    if says_nothing(&failure) {
        return;
    }
    assert!(matches!(failure.reason, Reason::Timeout | Reason::Connect), "{failure}");
    assert!(failure.detail.contains("239.255.77.77"), "{failure}");
    assert_eq!((out.value(&LOSS_RATIO), total(&out, &ANSWERS)), (Some(1.0), 0.0));
    assert_eq!(out.value(&MEAN), None);
}

#[tokio::test]
async fn without_the_right_to_ask_nothing_is_said_about_the_host() {
    let mut probe = build("{ host: 127.0.0.1 }");
    probe.ways = &[];
    let (outcome, out) = run(&mut probe, Duration::from_secs(1)).await;
    assert!(says_nothing(&outcome.unwrap_err()));
    assert_eq!((out.value(&LOSS_RATIO), total(&out, &REQUESTS), out.signals().len()), (None, 0.0, 0));
}

#[tokio::test]
async fn the_family_of_addresses_can_be_chosen() {
    let (outcome, _) = run(&mut build("{ host: 127.0.0.1, ip: v6 }"), Duration::from_secs(1)).await;
    assert_eq!(outcome, Err(Failure::new(Reason::Resolve, "127.0.0.1 has no IPv6 address")));
}

#[test]
fn what_the_host_did_outweighs_what_we_could_not_do() {
    let [local, silent, refused] =
        [Reason::Local, Reason::Timeout, Reason::Connect].map(|reason| Failure::new(reason, reason.as_str()));
    assert_eq!(gather(vec![local.clone(), silent.clone()]), Failure::new(Reason::Timeout, "local; timeout"));
    assert_eq!(gather(vec![refused, silent]).reason, Reason::Connect);
    assert_eq!(gather(vec![local]).reason, Reason::Local);
}

#[test]
fn a_long_run_demands_a_long_timeout() {
    assert_eq!(config("{ host: a }").needs(), None);
    let needs = config("{ host: a, count: 31, spacing: 1s }").needs();
    assert_eq!(needs, Some(Duration::from_secs(33)));
}

#[test]
fn mistakes_are_named_with_their_key_and_a_remedy() {
    let cases = [
        ("{ host: '' }", "host", "without scheme"),
        ("{ host: 'http://x/' }", "host", "without scheme"),
        ("{ host: '[::1]' }", "host", "brackets"),
        ("{ host: a, count: 0 }", "count", "1 to 100"),
        ("{ host: a, count: 101 }", "count", "1 to 100"),
        ("{ host: a, spacing: 1ms }", "spacing", "10ms"),
        ("{ host: a, wait: 1ms }", "wait", "10ms"),
        ("{ host: a, size: 15 }", "size", "16 to 65000"),
        ("{ host: a, size: 65001 }", "size", "16 to 65000"),
        ("{ host: a, max_loss: 100% }", "max_loss", "less than 100%"),
        ("{ host: a, max_loss: 5s }", "max_loss", "90%"),
    ];
    for (yaml, path, words) in cases {
        let invalid = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was built"));
        assert_eq!(invalid.len(), 1, "{yaml}: {invalid:?}");
        assert_eq!(invalid[0].path, path, "{yaml}");
        assert!(invalid[0].message.contains(words), "{yaml}: {}", invalid[0].message);
    }
}
