//! Real samples of each class, lookalikes, and whole logs of real programs with their counts.

use super::super::{Patterns, Source};
use super::*;
use std::collections::BTreeMap;

fn patterns() -> Patterns {
    let mut invalid = Vec::new();
    let patterns = Patterns::build(&[Source::Builtin], &[], Vec::new(), &mut invalid);
    assert_eq!(invalid, []);
    patterns
}

/// The ids of the patterns that match a line.
fn found(patterns: &Patterns, line: &str) -> Vec<&'static str> {
    let mut ids = Vec::new();
    patterns.scan(line.as_bytes(), None, &mut |index, _| ids.push(TABLE[index].id));
    ids
}

#[test]
fn every_row_compiles_and_has_an_id_of_its_own() {
    let ids: std::collections::BTreeSet<_> = TABLE.iter().map(|row| row.id).collect();
    assert_eq!((ids.len(), entries().count()), (TABLE.len(), TABLE.len()));
}

/// So that a scan runs at the speed of the search for literals.
#[test]
fn every_row_has_literals_to_look_for() {
    for row in &TABLE {
        let text = row.branches.join("|");
        let mut parser = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).multi_line(true).build();
        let literals = super::super::literals::required(&parser.parse(&text).unwrap());
        assert!(literals.as_ref().is_some_and(|set| set.len() <= 24), "{}: {literals:?}", row.id);
    }
}

/// Each line and the one class that it belongs to.
const SAMPLES: [(&str, &str); 53] = [
    ("http_4xx", r#"10.0.0.7 - - [22/Nov/2026:07:53:44 +0000] "GET /x HTTP/1.1" 404 153 "-" "curl/7.88.1""#),
    ("http_4xx", r#"10.0.0.7 - - [22/Nov/2026:07:53:44 +0000] "POST /x HTTP/2.0" 429 0"#),
    ("http_4xx", r#"INFO:     127.0.0.1:51234 - "GET /404 HTTP/1.1" 404 Not Found"#),
    ("http_4xx", "127.0.0.1 - - [22/Nov/2026 07:53:44] \"\u{1b}[33mGET /missing HTTP/1.1\u{1b}[0m\" 404 -"),
    ("http_4xx", r#"2026-11-22 INFO httpx: HTTP Request: GET https://api.example/x "HTTP/1.1 401 Unauthorized""#),
    ("http_4xx", "requests.exceptions.HTTPError: 404 Client Error: Not Found for url: http://127.0.0.1/x"),
    ("http_4xx", "urllib.error.HTTPError: HTTP Error 403: Forbidden"),
    ("http_4xx", r#"{"level":"info","status":404,"path":"/x"}"#),
    ("http_5xx", r#"INFO:     127.0.0.1:51234 - "GET /x HTTP/1.1" 500 Internal Server Error"#),
    ("http_5xx", r#"10.0.0.7 - - [22/Nov/2026:07:53:44 +0000] "GET /x HTTP/1.1" 502 157 "-" "-""#),
    ("http_5xx", "requests.exceptions.HTTPError: 502 Server Error: Bad Gateway for url: http://127.0.0.1/x"),
    ("http_5xx", "< HTTP/1.1 503 Service Unavailable"),
    ("http_5xx", "HTTP/2 500"),
    ("http_5xx", "aiohttp.client_exceptions.ClientResponseError: 504, message='Gateway Timeout'"),
    ("python_exception", "Traceback (most recent call last):"),
    ("python_exception", "2026-11-22 07:52:54,930 bot ERROR Traceback (most recent call last):"),
    ("python_exception", "  + Exception Group Traceback (most recent call last):"),
    ("python_exception", "    | Traceback (most recent call last):"),
    ("python_exception", r#"{"level":"error","exc":"Traceback (most recent call last):\n  File \"a.py\""}"#),
    ("python_exception", "2026-11-22 ERROR bot: cycle failed: ValueError: bad price"),
    ("python_exception", "[2026-11-22] [CRITICAL] pandas.errors.ParserError: expected 3 fields"),
    ("python_exception", "ERROR:root:order: InsufficientFundsException('12')"),
    ("database_connection_error", r#"connection to server at "127.0.0.1", port 5432 failed: Connection refused"#),
    ("database_connection_error", "could not connect to server: Connection refused"),
    ("database_connection_error", "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)"),
    ("database_connection_error", r#"2026-11-22 UTC [77] FATAL:  password authentication failed for user "bot""#),
    ("database_connection_error", "psycopg2.OperationalError: FATAL:  sorry, too many clients already"),
    (
        "database_connection_error",
        "psycopg.OperationalError: consuming input failed: server closed the connection unexpectedly",
    ),
    ("database_connection_error", "asyncpg.exceptions.TooManyConnectionsError: sorry, too many clients already"),
    ("file_not_found", "FileNotFoundError: [Errno 2] No such file or directory: 'data/prices.json'"),
    ("file_not_found", r#"open() "/srv/www/x" failed (2: No such file or directory), client: 127.0.0.1"#),
    ("permission_denied", "PermissionError: [Errno 13] Permission denied: '/etc/shadow'"),
    ("permission_denied", "mkdir: cannot create directory '/srv/x': Permission denied"),
    ("file_system_error", "OSError: [Errno 30] Read-only file system: '/data/x'"),
    ("memory_error", "Out of memory: Killed process 48231 (python3) total-vm:8123456kB, anon-rss:6012345kB"),
    ("memory_error", "MemoryError"),
    ("memory_error", "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB"),
    ("memory_error", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    ("memory_error", "memory allocation of 17179869184 bytes failed"),
    ("disk_full", "OSError: [Errno 28] No space left on device"),
    ("disk_full", "sqlite3.OperationalError: database or disk is full"),
    ("port_in_use", "OSError: [Errno 98] Address already in use"),
    ("port_in_use", "Error: listen EADDRINUSE: address already in use :::3000"),
    ("port_in_use", "nginx: [emerg] bind() to 127.0.0.1:80 failed (98: Address already in use)"),
    ("json_decode_error", "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ("json_decode_error", "SyntaxError: Unexpected token < in JSON at position 0"),
    ("json_decode_error", "cannot read state.json: EOF while parsing a value at line 1 column 0"),
    (
        "redis_connection_error",
        "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
    ),
    ("redis_connection_error", "Could not connect to Redis at 127.0.0.1:6379: Connection refused"),
    ("redis_connection_error", "Error: connect ECONNREFUSED 127.0.0.1:6379"),
    ("ssl_certificate_error", "curl: (60) SSL certificate problem: self-signed certificate"),
    ("ssl_certificate_error", "probe failed: invalid peer certificate: Expired"),
    (
        "ssl_certificate_error",
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)",
    ),
];

#[test]
fn each_sample_belongs_to_its_class_and_no_other() {
    let patterns = patterns();
    for (class, line) in SAMPLES {
        assert_eq!(found(&patterns, line), [class], "{line}");
    }
    for row in &TABLE {
        assert!(SAMPLES.iter().any(|(class, _)| *class == row.id), "{} has no sample", row.id);
    }
}

#[test]
fn what_only_looks_like_an_error_is_none() {
    let patterns = patterns();
    for line in [
        "2026-11-22 INFO fetched 404 bytes in 502 ms",
        r#"INFO:     127.0.0.1:51234 - "GET /404 HTTP/1.1" 200 OK"#,
        r#"10.0.0.7 - - [22/Nov/2026:07:53:44 +0000] "GET / HTTP/1.1" 200 4040 "-" "OOM HTTP/1.1 500 Out of memory""#,
        r#"10.0.0.7 - - [22/Nov/2026:07:53:44 +0000] "GET / HTTP/1.1" 200 2 "-" "Traceback (most recent call last):""#,
        r#"10.0.0.7 - - [22/Nov/2026:07:53:44 +0000] "GET /oom-killer HTTP/1.1" 200 5000 "-" "HTTP/1.1 404""#,
        "2026-11-22 INFO retrying after ValueError: bad price",
        "    raise JSONDecodeError(\"Expecting value\", s, err.value) from None",
        "    except FileNotFoundError:",
        "2026-11-22 INFO connection to server at db established",
        "Is the server running on that host and accepting TCP/IP connections?",
        "python3 invoked oom-killer: gfp_mask=0x140cca, order=0, oom_score_adj=0",
        "zoom level 5, room 404, MemoryErrorHandler installed",
        "2026-11-22 INFO disk full check passed; port 8000 free",
        "ERRORS: 0, Exceptions: 0",
        "2026-11-22 ERROR request failed, see above",
        "2026-11-22 INFO certificate verified, redis connected, JSON valid",
        "",
    ] {
        assert_eq!(found(&patterns, line), [""; 0], "{line}");
    }
}

fn counts(log: &[u8], start: Option<&str>) -> BTreeMap<&'static str, usize> {
    let start = start.map(|start| serde_json::from_value(start.into()).unwrap());
    let mut counts = BTreeMap::new();
    patterns().scan(log, start.as_ref(), &mut |index, _| *counts.entry(TABLE[index].id).or_default() += 1);
    counts
}

macro_rules! log {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/logs/", $name))
    };
}

#[test]
fn whole_logs_of_real_programs_have_the_counts_that_a_person_finds() {
    type Log<'t> = (&'t str, &'t [u8], &'t [(&'t str, usize)]);
    let logs: [Log<'_>; 10] = [
        ("python_chained", log!("python_chained.log"), &[("json_decode_error", 1), ("python_exception", 3)]),
        ("python_group", log!("python_group.log"), &[("python_exception", 3)]),
        (
            // Each of eight failures is logged as text, as repr and with its traceback.
            "python_logged",
            log!("python_logged.log"),
            &[
                ("disk_full", 4),
                ("file_not_found", 3),
                ("file_system_error", 2),
                ("json_decode_error", 6),
                ("memory_error", 2),
                ("permission_denied", 3),
                ("port_in_use", 3),
                ("python_exception", 16),
            ],
        ),
        (
            "uvicorn",
            log!("uvicorn.log"),
            &[("http_4xx", 2), ("http_5xx", 3), ("port_in_use", 1), ("python_exception", 1)],
        ),
        (
            "gunicorn",
            log!("gunicorn.log"),
            &[("http_4xx", 2), ("http_5xx", 3), ("port_in_use", 8), ("python_exception", 1)],
        ),
        ("nginx_access", log!("nginx_access.log"), &[("http_4xx", 1), ("http_5xx", 2)]),
        ("nginx_error", log!("nginx_error.log"), &[("file_not_found", 1), ("port_in_use", 5)]),
        (
            "database",
            log!("database.log"),
            &[("database_connection_error", 2), ("python_exception", 6), ("redis_connection_error", 2)],
        ),
        ("tls", log!("tls.log"), &[("python_exception", 1), ("ssl_certificate_error", 6)]),
        // Two kernel messages that name a victim, and systemd's own word for the first.
        ("kernel", log!("kernel.log"), &[("disk_full", 1), ("file_system_error", 1), ("memory_error", 3)]),
    ];
    for (name, log, expected) in logs {
        assert_eq!(counts(log, None), expected.iter().copied().collect(), "{name}");
    }
}

#[test]
fn a_chain_of_tracebacks_in_one_record_counts_once() {
    let log = log!("database.log");
    assert!(counts(log, None)["python_exception"] > 4);
    assert_eq!(counts(log, Some(r"^\d{4}-\d\d-\d\d "))["python_exception"], 4);
}
