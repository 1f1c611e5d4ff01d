//! Against real processes that hold real ports.

use super::super::Action as _;
use super::*;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// A process that is given a socket that listens, and does nothing with it; it ends with the test.
struct Holding(Child);

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hold(listener: &TcpListener, mut command: Command) -> Holding {
    // The command goes with the end of this: it holds the socket as well.
    let socket = OwnedFd::from(listener.try_clone().unwrap());
    Holding(command.stdin(socket).stdout(Stdio::null()).spawn().unwrap())
}

fn sleeper() -> Command {
    let mut command = Command::new("/bin/sleep");
    command.arg("60");
    command
}

fn cat() -> Command {
    let mut command = Command::new("/bin/cat");
    command.arg("/dev/zero");
    command
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn action(yaml: &str) -> Action {
    let config: Config = serde_yaml::from_str(yaml).unwrap();
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn refused(action: &Action) -> String {
    let rehearsed = action.rehearse(&Scene::default()).await;
    let acted = action.act(&mut Scene::default()).await;
    let (Err(Setback::Refused(would)), Err(Setback::Refused(words))) = (&rehearsed, &acted) else {
        panic!("it was not refused: {rehearsed:?}, {acted:?}");
    };
    assert_eq!(would, words, "the rehearsal says what is done");
    words.clone()
}

#[tokio::test]
async fn the_expected_process_is_ended_and_nobody_is_no_failure() {
    let (listener, port) = listener();
    let mut holding = hold(&listener, sleeper());
    drop(listener);
    let action = action(&format!("{{ port: {port}, exe: /bin/sleep, name: sleep }}"));
    let lines = action.rehearse(&Scene::default()).await.unwrap();
    let pid = format!("(pid {}, user ", holding.0.id());
    assert!(lines.len() == 1 && lines[0].contains(&pid) && lines[0].contains("would end sleep"), "{lines:?}");
    assert!(holding.0.try_wait().unwrap().is_none(), "a rehearsal touches nobody");
    let done = action.act(&mut Scene::default()).await.unwrap();
    assert!(done.detail.contains("ended with SIGTERM after 0."), "{}", done.detail);
    holding.0.wait().unwrap();
    let done = action.act(&mut Scene::default()).await.unwrap();
    assert!(done.detail.starts_with(&format!("nobody listens on port {port}")), "{}", done.detail);
    assert!(action.rehearse(&Scene::default()).await.unwrap()[0].contains("would do nothing"));
}

#[tokio::test]
async fn who_does_not_hear_sigterm_is_killed_after_the_grace() {
    let (listener, port) = listener();
    // As `trap '' TERM` does it: what is ignored stays so when it executes another program.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' TERM; exec sleep 60"]);
    let mut holding = hold(&listener, command);
    drop(listener);
    let action = action(&format!("{{ port: {port}, name: sleep, grace: 300ms }}"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(why) = action.rehearse(&Scene::default()).await {
        assert!(Instant::now() < deadline, "it does not become what it should be: {why}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let done = action.act(&mut Scene::default()).await.unwrap();
    assert!(done.detail.contains("ended with SIGKILL after "), "{}", done.detail);
    holding.0.wait().unwrap();
}

#[tokio::test]
async fn another_program_or_user_is_left_alone_and_so_are_we_ourselves() {
    let (listener, port) = listener();
    let words =
        refused(&action(&format!("{{ port: {port}, exe: '{}' }}", std::env::current_exe().unwrap().display()))).await;
    assert!(words.contains("which is Banken itself"), "{words}");
    let mut holding = hold(&listener, sleeper());
    drop(listener);
    for (expected, words) in [
        ("exe: /usr/bin/python3", "expected executable /usr/bin/python3"),
        ("name: sleepy", "expected name \"sleepy\""),
        ("exe: /bin/sleep, name: sleepy", "expected name \"sleepy\""),
        ("exe: /bin/sleep, user: 4242", "expected user 4242"),
    ] {
        let said = refused(&action(&format!("{{ port: {port}, {expected} }}"))).await;
        assert!(said.contains(words), "{expected}: {said}");
    }
    assert!(holding.0.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn of_several_who_hold_a_port_all_must_be_expected() {
    let (listener, port) = listener();
    let (mut one, mut other) = (hold(&listener, sleeper()), hold(&listener, cat()));
    drop(listener);
    let words = refused(&action(&format!("{{ port: {port}, name: sleep }}"))).await;
    assert!(words.contains("cat") && words.contains("expected name \"sleep\""), "{words}");
    assert!(one.0.try_wait().unwrap().is_none() && other.0.try_wait().unwrap().is_none());
    other.0.kill().unwrap();
    other.0.wait().unwrap();
    action(&format!("{{ port: {port}, name: sleep }}")).act(&mut Scene::default()).await.unwrap();
    one.0.wait().unwrap();
}

/// Two sockets of one port, each of another process, as `SO_REUSEPORT` allows it.
#[tokio::test]
async fn all_sockets_of_a_port_count() {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    let open = |port: u16| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        listen(&socket, 8).unwrap();
        TcpListener::from(socket)
    };
    let first = open(0);
    let port = first.local_addr().unwrap().port();
    let second = open(port);
    let mut one = hold(&first, sleeper());
    drop(first);
    let mut other = hold(&second, cat());
    drop(second);
    let words = refused(&action(&format!("{{ port: {port}, name: sleep }}"))).await;
    assert!(words.contains("cat"), "{words}");
    other.0.kill().unwrap();
    other.0.wait().unwrap();
    action(&format!("{{ port: {port}, name: sleep }}")).act(&mut Scene::default()).await.unwrap();
    one.0.wait().unwrap();
}

fn wanted(port: u16) -> Wanted {
    let uid = rustix::process::geteuid().as_raw();
    Wanted { port, programs: vec![Program::Name("sleep".into())], uid }
}

/// The socket that a process has as its standard input.
fn borrowed(from: &Holding) -> OwnedFd {
    let pid = rustix::process::Pid::from_raw(from.0.id().cast_signed()).unwrap();
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_getfd(pidfd, 0, rustix::process::PidfdGetfdFlags::empty()).unwrap()
}

/// Two processes hold a port. Between the two looks one of them ends, and the same program of the same user takes its place with the
/// same socket. Gives the numbers of both.
fn replaced_between_looks(prepare: impl FnOnce(u32)) -> (u32, u32) {
    let (listener, port) = listener();
    let (mut old, mut keeper) = (hold(&listener, sleeper()), hold(&listener, sleeper()));
    drop(listener);
    assert_eq!(seize(&wanted(port), || {}).unwrap().len(), 2, "both may be ended");
    let (number, mut heir) = (old.0.id(), None);
    let seized = seize(&wanted(port), || {
        let socket = borrowed(&keeper);
        old.0.kill().unwrap();
        old.0.wait().unwrap();
        prepare(number);
        heir = Some(Holding(sleeper().stdin(socket).spawn().unwrap()));
    });
    let Err(Setback::Refused(words)) = &seized else { panic!("{seized:?}") };
    assert!(words.contains("changed while it was looked at"), "{words}");
    let mut heir = heir.unwrap();
    assert!(keeper.0.try_wait().unwrap().is_none() && heir.0.try_wait().unwrap().is_none(), "nobody is touched");
    (number, heir.0.id())
}

#[test]
fn whoever_takes_the_place_of_a_process_between_two_looks_is_not_touched() {
    replaced_between_looks(|_| {});
}

/// Only its start and its descriptor differ then.
#[test]
fn a_number_that_is_given_anew_is_another_process() {
    let ask = |number: u32| {
        // Only root may ask for the number of the next process; somebody else may be faster.
        let _ = std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string());
    };
    let is_given_anew = (0..20).any(|_| {
        let (old, new) = replaced_between_looks(ask);
        old == new
    });
    if !is_given_anew {
        println!("no number was given anew: that needs root");
    }
}

/// As root only: nobody else can start a process of another user.
#[tokio::test]
async fn a_process_of_another_user_is_left_alone_unless_it_is_the_one_that_is_named() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: no process of another user can be started");
        return;
    }
    let (listener, port) = listener();
    let mut stranger = sleeper();
    stranger.uid(65534).gid(65534);
    let mut holding = hold(&listener, stranger);
    drop(listener);
    let words = refused(&action(&format!("{{ port: {port}, exe: /bin/sleep }}"))).await;
    assert!(words.contains("user nobody), expected user root"), "{words}");
    action(&format!("{{ port: {port}, exe: /bin/sleep, user: nobody }}")).act(&mut Scene::default()).await.unwrap();
    holding.0.wait().unwrap();
}

#[test]
fn a_block_that_could_hit_anybody_is_refused() {
    for (yaml, path) in [
        ("{ port: 80 }", ""),
        ("{ port: 80, user: root }", ""),
        ("{ port: 80, exe: python3 }", "exe"),
        ("{ port: 80, name: '' }", "name"),
        ("{ port: 80, name: /bin/sleep }", "name"),
        ("{ port: 80, name: x, user: no-such-user }", "user"),
        ("{ port: 80, name: x, grace: 9s }", "timeout"),
    ] {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was taken"));
        assert_eq!(mistakes[0].path, path, "{yaml}");
    }
    for yaml in ["{ port: 0, name: x }", "{ port: 80, name: x, protocol: udp }", "{ port: 80, name: x, pid: 3 }"] {
        assert!(serde_yaml::from_str::<Config>(yaml).is_err(), "{yaml}");
    }
}
