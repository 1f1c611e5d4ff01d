//! A remedy at work on a board whose runs the test publishes.

use crate::board::{Board, Descriptor, Pace, ProbeCell, RemedyState, Suppression};
use crate::health::Policy;
use crate::observation::{Failure, Observation, Readings, Reason};
use crate::remedy::action::{self, Worker};
use crate::remedy::journal::{self, What};
use crate::remedy::requests::{self, Request};
use crate::remedy::{Plan, ProbeFacts, Remedies, Repair, Spec, Surroundings};
use crate::state::Store;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

struct Stage {
    folder: tempfile::TempDir,
    board: Arc<Board>,
    remedies: Remedies,
}

fn cell(name: &str) -> Arc<ProbeCell> {
    Arc::new(ProbeCell::new(Descriptor {
        name: name.into(),
        kind: "fake",
        group: None,
        interval: Duration::from_secs(30),
        policy: Policy { failure_threshold: 2, success_threshold: 2 },
        limits: Vec::new(),
        reasons: &[],
        families: &[],
        depends_on: Vec::new(),
    }))
}

fn planned(yaml: &str) -> (Plan, Vec<Worker>) {
    let spec: Spec = serde_yaml::from_str(yaml).unwrap();
    let facts = ProbeFacts {
        interval: Duration::from_secs(30),
        retry_interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        failure_threshold: 2,
        success_threshold: 2,
        limits: std::collections::BTreeMap::default(),
    };
    let probes = ["web", "other", "third"].map(|name| (name.to_owned(), facts.clone()));
    let surroundings = Surroundings { probes: probes.into(), ..Surroundings::default() };
    spec.plan(&surroundings, &action::Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let board = Arc::new(Board::default());
        board.replace_probes(["web", "other", "third"].map(cell).into());
        let store = Store::open(folder.path(), Arc::default()).unwrap();
        let remedies = Remedies::open(&board, Some(store), folder.path()).await;
        Self { folder, board, remedies }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A remedy of the probe `web` that runs a line of shell.
    fn remedy(&self, line: &str, more: &str) -> (Plan, Vec<Worker>) {
        let line = line.replace("DIR", &self.folder.path().display().to_string());
        planned(&format!(
            "{{ name: x, when: {{ probe: web }}, start_grace: 0s, {more} \
               steps: [ {{ command: {{ argv: [ /bin/sh, -c, '{line}' ], timeout: 5s }} }} ] }}"
        ))
    }

    async fn take(&mut self, remedy: (Plan, Vec<Worker>)) {
        self.remedies.take(vec![remedy], Repair::default()).await;
    }

    /// A run for each letter: `s`ucceeds, `f`ails, is a fault of our `o`wn.
    async fn runs(&self, probe: &str, letters: &str) {
        for letter in letters.chars() {
            let outcome = match letter {
                's' => Ok(()),
                'f' => Err(Failure::new(Reason::Connect, "refused")),
                _ => Err(Failure::new(Reason::Local, "no descriptors")),
            };
            let observation =
                Observation { started_at: 1.0, duration: Duration::ZERO, outcome, readings: Readings::default() };
            self.board.publish(&self.board.probe(probe).unwrap(), observation, Instant::now());
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn state(&self) -> RemedyState {
        self.board.remedies()[0].read(|record| record.state)
    }

    fn suppressed(&self, why: Suppression) -> u64 {
        self.board.remedies()[0].read(|record| record.suppressed[why as usize])
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.journal());
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn journal(&self) -> Vec<What> {
        let entries = journal::read(&self.path("remedies")).unwrap();
        entries.into_iter().map(|entry| entry.what).collect()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The same folder after Banken was killed without a word.
    async fn killed(self) -> Self {
        let Self { folder, board, remedies } = self;
        for running in remedies.running.values() {
            running.task.abort();
        }
        drop(remedies);
        let board_again = Arc::new(Board::default());
        board_again.replace_probes(["web", "other", "third"].map(cell).into());
        drop(board);
        let store = loop {
            if let Ok(store) = Store::open(folder.path(), Arc::default()) {
                break store;
            }
            std::thread::yield_now();
        };
        let remedies = Remedies::open(&board_again, Some(store), folder.path()).await;
        Self { folder, board: board_again, remedies }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intent_is_on_disk_before_anything_is_done_and_the_recovery_is_verified() {
    let mut stage = Stage::set().await;
    let remedy =
        stage.remedy("cp DIR/remedies/journal.jsonl DIR/seen; cp DIR/remedies/walks/x.json DIR/walk", "armed: true,");
    stage.take(remedy).await;
    stage.runs("web", "sff").await;
    stage.until("it acts", |stage| stage.state() == RemedyState::Verifying).await;
    assert!(stage.text("seen").contains(r#""what":"intent""#), "{}", stage.text("seen"));
    assert!(stage.text("walk").contains("acting"), "{}", stage.text("walk"));
    assert!(matches!(stage.board.probe("web").unwrap().pace(), Pace::Urgent(_)));
    stage.runs("web", "ss").await;
    stage.until("it has recovered", |stage| stage.state() == RemedyState::Idle).await;
    assert_eq!(stage.journal(), [What::Opened, What::Intent, What::Result, What::Recovered]);
    assert_eq!(stage.board.probe("web").unwrap().pace(), Pace::Ordinary);
    assert_eq!(stage.board.remedies()[0].read(|record| record.recovery.count()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_repaired_is_not_probed_meanwhile() {
    let mut stage = Stage::set().await;
    let remedy = stage.remedy("while [ ! -e DIR/go ]; do sleep 0.02; done", "armed: true,");
    stage.take(remedy).await;
    stage.runs("web", "ff").await;
    stage.until("the probe is held", |stage| matches!(stage.board.probe("web").unwrap().pace(), Pace::Held(_))).await;
    assert_eq!(stage.state(), RemedyState::Acting);
    std::fs::write(stage.path("go"), "").unwrap();
    stage.until("it looks", |stage| stage.state() == RemedyState::Verifying).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_was_begun_before_a_kill_is_not_taken_again_without_a_look() {
    let mut stage = Stage::set().await;
    let line = "echo once >> DIR/done; sleep 60";
    stage.take(stage.remedy(line, "armed: true,")).await;
    stage.runs("web", "ff").await;
    stage.until("it has begun", |stage| stage.text("done") == "once\n").await;
    let mut stage = stage.killed().await;
    stage.take(stage.remedy(line, "armed: true,")).await;
    stage.until("it looks first", |stage| stage.state() == RemedyState::Verifying).await;
    assert_eq!(stage.text("done"), "once\n");
    stage.runs("web", "ss").await;
    stage.until("it has recovered", |stage| stage.state() == RemedyState::Idle).await;
    assert_eq!(stage.text("done"), "once\n");
    assert_eq!(stage.journal(), [What::Opened, What::Intent, What::Interrupted, What::Recovered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_goes_on_to_its_end_when_a_reload_changes_its_remedy() {
    let mut stage = Stage::set().await;
    let line = "while [ ! -e DIR/go ]; do sleep 0.02; done; echo end >> DIR/done";
    stage.take(stage.remedy(line, "armed: true,")).await;
    stage.runs("web", "ff").await;
    stage.until("it acts", |stage| stage.state() == RemedyState::Acting).await;
    stage.take(stage.remedy(line, "armed: true, cooldown: 1s,")).await;
    std::fs::write(stage.path("go"), "").unwrap();
    stage.until("it ends", |stage| stage.text("done") == "end\n").await;
    stage.until("the heir goes on", |stage| stage.state() == RemedyState::Verifying).await;
    stage.runs("web", "ss").await;
    stage.until("it has recovered", |stage| stage.state() == RemedyState::Idle).await;
    assert!(!stage.journal().contains(&What::Interrupted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let mut stage = Stage::set().await;
    stage.take(stage.remedy("touch DIR/done", "")).await;
    stage.runs("web", "fff").await;
    stage.until("it says so", |stage| stage.journal().len() >= 3).await;
    assert_eq!(stage.journal(), [What::Opened, What::Suppressed, What::Would]);
    assert!(!stage.path("done").exists());
    assert_eq!(stage.suppressed(Suppression::DryRun), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_holds_at_the_last_moment_and_nothing_acts_without_a_journal() {
    let mut stage = Stage::set().await;
    stage.take(stage.remedy("touch DIR/done", "armed: true,")).await;
    std::fs::create_dir_all(stage.path("remedies")).unwrap();
    // Set after it was last looked at, which is once a second.
    std::fs::write(stage.path("remedies").join("no-repair"), "").unwrap();
    stage.runs("web", "ff").await;
    stage.until("it is held back", |stage| stage.suppressed(Suppression::KillSwitch) == 1).await;
    std::fs::remove_file(stage.path("remedies").join("no-repair")).unwrap();
    // A folder in the place of the journal cannot be written to.
    let journal = stage.path("remedies").join("journal.jsonl");
    let _ = std::fs::remove_file(&journal);
    std::fs::create_dir(&journal).unwrap();
    stage.runs("web", "f").await;
    stage.until("it is held back", |stage| stage.suppressed(Suppression::Journal) == 1).await;
    assert!(!stage.path("done").exists());
    std::fs::remove_dir(&journal).unwrap();
    stage.runs("web", "f").await;
    stage.until("it acts", |stage| stage.path("done").exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_that_fails_at_once_and_our_own_faults_hold_it_back() {
    let mut stage = Stage::set().await;
    stage.take(stage.remedy("touch DIR/done", "armed: true,")).await;
    stage.runs("other", "ff").await;
    stage.runs("web", "ff").await;
    stage.until("it is held back", |stage| stage.suppressed(Suppression::SharedCause) == 1).await;
    stage.runs("other", "ss").await;
    stage.runs("web", "o").await;
    stage.until("it is held back", |stage| stage.suppressed(Suppression::OwnFault) >= 1).await;
    assert!(!stage.path("done").exists());
    stage.runs("web", "f").await;
    stage.until("it acts", |stage| stage.path("done").exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_asks_for_an_attempt_and_takes_note_of_one_that_gave_up() {
    let mut stage = Stage::set().await;
    stage.take(stage.remedy("echo x >> DIR/done; exit 1", "armed: true, max_attempts: 1,")).await;
    stage.runs("web", "ff").await;
    stage.until("it gives up", |stage| stage.state() == RemedyState::Exhausted).await;
    let folder = stage.path("remedies");
    requests::ask(&folder, Request::Run, "x").unwrap();
    stage.until("it acts again", |stage| stage.text("done") == "x\nx\n").await;
    stage.until("it gives up", |stage| stage.state() == RemedyState::Exhausted).await;
    requests::ask(&folder, Request::Acknowledge, "x").unwrap();
    stage.until("it has been noted", |stage| stage.journal().contains(&What::Acknowledged)).await;
    // Nothing has looked since: whether it is still broken must be seen first.
    assert_eq!(stage.text("done"), "x\nx\n");
    stage.runs("web", "f").await;
    stage.until("it acts again", |stage| stage.text("done") == "x\nx\nx\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_remedies_of_one_host_share_one_breaker() {
    let mut stage = Stage::set().await;
    let done = stage.path("done").display().to_string();
    let all = (0..12).map(|number| {
        planned(&format!(
            "{{ name: x{number:02}, when: {{ probe: web }}, armed: true, \
               steps: [ {{ command: {{ argv: [ /bin/sh, -c, 'echo {number} >> {done}' ] }} }} ] }}"
        ))
    });
    stage.remedies.take(all.collect(), Repair::default()).await;
    stage.runs("web", "ff").await;
    let all_told = |stage: &Stage| {
        let remedies = stage.board.remedies();
        let told = |cell: &&Arc<crate::board::RemedyCell>| {
            cell.read(|r| r.suppressed[Suppression::Breaker as usize] > 0 || r.actions[0].1[0] > 0)
        };
        remedies.iter().filter(told).count() == 12
    };
    stage.until("each acts or is held back", all_told).await;
    assert_eq!(stage.text("done").lines().count(), 10);
}

#[test]
fn the_folder_of_remedies_is_below_that_of_the_state() {
    assert_eq!(crate::remedy::folder(Path::new("/var/lib/banken")), Path::new("/var/lib/banken/remedies"));
}

#[tokio::test]
async fn two_remedies_do_not_interrupt_the_same_one_after_the_other() {
    let mut stage = Stage::set().await;
    let script = stage.path("restart.sh");
    std::fs::write(&script, format!("#!/bin/sh\necho done >> {}\n", stage.path("acted").display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let of = |name: &str, probe: &str, patience: &str| {
        planned(&format!(
            "{{ name: {name}, when: {{ probe: {probe} }}, start_grace: 1s, armed: true, \
               steps: [ {{ service_restart: {{ argv: [ {} ], timeout: {patience} }} }} ] }}",
            script.display()
        ))
    };
    let both = vec![of("x", "web", "5s"), of("y", "other", "6s")];
    stage.remedies.take(both, Repair::default()).await;
    let began = Instant::now();
    stage.runs("web", "ff").await;
    stage.until("the first has acted", |stage| stage.text("acted").lines().count() == 1).await;
    // It has helped, as far as the first can see.
    stage.runs("web", "ss").await;
    stage.runs("other", "ff").await;
    let held = |stage: &Stage| {
        let remedies = stage.board.remedies();
        remedies[1].read(|record| record.suppressed[Suppression::TargetBusy as usize])
    };
    stage.until("the second is held back", |stage| held(stage) == 1).await;
    assert_eq!(stage.text("acted").lines().count(), 1);
    stage.until("the second acts after the grace of the first", |stage| stage.text("acted").lines().count() == 2).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn where_everything_is_down_only_the_remedy_for_that_acts() {
    let mut stage = Stage::set().await;
    let whole = "{ all_down: [ web, other ] }, start_grace: 0s";
    let of = |name: &str, when: &str, stage: &Stage| {
        let line = format!("echo {name} >> {}", stage.path("acted").display());
        planned(&format!(
            "{{ name: {name}, when: {when}, armed: true, \
               steps: [ {{ command: {{ argv: [ /bin/sh, -c, '{line}' ], timeout: 5s }} }} ] }}"
        ))
    };
    let both = vec![of("part", "{ probe: web }", &stage), of("whole", whole, &stage)];
    stage.remedies.take(both, Repair::default()).await;
    stage.runs("third", "ss").await;
    // The other one is only in doubt when the first is down for certain.
    stage.runs("other", "f").await;
    stage.runs("web", "ff").await;
    let held =
        |stage: &Stage| stage.board.remedies()[0].read(|record| record.suppressed[Suppression::SharedCause as usize]);
    stage.until("the part is held back", |stage| held(stage) == 1).await;
    stage.runs("other", "f").await;
    stage.until("the whole acts", |stage| stage.text("acted") == "whole\n").await;
}
