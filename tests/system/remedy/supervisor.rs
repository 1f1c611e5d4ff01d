//! `service_restart: { supervisor: … }` with the real supervisord.

use super::{busy, done, failed, step};
use crate::support::{Process, eventually};
use banken::remedy::action::{Action as _, Scene, Worker};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// supervisord with programs of its own; they end with the test.
struct Supervisor {
    process: Process,
    folder: tempfile::TempDir,
}

impl Supervisor {
    async fn start(programs: &str) -> Self {
        Self::start_with("", programs).await
    }

    async fn start_with(server: &str, programs: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "[unix_http_server]\nfile={}\n{server}\n[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n\
             pidfile={}\nchildlogdir={}\n[rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{}\n{programs}",
            at("socket"),
            at("pid"),
            folder.path().display(),
            at("socket"),
        );
        fs::write(folder.path().join("conf"), config.replace("FOLDER", &folder.path().display().to_string())).unwrap();
        let mut command = Command::new("/usr/bin/supervisord");
        command.arg("-c").arg(folder.path().join("conf")).current_dir(&folder);
        let process = Process::start(&mut command);
        let supervisor = Self { process, folder };
        eventually("supervisord listens", async || tokio::net::UnixStream::connect(supervisor.socket()).await.ok())
            .await;
        supervisor
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Asks by its own client, whose status says how programs are and is no failure.
    fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("/usr/bin/supervisorctl");
        let output = command.arg("-c").arg(self.folder.path().join("conf")).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    async fn until(&self, program: &str, state: &str) {
        eventually(&format!("{program} is {state}"), async || {
            self.ctl(&["status", program]).contains(state).then_some(())
        })
        .await;
    }

    fn pid(&self, program: &str) -> i32 {
        self.ctl(&["pid", program]).trim().parse().unwrap()
    }

    fn restart(&self, program: &str, more: &str) -> Worker {
        let socket = self.socket();
        step(&format!(
            "service_restart: {{ supervisor: {{ program: '{program}', socket: '{}'{more} }} }}",
            socket.display()
        ))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Killed, it would leave its programs behind.
        self.process.signal(rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.process.is_running() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

const PROGRAMS: &str = "
[program:web]
command=/bin/sleep 1000
startsecs=0
autorestart=false
[program:slow]
command=/bin/sleep 1000
startsecs=2
autorestart=false
[program:well]
command=/bin/sh -c 'test -e FOLDER/well && exec sleep 1000; exit 3'
startsecs=1
startretries=0
autostart=false
[program:stubborn]
command=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'
startsecs=0
stopwaitsecs=1
[program:many]
command=/bin/sleep 1000
numprocs=2
process_name=%(program_name)s_%(process_num)02d
startsecs=0
[program:missing]
command=/nowhere/program
autostart=false
";

#[tokio::test]
async fn a_program_is_restarted_and_one_that_fell_is_up_again_at_once() {
    let supervisor = Supervisor::start(PROGRAMS).await;
    supervisor.until("web", "RUNNING").await;
    let web = supervisor.restart("web", "");
    let lines = web.rehearse(&Scene::default()).await.unwrap();
    assert!(lines[0].starts_with("would have supervisor restart the program web, which is RUNNING, pid "), "{lines:?}");
    let before = supervisor.pid("web");
    let (words, took) = done(&web).await;
    let after = supervisor.pid("web");
    assert!(words.contains(&format!("it was RUNNING, pid {before}, now pid {after}")) && after != before, "{words}");
    println!("supervisor: a program that runs is restarted in {took:?}");
    let mut times = Vec::new();
    for _ in 0..10 {
        let killed = Instant::now();
        crate::pm2::kill(supervisor.pid("web"));
        done(&web).await;
        times.push(killed.elapsed());
    }
    times.sort();
    println!("supervisor: from SIGKILL (with supervisorctl pid) to RUNNING again: {times:?}");
    let alone = {
        let pid = supervisor.pid("web");
        let killed = Instant::now();
        crate::pm2::kill(pid);
        done(&web).await;
        killed.elapsed()
    };
    println!("supervisor: from SIGKILL to RUNNING again: {alone:?}");
    let before = supervisor.pid("many:many_01");
    done(&supervisor.restart("many:many_01", "")).await;
    assert_ne!(supervisor.pid("many:many_01"), before);
    let (_, took) = done(&supervisor.restart("stubborn", "")).await;
    assert!(took > Duration::from_millis(700), "it is killed after stopwaitsecs: {took:?}");
}

#[tokio::test]
async fn what_does_not_come_up_is_told_and_what_is_on_its_way_or_stopped_is_left_alone() {
    let supervisor = Supervisor::start(PROGRAMS).await;
    // Within its startsecs.
    busy(&supervisor.restart("slow", ""), "is STARTING").await;
    supervisor.until("slow", "RUNNING").await;
    let (words, took) = done(&supervisor.restart("slow", "")).await;
    assert!(took >= Duration::from_secs(2), "it is up after its startsecs: {words}");
    supervisor.ctl(&["stop", "web"]);
    busy(&supervisor.restart("web", ""), "is STOPPED: start it yourself, or set start_stopped: true").await;
    let socket = supervisor.socket();
    let anyway = |program: &str| {
        let one = format!("program: {program}, socket: '{}'", socket.display());
        step(&format!("service_restart: {{ supervisor: {{ {one} }}, start_stopped: true }}"))
    };
    done(&anyway("web")).await;
    failed(&anyway("well"), "the program well was started, and has ended").await;
    supervisor.until("well", "FATAL").await;
    fs::write(supervisor.folder.path().join("well"), "").unwrap();
    let (words, _) = done(&supervisor.restart("well", "")).await;
    assert!(words.contains("it was FATAL, given up by supervisor"), "{words}");
    failed(&anyway("missing"), "/nowhere/program").await;
    failed(&supervisor.restart("nobody", ""), "supervisor knows no such program").await;
}

#[tokio::test]
async fn what_supervisor_starts_again_by_itself_is_left_alone() {
    let programs = "[program:falls]\ncommand=/bin/sh -c 'exit 3'\nstartsecs=1\nstartretries=100\n";
    let supervisor = Supervisor::start(programs).await;
    supervisor.until("falls", "BACKOFF").await;
    let falls = supervisor.restart("falls", "");
    eventually("it is left alone", async || {
        let setback = super::setback(&falls).await;
        setback.to_string().contains("is starting the program falls again by itself").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_login_is_sent_where_one_is_wanted() {
    let supervisor = Supervisor::start_with("username=me\npassword=hush-hush", PROGRAMS).await;
    failed(&supervisor.restart("web", ""), "supervisor wants another login").await;
    failed(&supervisor.restart("web", ", username: me, password: wrong"), "supervisor wants another login").await;
    let web = supervisor.restart("web", ", username: me, password: hush-hush");
    eventually("it is restarted", async || web.act(&mut Scene::default()).await.ok()).await;
}
