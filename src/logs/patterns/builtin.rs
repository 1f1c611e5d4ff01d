//! The error classes that are known without configuration.
//!
//! The expressions keep to what `grep -E` and RE2 understand too (no `\d`, no `\b`, no `(?:`), so that counts can be held
//! against those tools, and are about bytes. Each is written so that a text that must be there is rare in lines
//! without errors: that is what makes a scan fast. Ids are those that `error_patterns.json` uses for the same classes, so
//! that such a file takes the place of them.

use super::Entry;
use super::scanner::Expression;
use crate::board::PatternDescriptor;
use crate::observation::Gravity;

/// One pattern.
struct Builtin {
    id: &'static str,
    name: &'static str,
    gravity: Gravity,
    /// Joined by `|`.
    branches: &'static [&'static str],
}

/// THE TABLE. A traceback is one `python_exception` by its header; its last line counts for the class that it names.
const TABLE: [Builtin; 13] = [
    Builtin {
        id: "http_4xx",
        name: "HTTP request answered with 4xx",
        gravity: Gravity::Warning,
        branches: &[
            // Access lines of nginx, uvicorn, gunicorn; status lines as curl and httpx log them. A status line anywhere
            // else may be a User-Agent.
            r#"HTTP/(1\.[01]|[23](\.0)?)" 4[0-9][0-9]([^0-9]|$)"#,
            r#"(^|< |HTTP Request: [A-Z]+ [^ ]+ ")HTTP/(1\.[01]|[23]) 4[0-9][0-9]([^0-9]|$)"#,
            // Werkzeug colours the request.
            r#"\[0m" 4[0-9][0-9] "#,
            r#""status": ?"?4[0-9][0-9][^0-9]"#,
            "4[0-9][0-9] Client Error: ",
            "HTTP Error 4[0-9][0-9]: ",
            "ClientResponseError: 4[0-9][0-9],",
        ],
    },
    Builtin {
        id: "http_5xx",
        name: "HTTP request answered with 5xx",
        gravity: Gravity::Error,
        branches: &[
            r#"HTTP/(1\.[01]|[23](\.0)?)" 5[0-9][0-9]([^0-9]|$)"#,
            r#"(^|< |HTTP Request: [A-Z]+ [^ ]+ ")HTTP/(1\.[01]|[23]) 5[0-9][0-9]([^0-9]|$)"#,
            r#"\[0m" 5[0-9][0-9] "#,
            r#""status": ?"?5[0-9][0-9][^0-9]"#,
            "5[0-9][0-9] Server Error: ",
            "HTTP Error 5[0-9][0-9]: ",
            "ClientResponseError: 5[0-9][0-9],",
        ],
    },
    Builtin {
        id: "python_exception",
        name: "Python exception",
        gravity: Gravity::Error,
        branches: &[
            // At the end of a line, or of a line within JSON: a User-Agent is followed by its quote.
            r"Traceback \(most recent call last\):(\\n|$)",
            // An exception that is named in an error line, without a traceback.
            r"(^|[^A-Za-z_])(ERROR|CRITICAL|FATAL)[^A-Za-z_](.*[^A-Za-z0-9_.])?[A-Za-z_][A-Za-z0-9_.]*(Error|Exception)(: |\()",
        ],
    },
    Builtin {
        id: "database_connection_error",
        name: "Database cannot be reached or refuses",
        gravity: Gravity::Critical,
        branches: &[
            "connection to server (at|on) .*failed: ",
            "could not connect to server: ",
            r"Connect call failed \([^)]*, 5432[,)]",
            r"FATAL: +(password authentication failed|database |role |sorry, too many|too many connections|remaining connection slots|the database system|no pg_hba\.conf|terminating connection)",
            "server closed the connection unexpectedly",
            r"psycopg2?\.OperationalError(: |\))",
            r"asyncpg\.exceptions\.[A-Za-z.]*(CannotConnectNow|ConnectionDoesNotExist|TooManyConnections|InvalidPassword|InvalidAuthorization|ConnectionFailure)[A-Za-z]*Error: ",
            "QueuePool limit of size [0-9]+ overflow",
            "Can't connect to MySQL server|MySQL server has gone away",
        ],
    },
    Builtin {
        id: "file_not_found",
        name: "File or folder not found",
        gravity: Gravity::Error,
        branches: &[r"FileNotFoundError(: |\()", r"\[Errno 2\]", "No such file or directory"],
    },
    Builtin {
        id: "permission_denied",
        name: "Permission denied",
        gravity: Gravity::Error,
        branches: &[r"PermissionError(: |\()", r"\[Errno 13\]", r"Permission denied($|[^A-Za-z ,])"],
    },
    Builtin {
        id: "file_system_error",
        name: "File system fails",
        gravity: Gravity::Error,
        branches: &[
            r"Read-only file system",
            r"Input/output error",
            r"Too many open files",
            r"Stale file handle",
            r"EXT4-fs error ",
            r"(IsADirectory|NotADirectory)Error(: |\()",
        ],
    },
    Builtin {
        id: "memory_error",
        name: "Out of memory",
        gravity: Gravity::Critical,
        branches: &[
            // Of the three lines of the kernel, the one that names the victim.
            "ut of memory: Kill",
            r"MemoryError($|: )|: MemoryError\(",
            r"\[Errno 12\]",
            "Cannot allocate memory",
            "ERROR: +out of memory",
            "memory allocation of [0-9]+ bytes failed",
            "heap out of memory",
            "CUDA out of memory",
            r"java\.lang\.OutOfMemoryError",
            "std::bad_alloc",
            "killed by the OOM killer",
            "OOM command not allowed",
        ],
    },
    Builtin {
        id: "disk_full",
        name: "Disk full",
        gravity: Gravity::Critical,
        branches: &["No space left on device", r"\[Errno 28\]", "Disk quota exceeded", "database or disk is full"],
    },
    Builtin {
        id: "port_in_use",
        name: "Port in use",
        gravity: Gravity::Error,
        branches: &["ddress already in use", r"\[Errno 98\]", r"Connection in use: \(", "port is already allocated"],
    },
    Builtin {
        id: "json_decode_error",
        name: "JSON that cannot be read",
        gravity: Gravity::Warning,
        branches: &[
            "JSONDecodeError: ",
            r"line [0-9]+ column [0-9]+ \(char [0-9]+\)",
            "(EOF while parsing|expected) .* at line [0-9]+ column [0-9]+",
            "SyntaxError: Unexpected (token|end of JSON)",
            "is not valid JSON($|[^A-Za-z ])",
            "unexpected end of JSON input",
            "looking for beginning of (value|object key)",
        ],
    },
    Builtin {
        id: "redis_connection_error",
        name: "Redis cannot be reached or refuses",
        gravity: Gravity::Error,
        branches: &[
            r"redis\.exceptions\.(Connection|Timeout|Authentication|BusyLoading|MaxConnections)[A-Za-z]*: ",
            r"Error [0-9-]+ connecting to [^ ]+:[0-9]+\.",
            "Could not connect to Redis at ",
            "ECONNREFUSED [^ ]*:6379",
            r"Connect call failed \([^)]*, 6379[,)]",
            "NOAUTH Authentication required",
            "LOADING Redis is loading the dataset",
            "MISCONF Redis is configured to save",
        ],
    },
    Builtin {
        id: "ssl_certificate_error",
        name: "TLS certificate not accepted",
        gravity: Gravity::Error,
        branches: &[
            "CERTIFICATE_VERIFY_FAILED",
            "certificate verify failed",
            "SSL certificate problem: ",
            "verify error:num=[0-9]+:",
            "invalid peer certificate: ",
            "x509: certificate ",
            "CERT_HAS_EXPIRED|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT",
            "(sslv3|tlsv1) alert (bad certificate|certificate|unknown ca)",
            "no alternative certificate subject name matches",
        ],
    },
];

/// The patterns, compiled. A test shows that each of them compiles.
pub fn entries() -> impl Iterator<Item = Entry> {
    TABLE.iter().filter_map(|row| {
        let text = row.branches.join("|");
        let expression = Expression::compile(&text, false).ok()?;
        let (id, name) = (row.id.to_owned(), row.name.to_owned());
        let descriptor = PatternDescriptor { id, name, gravity: row.gravity, captures: Vec::new() };
        Some(Entry { descriptor, text, expression, origin: None })
    })
}

#[cfg(test)]
#[path = "builtin_tests.rs"]
mod tests;
