//! Processes that write a log and are told to open it again.

use super::*;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Writes numbered lines, and opens its log again at SIGHUP. It ends by itself after a minute.
const WRITER: &str = r#"
exec 3>>"$1"
trap 'exec 3>>"$1"; echo x >> "$1.heard"' HUP
number=0
end=$(( $(date +%s) + 60 ))
echo $$ > "$2"
while [ "$(date +%s)" -lt "$end" ]; do
  number=$((number + 1))
  echo "$number of a log that grows and grows" >&3
  [ -e "$1.stop" ] && exit 0
done
"#;

struct Writer {
    child: Child,
    pidfile: PathBuf,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(script: &str, log: &Path) -> Writer {
    let pidfile = log.with_extension("pid");
    let child =
        Command::new("/bin/sh").args(["-c", script, "sh"]).arg(log).arg(&pidfile).stdin(Stdio::null()).spawn().unwrap();
    let writer = Writer { child, pidfile };
    eventually("the writer has said who it is", || fs::read(&writer.pidfile).is_ok_and(|text| text.ends_with(b"\n")));
    writer
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !look() {
        assert!(Instant::now() < deadline, "it did not happen: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn shell() -> PathBuf {
    Path::new("/bin/sh").canonicalize().unwrap()
}

fn signalling(root: &Path, pidfile: &Path, exe: &Path) -> Action {
    built(root, &format!("files: [ app.log ], signal: {{ pidfile: {}, exe: {} }}", pidfile.display(), exe.display()))
}

#[tokio::test]
async fn a_writer_that_is_told_loses_no_line_and_the_old_file_is_compressed() {
    let (_folder, root) = folder();
    let log = root.join("app.log");
    let mut writer = start(WRITER, &log);
    let action = signalling(&root, &writer.pidfile, &shell());
    let mut rotations = 0;
    while rotations < 3 {
        eventually("the log has grown", || log.metadata().is_ok_and(|data| data.len() > 1100));
        let told = action.rehearse(&Scene::default()).await.unwrap().join("\n");
        assert!(told.contains("would send SIGHUP to "), "{told}");
        let done = act(&action).await.unwrap();
        assert!(done.contains("sent SIGHUP") && done.contains("compressed 1 file"), "{done}");
        rotations += 1;
    }
    fs::write(root.join("app.log.stop"), "").unwrap();
    assert!(writer.child.wait().unwrap().success());
    let mut lines = Vec::new();
    let mut files = 0;
    for name in names(&root) {
        let text = match Path::new(&name).extension().and_then(|extension| extension.to_str()) {
            Some("gz") => unpacked(&root.join(&name)),
            Some("log") => fs::read(root.join(&name)).unwrap(),
            _ => continue,
        };
        files += 1;
        let text = String::from_utf8(text).unwrap();
        lines.extend(text.lines().map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap()));
    }
    lines.sort_unstable();
    assert_eq!(files, 4, "{:?}", names(&root));
    assert_eq!(lines, (1..=lines.len() as u64).collect::<Vec<_>>(), "every line is there once");
}

#[tokio::test]
async fn a_process_that_is_not_the_expected_one_gets_no_signal_and_nothing_is_rotated() {
    let (_folder, root) = folder();
    big(&root.join("app.log"));
    let pidfile = root.join("some.pid");
    let refused = async |pid: &str, exe: &Path, words: &str| {
        fs::write(&pidfile, pid).unwrap();
        let setback = act(&signalling(&root, &pidfile, exe)).await.unwrap_err();
        assert!(matches!(&setback, Setback::Refused(why) if why.contains(words)), "{pid:?}: {setback:?}");
    };
    refused("1\n", &shell(), "never signalled").await;
    refused(&std::process::id().to_string(), &shell(), "never signalled").await;
    for text in ["", "abc", "-5", "0", "12 13", "99999999999999999999"] {
        refused(text, &shell(), "no process number").await;
    }
    // A number that no process has.
    refused("4194303", &shell(), "does not run").await;
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let exe = fs::read_link(format!("/proc/{}/exe", sleeper.id())).unwrap();
    eventually("it has become sleep", || {
        fs::read_link(format!("/proc/{}/exe", sleeper.id())).is_ok_and(|exe| exe.ends_with("sleep"))
    });
    let exe = if exe.ends_with("sleep") { exe } else { fs::read_link(format!("/proc/{}/exe", sleeper.id())).unwrap() };
    refused(&sleeper.id().to_string(), &shell(), "it runs ").await;
    refused(&sleeper.id().to_string(), &exe, "does not catch SIGHUP").await;
    assert!(sleeper.try_wait().unwrap().is_none(), "it was left alone");
    if rustix::process::geteuid().as_raw() == 0 {
        let yaml = format!(
            "files: [ app.log ], signal: {{ pidfile: {}, exe: {}, user: 12345 }}",
            pidfile.display(),
            exe.display()
        );
        let setback = act(&built(&root, &yaml)).await.unwrap_err();
        assert!(matches!(&setback, Setback::Refused(why) if why.contains("user 0, not 12345")), "{setback:?}");
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    fs::remove_file(&pidfile).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &pidfile).unwrap();
    let setback = act(&signalling(&root, &pidfile, &exe)).await.unwrap_err();
    assert!(matches!(setback, Setback::Refused(_)), "{setback:?}");
    assert_eq!(names(&root), ["app.log", "some.pid"]);
}

#[tokio::test]
async fn a_writer_that_was_not_told_because_a_rotation_was_cut_off_is_told_the_next_time() {
    let (_folder, root) = folder();
    let log = root.join("app.log");
    let writer = start(WRITER, &log);
    eventually("the log has grown", || log.metadata().is_ok_and(|data| data.len() > 100));
    // Cut off after the renaming.
    let rotated = names::rotated("app.log".as_ref(), SystemTime::now()).unwrap();
    fs::rename(&log, root.join(&rotated)).unwrap();
    fs::write(&log, "").unwrap();
    let action = signalling(&root, &writer.pidfile, &shell());
    let done = act(&action).await.unwrap();
    assert!(done.contains("sent SIGHUP"), "{done}");
    eventually("it writes into the fresh one", || log.metadata().is_ok_and(|data| data.len() > 0));
}
