//! What the files of the stack promise, without a Docker daemon.

use super::{ENVIRONMENTS, compose, deploy, read, said, services, texts, variables, yaml};
use crate::support::Banken;
use regex::Regex;
use serde_yaml::Value;
use std::collections::{BTreeMap, BTreeSet};

const STACK: &str = "docker-compose.yml";

#[test]
fn docker_compose_accepts_the_stack_in_every_environment() {
    for environment in ENVIRONMENTS {
        let config = said(&mut compose(&deploy(), &["--env-file", environment, "config"]));
        assert!(config.contains("image: prom/prometheus:"), "{environment}: {config}");
    }
    let nothing = tempfile::NamedTempFile::new().unwrap();
    let nothing = nothing.path().to_str().unwrap();
    let without = said(&mut compose(&deploy(), &["--env-file", nothing, "config"]));
    assert!(!without.contains("is not set"), "{without}");
}

#[test]
fn docker_compose_of_both_generations_can_read_the_stack() {
    // The old one knows no name at the top, the new one warns of a version.
    for file in [STACK, "docker-compose.sidecar.yml"] {
        let yaml = yaml(file);
        let keys = yaml.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap());
        let unknown: Vec<_> =
            keys.filter(|key| !key.starts_with("x-") && !["services", "volumes", "secrets"].contains(key)).collect();
        assert_eq!(unknown, [""; 0], "{file}");
    }
}

/// What is missing from a service that is left alone for months.
pub fn lacking(service: &Value) -> Vec<&'static str> {
    let pinned = Regex::new(r"^[a-z0-9/-]+:v?\d+\.\d+\.\d+$").unwrap();
    let of = |key: &str| service.get(key).cloned().unwrap_or_default();
    let health = of("healthcheck");
    let tested = health.get("test").is_some_and(|test| texts(test).len() > 1) || health["disable"] == true;
    let log = of("logging")["options"].clone();
    let checks = [
        ("an exact version", of("image").as_str().is_some_and(|image| pinned.is_match(image))),
        ("restart", of("restart") == "unless-stopped"),
        ("a limit of memory", of("mem_limit").as_str().is_some_and(|limit| limit.ends_with(['m', 'g']))),
        ("a limit of processors", of("cpus").as_f64().is_some_and(|cpus| cpus > 0.0 && cpus <= 2.0)),
        ("a limit of processes", of("pids_limit").as_u64().is_some_and(|limit| limit <= 256)),
        ("a limit of its log", log["max-size"].is_string() && log["max-file"].is_string()),
        ("no capability", texts(&of("cap_drop")) == ["ALL"]),
        ("no new privileges", texts(&of("security_opt")) == ["no-new-privileges:true"]),
        ("a health check", tested),
        ("ports on this host alone", texts(&of("ports")).iter().all(|port| port.starts_with("127.0.0.1:"))),
    ];
    checks.into_iter().filter(|(_, there)| !there).map(|(what, _)| what).collect()
}

#[test]
fn every_service_is_pinned_limited_confined_and_started_again() {
    let services = services(STACK);
    let names: Vec<_> = services.keys().map(String::as_str).collect();
    assert_eq!(names, ["alertmanager", "banken", "demo", "grafana", "prometheus", "victoria-metrics"]);
    for (name, service) in &services {
        assert_eq!(lacking(service), [""; 0], "{name}");
        let read_only = service.get("read_only").is_some_and(|read_only| *read_only == true);
        // Those of others that cannot be tried here keep the file system they are used to.
        assert!(read_only || ["grafana", "victoria-metrics"].contains(&name.as_str()), "{name}");
    }
    let profile = |name: &str| services[name].get("profiles").map(texts).unwrap_or_default();
    assert_eq!(profile("demo"), ["demo"]);
    assert_eq!(profile("victoria-metrics"), ["long-term"]);
    for always in ["banken", "prometheus", "alertmanager", "grafana"] {
        assert_eq!(profile(always), [""; 0], "{always}");
    }
}

#[test]
fn what_is_missing_from_a_service_is_noticed() {
    let service = services(STACK)["banken"].clone();
    for (key, value, what) in [
        ("image", "banken:latest", "an exact version"),
        ("image", "prom/prometheus:v3", "an exact version"),
        ("restart", "no", "restart"),
        ("mem_limit", "1", "a limit of memory"),
        ("cpus", "0", "a limit of processors"),
        ("pids_limit", "-1", "a limit of processes"),
        ("logging", "{}", "a limit of its log"),
        ("cap_drop", "[]", "no capability"),
        ("security_opt", "[]", "no new privileges"),
        ("healthcheck", "{}", "a health check"),
        ("ports", "[ '9810:9810' ]", "ports on this host alone"),
    ] {
        let mut changed = service.clone();
        changed[key] = serde_yaml::from_str(value).unwrap();
        assert_eq!(lacking(&changed), [what], "{key}: {value}");
    }
}

#[test]
fn the_image_of_banken_has_the_version_of_banken_everywhere() {
    let tag = concat!("banken:", env!("CARGO_PKG_VERSION"));
    let named = Regex::new(r"\bbanken:\d+\.\d[\w.]*").unwrap();
    let mut seen = 0;
    for file in ["docker-compose.yml", "docker-compose.sidecar.yml", "Dockerfile", "../docs/compose.md"] {
        let text = read(deploy().join(file));
        for found in named.find_iter(&text) {
            assert_eq!(found.as_str(), tag, "{file}");
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

/// A text in which the variables of a compose file have their values.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let form = Regex::new(r"\$\{(\w+):-([^}]*)\}").unwrap();
    let value = |captures: &regex::Captures<'_>| {
        variables.get(&captures[1]).filter(|value| !value.is_empty()).map_or(captures[2].to_owned(), Clone::clone)
    };
    form.replace_all(text, value).into_owned()
}

#[test]
fn every_file_and_folder_that_is_mounted_is_there_in_every_environment() {
    let mut checked = 0;
    for environment in ENVIRONMENTS {
        let variables = variables(environment);
        for (name, service) in services(STACK) {
            for volume in service.get("volumes").map(texts).unwrap_or_default() {
                let (source, target) = volume.rsplit_once(":/").unwrap();
                if source.starts_with('.') {
                    let source = deploy().join(filled(source, &variables));
                    assert!(source.is_dir(), "{name} in {environment}: {}", source.display());
                    assert!(target.ends_with(":ro"), "{name} may write to {volume}");
                    checked += 1;
                } else {
                    assert!(yaml(STACK)["volumes"].get(source).is_some(), "{name}: {volume}");
                }
            }
        }
    }
    assert!(checked >= 6 * ENVIRONMENTS.len(), "{checked}");
    // What a command line names below such a folder.
    for environment in ENVIRONMENTS {
        let variables = variables(environment);
        let named = [("banken", "/etc/banken/", "banken"), ("prometheus", "/etc/prometheus/banken/", "prometheus")];
        for (service, mount, folder) in named {
            let command = texts(&services(STACK)[service]["command"]).join(" ");
            let command = filled(&command, &variables);
            let file = command.split(mount).nth(1).unwrap().split(' ').next().unwrap();
            assert!(deploy().join(folder).join(file).is_file(), "{environment}: {command}");
        }
    }
}

#[test]
fn every_secret_is_a_file_with_an_example_and_none_is_committed() {
    let mut declared = BTreeSet::new();
    for file in [STACK, "docker-compose.sidecar.yml"] {
        for (name, secret) in yaml(file)["secrets"].as_mapping().unwrap() {
            let name = name.as_str().unwrap();
            assert_eq!(secret["file"].as_str().unwrap(), format!("./secrets/{name}"));
            declared.insert(format!("{name}.example"));
        }
        let used =
            services(file).into_values().flat_map(|service| service.get("secrets").map(texts).unwrap_or_default());
        for secret in used {
            assert!(declared.contains(&format!("{secret}.example")), "{file}: {secret} is used and not declared");
        }
    }
    let there = std::fs::read_dir(deploy().join("secrets")).unwrap().map(|entry| entry.unwrap().file_name());
    let there = there.map(|name| name.into_string().unwrap());
    let examples: BTreeSet<_> = there.filter(|name| name.ends_with(".example")).collect();
    assert_eq!(examples, declared);
    let ignored = read(deploy().join("../.gitignore"));
    assert!(ignored.contains("\n/deploy/secrets/*\n!/deploy/secrets/*.example\n"), "{ignored}");
    assert!(read(deploy().join("../.dockerignore")).contains("\ndeploy/secrets\n"), "nor are they sent to a builder");
    // What Alertmanager reads is what it is given.
    let shipped = crate::alerting::shipped();
    let read = Regex::new(r"(?m)^\s*[^#\s].*/run/secrets/(\w+)").unwrap();
    let read: BTreeSet<_> = read.captures_iter(&shipped).map(|found| found[1].to_owned()).collect();
    let given = texts(&services(STACK)["alertmanager"]["secrets"]);
    assert_eq!(read, given.into_iter().collect());
}

#[test]
fn environments_set_what_the_stack_asks_for_and_nothing_else() {
    let text = read(deploy().join(STACK));
    let form = Regex::new(r"\$\{(\w+):-([^}]*)\}").unwrap();
    let mut asked: BTreeMap<_, _> =
        form.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    assert_eq!(form.find_iter(&text).count(), text.matches("${").count(), "a variable without a default");
    // It says what was built, and is given by whoever builds.
    asked.remove("BANKEN_REVISION");
    asked.insert("COMPOSE_PROJECT_NAME".to_owned(), "banken".to_owned());
    asked.insert("COMPOSE_PROFILES".to_owned(), String::new());
    assert_eq!(variables(".env.example"), asked, "the example shows the defaults");
    for environment in ENVIRONMENTS {
        let set = variables(environment);
        assert!(set.keys().eq(asked.keys()), "{environment}: {set:?}");
        // A profile and the file that knows of it come together.
        let has = |profile: &str| set["COMPOSE_PROFILES"].split(',').any(|found| found == profile);
        assert_eq!(set["BANKEN_CONFIGURATION"] == "demo", has("demo"), "{environment}");
        assert_eq!(set["PROMETHEUS_CONFIGURATION"] == "long-term", has("long-term"), "{environment}");
        assert!(["en", "ja"].contains(&set["BANKEN_LANGUAGE"].as_str()), "{environment}");
    }
}

#[test]
fn metrics_are_kept_for_7_30_and_365_days() {
    let kept = |environment: &str| variables(environment)["PROMETHEUS_RETENTION"].clone();
    assert_eq!(kept("environments/demo.env"), "7d");
    assert_eq!(kept("environments/production.env"), "30d");
    assert!(texts(&services(STACK)["victoria-metrics"]["command"]).contains(&"-retentionPeriod=365d".to_owned()));
    let mut long = yaml("prometheus/long-term.yml");
    let written = long.as_mapping_mut().unwrap().remove("remote_write").unwrap();
    assert_eq!(long, yaml("prometheus/prometheus.yml"), "the two differ in what is written to VictoriaMetrics alone");
    assert_eq!(written[0]["url"], "http://victoria-metrics:8428/api/v1/write");
    let kept = &written[0]["write_relabel_configs"][0];
    assert_eq!((kept["regex"].as_str(), kept["action"].as_str()), (Some("banken:.*"), Some("keep")));
}

#[test]
fn prometheus_accepts_its_configurations() {
    for file in ["prometheus.yml", "long-term.yml"] {
        // It looks for the rules where they are mounted.
        let rules = deploy().join("../alert-rules");
        let text = read(deploy().join("prometheus").join(file));
        let text = crate::stage::replaced(&text, "/etc/prometheus/rules", &rules.display().to_string());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), text).unwrap();
        let mut promtool = std::process::Command::new("promtool");
        let said = said(promtool.args(["check", "config", file]).current_dir(&folder));
        assert!(said.matches("rules found").count() >= 2, "{said}");
    }
}

#[test]
fn grafana_finds_prometheus_and_the_dashboards() {
    let sources = yaml("grafana/provisioning/datasources/banken.yml");
    let interval = yaml("prometheus/prometheus.yml")["global"]["scrape_interval"].clone();
    let mut uids = Vec::new();
    for source in sources["datasources"].as_sequence().unwrap() {
        let url = source["url"].as_str().unwrap();
        let (host, _port) = url.trim_start_matches("http://").split_once(':').unwrap();
        assert!(services(STACK).contains_key(host), "{url}");
        assert_eq!(source["editable"], false);
        assert_eq!(source["jsonData"]["timeInterval"], interval, "{url}");
        uids.push(source["uid"].as_str().unwrap().to_owned());
    }
    assert_eq!(uids, ["banken-prometheus", "banken-long-term"]);
    let provider = yaml("grafana/provisioning/dashboards/banken.yml")["providers"][0].clone();
    assert_eq!(provider["allowUiUpdates"], false);
    let path = provider["options"]["path"].as_str().unwrap();
    let mount = format!("../grafana/dashboards:{path}:ro");
    assert!(texts(&services(STACK)["grafana"]["volumes"]).contains(&mount), "{mount}");
}

#[test]
fn banken_accepts_the_configurations_of_the_stack_and_the_demo_watches_what_the_demo_watches() {
    for file in ["banken/banken.yml", "banken/demo.yml"] {
        said(Banken::command().arg("check").arg(deploy().join(file)));
    }
    let by_name = |config: &Value| -> BTreeMap<String, Value> {
        let probes = config["probes"].as_sequence().unwrap().iter();
        probes.map(|probe| (probe["name"].as_str().unwrap().to_owned(), probe.clone())).collect()
    };
    let [stack, mut both] = ["banken/banken.yml", "banken/demo.yml"].map(yaml);
    let mut simulated = said(Banken::command().args(["demo", "--print-config", "--dir", "/demo"]));
    for (here, there) in [("127.0.0.1:8082", "demo:8082"), ("127.0.0.1:8443", "demo:8443")] {
        simulated = simulated.replace(here, there);
    }
    let simulated: Value = serde_yaml::from_str(&simulated).unwrap();
    let mut expected = by_name(&stack);
    expected.extend(by_name(&simulated));
    for elsewhere in ["process", "secure", "certificate"] {
        expected.remove(elsewhere).unwrap();
    }
    assert_eq!(by_name(&both), expected);
    for what in ["logs", "jobs"] {
        assert_eq!(both[what], simulated[what], "{what}");
    }
    for what in ["probes", "logs", "jobs"] {
        both.as_mapping_mut().unwrap().remove(what);
    }
    let mut stack = stack;
    stack.as_mapping_mut().unwrap().remove("probes");
    assert_eq!(both, stack, "everything else is the same");
}
