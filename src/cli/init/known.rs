//! What is known of programs that listen: how each is asked whether it works.

/// A program that is known, and how to watch what it listens for. One row is all that another program needs.
pub struct Known {
    /// The names of its executables.
    pub programs: &'static [&'static str],
    /// What its probe is called; nothing: as the program.
    pub name: &'static str,
    /// Ports other than these are not what it is for; empty: any.
    pub ports: &'static [u16],
    /// Blocks to try, the best first. `{address}` and `{host}` are filled in.
    pub blocks: &'static [&'static str],
    /// What to do to see more, put beside it as a comment.
    pub hint: &'static str,
}

/// How what speaks HTTP is asked, and then everything that is not known: any answer below 500 says that it works.
pub const WEB: &[&str] = &[
    "http: { url: 'http://{address}/' }",
    // Before any other answer in clear: a port of TLS answers 400 there.
    "http: { url: 'https://{address}/', tls: { verify: false }, expect: { status: [2xx, 3xx, 4xx] } }",
    "http: { url: 'http://{address}/', expect: { status: [2xx, 3xx, 4xx] } }",
    TCP,
];

/// The least that can be asked.
const TCP: &str = "tcp: { address: '{address}' }";

const fn row(programs: &'static [&'static str], name: &'static str, blocks: &'static [&'static str]) -> Known {
    Known { programs, name, ports: &[], blocks, hint: "" }
}

/// Every program that is known, in no order that matters.
pub static KNOWN: &[Known] = &[
    Known {
        hint: "For connections, locks, sizes and slow queries: create role \"banken\" login password '…' in role pg_monitor;\n\
               put its URL into a file and write  postgres: { url: { file: /etc/banken/postgres-url } }  instead of tcp.",
        ..row(&["postgres", "postmaster"], "postgres", &[TCP])
    },
    Known {
        hint: "If it asks for a password:  redis: { address: '…', username: banken, password: { file: /etc/banken/redis-password } }",
        ..row(&["redis-server", "valkey-server", "keydb-server"], "redis", &["redis: { address: '{address}' }", TCP])
    },
    row(&["nginx", "apache2", "httpd", "caddy", "lighttpd", "haproxy", "traefik", "envoy"], "", WEB),
    Known {
        hint: "Queries that matter to you:  prometheus: { url: …, require: [ … ] }  watches the metrics of any exporter.",
        ..row(&["prometheus"], "", &["http: { url: 'http://{address}/-/healthy' }", TCP])
    },
    row(
        &["alertmanager", "prometheus-alertmanager"],
        "alertmanager",
        &["http: { url: 'http://{address}/-/healthy' }", TCP],
    ),
    row(&["grafana", "grafana-server"], "grafana", &["http: { url: 'http://{address}/api/health' }", TCP]),
    row(&["influxd"], "influxdb", &["http: { url: 'http://{address}/health' }", TCP]),
    row(&["victoria-metrics", "victoria-metrics-prod"], "", &["http: { url: 'http://{address}/health' }", TCP]),
    row(&["loki", "promtail", "tempo", "mimir"], "", &["http: { url: 'http://{address}/ready' }", TCP]),
    row(&["consul"], "", &["http: { url: 'http://{address}/v1/status/leader' }", TCP]),
    row(&["etcd"], "", &["http: { url: 'http://{address}/health' }", TCP]),
    row(&["mysqld", "mariadbd"], "mysql", &[TCP]),
    row(&["mongod"], "mongodb", &[TCP]),
    row(&["memcached"], "", &["tcp: { address: '{address}', send: \"version\\r\\n\", expect: '^VERSION' }", TCP]),
    row(&["sshd", "dropbear"], "ssh", &["tcp: { address: '{address}', expect: '^SSH-' }", TCP]),
    Known {
        ports: &[25, 587],
        ..row(
            &["master", "exim4", "smtpd", "sendmail"],
            "mail",
            &["tcp: { address: '{address}', expect: '^220 ' }", TCP],
        )
    },
    Known {
        ports: &[53],
        hint: "Ask for a name of your own and hold the answer against what it must be: expect: { … }",
        ..row(
            &["dnsmasq", "unbound", "named", "pdns_recursor", "systemd-resolved", "coredns"],
            "dns",
            &["dns: { server: '{address}', name: localhost }", TCP],
        )
    },
];

/// Programs that listen for somebody else, or whose end nobody would miss.
pub const LEFT_OUT: &[&str] = &["docker-proxy", "rootlessport", "slirp4netns", "conmon", "systemd", "banken"];

/// Programs that run other programs: what matters is in their arguments.
pub const INTERPRETERS: &[&str] =
    &["python", "node", "java", "ruby", "perl", "php", "deno", "bun", "dotnet", "uvicorn", "gunicorn", "beam.smp"];

/// How an exporter is watched: its metrics are there.
pub const EXPORTER: &[&str] =
    &["prometheus: { url: 'http://{address}/metrics' }", "http: { url: 'http://{address}/metrics' }", TCP];

/// The row of a program, by the name of its executable and the port.
pub fn find(program: &str, port: u16) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.programs.contains(&program) && (known.ports.is_empty() || known.ports.contains(&port)))
}

/// Whether anything is known of a program.
pub fn is_known(program: &str) -> bool {
    KNOWN.iter().any(|known| known.programs.contains(&program))
        || is_interpreter(program)
        || LEFT_OUT.contains(&program)
        || program.ends_with("exporter")
}

/// Whether a program runs others: `python3.11` is a python.
pub fn is_interpreter(program: &str) -> bool {
    let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.contains(&program) || INTERPRETERS.contains(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_has_two_rows_for_the_same_port() {
        for known in KNOWN {
            for program in known.programs {
                let port = known.ports.first().copied().unwrap_or(1);
                assert!(std::ptr::eq(find(program, port).unwrap(), known), "{program} has another row");
            }
            assert_eq!(known.blocks.last(), Some(&TCP), "{:?}: the last resort is to connect", known.programs);
        }
    }

    #[test]
    fn versions_do_not_hide_what_runs_programs() {
        for program in ["python3.11", "python3", "node", "node20", "php-8.2", "java", "gunicorn"] {
            assert!(is_interpreter(program), "{program}");
        }
        for program in ["nginx", "postgres", "pythonic", "nodejs-bot", "bash"] {
            assert!(!is_interpreter(program), "{program}");
        }
    }
}
