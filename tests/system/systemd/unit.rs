//! The unit of `deploy/systemd/`: what systemd thinks of it, and Banken under it in its whole sandbox.

use super::manager::Systemd;
use crate::privilege::{Place, allow};
use crate::support::{Page, eventually, free_port, left_out};
use crate::targets::{Target, response};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The most exposure that is allowed: 0 is none, 10 is all.
const EXPOSURE: f64 = 2.0;

fn shipped(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd").join(file)).unwrap()
}

/// What `systemd-analyze` says of a unit, and whether it is content.
fn analyze(arguments: &[&str], unit: &str, drop_in: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("banken.service");
    // What is started must be there.
    fs::write(&file, unit.replace("/usr/local/bin/banken", env!("CARGO_BIN_EXE_banken"))).unwrap();
    fs::create_dir(folder.path().join("banken.service.d")).unwrap();
    fs::write(folder.path().join("banken.service.d/rights.conf"), drop_in).unwrap();
    let output = Command::new("systemd-analyze").args(arguments).arg(&file).env("LC_ALL", "C").output();
    let output = output.expect("systemd is not installed: tests/run does that");
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// The example with everything that it offers.
fn all_rights() -> String {
    let offers = |line: &&str| {
        line.strip_prefix('#').is_some_and(|rest| rest.starts_with(char::is_uppercase) && rest.contains('='))
    };
    let example = shipped("banken.service.d/rights.conf.example");
    let offered: Vec<_> = example.lines().filter(offers).map(|line| &line[1..]).collect();
    assert!(offered.len() >= 12, "{offered:?}");
    format!("[Service]\n{}\n", offered.join("\n"))
}

#[test]
fn systemd_finds_no_mistake_in_the_unit_nor_in_what_the_example_offers() {
    let verify = ["verify", "--man=no"];
    assert_eq!(analyze(&verify, &shipped("banken.service"), ""), (true, String::new()));
    assert_eq!(
        analyze(&verify, &shipped("banken.service"), &shipped("banken.service.d/rights.conf.example")),
        (true, String::new())
    );
    assert_eq!(analyze(&verify, &shipped("banken.service"), &all_rights()), (true, String::new()));
    let (_, said) = analyze(&verify, &shipped("banken.service"), "[Service]\nReadWritePath=/x\n");
    assert!(said.contains("ReadWritePath"), "it would say so: {said}");
    let (_, said) = analyze(&verify, &shipped("banken.service").replace("MemoryMax=512M", "MemoryMax=much"), "");
    assert!(said.contains("memory limit 'much'"), "it would say so: {said}");
}

#[test]
fn the_exposure_is_as_low_as_promised() {
    let exposure = |unit: &str| -> f64 {
        let (_, said) = analyze(&["security", "--offline=true", "--no-pager"], unit, "");
        let line =
            said.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("{said}"));
        let words = line.split(": ").nth(1).unwrap();
        words.split_whitespace().next().unwrap().parse().unwrap()
    };
    let unit = shipped("banken.service");
    let found = exposure(&unit);
    println!("exposure of banken.service: {found}");
    assert!(found <= EXPOSURE, "{found}");
    let documented = format!("gives it an exposure of {found} ");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd.md")).unwrap();
    assert!(page.contains(&documented), "docs/systemd.md does not say: {documented}");
    let naked =
        unit.replace("SystemCallFilter=", "#").replace("CapabilityBoundingSet=", "#").replace("User=banken", "");
    assert!(exposure(&naked) > EXPOSURE, "without its sandbox it would be more exposed");
}

#[test]
fn the_limits_and_the_ways_of_the_unit_are_those_that_were_promised() {
    let unit = shipped("banken.service");
    for line in [
        "Type=notify",
        "WatchdogSec=30s",
        "Restart=always",
        "MemoryMax=512M",
        "CPUQuota=50%",
        "User=banken",
        "StateDirectory=banken",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "ProtectProc=default",
        "ExecStart=/usr/local/bin/banken run --config /etc/banken/banken.yml",
    ] {
        assert!(unit.lines().any(|found| found == line), "the unit does not say {line}");
    }
    for word in ["ProtectProc=invisible", "PrivateNetwork=yes", "PrivateUsers=yes", "PrivateTmp=yes", "ProtectHome=yes"]
    {
        assert!(!unit.lines().any(|found| found == word), "{word} would blind Banken");
    }
}

const PROBES: &str = "  - { name: others, process: { name: dbus-daemon } }
  - { name: writes, command: { argv: [ /usr/bin/touch, /tmp/banken-was-here ] } }
  - { name: who, command: { argv: [ /usr/bin/id, -un ], expect: { output_matches: '^nobody$' } } }
  - name: no-capability
    command: { argv: [ /bin/grep, -E, '^Cap(Bnd|Eff|Amb):.0+$', /proc/self/status ], expect: { output_matches: '(?s)(Cap.*){3}' } }
  - name: filtered
    command: { argv: [ /bin/grep, -E, '^(Seccomp:.2|NoNewPrivs:.1)$', /proc/self/status ], expect: { output_matches: '(?s)NoNew.*Seccomp' } }
";

fn config(port: u16, probes: &str) -> String {
    format!(
        "listen: 127.0.0.1:{port}
state_dir: ${{STATE_DIRECTORY}}
host: {{ interval: 500ms }}
defaults: {{ interval: 500ms, retry_interval: 200ms, timeout: 400ms }}
jobs: [ {{ name: backup, every: 1d }} ]
probes:
{probes}"
    )
}

/// What differs from an installed one: the user, who need not be there, the place of everything, and a shorter watchdog.
fn drop_in(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nUser=nobody\nExecStart=\n\
         ExecStart={folder}/banken run --config {folder}/banken.yml\nWatchdogSec=5s\nRestartSec=200ms\n\
         LoadCredential=bot-token:{folder}/bot-token\n"
    )
}

/// A service that wants the token.
async fn guarded() -> Target {
    Target::http(|request| {
        let is_allowed = request.to_ascii_lowercase().contains("authorization: bearer from-the-safe");
        if is_allowed { response("200 OK", "welcome") } else { response("401 Unauthorized", "who are you?") }
    })
    .await
}

#[tokio::test]
async fn under_the_whole_unit_it_sees_what_it_should_and_can_do_nothing_else() {
    let (port, target) = (free_port(), guarded().await);
    let guarded =
        format!("url: '{}', auth: {{ bearer: {{ file: '${{CREDENTIALS_DIRECTORY}}/bot-token' }} }}", target.url());
    let probes = format!("  - {{ name: guarded, http: {{ {guarded} }} }}\n{PROBES}");
    let folder = Place::with_config(&config(port, &probes)).into_folder();
    let path = folder.path();
    fs::write(path.join("bot-token"), "from-the-safe\n").unwrap();
    allow(&path.join("bot-token"), 0o600);
    fs::create_dir_all(path.join("units/banken.service.d")).unwrap();
    fs::write(path.join("units/banken.service"), shipped("banken.service")).unwrap();
    fs::write(path.join("units/banken.service.d/test.conf"), drop_in(path)).unwrap();
    let all = "[Unit]\nWants=dbus.socket dbus.service banken.service\n";
    let Some(systemd) = Systemd::start_in(folder, &[("default.target", all)]).await else {
        left_out("Banken under its unit: that needs a systemd of its own");
        return;
    };
    let page = Page { base: format!("http://127.0.0.1:{port}") };
    eventually("the first round is done", async || (page.status_code("/readyz").await == 200).then_some(())).await;
    eventually("Banken has told that it is ready", async || {
        (systemd.property("banken", "Unit", "ActiveState") == "active").then_some(())
    })
    .await;

    for name in ["guarded", "others", "host", "who", "no-capability", "filtered"] {
        page.until_status(name, "healthy").await;
    }
    page.until_message("writes", "Read-only file system").await;
    assert!(page.sample("banken_host_memory_available_bytes").await.unwrap() > 0.0);
    assert!(page.metrics().await.contains("banken_host_disk_size_bytes{"), "file systems are seen");

    let reported = page.base.clone() + "/api/v1/jobs/backup/success";
    assert!(crate::support::client().post(reported).send().await.unwrap().status().is_success());
    let state = systemd.path().join(".config/banken");
    eventually("the run is saved", async || state.join("jobs").exists().then_some(())).await;

    let added = config(port, &format!("{probes}  - {{ name: added, tcp: {{ address: 127.0.0.1:1 }} }}\n"));
    fs::write(systemd.path().join("banken.yml"), added).unwrap();
    systemd.tell("ReloadUnit", &["ss", "banken.service", "replace"]);
    eventually("it is reloaded", async || (page.status_code("/api/v1/probes/added").await == 200).then_some(())).await;

    assert_eq!(systemd.property("banken", "Service", "NRestarts"), "0");
    systemd.tell("KillUnit", &["ssi", "banken.service", "main", "19"]);
    eventually("the watchdog has noticed", async || {
        (systemd.property("banken", "Service", "NRestarts") != "0").then_some(())
    })
    .await;
    eventually("it is there again", async || (page.status_code("/readyz").await == 200).then_some(())).await;
}
