//! Pure: (record, event) → record. No clock, no I/O.
//!
//! Runs are told apart by their id; those without one are one row, of which one can run at a time. A run that begins
//! while another with its id is under way takes its place: the former was never reported to have ended. An end whose
//! beginning is not known counts, without a duration unless it tells its own. An end that is reported again, because its
//! reporter did not hear our answer, counts once.

use super::event::{Event, Step};
use crate::board::{EndedRun, JobRecord, JobResult, RUNS_KEPT, RunningRun};

/// The most runs that can be under way at once; beyond them the oldest is given up.
pub const MAX_RUNNING: usize = 100;

/// For how long an end that comes again is the same one, in seconds.
const REPEATED_WITHIN: f64 = 60.0;

/// Takes an event and tells which runs were given up because of it.
pub fn apply(record: &mut JobRecord, event: &Event) -> Vec<RunningRun> {
    record.last_report_at = Some(event.at);
    match event.step {
        Step::Start => start(record, event),
        Step::Success => {
            end(record, event, JobResult::Success);
            Vec::new()
        }
        Step::Failure => {
            end(record, event, JobResult::Failure);
            Vec::new()
        }
    }
}

/// Gives up the runs that are under way for longer than `timeout` seconds, and tells which.
pub fn expire(record: &mut JobRecord, timeout: f64, now: f64) -> Vec<RunningRun> {
    let expired = |run: &RunningRun| now - run.started_at > timeout;
    if !record.running.iter().any(expired) {
        return Vec::new();
    }
    let (abandoned, running) = std::mem::take(&mut record.running).into_iter().partition(expired);
    record.running = running;
    abandon(record, abandoned, now)
}

fn start(record: &mut JobRecord, event: &Event) -> Vec<RunningRun> {
    let id = &event.details.run;
    let mut abandoned: Vec<_> = record.running.extract_if(.., |run| run.id == *id).collect();
    // The clock may have been put back since the latest one began.
    let place = record.running.partition_point(|run| run.started_at <= event.at);
    record.running.insert(place, RunningRun { id: id.clone(), started_at: event.at });
    let surplus = record.running.len().saturating_sub(MAX_RUNNING);
    abandoned.extend(record.running.drain(..surplus));
    abandon(record, abandoned, event.at)
}

fn abandon(record: &mut JobRecord, runs: Vec<RunningRun>, at: f64) -> Vec<RunningRun> {
    for run in &runs {
        let ended = EndedRun {
            id: run.id.clone(),
            result: JobResult::Abandoned,
            ended_at: at,
            duration: None,
            records: None,
            message: String::new(),
        };
        keep(record, ended);
    }
    runs
}

fn end(record: &mut JobRecord, event: &Event, result: JobResult) {
    let details = &event.details;
    let begun = record.running.iter().position(|run| run.id == details.run).map(|index| record.running.remove(index));
    if begun.is_none() && is_repetition(record, event, result) {
        return;
    }
    // A clock that was put back makes a run end before it began.
    let measured = begun.map(|run| (event.at - run.started_at).max(0.0));
    let duration = details.duration.or(measured);
    if let Some(duration) = duration {
        record.duration = Some(duration);
        record.durations.observe(duration);
    }
    record.records = details.records.or(record.records);
    if result == JobResult::Success {
        record.last_success_at = Some(event.at);
    }
    let (id, message) = (details.run.clone(), details.message.clone());
    keep(record, EndedRun { id, result, ended_at: event.at, duration, records: details.records, message });
}

/// Whether a run of this id, which is not under way, ended just so a moment ago.
fn is_repetition(record: &JobRecord, event: &Event, result: JobResult) -> bool {
    let id = &event.details.run;
    let same = |run: &EndedRun| run.id == *id && run.result == result;
    let recent = |run: &EndedRun| (event.at - run.ended_at).abs() < REPEATED_WITHIN;
    !id.is_empty() && record.last_runs.iter().any(|run| same(run) && recent(run))
}

fn keep(record: &mut JobRecord, run: EndedRun) {
    record.ended[run.result as usize] += 1;
    record.last_runs.push_back(run);
    let surplus = record.last_runs.len().saturating_sub(RUNS_KEPT);
    record.last_runs.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::event::Details;
    use proptest::prelude::*;

    fn event(step: Step, run: &str, at: f64) -> Event {
        Event::new(step, Details { run: run.into(), ..Details::default() }, at).unwrap()
    }

    fn after(events: &[Event]) -> JobRecord {
        let mut record = JobRecord::default();
        for event in events {
            apply(&mut record, event);
        }
        record
    }

    fn running(record: &JobRecord) -> Vec<&str> {
        record.running.iter().map(|run| run.id.as_str()).collect()
    }

    #[test]
    fn overlapping_runs_are_told_apart_by_their_ids() {
        let record = after(&[
            event(Step::Start, "a", 10.0),
            event(Step::Start, "b", 20.0),
            event(Step::Success, "a", 40.0),
            event(Step::Start, "", 50.0),
        ]);
        assert_eq!(running(&record), ["b", ""]);
        assert_eq!((record.duration, record.last_success_at), (Some(30.0), Some(40.0)));
        let mut record = record;
        apply(&mut record, &event(Step::Failure, "b", 60.0));
        assert_eq!((record.duration, record.ended), (Some(40.0), [1, 1, 0]));
        assert_eq!(record.last_success_at, Some(40.0));
    }

    #[test]
    fn an_end_that_is_reported_again_counts_once() {
        let begun = [event(Step::Start, "a", 0.0), event(Step::Success, "a", 10.0)];
        let mut record = after(&begun);
        apply(&mut record, &event(Step::Success, "a", 12.0));
        assert_eq!((record.ended, record.durations.count()), ([1, 0, 0], 1));
        // Another end, another run of the same id, and one that comes late or has no id: those are new.
        apply(&mut record, &event(Step::Failure, "a", 13.0));
        apply(&mut record, &event(Step::Start, "a", 14.0));
        apply(&mut record, &event(Step::Success, "a", 15.0));
        apply(&mut record, &event(Step::Success, "a", 75.0));
        apply(&mut record, &event(Step::Success, "", 76.0));
        apply(&mut record, &event(Step::Success, "", 77.0));
        assert_eq!(record.ended, [5, 1, 0]);
    }

    #[test]
    fn an_end_without_a_beginning_counts_without_a_duration() {
        let record = after(&[event(Step::Success, "a", 10.0)]);
        assert_eq!((record.ended, record.duration, record.durations.count()), ([1, 0, 0], None, 0));
    }

    #[test]
    fn the_duration_that_a_report_tells_is_taken_rather_than_the_measured_one() {
        let details = Details { duration: Some(1.5), records: Some(7.0), message: "ok".into(), ..Details::default() };
        let record = after(&[event(Step::Start, "", 0.0), Event::new(Step::Success, details, 4.0).unwrap()]);
        assert_eq!((record.duration, record.records), (Some(1.5), Some(7.0)));
        let last = record.last_run().unwrap();
        assert_eq!((last.message.as_str(), last.records), ("ok", Some(7.0)));
        assert!(record.running.is_empty());
    }

    #[test]
    fn a_second_beginning_gives_up_the_first() {
        let mut record = after(&[event(Step::Start, "", 1.0), event(Step::Start, "x", 2.0)]);
        let given_up = apply(&mut record, &event(Step::Start, "", 3.0));
        assert_eq!(given_up, [RunningRun { id: String::new(), started_at: 1.0 }]);
        assert_eq!((record.ended, running(&record)), ([0, 0, 1], vec!["x", ""]));
        assert_eq!(record.last_run().map(|run| run.ended_at), Some(3.0));
    }

    #[test]
    fn a_run_that_never_ends_is_given_up_after_the_timeout() {
        let mut record = after(&[event(Step::Start, "a", 0.0), event(Step::Start, "b", 50.0)]);
        assert!(expire(&mut record, 100.0, 100.0).is_empty());
        assert_eq!(expire(&mut record, 100.0, 100.1).len(), 1);
        assert_eq!((record.ended, running(&record)), ([0, 0, 1], vec!["b"]));
        // Its end, when it comes after all, counts too.
        apply(&mut record, &event(Step::Success, "a", 110.0));
        assert_eq!(record.ended, [1, 0, 1]);
    }

    #[test]
    fn beyond_the_most_runs_the_oldest_is_given_up() {
        let events: Vec<_> = (0..=MAX_RUNNING).map(|n| event(Step::Start, &n.to_string(), n as f64)).collect();
        let record = after(&events);
        assert_eq!((record.running.len(), record.ended), (MAX_RUNNING, [0, 0, 1]));
        assert_eq!(record.running[0].id, "1");
    }

    prop_compose! {
        fn any_event()(step in 0..3_usize, run in 0..150_u8, at in 0_f64..1e6, told in proptest::option::of(0_f64..1e4),
                       records in proptest::option::of(0_f64..1e6)) -> Event {
            let run = if run == 0 { String::new() } else { run.to_string() };
            let details = Details { run, records, duration: told, ..Details::default() };
            Event::new(Step::ALL[step], details, at).unwrap()
        }
    }

    proptest! {
        // `at` is arbitrary, so the clock goes back and forth all the time.
        #[test]
        fn whatever_is_reported_the_books_balance(events in prop::collection::vec(any_event(), 0..400), timeout in 0_f64..1e6) {
            let mut record = JobRecord::default();
            let (mut starts, mut ends, mut given_up, mut paired) = (0, 0, 0, 0);
            for (index, event) in events.iter().enumerate() {
                let (before, ended_before) = (record.running.len(), record.ended);
                let dropped = apply(&mut record, event).len();
                given_up += dropped;
                if event.step == Step::Start {
                    starts += 1;
                } else {
                    let counted = record.ended.iter().sum::<u64>() - ended_before.iter().sum::<u64>();
                    prop_assert!(counted <= 1);
                    ends += counted;
                    paired += before - record.running.len();
                    prop_assert_eq!(dropped, 0);
                }
                if index % 50 == 49 {
                    given_up += expire(&mut record, timeout, event.at).len();
                }
                prop_assert!(record.running.len() <= MAX_RUNNING);
                prop_assert!(record.last_runs.len() <= RUNS_KEPT);
                prop_assert!(record.running.is_sorted_by(|a, b| a.started_at <= b.started_at));
                prop_assert!(record.duration.is_none_or(|duration| duration >= 0.0));
            }
            let [successes, failures, abandoned] = record.ended;
            prop_assert_eq!(successes + failures, ends);
            prop_assert_eq!(abandoned as usize, given_up);
            // Each run that began is under way, was given up, or ended.
            prop_assert_eq!(starts, record.running.len() + given_up + paired);
            prop_assert!(record.durations.count() <= ends);
            prop_assert!(record.durations.sum() >= 0.0);
            let mut ids: Vec<_> = record.running.iter().map(|run| &run.id).collect();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), record.running.len());
        }
    }
}
