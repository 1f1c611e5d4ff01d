use super::proposals::*;
use super::survey::*;
use super::written::*;
use crate::config::parse;
use std::path::Path;

fn listener(address: &str, arguments: &[&str]) -> Listener {
    let program = arguments.first().map_or("", |program| program.rsplit('/').next().unwrap());
    let arguments = arguments.iter().map(ToString::to_string).collect();
    Listener { address: address.parse().unwrap(), program: program.into(), arguments, pid: Some(77) }
}

fn process(pid: i32, arguments: &[&str]) -> Process {
    let program = arguments[0].rsplit('/').next().unwrap().to_owned();
    let arguments = arguments.iter().map(ToString::to_string).collect();
    Process { pid, program, arguments, unit: None, in_container: false }
}

fn unit(name: &str, state: &str) -> Unit {
    Unit { name: name.into(), description: "as installed".into(), state: state.into() }
}

fn of_listeners(listeners: Vec<Listener>) -> Vec<Proposal> {
    propose(&Survey { listeners, ..Survey::default() })
}

fn names(proposals: &[Proposal]) -> Vec<&str> {
    proposals.iter().map(|proposal| proposal.name.as_str()).collect()
}

/// The file of a survey, everything taken at its first block.
fn written(survey: &Survey, block: impl Fn(&Proposal) -> usize) -> String {
    let choose = |proposal: Proposal| {
        let block = proposal.blocks[block(&proposal)].clone();
        Choice { proposal, block, trial: Trial::Fails("line one\nlisten: 0.0.0.0:1\r\u{2028}probes: []".into()) }
    };
    let choices: Vec<_> = propose(survey).into_iter().map(choose).collect();
    write(survey, &choices, "2026-11-22")
}

#[test]
fn a_program_that_is_known_is_asked_in_its_own_way_at_an_address_that_answers() {
    let cases: [(&str, &[&str], &str, &str); 8] = [
        ("0.0.0.0:6379", &["/usr/bin/redis-server"], "redis", "redis: { address: '127.0.0.1:6379' }"),
        ("[::]:5432", &["postgres"], "postgres", "tcp: { address: '[::1]:5432' }"),
        ("10.0.0.7:80", &["nginx"], "nginx", "http: { url: 'http://10.0.0.7:80/' }"),
        ("127.0.0.1:9090", &["prometheus"], "prometheus", "http: { url: 'http://127.0.0.1:9090/-/healthy' }"),
        ("0.0.0.0:9100", &["node_exporter"], "node_exporter", "prometheus: { url: 'http://127.0.0.1:9100/metrics' }"),
        ("0.0.0.0:22", &["sshd"], "ssh", "tcp: { address: '127.0.0.1:22', expect: '^SSH-' }"),
        ("0.0.0.0:8000", &["python3", "-u", "/app/api.py"], "api", "http: { url: 'http://127.0.0.1:8000/' }"),
        ("0.0.0.0:1234", &[], "port-1234", "http: { url: 'http://127.0.0.1:1234/' }"),
    ];
    for (address, arguments, name, block) in cases {
        let proposals = of_listeners(vec![listener(address, arguments)]);
        assert_eq!((proposals[0].name.as_str(), proposals[0].blocks[0].as_str()), (name, block), "{address}");
        assert!(proposals[0].blocks.iter().all(|block| !block.contains("{address}")), "{:?}", proposals[0].blocks);
    }
}

#[test]
fn sockets_of_one_program_on_one_port_are_one_service_and_ipv4_is_asked() {
    let proposals = of_listeners(vec![listener("[::]:80", &["nginx"]), listener("0.0.0.0:80", &["nginx"])]);
    assert_eq!(names(&proposals), ["nginx"]);
    assert!(proposals[0].blocks[0].contains("127.0.0.1:80"));
    assert_eq!(proposals[0].found, "nginx listens on 0.0.0.0:80 and [::]:80");
}

#[test]
fn what_listens_for_others_and_a_known_programs_side_doors_are_left_out() {
    let proposals = of_listeners(vec![
        listener("0.0.0.0:8080", &["docker-proxy"]),
        listener("127.0.0.1:9810", &["banken"]),
        listener("127.0.0.1:33333", &["dnsmasq"]),
        listener("127.0.0.1:53", &["dnsmasq"]),
    ]);
    assert_eq!(names(&proposals), ["dns"]);
}

#[test]
fn the_script_of_an_interpreter_is_what_counts_and_other_arguments_are_not_told() {
    let survey = Survey {
        processes: vec![
            process(10, &["/usr/bin/python3.11", "-u", "/opt/bot/main.py", "--live", "--api-key=hunter2"]),
            process(11, &["/usr/bin/python3.11", "-u", "/opt/bot/main.py", "--other"]),
            process(12, &["java", "-Xmx1g", "-jar", "/srv/app.jar"]),
            process(13, &["python3", "-m", "celery", "worker"]),
            process(14, &["python3", "-c", "print('hunter2')"]),
            process(15, &["bash"]),
        ],
        ..Survey::default()
    };
    let proposals = propose(&survey);
    assert_eq!(names(&proposals), ["main-process", "app-process", "celery-process"]);
    assert_eq!(proposals[0].blocks, [r"process: { cmdline: '/opt/bot/main\.py' }"]);
    assert!(!written(&survey, |_| 0).contains("hunter2"));
}

#[test]
fn a_process_of_a_unit_or_a_container_is_watched_as_such() {
    let mut of_unit = process(20, &["python3", "/opt/a.py"]);
    of_unit.unit = Some("bot.service".into());
    let mut contained = process(21, &["node", "/srv/b.js"]);
    contained.in_container = true;
    let survey = Survey {
        processes: vec![of_unit, contained],
        units: vec![
            unit("bot.service", "active"),
            unit("systemd-journald.service", "active"),
            unit("x.timer", "active"),
        ],
        containers: vec![Container {
            name: "Web_1".into(),
            image: "nginx:1".into(),
            status: "Up 3 days".into(),
            socket: None,
        }],
        ..Survey::default()
    };
    let proposals = propose(&survey);
    assert_eq!(names(&proposals), ["web_1", "bot-unit"]);
    assert_eq!(proposals[0].blocks, ["container: { name: 'Web_1' }"]);
    assert_eq!(proposals[1].blocks, ["systemd: { unit: 'bot.service' }"]);
}

#[test]
fn whatever_a_machine_calls_its_things_the_file_is_accepted() {
    let odd = "it's ${HOME} \"x\"\n- name: injected\t#{}[]: é";
    let mut survey = Survey { host: odd.into(), unseen: vec![odd.into()], ..Survey::default() };
    survey.listeners = (0..80).map(|port| listener(&format!("[::1]:{}", 2000 + port), &["python3", odd])).collect();
    survey
        .listeners
        .extend(["redis-server", "postgres", "memcached", "sshd", "nginx", odd].map(|p| listener("0.0.0.0:25", &[p])));
    survey.listeners.push(listener("0.0.0.0:53", &["unbound"]));
    survey.processes = vec![process(1, &["python3", odd]), process(2, &["node", "-x"]), process(3, &["perl", "."])];
    survey.units = vec![unit("getty@tty1.service", "failed"), unit("host.service", "active")];
    for choice in 0..4 {
        let text = written(&survey, |proposal| choice.min(proposal.blocks.len() - 1));
        let config = match parse(&text, "banken.yml", Path::new(".")) {
            Ok(config) => config,
            Err(error) => panic!("{error}\n{text}"),
        };
        assert_eq!(config.probes.len(), propose(&survey).len() + 1, "each proposal and the host:\n{text}");
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
    let nothing = written(&Survey::default(), |_| 0);
    assert_eq!(
        parse(&nothing, "banken.yml", Path::new(".")).map(|config| config.probes.len()).ok(),
        Some(1),
        "{nothing}"
    );
}
