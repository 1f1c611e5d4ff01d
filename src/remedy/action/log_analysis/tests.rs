use super::*;
use crate::remedy::action::Action as _;

fn build(yaml: &str) -> Result<Action, Vec<Invalid>> {
    serde_yaml::from_str::<Config>(yaml).unwrap().build(&Context::default())
}

async fn look(yaml: &str) -> (Done, Vec<String>) {
    let mut scene = Scene::default();
    let done = build(yaml).unwrap().act(&mut scene).await.unwrap();
    (done, scene.findings.remove(0).lines)
}

#[tokio::test]
async fn the_end_of_a_log_is_counted_and_shown_without_secrets_or_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    let mut text = "10.0.0.1 - - \"GET / HTTP/1.1\" 500 12\n".repeat(300);
    text.push_str("OperationalError: could not connect to server: password=hunter2\n");
    text.push_str("\u{1b}[31mlast\u{1b}[0m words ```@everyone\n");
    std::fs::write(&path, text).unwrap();
    let (done, lines) = look(&format!("{{ paths: [ {} ], lines: 100, show: 2 }}", path.display())).await;
    assert!(done.detail.starts_with("looked at 100 lines: http_5xx 98×"), "{}", done.detail);
    let all = lines.join("\n");
    assert!(!all.contains("hunter2") && !all.contains('\u{1b}'), "{all}");
    assert!(all.contains("password=[hidden]") && all.contains("  | last words"), "{all}");
    assert!(lines.len() <= 1 + 2 + 1 + 5, "{all}");
}

#[tokio::test]
async fn a_flood_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for name in 0..10 {
        let path = folder.path().join(format!("{name}.log"));
        std::fs::write(path, "MemoryError é\u{7}".repeat(200_000) + "\n").unwrap();
    }
    let (_, lines) =
        look(&format!("{{ paths: [ '{}/*.log' ], lines: 5000, show: 20 }}", folder.path().display())).await;
    assert!(lines.len() <= 60, "{}", lines.len());
    assert!(lines.iter().all(|line| line.chars().count() < 400 && !line.contains(char::is_control)));
}

#[tokio::test]
async fn a_log_that_is_not_there_is_told() {
    let action = build("{ paths: [ /nowhere/*.log ] }").unwrap();
    let mut scene = Scene::default();
    let outcome = action.act(&mut scene).await;
    assert!(matches!(&outcome, Err(Setback::Failed(words)) if words.contains("/nowhere")), "{outcome:?}");
    assert!(scene.findings.is_empty());
    assert!(action.rehearse(&scene).await.unwrap()[0].contains("/nowhere/*.log"));
}

#[test]
fn mistakes_have_their_place() {
    let cases = [
        ("{}", ""),
        ("{ paths: [ /a.log ], journald: { unit: a } }", ""),
        ("{ paths: [ /a/ ] }", "paths[0]"),
        ("{ journald: {} }", "journald"),
        ("{ container: { name: ../x } }", "container.name"),
        ("{ paths: [ /a.log ], lines: 0 }", "lines"),
        ("{ paths: [ /a.log ], show: 21 }", "show"),
    ];
    for (yaml, path) in cases {
        let mistakes = build(yaml).err().unwrap_or_else(|| panic!("{yaml} is accepted"));
        assert_eq!(mistakes[0].path, path, "{yaml}");
    }
}
