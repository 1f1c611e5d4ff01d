//! Jobs as a whole: tokens, what survives a restart, lateness as time goes by, lines of logs.

use super::*;
use crate::board::{JobCell, JobRecord};
use crate::state::Loaded;

/// A moment from which each test counts; a whole number of days.
const T0: f64 = 1_780_272_000.0;

fn plan(yaml: &str) -> Plan {
    serde_yaml::from_str::<Spec>(&format!("name: cycle\n{yaml}")).unwrap().plan().unwrap()
}

/// Jobs on a store that outlives them.
struct Bench {
    folder: tempfile::TempDir,
    yaml: String,
    jobs: Option<Jobs>,
    sequence: u64,
}

impl Bench {
    fn new(yaml: &str) -> Self {
        let mut bench = Self { folder: tempfile::tempdir().unwrap(), yaml: yaml.into(), jobs: None, sequence: 0 };
        bench.start(T0);
        bench
    }

    fn start(&mut self, now: f64) {
        assert!(self.jobs.is_none());
        let store = Store::open(self.folder.path(), Arc::default()).unwrap();
        let jobs = Jobs::new(Arc::default(), Some(store));
        jobs.replace_at(vec![plan(&self.yaml)], now);
        self.jobs = Some(jobs);
    }

    /// Ends without a word, as by SIGKILL.
    fn kill(&mut self) {
        self.jobs = None;
    }

    fn away(&mut self, from: f64, until: f64) {
        self.look(from);
        self.jobs().shared()["cycle"].finish(from);
        self.kill();
        self.start(until);
    }

    fn jobs(&self) -> &Jobs {
        self.jobs.as_ref().unwrap()
    }

    fn cell(&self) -> Arc<JobCell> {
        Arc::clone(&self.jobs().board.jobs()[0])
    }

    fn record(&self) -> JobRecord {
        self.cell().read(Clone::clone)
    }

    fn report(&self, step: Step, run: &str, at: f64) -> Receipt {
        let jobs = self.jobs();
        let event = Event::new(step, Details { run: run.into(), ..Details::default() }, at).unwrap();
        jobs.report(&jobs.admit("cycle", None).unwrap(), &event).unwrap()
    }

    fn look(&self, now: f64) -> Option<bool> {
        self.jobs().shared()["cycle"].look(now);
        self.record().late
    }

    fn hear(&mut self, step: &str, epoch: u64, sequence: u64) {
        self.sequence += 1;
        let at = T0 + self.sequence as f64;
        self.jobs().hear(&format!("job/cycle/{step}"), epoch, sequence, at, &BTreeMap::new());
    }
}

#[test]
fn a_token_is_asked_for_where_there_is_one_and_an_unknown_job_is_refused() {
    let jobs = Jobs::new(Arc::default(), None);
    jobs.replace(vec![plan("token: s3cret"), Spec { name: "open".into(), ..spec("") }.plan().unwrap()]);
    assert!(jobs.admit("cycle", Some("s3cret")).is_ok());
    for token in [None, Some(""), Some("s3cre"), Some("s3cret "), Some("S3cret")] {
        assert_eq!(jobs.admit("cycle", token).unwrap_err(), Refusal::Unauthorized, "{token:?}");
    }
    assert!(jobs.admit("open", None).is_ok() && jobs.admit("open", Some("whatever")).is_ok());
    assert_eq!(jobs.admit("other", Some("s3cret")).unwrap_err(), Refusal::Unknown);
}

fn spec(yaml: &str) -> Spec {
    serde_yaml::from_str(&format!("name: cycle\n{yaml}")).unwrap()
}

#[test]
fn everything_reported_survives_a_kill() {
    let mut bench = Bench::new("every: 5m");
    bench.report(Step::Start, "a", T0 + 1.0);
    bench.report(Step::Start, "b", T0 + 2.0);
    let receipt = bench.report(Step::Success, "a", T0 + 11.0);
    assert_eq!(receipt, Receipt { task: "cycle".into(), run: "a".into(), running: 1, late: Some(false) });
    let before = bench.record();
    bench.kill();
    bench.start(T0 + 20.0);
    assert_eq!(format!("{:?}", bench.record()), format!("{before:?}"));
    bench.report(Step::Failure, "b", T0 + 32.0);
    let record = bench.record();
    assert_eq!((record.ended, record.duration, record.durations.count()), ([1, 1, 0], Some(30.0), 2));
}

#[test]
fn a_damaged_state_begins_anew_and_is_written_again() {
    let mut bench = Bench::new("every: 5m");
    bench.report(Step::Success, "", T0 + 1.0);
    bench.kill();
    let folder = bench.folder.path().join("jobs");
    for file in std::fs::read_dir(&folder).unwrap() {
        std::fs::write(file.unwrap().path(), "damaged").unwrap();
    }
    bench.start(T0 + 2.0);
    assert_eq!(bench.record().ended, [0, 0, 0]);
    bench.report(Step::Success, "", T0 + 3.0);
    bench.kill();
    bench.start(T0 + 4.0);
    assert_eq!(bench.record().ended, [1, 0, 0]);
}

#[test]
fn a_report_counts_although_it_cannot_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = Jobs::new(Arc::default(), Some(Store::read_only(folder.path())));
    jobs.replace_at(vec![plan("")], T0);
    let event = Event::new(Step::Success, Details::default(), T0).unwrap();
    assert!(jobs.report(&jobs.admit("cycle", None).unwrap(), &event).is_ok());
    assert_eq!(jobs.board.jobs()[0].read(|record| record.ended), [1, 0, 0]);
}

#[test]
fn a_job_goes_late_and_comes_back() {
    let bench = Bench::new("every: 5m\ngrace: 1m");
    assert_eq!((bench.record().late, bench.record().due_at), (Some(false), Some(T0 + 360.0)));
    assert_eq!(bench.look(T0 + 360.0), Some(false));
    assert_eq!(bench.look(T0 + 361.0), Some(true));
    bench.report(Step::Failure, "", T0 + 362.0);
    assert_eq!(bench.record().late, Some(true), "a failure satisfies nothing");
    bench.report(Step::Success, "", T0 + 363.0);
    assert_eq!((bench.record().late, bench.record().due_at), (Some(false), Some(T0 + 723.0)));
    // A run that begins in time is waited for.
    bench.report(Step::Start, "", T0 + 720.0);
    assert_eq!(bench.look(T0 + 1000.0), Some(false));
    assert_eq!(bench.look(T0 + 1020.0), Some(true));
}

#[test]
fn a_job_without_a_time_to_run_at_is_never_late_and_its_runs_are_given_up_all_the_same() {
    let bench = Bench::new("timeout: 10m");
    bench.report(Step::Start, "", T0);
    assert_eq!(bench.look(T0 + 600.0), None);
    assert_eq!(bench.record().running.len(), 1);
    assert_eq!(bench.look(T0 + 601.0), None);
    assert_eq!((bench.record().running.len(), bench.record().ended), (0, [0, 0, 1]));
}

#[test]
fn a_report_that_was_lost_while_we_were_away_makes_nobody_late() {
    for (yaml, due) in [("every: 5m", 310.0 + 300.0 + 60.0), ("cron: '*/5 * * * *'", 600.0 + 60.0)] {
        let mut bench = Bench::new(yaml);
        bench.report(Step::Success, "", T0 + 1.0);
        bench.away(T0 + 290.0, T0 + 310.0);
        assert_eq!(bench.look(T0 + 400.0), Some(false), "{yaml}");
        assert_eq!(bench.record().due_at, Some(T0 + due), "{yaml}");
        assert_eq!(bench.look(T0 + due + 1.0), Some(true), "{yaml}");
    }
}

#[test]
fn what_was_late_before_stays_late_and_what_is_due_later_is_not_put_off() {
    let mut bench = Bench::new("every: 5m");
    assert_eq!(bench.look(T0 + 361.0), Some(true));
    bench.away(T0 + 362.0, T0 + 1000.0);
    assert_eq!(bench.record().late, Some(true));
    let mut bench = Bench::new("cron: '@daily'");
    bench.away(T0 + 3600.0, T0 + 7200.0);
    assert_eq!(bench.record().due_at, Some(T0 + 86_460.0));
}

#[test]
fn a_job_whose_run_was_waited_for_is_not_late_when_its_end_was_lost() {
    let mut bench = Bench::new("every: 5m");
    bench.report(Step::Start, "", T0 + 350.0);
    assert_eq!(bench.look(T0 + 400.0), Some(false));
    bench.away(T0 + 401.0, T0 + 500.0);
    assert_eq!(bench.look(T0 + 700.0), Some(false));
    assert_eq!(bench.look(T0 + 500.0 + 361.0), Some(true));
}

#[test]
fn restarts_do_not_put_off_a_daily_job_for_ever() {
    for yaml in ["every: 1d", "cron: '@daily'"] {
        let mut bench = Bench::new(yaml);
        // Each night at the time at which the job should end, Banken is restarted; the job is dead.
        bench.away(T0 + 86_395.0, T0 + 86_405.0);
        assert_eq!(bench.look(T0 + 90_000.0), Some(false), "{yaml}: the report may be lost");
        bench.away(T0 + 2.0 * 86_400.0 - 5.0, T0 + 2.0 * 86_400.0 + 5.0);
        assert_eq!(bench.look(T0 + 2.0 * 86_400.0 + 600.0), Some(true), "{yaml}");
        // After a success it is forgiven again.
        bench.report(Step::Success, "", T0 + 2.0 * 86_400.0 + 700.0);
        bench.away(T0 + 3.0 * 86_400.0 - 5.0, T0 + 3.0 * 86_400.0 + 705.0);
        assert_eq!(bench.look(T0 + 3.0 * 86_400.0 + 1000.0), Some(false), "{yaml}");
    }
}

#[test]
fn that_a_job_is_late_survives_a_kill() {
    let mut bench = Bench::new("every: 1h\ngrace: 1s");
    assert_eq!(bench.look(T0 + 3602.0), Some(true));
    bench.kill();
    bench.start(T0 + 3700.0);
    assert_eq!(bench.record().late, Some(true));
}

#[test]
fn a_clock_that_was_put_back_does_not_postpone_the_next_success() {
    let bench = Bench::new("every: 5m");
    bench.report(Step::Success, "", T0 + 1e7);
    assert_eq!(bench.look(T0 + 10.0), Some(false));
    assert_eq!(bench.record().due_at, Some(T0 + 370.0));
    assert_eq!(bench.look(T0 + 371.0), Some(true));
}

#[test]
fn another_schedule_counts_from_when_it_is_set_and_the_counts_go_on() {
    let bench = Bench::new("every: 1d");
    bench.report(Step::Success, "", T0 + 1.0);
    bench.report(Step::Start, "x", T0 + 2.0);
    bench.jobs().replace_at(vec![plan("every: 5m")], T0 + 3600.0);
    assert_eq!((bench.record().late, bench.record().due_at), (Some(false), Some(T0 + 3960.0)));
    bench.jobs().replace_at(vec![plan("every: 5m\ngrace: 2m")], T0 + 3700.0);
    assert_eq!(bench.record().due_at, Some(T0 + 4020.0), "the grace alone begins nothing anew");
    assert_eq!((bench.record().ended, bench.record().running.len()), ([1, 0, 0], 1));
    assert_eq!(bench.cell().descriptor().schedule.as_deref(), Some("every 5m"));
}

#[test]
fn a_reload_keeps_what_did_not_change_and_a_job_that_comes_back_goes_on() {
    let bench = Bench::new("every: 5m");
    bench.report(Step::Success, "", T0 + 1.0);
    let cell = bench.cell();
    let second = Spec { name: "another".into(), ..spec("") }.plan().unwrap();
    bench.jobs().replace_at(vec![plan("every: 5m"), second], T0 + 2.0);
    let cells = bench.jobs().board.jobs();
    assert_eq!(cells.iter().map(|cell| cell.descriptor().name.as_str()).collect::<Vec<_>>(), ["another", "cycle"]);
    assert!(Arc::ptr_eq(&cells[1], &cell));
    bench.jobs().replace_at(Vec::new(), T0 + 3.0);
    assert!(bench.jobs().board.jobs().is_empty());
    bench.jobs().replace_at(vec![plan("every: 5m")], T0 + 4.0);
    assert_eq!(bench.record().ended, [1, 0, 0]);
}

#[test]
fn each_line_of_a_log_counts_exactly_once() {
    let mut bench = Bench::new("log: { name: app, start: begun, success: done }");
    bench.hear("start", 7, 1);
    bench.hear("success", 7, 1);
    bench.hear("start", 7, 2);
    // Killed before the log saved its place: it reads the same lines again.
    bench.kill();
    bench.start(T0 + 100.0);
    for (step, sequence) in [("start", 1), ("success", 1), ("start", 2), ("success", 2)] {
        bench.hear(step, 7, sequence);
    }
    assert_eq!((bench.record().ended, bench.record().running.len()), ([2, 0, 0], 0));
    // The log lost its place and counts anew.
    bench.hear("start", 8, 1);
    bench.hear("success", 8, 1);
    bench.hear("success", 8, 1);
    assert_eq!(bench.record().ended, [3, 0, 0]);
    bench.hear("nonsense", 8, 2);
    bench.jobs().hear("job/gone/start", 8, 1, T0, &BTreeMap::new());
    assert_eq!(bench.record().ended, [3, 0, 0]);
}

#[tokio::test]
async fn the_watch_ends_when_it_is_told_to_and_saves() {
    let folder = tempfile::tempdir().unwrap();
    let store = || Store::open(folder.path(), Arc::default()).unwrap();
    let jobs = Arc::new(Jobs::new(Arc::default(), Some(store())));
    // First seen in 2026, and long overdue.
    jobs.replace_at(vec![plan("every: 5m")], 0.0);
    let (stop, stopped) = watch::channel(false);
    let watching = tokio::spawn(Arc::clone(&jobs).watch(stopped));
    while jobs.board.jobs()[0].read(|record| record.late) != Some(true) {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    watching.await.unwrap();
    drop(jobs);
    let Loaded::Latest(saved) = store().load::<saved::Saved>("jobs/cycle") else { panic!("not saved") };
    assert!(unix_now() - saved.at < 60.0 && saved.record.late == Some(true));
}
