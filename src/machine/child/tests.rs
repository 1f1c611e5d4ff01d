use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

const ALL: Keep = Keep { stdout: 64 << 10, stderr: 4 << 10 };

/// Long enough for a busy machine, far shorter than what the children would take.
const PATIENCE: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").args(["-c", script])
}

async fn run(program: &Program) -> Ended {
    timeout(PATIENCE, program.run(ALL)).await.expect("it hangs").unwrap()
}

fn text(kept: &Kept) -> String {
    String::from_utf8(kept.text.clone()).unwrap()
}

fn secret(text: &str) -> Secret {
    serde_yaml::from_str(&format!("{text:?}")).unwrap()
}

/// The processes that belong to a group, zombies too.
fn members(group: &str) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("stat")).ok());
    let stats = stats.map(|stat| String::from_utf8_lossy(&stat).into_owned());
    stats.filter(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(2) == Some(group.trim())).collect()
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A script says its pid in this file, once everything that it is to start runs.
fn read_line(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')).map(|text| text.trim().to_owned())
}

#[tokio::test]
async fn output_complaints_and_exit_status_are_kept_apart() {
    let ended = run(&shell("echo out; echo err >&2; exit 3")).await;
    assert_eq!((text(&ended.stdout).as_str(), text(&ended.stderr).as_str()), ("out\n", "err\n"));
    assert_eq!((ended.status.code(), in_words(ended.status).as_str()), (Some(3), "exit status 3"));
    let ended = run(&shell("kill -SEGV $$")).await;
    assert_eq!(in_words(ended.status), "killed by SIGSEGV");
    assert_eq!(in_words(ExitStatus::from_raw(40)), "killed by signal 40");
}

#[tokio::test]
async fn it_is_given_only_the_environment_the_folder_and_the_arguments_that_are_meant_for_it() {
    let program = Program::new("env").env([("TOKEN".to_owned(), secret("hunter2"))]);
    let ended = run(&program).await;
    let mut variables: Vec<_> = text(&ended.stdout).lines().map(str::to_owned).collect();
    variables.sort();
    assert_eq!(variables, ["LC_ALL=C", &format!("PATH={PATH}"), "TOKEN=hunter2"]);
    assert!(!format!("{program:?}").contains("hunter2"));
    assert_eq!(PATH.split(':').collect::<Vec<_>>(), FOLDERS);

    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().canonicalize().unwrap();
    let program = Program::new("/bin/sh").args(["-c", "pwd; cat; echo \"$1\"", "sh", "a  $(b) *"]).dir(&place);
    assert_eq!(text(&run(&program).await.stdout), format!("{}\na  $(b) *\n", place.display()));
    assert_eq!(text(&run(&shell("pwd")).await.stdout), "/\n");
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Program::new(path)
    };
    let cases = [
        (Program::new("/nowhere/program"), "there is no program /nowhere/program: install"),
        (Program::new("no-such-program-here"), "in /usr/local/sbin, /usr/local/bin"),
        (Program::new("/etc"), "is no program"),
        (Program::new("/etc/passwd/x"), "cannot be reached"),
        (file("plain", "#!/bin/sh\n", 0o644), "make it executable"),
        (file("script", "#!/nowhere/shell\n", 0o755), "interpreter"),
        (file("text", "hello\n", 0o755), "begins with #!"),
        (shell("true").dir("/nowhere"), "the folder /nowhere"),
        (shell("true").dir("/etc/passwd"), "the folder /etc/passwd"),
    ];
    for (program, words) in cases {
        let failure = program.run(ALL).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Missing, "{failure}");
        assert!(failure.detail.contains(words) && !failure.detail.contains('\n'), "{words}: {failure}");
        // It is not its turn that is lost.
        assert!(timeout(PATIENCE, program.run(ALL)).await.expect("it waits for ever").is_err());
    }
    for shortage in [rustix::io::Errno::MFILE, rustix::io::Errno::AGAIN, rustix::io::Errno::NOMEM] {
        let failure = shell("true").explain(Path::new("/bin/sh"), &shortage.into());
        assert_eq!(failure.reason, Reason::Local, "{failure}");
    }
}

#[tokio::test]
async fn a_gibibyte_of_output_is_read_and_counted_and_its_begin_kept() {
    let begun = Instant::now();
    let ended = run(&shell("echo begin; head -c 1073741824 /dev/zero; echo oops >&2")).await;
    assert_eq!(ended.stdout.total, (1 << 30) + 6, "after {:?}", begun.elapsed());
    assert_eq!(ended.stdout.text.len(), ALL.stdout);
    assert!(ended.stdout.text.starts_with(b"begin\n\0") && ended.stdout.is_cut());
    assert!(text(&ended.stderr) == "oops\n" && !ended.stderr.is_cut());
}

#[tokio::test]
async fn all_that_was_said_before_the_end_is_there() {
    // As much as a pipe takes without being read, which may happen after the end.
    for _ in 0..20 {
        let ended = run(&shell("head -c 60000 /dev/zero; head -c 50000 /dev/zero >&2; exit 1")).await;
        assert_eq!((ended.stdout.total, ended.stderr.total), (60000, 50000));
    }
}

#[tokio::test]
async fn whoever_stops_waiting_ends_the_whole_group_however_stubborn_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("pid");
    let script = format!(
        "trap '' TERM INT HUP QUIT; (trap '' TERM; sleep 120) & sleep 120 & echo $$ > {}; while :; do sleep 100; done",
        said.display()
    );
    let program = shell(&script);
    let mut running = Box::pin(program.run(ALL));
    let group = tokio::select! {
        _ = &mut running => panic!("it has ended"),
        group = until("it says its pid", || read_line(&said)) => group,
    };
    until("all of it runs", || (members(&group).len() >= 3).then_some(())).await;
    drop(running);
    // Its direct child is ours to collect, the others belong to whoever inherits orphans here.
    let zombie = |stat: &String| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z');
    let is_gone = || {
        let left = members(&group);
        let ours = left.iter().any(|stat| stat.starts_with(&format!("{group} ")));
        (!ours && left.iter().all(zombie)).then_some(())
    };
    until("the group is gone", is_gone).await;
    // And its place is free again.
    fs::remove_file(&said).unwrap();
    assert!(timeout(Duration::from_secs(1), program.run(ALL)).await.is_err());
    let group = until("it says its pid again", || read_line(&said)).await;
    until("the second is gone too", || members(&group).iter().all(zombie).then_some(())).await;
}

#[tokio::test]
async fn nothing_that_it_leaves_behind_is_waited_for_and_its_group_ends_with_it() {
    let begun = Instant::now();
    let ended = run(&shell("sleep 120 & echo $!; exit 0")).await;
    assert!(begun.elapsed() < PATIENCE / 2, "it took {:?}", begun.elapsed());
    let left = format!("/proc/{}/status", text(&ended.stdout).trim());
    let is_alive = || fs::read_to_string(&left).is_ok_and(|status| !status.contains("State:\tZ"));
    until("what was left is gone", || (!is_alive()).then_some(())).await;
}

#[tokio::test]
async fn a_daemon_that_holds_the_output_open_or_floods_it_does_not_hold_us_up() {
    for daemon in ["sleep 120", "yes"] {
        // It leaves the group, so it lives on.
        let ended = run(&shell(&format!("setsid {daemon} & echo $!; exit 0"))).await;
        let said = text(&ended.stdout);
        let pid: i32 = said.lines().find_map(|line| line.parse().ok()).unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).expect("it left the group, so it lives");
        assert!(ended.status.success(), "{daemon}");
    }
}

#[tokio::test]
async fn what_has_closed_its_output_is_waited_for() {
    let ended = run(&shell("exec >&- 2>&-; sleep 0.3; exit 7")).await;
    assert_eq!(ended.status.code(), Some(7));
}

#[tokio::test]
async fn a_program_runs_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let program = shell(&format!("mkdir {0} && sleep 0.2 && rmdir {0}", lock.display()));
    let runs = futures_util::future::join_all((0..3).map(|_| run(&program))).await;
    assert!(runs.iter().all(|ended| ended.status.success()), "{runs:?}");
}
