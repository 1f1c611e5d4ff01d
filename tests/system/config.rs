//! Every mistake in a configuration is said at once, with its place and its remedy.

use banken::config::{self, EMBEDDED};
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no configuration", folder.display());
    files
}

#[test]
fn every_kind_of_mistake_is_said_with_its_place_and_its_remedy() {
    for file in files("tests/fixtures/config/invalid") {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let Err(error) = config::parse(&text, &format!("{name}.yml"), Path::new("tests/fixtures/config/invalid"))
        else {
            panic!("{name}.yml was accepted");
        };
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../fixtures/config/invalid");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, error.to_string()));
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("12345"), "a secret was printed");
    }
}

#[test]
fn the_schema_accepts_every_shipped_example_and_refuses_what_the_binary_refuses_by_form() {
    let schema = config::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value = |text: &str| serde_yaml::from_str::<serde_json::Value>(text).unwrap();
    let mut examples: Vec<(String, String)> = vec![("embedded".into(), EMBEDDED.into())];
    for file in files("deploy/examples") {
        examples.push((file.display().to_string(), std::fs::read_to_string(&file).unwrap()));
    }
    for kind in banken::probe::KINDS.iter().filter(|kind| kind.name != "host") {
        let indented = kind.example.lines().fold(String::new(), |text, line| text + "  " + line + "\n");
        examples.push((format!("example of {}", kind.name), format!("probes:\n{indented}")));
    }
    for (name, text) in &examples {
        let errors: Vec<_> =
            validator.iter_errors(&value(text)).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    for name in ["unknown_key", "missing_key", "wrong_type", "no_kind", "two_kinds", "bad_name", "not_a_mapping"] {
        let file = format!("{}/tests/fixtures/config/invalid/{name}.yml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!validator.is_valid(&value(&text)), "the schema accepts {name}.yml");
    }
}

#[test]
fn what_is_allowed_but_hardly_meant_is_a_warning() {
    let text = "probes:\n  - name: a\n    interval: 5s\n    timeout: 10s\n    thresholds: { duration: { critical: 15s } }\n    tcp: { address: 127.0.0.1:80 }\n";
    let Ok(config) = config::parse(text, "x.yml", Path::new(".")) else { panic!("refused") };
    let lines: Vec<_> = config::ConfigError::lines("x.yml", &config.warnings).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("x.yml:2:5: probes[0]: the timeout (10s) is not shorter than the interval (5s)"));
    assert!(lines[1].starts_with("x.yml:5:29: probes[0].thresholds.duration: "), "{}", lines[1]);
}

#[test]
fn a_thousand_mistakes_are_said_up_to_a_bound_and_soon() {
    let text: String = (0..1000).fold("probes:\n".into(), |text: String, n| text + &format!("  - nam: p{n}\n"));
    let Err(error) = config::parse(&text, "x.yml", Path::new(".")) else { panic!("accepted") };
    assert!((50..=101).contains(&error.problems.len()), "{}", error.problems.len());
}
