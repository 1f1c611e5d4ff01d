//! Banken beside a stack that is there already.

use super::files::lacking;
use super::{compose, deploy, read, said, services, texts, yaml};
use crate::support::Banken;
use std::collections::BTreeSet;

const SIDECAR: &str = "docker-compose.sidecar.yml";

#[test]
fn the_sidecar_is_accepted_and_as_confined_as_in_the_stack() {
    said(&mut compose(&deploy(), &["--file", SIDECAR, "config", "--quiet"]));
    let services = services(SIDECAR);
    assert_eq!(services.len(), 1);
    assert_eq!(lacking(&services["banken"]), [""; 0]);
    assert_eq!(services["banken"]["read_only"], true);
    for volume in texts(&services["banken"]["volumes"]) {
        assert!(volume.ends_with(":ro") || volume == "banken:/var/lib/banken", "{volume}");
    }
}

#[test]
fn the_sidecar_watches_the_eight_services_by_the_names_of_its_environment() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, read(deploy().join("secrets/postgres_url.example"))).unwrap();
    let mut check = Banken::command();
    for (name, value) in services(SIDECAR)["banken"]["environment"].as_mapping().unwrap() {
        let value = value.as_str().unwrap().replace("${PUBLIC_NAME:-fx.example.com}", "fx.example.com");
        check.env(name.as_str().unwrap(), value);
    }
    check.env("POSTGRES_URL_FILE", secret.path());
    said(check.arg("check").arg(deploy().join("sidecar/banken.yml")));
    let probes = yaml("sidecar/banken.yml")["probes"].clone();
    let names: BTreeSet<_> =
        probes.as_sequence().unwrap().iter().map(|probe| probe["name"].as_str().unwrap().to_owned()).collect();
    for service in ["nginx", "api", "worker", "scheduler", "postgres", "redis", "grafana", "prometheus"] {
        assert!(names.contains(service), "{service} is not watched");
    }
    let on_the_host: serde_yaml::Value =
        serde_yaml::from_str(&read(deploy().join("examples/fx-platform.yml"))).unwrap();
    let there = on_the_host["probes"].as_sequence().unwrap().iter();
    assert_eq!(names, there.map(|probe| probe["name"].as_str().unwrap().to_owned()).collect());
}
