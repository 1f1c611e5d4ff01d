//! The rule of `deploy/polkit/`: what it allows, what it leaves to others, and that a real polkitd and a real systemd see it so.

use super::{failed, step};
use crate::privilege::allow;
use crate::support::{eventually, left_out};
use crate::systemd::manager::Systemd;
use banken::remedy::action::{Action as _, Scene};
use std::path::Path;
use std::process::Command;

fn shipped() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/polkit/50-banken.rules")).unwrap()
}

/// With a unit in its list, as a person writes it there.
fn naming(units: &str) -> String {
    let shipped = shipped();
    let named = shipped.replace("// \"crypto-dashboard.service\",", units);
    assert_ne!(named, shipped, "the place for the names was not found");
    named
}

/// What polkitd has, as far as the rule needs it; prints what is decided on each question.
const ASK: &str = r#"
const rules = [];
globalThis.polkit = { Result: { NO: "no", YES: "yes", NOT_HANDLED: null }, addRule: (rule) => rules.push(rule) };
(0, eval)(require("fs").readFileSync(process.argv[2], "utf8"));
const decided = JSON.parse(process.argv[3]).map(([id, user, unit, verb]) => {
    const details = { unit, verb };
    return rules[0]({ id, lookup: (key) => details[key] }, { user });
});
console.log(JSON.stringify(decided.map((one) => one === undefined ? null : one)));
"#;

fn decided(rule: &str, questions: &serde_json::Value) -> Vec<Option<String>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ask.js"), ASK).unwrap();
    std::fs::write(folder.path().join("rule.js"), rule).unwrap();
    let mut command = Command::new("node");
    command.arg(folder.path().join("ask.js")).arg(folder.path().join("rule.js")).arg(questions.to_string());
    let output = command.output().expect("node is installed: tests/run does that");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_rule_allows_exactly_the_named_units_the_verb_restart_and_the_user() {
    let id = "org.freedesktop.systemd1.manage-units";
    let questions = serde_json::json!([
        [id, "banken", "bot.service", "restart"],
        [id, "banken", "bot.service", "start"],
        [id, "banken", "bot.service", "stop"],
        [id, "banken", "bot.service", "kill"],
        [id, "banken", "bot.service", "reset-failed"],
        [id, "banken", "other.service", "restart"],
        [id, "banken", "bot.service.d", "restart"],
        [id, "banken", null, "restart"],
        [id, "nobody", "bot.service", "restart"],
        ["org.freedesktop.systemd1.manage-unit-files", "banken", "bot.service", "restart"],
        ["org.freedesktop.policykit.exec", "banken", "bot.service", "restart"],
    ]);
    let yes = Some("yes".to_owned());
    let decided_with = decided(&naming("\"bot.service\","), &questions);
    assert_eq!(decided_with[0], yes);
    assert!(decided_with[1..].iter().all(Option::is_none), "{decided_with:?}");
    assert!(decided(&shipped(), &questions).iter().all(Option::is_none), "as it is shipped it allows nothing");
}

/// polkitd, as Debian and others install it.
const POLKITD: [&str; 2] = ["/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd"];

const UNITS: [(&str, &str); 3] = [
    ("default.target", "[Unit]\nWants=dbus.socket dbus.service polkit.service bot.service other.service\n"),
    ("bot.service", "[Unit]\n[Service]\nExecStart=/bin/sleep 1000\n"),
    ("other.service", "[Unit]\n[Service]\nExecStart=/bin/sleep 1000\n"),
];

/// A systemd with a polkitd on its bus that reads the rule alone, with `nobody` in the place of `banken`.
async fn guarded() -> Option<Systemd> {
    let Some(polkitd) = POLKITD.into_iter().find(|place| Path::new(place).exists()) else {
        left_out("polkit: polkitd is not installed, tests/run does that");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    allow(folder.path(), 0o755);
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = naming("\"bot.service\",").replace("\"banken\"", "\"nobody\"");
    std::fs::write(rules.join("50-banken.rules"), rule).unwrap();
    let (empty, bus) = (folder.path().join("empty"), folder.path().join("run/bus"));
    std::fs::create_dir(&empty).unwrap();
    let polkit = format!(
        "[Unit]\nAfter=dbus.service\n[Service]\nType=dbus\nBusName=org.freedesktop.PolicyKit1\n\
         Environment=DBUS_SYSTEM_BUS_ADDRESS=unix:path={}\nExecStart=/bin/sh -c 'mount --bind {} /etc/polkit-1/rules.d && \
         mount --bind {} /usr/share/polkit-1/rules.d && exec {polkitd} --no-debug'\n",
        bus.display(),
        rules.display(),
        empty.display(),
    );
    let mut units = UNITS.to_vec();
    units.push(("polkit.service", &polkit));
    let systemd = Systemd::start_in(folder, &units).await?;
    allow(&systemd.path().join("run"), 0o755);
    for unit in ["polkit", "bot", "other"] {
        eventually("it is up", async || (systemd.property(unit, "Unit", "ActiveState") == "active").then_some(()))
            .await;
    }
    Some(systemd)
}

/// Does the work as `nobody`: this thread alone.
fn as_nobody(work: impl AsyncFnOnce() + Send) {
    let does = || {
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    };
    std::thread::scope(|scope| scope.spawn(does).join()).unwrap();
}

#[tokio::test]
async fn a_real_polkit_lets_a_user_restart_the_named_unit_and_do_nothing_else() {
    let Some(systemd) = guarded().await else { return };
    let bus = systemd.bus();
    let pid = |unit: &str| systemd.property(unit, "Service", "MainPID");
    let (bot, other) = (pid("bot"), pid("other"));
    as_nobody(async || {
        let restart = |unit: &str| step(&format!("service_restart: {{ systemd: {unit}.service, bus: '{bus}' }}"));
        let done = restart("bot").act(&mut Scene::default()).await;
        assert!(done.is_ok(), "{done:?}");
        failed(&restart("other"), "this user may not restart other.service").await;
        failed(&restart("other"), "deploy/polkit/50-banken.rules").await;
    });
    assert_ne!(pid("bot"), bot);
    assert_eq!(pid("other"), other);
    for (method, arguments) in [
        ("StopUnit", &["ss", "bot.service", "replace"][..]),
        ("KillUnit", &["ssi", "bot.service", "main", "9"]),
        ("RestartUnit", &["ss", "other.service", "replace"]),
        ("ResetFailedUnit", &["s", "bot.service"]),
    ] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "busctl"]).arg(format!("--address={bus}"));
        command.args([
            "call",
            "org.freedesktop.systemd1",
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
        ]);
        let output = command.arg(method).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("authentication required"), "{method}: {said}");
    }
}
