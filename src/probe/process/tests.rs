//! Against real processes, each told from all others by an argument or a name of its own.

use super::families::ALL;
use super::*;
use crate::observation::Family;
use crate::probe::Probe as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// A child that does not outlive its test.
struct Guarded(Child);

impl Guarded {
    fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// A sleeper with this as its argument.
    fn sleeper(marker: &str) -> Self {
        let child = Self::spawn(Command::new("sleep").arg(marker));
        child.settle("sleep");
        child
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Between fork and exec, the child still shows what its parent is.
    fn settle(&self, argument: &str) {
        let path = format!("/proc/{}/cmdline", self.pid());
        eventually(|| std::fs::read(&path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(argument)));
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}

fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen within 5 s");
        std::thread::yield_now();
    }
}

/// An argument for `sleep` that no other process has.
fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("300.{:07}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("banken-{}-{name}", marker()));
    std::fs::write(&path, content).unwrap();
    path
}

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

fn probe(yaml: &str) -> Probe {
    config(yaml).build(&Context::default()).unwrap()
}

fn by_cmdline(marker: &str) -> Probe {
    probe(&format!("cmdline: '{}$'", marker.replace('.', "\\.")))
}

async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    let result = probe.run(&mut out).await;
    (result, out)
}

async fn instances(yaml: &str) -> u32 {
    let (result, out) = run(&mut probe(yaml)).await;
    assert_eq!(result, Ok(()), "{yaml}");
    assert_eq!(out.value(&UP), Some(1.0), "{yaml}");
    out.value(&INSTANCES).unwrap() as u32
}

fn increment(out: &Readings, family: &'static Family) -> f64 {
    out.increments().iter().filter(|reading| std::ptr::eq(reading.family, family)).map(|reading| reading.value).sum()
}

async fn failure(probe: &mut Probe) -> Failure {
    let (result, out) = run(probe).await;
    assert_eq!((out.value(&UP), out.value(&INSTANCES)), (Some(0.0), Some(0.0)));
    result.unwrap_err()
}

#[tokio::test]
async fn each_selector_finds_its_process() {
    let marker = marker();
    let called = format!("bk{}", marker.replace('.', ""));
    let child = Guarded::spawn(Command::new("sleep").arg0(format!("/opt/{called}")).arg(&marker));
    child.settle(&marker);
    let pidfile = file("good.pid", &format!("{}\n/var/lib/somewhere\n", child.pid()));

    assert_eq!(instances(&format!("name: {called}")).await, 1);
    assert_eq!(instances(&format!("cmdline: '^/opt/{called} {marker}$'")).await, 1);
    assert_eq!(instances(&format!("pidfile: {}", pidfile.display())).await, 1);
    assert!(instances("exe: /bin/sleep").await >= 1, "/bin is a link, and the link is followed");
    assert!(instances("name: sleep").await >= 1, "the kernel's name counts beside the one it was called by");
    std::fs::remove_file(pidfile).unwrap();
}

#[tokio::test]
async fn an_executable_is_told_from_its_copy_and_survives_its_own_removal() {
    let copy = std::env::temp_dir().join(format!("bk{}", marker().replace('.', "")));
    std::fs::copy("/bin/sleep", &copy).unwrap();
    let marker = marker();
    // Another test may fork while the copy is open for writing, and the kernel then refuses to execute it.
    let mut child = None;
    eventually(|| {
        child = Command::new(&copy).arg(&marker).spawn().ok();
        child.is_some()
    });
    let child = Guarded(child.unwrap());
    child.settle(&marker);
    let yaml = format!("exe: {}", copy.display());
    assert_eq!(instances(&yaml).await, 1);
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(instances(&yaml).await, 1, "an upgrade replaces the file under the running program");
}

#[tokio::test]
async fn readings_are_plausible_and_those_of_several_instances_are_summed() {
    let marker = marker();
    let mut probe = by_cmdline(&marker);
    let _first = Guarded::sleeper(&marker);
    let (result, one) = run(&mut probe).await;
    assert_eq!(result, Ok(()));
    let _second = Guarded::sleeper(&marker);
    let (result, two) = run(&mut probe).await;
    assert_eq!(result, Ok(()));

    assert_eq!((one.value(&INSTANCES), two.value(&INSTANCES)), (Some(1.0), Some(2.0)));
    assert_eq!((one.value(&THREADS), two.value(&THREADS)), (Some(1.0), Some(2.0)));
    let (of_one, of_two) = (one.value(&RESIDENT_MEMORY).unwrap(), two.value(&RESIDENT_MEMORY).unwrap());
    assert!((100_000.0..20e6).contains(&of_one), "{of_one}");
    assert!(of_two > of_one * 1.5, "{of_two} of two, {of_one} of one");
    assert!(two.value(&OPEN_FDS).unwrap() >= 6.0);
    let now = unix_now();
    let started = two.value(&START_TIMESTAMP).unwrap();
    assert!((now - started).abs() < 5.0, "started at {started}, now {now}");
    assert_eq!(one.value(&START_TIMESTAMP), Some(started), "the oldest instance counts, and it does not jitter");
    assert_eq!(one.value(&CPU_RATIO), None, "a ratio needs two runs");
    assert!(two.signals().contains(&(&MEMORY, of_two)));
    assert!(increment(&two, &RESTARTS) < 1.0, "one more is no restart");
}

#[tokio::test]
async fn an_exit_wakes_the_next_run_within_a_tenth_of_a_second() {
    let marker = marker();
    let mut child = Guarded::sleeper(&marker);
    let mut probe = by_cmdline(&marker);
    assert_eq!(run(&mut probe).await.0, Ok(()));
    let pid = child.pid();

    let early = tokio::time::timeout(Duration::from_millis(50), probe.wake()).await;
    assert!(early.is_err(), "it woke although nothing ended");

    let killer = std::thread::spawn(move || {
        let killed_at = Instant::now();
        // Not reaped yet: an exit is noticed although the parent does not care.
        child.0.kill().unwrap();
        (child, killed_at)
    });
    tokio::time::timeout(Duration::from_secs(5), probe.wake()).await.unwrap();
    let woken_at = Instant::now();
    let (mut child, killed_at) = killer.join().unwrap();
    let delay = woken_at.saturating_duration_since(killed_at);
    assert!(delay < Duration::from_millis(100), "{delay:?}");

    let failure = failure(&mut probe).await;
    assert_eq!(failure.reason, Reason::Exit);
    assert!(failure.detail.contains(&format!("pid {pid} ended")), "{}", failure.detail);
    let again = tokio::time::timeout(Duration::from_millis(50), probe.wake()).await;
    assert!(again.is_err(), "one exit woke two runs");
    child.end();
}

#[tokio::test]
async fn an_exit_wakes_only_once_even_if_no_run_follows() {
    let marker = marker();
    let mut child = Guarded::sleeper(&marker);
    let mut probe = by_cmdline(&marker);
    assert_eq!(run(&mut probe).await.0, Ok(()));
    child.end();
    tokio::time::timeout(Duration::from_secs(5), probe.wake()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), probe.wake()).await.is_err());
}

#[tokio::test]
async fn a_process_that_never_ran_is_missing_and_one_that_ran_has_exited_until_it_is_back_as_a_restart() {
    let marker = marker();
    let mut probe = by_cmdline(&marker);
    assert_eq!(failure(&mut probe).await.reason, Reason::Missing);

    let mut child = Guarded::sleeper(&marker);
    let (result, out) = run(&mut probe).await;
    assert_eq!((result, increment(&out, &RESTARTS)), (Ok(()), 0.0));
    child.end();
    assert_eq!(failure(&mut probe).await.reason, Reason::Exit);
    assert_eq!(failure(&mut probe).await.reason, Reason::Exit);

    let _back = Guarded::sleeper(&marker);
    let (result, out) = run(&mut probe).await;
    assert_eq!((result, increment(&out, &RESTARTS)), (Ok(()), 1.0));
    let (_, out) = run(&mut probe).await;
    assert!(increment(&out, &RESTARTS) < 1.0);
    let families: Vec<_> = out.increments().iter().map(|reading| reading.family.name).collect();
    assert!(families.contains(&"banken_process_restarts_total"), "a counter is there even when it stands still");
}

#[tokio::test]
async fn a_zombie_is_not_up() {
    // The kernel keeps 15 bytes of a name; a prefix of its own keeps it apart from the cut names of other tests.
    let called = format!("zb{}", marker().split_once('.').unwrap().1);
    let copy = std::env::temp_dir().join(&called);
    std::fs::copy("/bin/true", &copy).unwrap();
    let mut child = None;
    eventually(|| {
        child = Command::new(&copy).spawn().ok();
        child.is_some()
    });
    let child = Guarded(child.unwrap());
    let stat = format!("/proc/{}/stat", child.pid());
    eventually(|| std::fs::read_to_string(&stat).unwrap().contains(") Z "));
    let pidfile = file("zombie.pid", &child.pid().to_string());

    for yaml in [format!("name: {called}"), format!("pidfile: {}", pidfile.display())] {
        let failure = failure(&mut probe(&yaml)).await;
        assert_eq!(failure.reason, Reason::Missing);
        assert!(failure.detail.contains(&format!("pid {} is a zombie", child.pid())), "{}", failure.detail);
    }
    std::fs::remove_file(pidfile).unwrap();
    std::fs::remove_file(copy).unwrap();
}

#[tokio::test]
async fn cpu_time_of_a_busy_child_adds_up_and_becomes_a_ratio() {
    let marker = marker();
    let mut probe = by_cmdline(&marker);
    let _ = run(&mut probe).await;
    let child = Guarded::spawn(Command::new("sh").args(["-c", "while :; do :; done", &marker]));
    child.settle(&marker);
    let mut total = 0.0;
    let mut last = None;
    let deadline = Instant::now() + Duration::from_secs(10);
    while total < 0.2 {
        assert!(Instant::now() < deadline, "only {total} s of CPU time in 10 s");
        tokio::time::sleep(Duration::from_millis(120)).await;
        let (result, out) = run(&mut probe).await;
        assert_eq!(result, Ok(()));
        total += increment(&out, &CPU_SECONDS);
        last = out.value(&CPU_RATIO);
        assert_eq!(out.signals().iter().find(|(signal, _)| *signal == &CPU).map(|(_, value)| *value), last);
    }
    let ratio = last.unwrap();
    assert!(ratio > 0.05 && ratio < 1.3, "{ratio}");

    let mut late = by_cmdline(&marker);
    let (_, out) = run(&mut late).await;
    assert!(increment(&out, &CPU_SECONDS) < 1e-9, "what was spent before the watch is not counted");
}

#[tokio::test]
async fn a_pidfile_that_leads_nowhere_says_why() {
    let mut ended = Guarded::sleeper(&marker());
    ended.end();
    // Each thread has a number that only processes seem to have, and a pid may be given to a thread later.
    let (tell, told) = std::sync::mpsc::channel();
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        let _ = hold.recv();
    });
    let thread_id = told.recv().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let cases = [
        ("garbage", "hello".to_owned(), "no process id"),
        ("empty", String::new(), "no process id"),
        ("negative", "-1".to_owned(), "no process id"),
        ("stale", ended.pid().to_string(), "stale"),
        ("thread", thread_id, "stale"),
    ];
    for (name, content, expected) in cases {
        let path = file(name, &content);
        let failure = failure(&mut probe(&format!("pidfile: {}", path.display()))).await;
        assert_eq!(failure.reason, Reason::Missing, "{name}");
        assert!(failure.detail.contains(expected), "{name}: {}", failure.detail);
        std::fs::remove_file(path).unwrap();
    }
    drop(release);
    thread.join().unwrap();
    let failure = failure(&mut probe("pidfile: /nonexistent/x.pid")).await;
    assert!(failure.detail.contains("No such file"), "{}", failure.detail);
}

#[tokio::test]
async fn too_many_and_too_few_are_different_failures() {
    let marker = marker();
    let _children = [Guarded::sleeper(&marker), Guarded::sleeper(&marker)];
    let (result, out) = run(&mut probe(&format!("{{ cmdline: '{marker}$', max: 1 }}"))).await;
    assert_eq!(result.unwrap_err().reason, Reason::Limit);
    assert_eq!((out.value(&UP), out.value(&INSTANCES)), (Some(1.0), Some(2.0)));

    let (result, out) = run(&mut probe(&format!("{{ cmdline: '{marker}$', min: 3 }}"))).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.reason, Reason::Missing);
    assert!(failure.detail.contains("at least 3"), "{}", failure.detail);
    assert_eq!((out.value(&UP), out.value(&INSTANCES)), (Some(0.0), Some(2.0)));
}

#[tokio::test]
async fn the_user_narrows_the_match() {
    let marker = marker();
    let child = Guarded::sleeper(&marker);
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(instances(&format!("{{ cmdline: '{marker}$', user: {uid} }}")).await, 1);
    let other = uid + 1;
    let mut by_other = probe(&format!("{{ cmdline: '{marker}$', user: {other} }}"));
    assert_eq!(failure(&mut by_other).await.reason, Reason::Missing);
    let pidfile = file("user.pid", &child.pid().to_string());
    let mut by_other = probe(&format!("{{ pidfile: {}, user: {other} }}", pidfile.display()));
    assert!(failure(&mut by_other).await.detail.contains(&format!("runs as uid {uid}")));
    std::fs::remove_file(pidfile).unwrap();
}

#[tokio::test]
async fn banken_itself_is_matched_by_name_but_not_by_its_arguments() {
    let own = std::env::current_exe().unwrap();
    let name = own.file_name().unwrap().to_str().unwrap();
    assert!(instances(&format!("name: {name}")).await >= 1);
    let whole = std::fs::read("/proc/self/cmdline").unwrap();
    let first = String::from_utf8_lossy(whole.split(|byte| *byte == 0).next().unwrap()).into_owned();
    let query = Query {
        selector: config(&format!("cmdline: '^{first}'")).cmdline.map(Program::Cmdline).map(Selector::Program).unwrap(),
        uid: None,
    };
    let own_pid = i32::try_from(std::process::id()).unwrap();
    let sight = look(&query, &[]).unwrap();
    assert!(sight.found.iter().all(|found| found.id.pid != own_pid));
}

#[test]
fn mistakes_of_the_block_are_all_found_with_their_place() {
    let cases = [
        ("{}", ""),
        ("{ name: a, exe: /a }", ""),
        ("name: ''", "name"),
        ("name: /bin/a", "name"),
        ("exe: bin/a", "exe"),
        ("pidfile: a.pid", "pidfile"),
        ("cmdline: 'a*'", "cmdline"),
        ("{ name: a, min: 3, max: 2 }", "max"),
        ("{ name: a, user: nobody-knows-me }", "user"),
    ];
    for (yaml, path) in cases {
        let invalid = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was built"));
        assert_eq!(invalid.iter().map(|invalid| invalid.path.as_str()).collect::<Vec<_>>(), [path], "{yaml}");
    }
    assert!(serde_yaml::from_str::<Config>("{ name: a, nmae: b }").is_err());
    assert_eq!(config("name: a"), Config { name: Some("a".into()), ..Config::default() });
}

#[test]
fn no_family_is_listed_twice() {
    let mut names: Vec<_> = ALL.iter().map(|family| family.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
