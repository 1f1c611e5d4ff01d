//! `deploy/kubernetes/`: every object is held against its published schema, and the objects against each other.

use crate::support::{Banken, eventually};
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The packages with the schemas, and a TypeScript that reads their types. `tests/run` reads them here.
const PACKAGES: &str = "kubernetes-models@4.5.0 @kubernetes-models/prometheus-operator@4.4.4 typescript@5.9.3";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the packages, which are installed below `target/` once.
fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let tools = root().join("target/tools");
        let folder = tools.join("kubernetes-models-4.5.0");
        if !folder.join("node_modules/typescript").exists() {
            let fresh = tools.join(format!("kubernetes-models-{}", std::process::id()));
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&fresh).args(PACKAGES.split(' '));
            let output = npm.output().expect("npm is not there; tests/run installs what is needed");
            assert!(output.status.success(), "{output:?}");
            // Somebody else may have been faster.
            if fs::rename(&fresh, &folder).is_err() {
                fs::remove_dir_all(&fresh).unwrap();
            }
        }
        folder
    })
}

/// Every mistake in these objects.
fn mistakes(objects: &[(String, Value)]) -> String {
    let listed: Vec<Value> = objects.iter().map(|(name, object)| json!({ "name": name, "object": object })).collect();
    let mut node = Command::new("node")
        .arg(root().join("tests/system/kubernetes/check.js"))
        .arg(tools())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node is not there; tests/run installs what is needed");
    node.stdin.take().unwrap().write_all(&serde_json::to_vec(&listed).unwrap()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The objects of one file, each named by its file and its kind.
fn objects_of(file: &str) -> Vec<(String, Value)> {
    let text = fs::read_to_string(root().join("deploy/kubernetes").join(file)).unwrap();
    documents(&text)
        .into_iter()
        .map(|object| (format!("{file} {}", object["kind"].as_str().unwrap()), object))
        .collect()
}

fn objects() -> Vec<(String, Value)> {
    ["banken.yml", "servicemonitor.yml", "sidecar/bot.yml"].into_iter().flat_map(objects_of).collect()
}

fn of_kind(kind: &str) -> Vec<(String, Value)> {
    let found: Vec<_> = objects().into_iter().filter(|(_, object)| object["kind"] == kind).collect();
    assert!(!found.is_empty(), "there is no {kind}");
    found
}

fn rules() -> Value {
    let arguments = ["rules", "--format", "kubernetes", "--namespace", "monitoring", "--label", "release=prometheus"];
    let output = Banken::command().args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    documents(&String::from_utf8(output.stdout).unwrap()).remove(0)
}

#[test]
fn every_manifest_is_in_the_folder_that_is_checked() {
    let folder = root().join("deploy/kubernetes");
    let names = |folder: &Path| -> BTreeSet<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    assert_eq!(names(&folder), ["banken.yml", "servicemonitor.yml", "sidecar"].map(String::from).into());
    assert_eq!(names(&folder.join("sidecar")), ["bot.yml"].map(String::from).into());
}

#[test]
fn every_object_and_the_rules_are_as_their_schemas_say() {
    let mut all = objects();
    all.push(("banken rules".to_owned(), rules()));
    assert_eq!(mistakes(&all), "");
}

#[test]
fn the_check_of_schemas_names_each_kind_of_mistake() {
    let (deployment, monitor) = (of_kind("Deployment").remove(0).1, of_kind("ServiceMonitor").remove(0).1);
    let container = "/spec/template/spec/containers/0";
    let mut wrong = Vec::new();
    let mut spoil = |object: &Value, place: &str, key: &str, value: Value, words: &'static str| {
        let mut object = object.clone();
        object.pointer_mut(place).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        wrong.push((format!("case-{}", wrong.len()), object, words));
    };
    spoil(
        &deployment,
        &format!("{container}/securityContext"),
        "readOnlyRootFileSystem",
        true.into(),
        "does not exist in type",
    );
    spoil(&deployment, &format!("{container}/livenessProbe/httpGet"), "url", "/".into(), "does not exist in type");
    spoil(&deployment, "/spec", "replicas", "1".into(), "data/spec/replicas must be integer");
    spoil(&deployment, "/spec/strategy", "type", "Rolling".into(), "must be equal to one of the allowed values");
    spoil(&deployment, "", "spec", json!({}), "must have required property selector");
    spoil(&monitor, "", "kind", "ServiceMonitors".into(), "there is no ServiceMonitors in monitoring.coreos.com/v1");
    spoil(
        &monitor,
        "/spec/endpoints/0",
        "interval",
        "15 s".into(),
        "data/spec/endpoints/0/interval must match pattern",
    );
    spoil(&monitor, "/spec/endpoints/0", "intervall", "15s".into(), "does not exist in type");
    spoil(&rules(), "/spec/groups/0/rules/0", "labels", json!({ "severity": 1 }), "must be string");
    spoil(&rules(), "/spec/groups/0/rules/0", "annotation", json!({}), "does not exist in type");
    spoil(&rules(), "/spec/groups/0", "interval", 5.into(), "must be string");
    let objects: Vec<_> = wrong.iter().map(|(name, object, _)| (name.clone(), object.clone())).collect();
    let said = mistakes(&objects);
    for (name, _, words) in &wrong {
        let named = said.lines().any(|line| line.starts_with(&format!("{name}: ")) && line.contains(words));
        assert!(named, "{name} should say {words:?}:\n{said}");
    }
}

#[test]
fn pods_have_no_right_that_watching_does_not_need() {
    for (name, object) in of_kind("Deployment") {
        let pod = &object["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for word in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[word].is_null(), "{name} has {word}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            assert_eq!(container["image"], concat!("banken:", env!("CARGO_PKG_VERSION")), "{name}");
        }
    }
}

fn includes(labels: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().unwrap();
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn services_find_their_pods_and_the_monitor_finds_the_services() {
    let monitor = of_kind("ServiceMonitor").remove(0).1;
    let label = monitor["spec"]["jobLabel"].as_str().unwrap();
    let deployments = of_kind("Deployment");
    let services = of_kind("Service");
    assert_eq!(services.len(), deployments.len());
    for (name, service) in services {
        let labels = &service["metadata"]["labels"];
        assert!(includes(labels, &monitor["spec"]["selector"]["matchLabels"]), "{name}");
        assert_eq!(labels[label], "banken", "the rules look for this job");
        let port = &service["spec"]["ports"][0];
        assert_eq!(port["name"], monitor["spec"]["endpoints"][0]["port"], "{name}");
        let pods = deployments.iter().map(|(_, deployment)| &deployment["spec"]["template"]);
        let found: Vec<_> =
            pods.filter(|pod| includes(&pod["metadata"]["labels"], &service["spec"]["selector"])).collect();
        assert_eq!(found.len(), 1, "{name} leads to {} kinds of pods", found.len());
        let containers = found[0]["spec"]["containers"].as_array().unwrap();
        let banken = containers.iter().find(|container| container["name"] == "banken").unwrap();
        assert_eq!(banken["ports"][0]["name"], port["targetPort"], "{name}");
        assert_eq!(banken["ports"][0]["containerPort"], 9810);
    }
    for (name, deployment) in deployments {
        let spec = &deployment["spec"];
        assert!(includes(&spec["template"]["metadata"]["labels"], &spec["selector"]["matchLabels"]), "{name}");
    }
}

#[test]
fn every_configuration_is_accepted_and_where_it_is_mounted_there_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(["cluster".to_owned()]).unwrap().cert.pem();
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, authority).unwrap();
    for (name, map) in of_kind("ConfigMap") {
        let text = map["data"]["banken.yml"].as_str().unwrap();
        assert!(text.starts_with("listen: 0.0.0.0:9810\n"), "{name} cannot be reached");
        let file = folder.path().join("banken.yml");
        fs::write(&file, text.replace("/run/cluster/ca.crt", ca.to_str().unwrap())).unwrap();
        let output = Banken::command().arg("check").arg(&file).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let pods = of_kind("Deployment");
        let mounted = pods.iter().any(|(_, pod)| {
            let pod = &pod["spec"]["template"]["spec"];
            let volumes = pod["volumes"].as_array().unwrap();
            let containers = pod["containers"].as_array().unwrap();
            volumes.iter().any(|volume| volume["configMap"]["name"] == map["metadata"]["name"])
                && containers.iter().any(|container| {
                    let reads =
                        container["args"] == json!(["run", "--reload-on-change", "--config", "/etc/banken/banken.yml"]);
                    let mounts = container["volumeMounts"].as_array().unwrap();
                    let config = json!({ "name": "config", "mountPath": "/etc/banken", "readOnly": true });
                    let state = json!({ "name": "state", "mountPath": "/var/lib/banken" });
                    reads && mounts.contains(&config) && mounts.contains(&state)
                })
        });
        assert!(mounted, "nobody reads {name}");
    }
}

/// As the kubelet does: a folder for each version, `..data` leads to it, and files lead through `..data`.
fn publish(folder: &Path, version: &str, text: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join("banken.yml"), text).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[tokio::test]
async fn a_changed_config_map_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "listen: 127.0.0.1:0\nhost: false\n";
    publish(folder.path(), "..1", yaml);
    symlink("..data/banken.yml", folder.path().join("banken.yml")).unwrap();
    let mut command = Banken::command();
    command.args(["run", "--reload-on-change", "--config"]).arg(folder.path().join("banken.yml"));
    let process = crate::support::Process::start(&mut command);
    let page = crate::support::Page { base: crate::support::page_of(&process).await };
    eventually("it is ready", async || (page.status_code("/readyz").await == 200).then_some(())).await;
    let added = format!("{yaml}probes: [ {{ name: added, tcp: {{ address: 127.0.0.1:1 }} }} ]\n");
    publish(folder.path(), "..2", &added);
    eventually("the new probe is there", async || {
        (page.status_code("/api/v1/probes/added").await == 200).then_some(())
    })
    .await;
}
