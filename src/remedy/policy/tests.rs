//! The policy against chosen stories, and against arbitrary ones.

use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules {
        max_attempts: 3,
        retry_delay: 60 * SECOND,
        max_retry_delay: 900 * SECOND,
        cooldown: 300 * SECOND,
        start_grace: 10 * SECOND,
        successes: 2,
        failures: 2,
        verify_within: 30 * SECOND,
        open_for: None,
        armed: true,
        expects_shared_cause: false,
        steps: vec![Effect::Disturbs],
    }
}

/// A remedy and an executor that does as it is told at once.
struct Story {
    walk: Walk,
    rules: Rules,
    gates: Gates,
    now: Moment,
    ends: Ended,
    told: Vec<String>,
}

impl Story {
    fn of(rules: Rules) -> Self {
        let (walk, gates) = (Walk::default(), Gates::default());
        Self { walk, rules, gates, now: 1000 * SECOND, ends: Ended::Done, told: Vec::new() }
    }

    fn event(&mut self, event: Event) {
        let mut queue = std::collections::VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            for decision in self.walk.step(event, self.now, 0.5, self.gates, &self.rules) {
                self.told.push(match decision {
                    Decision::Act { attempt, step } => {
                        queue.extend([Event::Begun, Event::Ended(self.ends)]);
                        format!("act {attempt}.{step}")
                    }
                    Decision::Suppress(why) => why.as_str().into(),
                    Decision::BackOff(delay) => format!("wait {}", delay.as_secs()),
                    Decision::Recovered(took) => format!("recovered after {}", took.as_secs()),
                    other => format!("{other:?}"),
                });
            }
        }
    }

    /// A look each second: `g`ood, `b`ad and broken for certain, `s`uspect (bad, and not certain), `u`nknown, `.` none.
    fn looks(&mut self, letters: &str) -> &mut Self {
        for letter in letters.chars() {
            self.now += SECOND;
            let (verdict, broken) = match letter {
                'g' => (Verdict::Good, false),
                'b' => (Verdict::Bad, true),
                's' => (Verdict::Bad, false),
                'u' => (Verdict::Unknown, true),
                _ => {
                    self.event(Event::Tick);
                    continue;
                }
            };
            let broken_since = broken.then(|| self.now.saturating_sub(2 * SECOND));
            self.event(Event::Looked(Look { started: self.now, verdict, broken_since }));
        }
        self
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self.event(Event::Tick);
        self
    }

    fn told(&mut self) -> String {
        std::mem::take(&mut self.told).join(", ")
    }
}

#[test]
fn a_restart_that_helps_ends_the_incident_after_two_good_looks() {
    let mut story = Story::of(rules());
    assert_eq!(story.looks("gssb").told(), "Open, act 1.0");
    assert_eq!(story.walk.state(), RemedyState::Verifying);
    assert_eq!(story.looks("gg").told(), "recovered after 4");
    assert_eq!(story.walk.state(), RemedyState::Idle);
}

#[test]
fn a_slow_start_is_waited_for_and_one_that_does_not_help_waits_twice_as_long_each_time() {
    let mut story = Story::of(rules());
    story.looks("b").told();
    assert_eq!(story.looks("bbbbbbbbbgg").told(), "recovered after 13", "bad looks within the grace count for nothing");
    let mut story = Story::of(rules());
    story.looks("b").told();
    assert_eq!(story.wait(10).looks("bb").told(), "NotHelped, wait 60");
    assert_eq!(story.wait(30).looks("b").told(), "");
    assert_eq!(story.wait(30).told(), "act 2.0");
    assert_eq!(story.wait(10).looks("bb").told(), "NotHelped, wait 120");
    assert_eq!(story.wait(130).looks("b").told(), "act 3.0");
    assert_eq!(story.wait(10).looks("bb").told(), "NotHelped, GiveUp(AttemptsSpent)");
    assert_eq!(story.wait(100_000).looks("bbbb").told(), "");
    story.event(Event::Acknowledged);
    assert_eq!(story.told(), "Acknowledge, Open, act 1.0");
}

#[test]
fn what_recovers_while_the_next_attempt_waits_is_left_alone() {
    let mut story = Story::of(rules());
    story.looks("b").wait(10).looks("bb").told();
    assert_eq!(story.looks("gg").told(), "recovered after 16");
    assert_eq!(story.wait(200).told(), "");
}

#[test]
fn a_failure_within_the_cool_down_escalates_and_does_not_act() {
    let mut story = Story::of(rules());
    story.looks("bgg").told();
    assert_eq!(story.wait(100).looks("b").told(), "Open, cooldown, GiveUp(WithinCooldown)");
    let mut story = Story::of(rules());
    story.looks("bgg").told();
    assert_eq!(story.wait(300).looks("b").told(), "Open, act 1.0");
}

#[test]
fn after_exhaustion_one_trial_is_made_where_that_is_allowed() {
    let mut story = Story::of(Rules { open_for: Some(600 * SECOND), max_attempts: 1, ..rules() });
    story.looks("b").wait(10).looks("bb").told();
    assert_eq!(story.walk.state(), RemedyState::Exhausted);
    assert_eq!(story.wait(500).looks("b").told(), "");
    story.gates.maintenance = true;
    assert_eq!(story.wait(200).looks("b").told(), "maintenance");
    assert_eq!(story.walk.state(), RemedyState::Exhausted, "a trial that is held back changes nothing");
    story.gates.maintenance = false;
    assert_eq!(story.looks("b").told(), "act 1.0");
    assert_eq!(story.wait(10).looks("bb").told(), "NotHelped, GiveUp(AttemptsSpent)");
    assert_eq!(story.wait(600).looks("b").looks("gg").told(), "act 1.0, recovered after 1332");
}

#[test]
fn steps_go_from_light_to_severe_and_what_only_looks_needs_no_verdict() {
    let steps = vec![Effect::Looks, Effect::Tidies, Effect::Disturbs];
    let mut story = Story::of(Rules { steps, ..rules() });
    assert_eq!(story.looks("b").told(), "Open, act 1.0, act 1.1");
    assert_eq!(story.wait(10).looks("bb").told(), "NotHelped, act 1.2");
    assert_eq!(story.looks("gg").told(), "recovered after 16");
}

#[test]
fn a_step_that_fails_is_followed_by_the_next_one_after_a_fresh_look() {
    let mut story = Story::of(Rules { steps: vec![Effect::Disturbs; 2], ..rules() });
    story.ends = Ended::Failed;
    assert_eq!(story.looks("b").told(), "Open, act 1.0");
    assert!(story.walk.is_urgent(story.now));
    assert_eq!(story.looks("b").told(), "act 1.1, wait 60");
    assert!(!story.walk.is_urgent(story.now));
}

#[test]
fn a_target_that_is_busy_costs_no_attempt_and_is_asked_less_and_less_often() {
    let mut story = Story::of(rules());
    story.ends = Ended::Busy;
    assert_eq!(story.looks("b").told(), "Open, act 1.0, target_busy");
    assert_eq!(story.looks("bbbbb").told(), "act 1.0, target_busy");
    assert_eq!((story.walk.attempt(), story.walk.acted().len()), (0, 0));
    assert_eq!(story.looks("bbbbb").told(), "");
    story.ends = Ended::Done;
    assert_eq!(story.looks("bbbbb").looks("gg").told(), "act 1.0, recovered after 19");
}

#[test]
fn each_gate_holds_back_and_says_so_once() {
    let all = [
        (Gates { own_fault: true, ..Gates::default() }, "own_fault"),
        (Gates { kill_switch: true, ..Gates::default() }, "kill_switch"),
        (Gates { maintenance: true, ..Gates::default() }, "maintenance"),
        (Gates { dependency: true, ..Gates::default() }, "dependency"),
        (Gates { shared_cause: true, ..Gates::default() }, "shared_cause"),
        (Gates { host_breaker: true, ..Gates::default() }, "breaker"),
    ];
    for (gates, word) in all {
        let mut story = Story::of(rules());
        story.gates = gates;
        assert_eq!(story.looks("bbbb").told(), format!("Open, {word}"));
        story.gates = Gates::default();
        assert_eq!(story.looks("b").told(), "act 1.0", "{word}");
    }
    let mut story = Story::of(Rules { armed: false, ..rules() });
    assert_eq!(story.looks("bbb").looks("gg").looks("b").told(), "Open, dry_run, Close, Open, dry_run");
}

#[test]
fn for_a_shared_cause_it_only_tells_unless_that_is_what_it_waits_for() {
    let steps = vec![Effect::Looks, Effect::Disturbs];
    let mut story = Story::of(Rules { steps: steps.clone(), ..rules() });
    story.gates.shared_cause = true;
    assert_eq!(story.looks("bb").told(), "Open, act 1.0, shared_cause");
    let mut story = Story::of(Rules { steps, expects_shared_cause: true, ..rules() });
    story.gates.shared_cause = true;
    assert_eq!(story.looks("b").told(), "Open, act 1.0, act 1.1");
}

#[test]
fn three_actions_within_a_quarter_of_an_hour_are_enough() {
    let mut story = Story::of(Rules { cooldown: Duration::ZERO, ..rules() });
    for _ in 0..3 {
        assert!(story.looks("b").looks("gg").told().contains("act 1.0"));
        story.wait(60);
    }
    story.walk.opened.clear();
    assert_eq!(story.looks("b").told(), "Open, breaker");
    assert_eq!(story.wait(800).looks("b").told(), "act 1.0");
}

#[test]
fn a_target_that_comes_and_goes_is_left_to_a_person() {
    let mut story = Story::of(Rules { armed: false, ..rules() });
    for _ in 0..3 {
        story.looks("bgg").wait(100);
    }
    story.rules.armed = true;
    story.told();
    assert_eq!(story.looks("b").told(), "Open, flapping");
}

#[test]
fn a_person_may_ask_for_an_attempt_that_only_the_kill_switch_holds_back() {
    let mut story = Story::of(Rules { armed: false, ..rules() });
    story.gates = Gates { maintenance: true, shared_cause: true, host_breaker: true, ..Gates::default() };
    story.event(Event::Asked);
    assert_eq!(story.looks("gg").told(), "Open, act 1.0, recovered after 2");
    story.gates.kill_switch = true;
    story.event(Event::Asked);
    assert_eq!(story.told(), "Open, kill_switch");
    assert_eq!(story.looks("ggg").told(), "");
}

#[test]
fn what_was_begun_and_whose_end_is_not_known_is_looked_at_and_not_done_again() {
    let mut story = Story::of(rules());
    story.looks("s");
    story.walk.step(
        Event::Looked(Look { started: story.now, verdict: Verdict::Bad, broken_since: Some(story.now) }),
        story.now,
        0.5,
        story.gates,
        &story.rules,
    );
    story.walk.step(Event::Begun, story.now, 0.5, story.gates, &story.rules);
    let saved = serde_json::to_string(&story.walk).unwrap();
    story.walk = serde_json::from_str(&saved).unwrap();
    assert!(story.walk.resume(story.now));
    assert_eq!(story.looks("bbb").told(), "");
    assert_eq!(story.looks("gg").told(), "recovered after 5");
}

#[test]
fn after_a_start_of_the_host_every_wait_goes_on_where_it_was() {
    let mut story = Story::of(rules());
    story.looks("bgg").wait(100).told();
    let saved_at = story.now;
    story.now = 20 * SECOND;
    story.walk.rebase(saved_at, story.now);
    assert_eq!(story.wait(150).looks("b").told(), "Open, cooldown, GiveUp(WithinCooldown)");
}

#[test]
fn a_delay_doubles_is_capped_and_strays_by_a_tenth() {
    let rules = rules();
    let delays: Vec<_> = (1..=6).map(|attempt| rules.delay_after(attempt, 0.5).as_secs()).collect();
    assert_eq!(delays, [60, 120, 240, 480, 900, 900]);
    assert_eq!((rules.delay_after(1, 0.0).as_secs(), rules.delay_after(1, 1.0).as_secs()), (54, 66));
    assert_eq!(rules.delay_after(u32::MAX, 0.5).as_secs(), 900);
}

/// One thing that may happen, at any time.
#[derive(Debug, Clone)]
enum Chance {
    Look(Verdict, bool),
    Tick,
    Wait(u64),
    Ends(Ended),
    Lost,
    Restart,
    Acknowledged,
    Gates(Gates),
}

fn chances() -> impl Strategy<Value = Vec<Chance>> {
    let verdict = prop_oneof![3 => Just(Verdict::Bad), 2 => Just(Verdict::Good), 1 => Just(Verdict::Unknown)];
    let ended = prop_oneof![3 => Just(Ended::Done), 1 => Just(Ended::Failed), 1 => Just(Ended::Busy)];
    let gates = proptest::collection::vec(proptest::bool::weighted(0.1), 6).prop_map(|g| Gates {
        own_fault: g[0],
        kill_switch: g[1],
        maintenance: g[2],
        dependency: g[3],
        shared_cause: g[4],
        host_breaker: g[5],
    });
    let chance = prop_oneof![
        12 => (verdict, proptest::bool::weighted(0.8)).prop_map(|(verdict, certain)| Chance::Look(verdict, certain)),
        2 => Just(Chance::Tick),
        3 => (1u64..400).prop_map(Chance::Wait),
        6 => ended.prop_map(Chance::Ends),
        1 => Just(Chance::Lost),
        1 => Just(Chance::Restart),
        1 => Just(Chance::Acknowledged),
        2 => gates.prop_map(Chance::Gates),
    ];
    proptest::collection::vec(chance, 0..300)
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let effect = prop_oneof![Just(Effect::Looks), Just(Effect::Tidies), Just(Effect::Disturbs)];
    let steps = proptest::collection::vec(effect, 1..4);
    let numbers = (1u32..4, 1u32..4, 1u32..4, 0u64..200, 0u64..400, proptest::bool::weighted(0.9));
    let open_for = proptest::option::of(1u64..1000);
    (steps, numbers, open_for).prop_map(|(steps, (max_attempts, successes, failures, delay, cooldown, armed), open)| {
        Rules {
            max_attempts,
            successes,
            failures,
            retry_delay: Duration::from_secs(delay),
            cooldown: Duration::from_secs(cooldown),
            open_for: open.map(Duration::from_secs),
            armed,
            steps,
            ..rules()
        }
    })
}

/// What is watched while arbitrary things happen.
#[derive(Default)]
struct Witness {
    acts: VecDeque<Moment>,
    attempt: u32,
    good_since_action: u32,
    last_look: Option<(Verdict, bool)>,
    look_since_action: bool,
    running: bool,
    begun: bool,
}

impl Witness {
    fn decided(
        &mut self,
        decision: Decision,
        now: Moment,
        rules: &Rules,
        gates: Gates,
        state: RemedyState,
    ) -> Result<(), TestCaseError> {
        match decision {
            Decision::Act { attempt, step } => {
                let changes = rules.steps[step] != Effect::Looks;
                prop_assert!(rules.armed && !gates.kill_switch && !gates.maintenance && !gates.own_fault);
                prop_assert!(!changes || (!gates.dependency && !gates.shared_cause && !gates.host_breaker));
                prop_assert!(!self.running, "two actions at once");
                prop_assert!(attempt >= 1 && attempt <= rules.max_attempts);
                prop_assert!(self.look_since_action, "an action without a look after the one before");
                let (verdict, certain) = self.last_look.unwrap();
                prop_assert!(verdict != Verdict::Good && certain, "an action without evidence");
                if changes {
                    let recent = self.acts.iter().filter(|moment| **moment + BREAKER_WITHIN > now).count();
                    prop_assert!(recent < BREAKER_ACTIONS, "the breaker let through {} actions", recent + 1);
                }
            }
            Decision::Recovered(_) => prop_assert!(self.good_since_action >= rules.successes),
            Decision::GiveUp(_) => prop_assert_eq!(state, RemedyState::Exhausted),
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_action_is_taken_without_evidence_against_a_gate_or_too_often(
        chances in chances(), rules in any_rules(),
    ) {
        let (mut walk, mut gates, mut now) = (Walk::default(), Gates::default(), 5000 * SECOND);
        let mut witness = Witness { look_since_action: true, ..Witness::default() };
        for chance in chances {
            now += SECOND;
            let exhausted_before = walk.state() == RemedyState::Exhausted;
            let event = match chance {
                Chance::Look(verdict, certain) => {
                    // While something is done, nobody looks.
                    if witness.running {
                        continue;
                    }
                    let certain = certain && verdict != Verdict::Good;
                    if verdict != Verdict::Unknown || certain {
                        witness.last_look = Some((verdict, certain));
                    }
                    match verdict {
                        Verdict::Good => witness.good_since_action += 1,
                        Verdict::Bad => witness.good_since_action = 0,
                        Verdict::Unknown => {}
                    }
                    witness.last_look = Some((verdict, certain));
                    witness.look_since_action = true;
                    Event::Looked(Look { started: now, verdict, broken_since: certain.then_some(now) })
                }
                Chance::Tick => Event::Tick,
                Chance::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    Event::Tick
                }
                Chance::Ends(ended) => {
                    if !witness.running {
                        continue;
                    }
                    witness.running = false;
                    if ended == Ended::Busy && witness.begun {
                        witness.acts.pop_back();
                    }
                    Event::Ended(ended)
                }
                Chance::Lost => Event::Withheld(Suppression::Journal),
                Chance::Restart => {
                    let saved = serde_json::to_string(&walk).unwrap();
                    walk = serde_json::from_str(&saved).unwrap();
                    let interrupted = walk.resume(now);
                    prop_assert_eq!(interrupted, witness.running);
                    witness.running = false;
                    // Nothing is known any more until somebody looks.
                    witness.look_since_action = false;
                    witness.good_since_action = 0;
                    continue;
                }
                Chance::Acknowledged => Event::Acknowledged,
                Chance::Gates(next) => {
                    gates = next;
                    continue;
                }
            };
            let mut queue = VecDeque::from([event]);
            while let Some(event) = queue.pop_front() {
                let decisions = walk.step(event, now, 0.5, gates, &rules);
                for decision in decisions {
                    witness.decided(decision, now, &rules, gates, walk.state())?;
                    if let Decision::Act { step, attempt } = decision {
                        if exhausted_before && rules.open_for.is_none() {
                            prop_assert_eq!(event, Event::Acknowledged, "it acted although it had given up");
                        }
                        witness.attempt = attempt;
                        witness.running = true;
                        witness.begun = rules.steps[step] != Effect::Looks;
                        if witness.begun {
                            witness.acts.push_back(now);
                            witness.look_since_action = false;
                        }
                        witness.good_since_action = 0;
                        queue.push_back(Event::Begun);
                    }
                }
            }
            prop_assert_eq!(witness.running, walk.state() == RemedyState::Acting);
            prop_assert!(walk.attempt() <= rules.max_attempts);
            prop_assert!(walk.acted().len() <= 64);
        }
    }
}
