//! A log that is written, read by Banken and rotated at the same time.

use crate::support::{Banken, Process, eventually, value_of};
use banken::remedy::action::{Action as _, Context, Scene, Spec};
use std::path::Path;
use std::process::Command;

/// Writes numbered lines, and opens its log again at SIGHUP.
const WRITER: &str = r#"
exec 3>>"$1"
trap 'exec 3>>"$1"' HUP
echo $$ > "$2"
number=0
while [ ! -e "$3" ] && [ $number -lt 2000000 ]; do number=$((number + 1)); echo "$number boom" >&3; done
echo "wrote $number"
"#;

#[tokio::test]
async fn no_line_is_missed_or_counted_twice_while_a_log_is_rotated_under_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let logs = root.join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let (log, pidfile, stop) = (logs.join("app.log"), root.join("writer.pid"), root.join("stop"));
    std::fs::write(&log, "").unwrap();
    let config = format!(
        "host: false\nstate_dir: {}\nlogs:\n  - name: bot\n    paths: [ {} ]\n    from: beginning\n    \
         rules: [ {{ id: boom, pattern: 'boom', severity: error }} ]\n",
        root.join("state").display(),
        logs.join("*.log").display()
    );
    let banken = Banken::start(&config).await;
    let mut command = Command::new("/bin/sh");
    let mut writer = Process::start(command.args(["-c", WRITER, "sh"]).args([&log, &pidfile, &stop]));
    eventually("the writer has said who it is", async || {
        std::fs::read(&pidfile).ok().filter(|text| text.ends_with(b"\n")).map(|_| ())
    })
    .await;
    let exe = Path::new("/bin/sh").canonicalize().unwrap();
    let rotation = format!(
        "log_rotate: {{ root: {}, files: [ '*.log' ], above: 20KiB, signal: {{ pidfile: {}, exe: {} }} }}",
        logs.display(),
        pidfile.display(),
        exe.display()
    );
    let spec: Spec = serde_yaml::from_str(&rotation).unwrap();
    let worker = spec.block().unwrap().build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    for _ in 0..4 {
        eventually("the log has grown", async || (log.metadata().ok()?.len() > 30_000).then_some(())).await;
        let done = worker.act(&mut Scene::default()).await.unwrap();
        assert!(done.detail.contains("sent SIGHUP"), "{done:?}");
    }
    std::fs::write(&stop, "").unwrap();
    assert!(writer.ended().await.success());
    let wrote = eventually("it says how many lines it wrote", async || {
        writer.output().lines().find_map(|line| line.strip_prefix("wrote ")?.parse::<f64>().ok())
    })
    .await;
    let mut counted = None;
    let series = "banken_log_matches_total{log=\"bot\",pattern=\"boom\",severity=\"error\"}";
    eventually("every line is counted", async || {
        counted = value_of(&banken.metrics().await, series);
        (counted >= Some(wrote)).then_some(())
    })
    .await;
    assert_eq!(counted, Some(wrote));
}
