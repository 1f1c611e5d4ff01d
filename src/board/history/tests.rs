use super::*;

const NOON: f64 = 1_800_000_000.0;

/// A probe with an interval of ten seconds, and a clock on the wall that can be set.
struct Story {
    history: History,
    at: f64,
    now: Instant,
}

impl Story {
    fn begin() -> Self {
        Self { history: History::default(), at: NOON, now: Instant::now() }
    }

    fn wait(&mut self, seconds: u64) {
        self.at += seconds as f64;
        self.now += Duration::from_secs(seconds);
    }

    /// A run that ends ten seconds after the last one.
    fn run(&mut self, status: Status, incident: Option<Incident>) {
        self.wait(10);
        let run = (status != Status::Unknown).then_some((Duration::from_millis(20), status == Status::Healthy));
        let passed = Passed { status, incident, run, believed: Duration::from_secs(20) };
        self.history.take(&passed, self.at, self.now);
    }

    fn runs(&mut self, status: Status, count: usize) {
        for _ in 0..count {
            self.run(status, None);
        }
    }

    fn seconds(&self, window: Window) -> (f64, f64) {
        let uptime = self.history.uptime(window, self.at);
        (uptime.good.round(), uptime.bad.round())
    }
}

#[test]
fn an_incident_counts_from_its_first_failure_once_it_is_confirmed() {
    let mut story = Story::begin();
    story.runs(Status::Healthy, 3);
    story.runs(Status::Suspect, 2);
    assert_eq!(story.seconds(Window::Hour), (40.0, 0.0), "a doubt is no incident");
    story.run(Status::Unhealthy, Some(Incident::Confirmed));
    assert_eq!(story.seconds(Window::Hour), (30.0, 20.0));
    story.run(Status::Unhealthy, None);
    story.run(Status::Healthy, Some(Incident::Recovered));
    story.run(Status::Healthy, None);
    for window in Window::ALL {
        assert_eq!(story.seconds(window), (40.0, 40.0), "{window:?}");
    }
}

#[test]
fn a_doubt_that_comes_to_nothing_was_good_time() {
    let mut story = Story::begin();
    story.runs(Status::Healthy, 2);
    story.run(Status::Suspect, None);
    story.runs(Status::Healthy, 2);
    assert_eq!(story.seconds(Window::Hour), (40.0, 0.0));
}

#[test]
fn our_own_faults_and_time_before_the_first_run_count_neither_way() {
    let mut story = Story::begin();
    story.wait(600);
    story.runs(Status::Healthy, 4);
    story.runs(Status::Unknown, 3);
    story.run(Status::Healthy, None);
    let uptime = story.history.uptime(Window::Hour, story.at);
    assert_eq!(uptime.ratio(), Some(1.0));
    assert_eq!(story.seconds(Window::Hour), (40.0, 0.0));
    assert!(uptime.known() < 0.02, "{uptime:?}");
}

#[test]
fn without_a_run_the_last_one_is_believed_for_a_while_only() {
    let mut story = Story::begin();
    story.run(Status::Healthy, None);
    story.wait(300);
    story.history.pass(story.at, story.now);
    assert_eq!(story.seconds(Window::Hour), (20.0, 0.0));
}

#[test]
fn a_look_between_two_runs_counts_the_time_until_now_once() {
    let mut story = Story::begin();
    story.run(Status::Healthy, None);
    for _ in 0..9 {
        story.wait(1);
        story.history.pass(story.at, story.now);
    }
    assert_eq!(story.seconds(Window::Hour), (9.0, 0.0));
}

#[test]
fn runs_far_more_often_than_time_is_kept_add_up_all_the_same() {
    let mut story = Story::begin();
    story.run(Status::Healthy, None);
    for _ in 0..10_000 {
        story.at += 0.01;
        story.now += Duration::from_millis(10);
        story.history.pass(story.at, story.now);
        story.history.believed = Some(story.now + Duration::from_secs(20));
    }
    let good = story.history.uptime(Window::Hour, story.at).good;
    assert!((good - 100.0).abs() < 0.5, "{good}");
}

#[test]
fn a_clock_that_is_set_never_makes_more_time_than_there_was() {
    for jump in [-86_400.0, -3600.0, -45.0, 45.0, 3600.0, 86_400.0, 1e9, -1e9] {
        let mut story = Story::begin();
        story.runs(Status::Healthy, 1000);
        story.at += jump;
        story.runs(Status::Unhealthy, 100);
        for window in Window::ALL {
            let uptime = story.history.uptime(window, story.at);
            assert!(uptime.good + uptime.bad <= uptime.span + 1.0, "{jump} {window:?} {uptime:?}");
            assert!(uptime.bad > 900.0, "{jump} {window:?} {uptime:?}: what came after the jump is there");
        }
        let points = story.history.minutes(story.at);
        assert!(points.iter().all(|point| point.good + point.bad <= 60.0), "{jump}");
    }
}

#[test]
fn a_minute_knows_the_shortest_the_longest_and_the_mean() {
    let mut story = Story::begin();
    for milliseconds in [10, 20, 60] {
        story.wait(1);
        let run = Some((Duration::from_millis(milliseconds), milliseconds < 60));
        let passed = Passed { status: Status::Healthy, incident: None, run, believed: Duration::from_secs(20) };
        story.history.take(&passed, story.at, story.now);
    }
    let points = story.history.minutes(story.at);
    assert_eq!(points.len(), 60);
    let point = points.last().unwrap();
    assert_eq!((point.runs, point.failed, point.begin), (3, 1, NOON));
    let latency = point.latency.unwrap();
    for (kept, expected) in [(latency.min, 0.01), (latency.mean, 0.03), (latency.max, 0.06)] {
        assert!((kept / expected - 1.0).abs() < 0.001, "{kept} {expected}");
    }
    assert!(points[..59].iter().all(|point| point.latency.is_none()));
}

#[test]
fn a_clock_that_steps_back_over_a_minute_leaves_the_mean_of_that_minute_as_it_was() {
    let mut story = Story::begin();
    story.at -= 1.0;
    story.runs(Status::Healthy, 5);
    story.wait(9);
    story.history.pass(story.at + 2.5, story.now);
    story.at += 0.5;
    story.history.take(
        &Passed {
            status: Status::Healthy,
            incident: None,
            run: Some((Duration::from_millis(20), true)),
            believed: Duration::from_secs(20),
        },
        story.at,
        story.now,
    );
    let latency = story.history.minutes(story.at).last().unwrap().latency.unwrap();
    assert!((latency.mean / 0.02 - 1.0).abs() < 0.001, "{latency:?}");
}

#[test]
fn what_is_saved_comes_back_and_goes_on() {
    let mut story = Story::begin();
    story.runs(Status::Healthy, 500);
    story.run(Status::Suspect, None);
    story.run(Status::Unhealthy, Some(Incident::Confirmed));
    story.run(Status::Unhealthy, None);
    let before = Window::ALL.map(|window| story.seconds(window));
    let points = story.history.minutes(story.at);
    let mut packer = Packer::default();
    packer.pack(&History::default());
    let saved = packer.pack(&story.history);
    assert!(serde_json::to_string(&saved).unwrap().len() < 2000);
    story.history = packer.unpack(&saved).unwrap();
    assert_eq!(Window::ALL.map(|window| story.seconds(window)), before);
    assert_eq!(story.history.minutes(story.at), points);
    // While Banken was away nothing is known.
    story.wait(120);
    story.runs(Status::Healthy, 2);
    assert_eq!(story.seconds(Window::Day), (before[1].0 + 10.0, before[1].1));
}

#[test]
fn a_text_that_is_no_history_is_none() {
    for text in ["\"\"", "\"AAAA\"", "\"not base64 at all\""] {
        let packed: Packed = serde_json::from_str(text).unwrap();
        assert!(Packer::default().unpack(&packed).is_none(), "{text}");
    }
}
