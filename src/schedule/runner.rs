//! One run: the only place that knows timeout, span, duration and what an own fault does to the outcome.

use super::Pulse;
use crate::observation::{Audience, Failure, Observation, Readings, Reason, unix_now};
use crate::probe::{DURATION, Probe};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What a run is given beside its probe.
#[derive(Default)]
pub struct Frame<'a> {
    /// What it is written on; the memory of a former one.
    pub sheet: Readings,
    /// How long it may take.
    pub timeout: Duration,
    /// By which our own stalls are known.
    pub pulse: Option<&'a Pulse>,
    /// Who is shown what it writes while it goes on.
    pub audience: Option<Arc<dyn Audience>>,
}

/// Runs a probe once and says what it saw.
pub async fn run_once(probe: &mut impl Probe, frame: Frame<'_>) -> Observation {
    let Frame { mut sheet, timeout, pulse, audience } = frame;
    let started_at = unix_now();
    let started = Instant::now();
    sheet.begin(started + timeout, audience);
    // A probe that panics is a defect, and must not end the watch of its target without a word.
    let run = AssertUnwindSafe(probe.run(&mut sheet)).catch_unwind();
    let mut outcome = match timeout_at(started + timeout, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(Failure::new(Reason::Local, format!("a defect in Banken: {}", words_of(&*panic)))),
        Err(_) => Err(timed_out(&sheet, timeout)),
    };
    sheet.leave();
    let ended = Instant::now();
    let duration = ended.duration_since(started);
    if let Some(stall) = pulse.and_then(|pulse| pulse.stall_between(started, ended)) {
        outcome = outcome.map_err(|failure| blame_stall(failure, stall));
    }
    if outcome.as_ref().err().is_none_or(|failure| failure.reason != Reason::Timeout) {
        sheet.signal(&DURATION, duration.as_secs_f64());
    }
    Observation { started_at, duration, outcome, readings: sheet }
}

fn timed_out(sheet: &Readings, timeout: Duration) -> Failure {
    let timeout = humantime::format_duration(timeout);
    let part = sheet.running_part().map_or(String::new(), |part| format!("{part}: "));
    let phase = sheet.running_phase();
    let phase = phase.map_or(String::new(), |phase| format!(": it was still in the phase {}", phase.as_str()));
    Failure::new(Reason::Timeout, format!("{part}not done within {timeout}{phase}"))
}

/// While we were held up, time ran out and peers gave up on us. An answer that did come stays what it is.
fn blame_stall(failure: Failure, stall: Duration) -> Failure {
    match failure.reason {
        Reason::Timeout | Reason::Connect | Reason::Resolve | Reason::Tls | Reason::Protocol => Failure::new(
            Reason::Local,
            format!("Banken itself was held up for {:.1} s; what it saw: {failure}", stall.as_secs_f64()),
        ),
        _ => failure,
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Phase;

    enum Fake {
        Panics,
        Hangs,
        Refuses,
    }

    impl Probe for Fake {
        async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
            match self {
                Fake::Panics => panic!("index out of bounds"),
                Fake::Hangs => {
                    out.enter(Phase::Wait);
                    std::future::pending().await
                }
                Fake::Refuses => Err(Failure::new(Reason::Connect, "refused")),
            }
        }
    }

    async fn run(mut fake: Fake, pulse: Option<&Pulse>) -> Observation {
        run_once(&mut fake, Frame { timeout: Duration::from_secs(10), pulse, ..Frame::default() }).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_names_the_phase_in_which_the_time_went() {
        let observation = run(Fake::Hangs, None).await;
        let failure = observation.outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Timeout);
        assert!(failure.detail.contains("10s") && failure.detail.contains("wait"), "{}", failure.detail);
        assert_eq!(observation.duration, Duration::from_secs(10));
        assert_eq!(observation.readings.phases().next(), Some((Phase::Wait, Duration::from_secs(10))));
    }

    #[tokio::test]
    async fn a_panic_is_our_own_fault_and_ends_nothing() {
        let failure = run(Fake::Panics, None).await.outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Local);
        assert!(failure.detail.contains("index out of bounds"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_while_we_are_held_up_is_our_own_fault() {
        let pulse = Pulse::default();
        assert_eq!(run(Fake::Refuses, Some(&pulse)).await.outcome.unwrap_err().reason, Reason::Connect);
        tokio::time::advance(Duration::from_secs(60)).await;
        let failure = run(Fake::Refuses, Some(&pulse)).await.outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Local);
        assert!(failure.detail.contains("refused"), "{}", failure.detail);
    }
}
