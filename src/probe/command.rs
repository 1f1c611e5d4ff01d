//! Runs a program and judges how it ends and what it says. What it says can be read too: the performance data of Nagios'
//! plugins, or the text format of Prometheus.
//!
//! Of several things that are wrong the first in this order gives the reason: the exit status; output that is too long; what
//! cannot be read of it; what is expected of it. Values are published whatever the exit status is.

mod perfdata;
mod publish;
#[cfg(test)]
mod tests;

use super::{Context, Kind, Settings};
use crate::machine::child::{Ended, Keep, Program, in_words};
use crate::observation::{Failure, Family, Readings, Reason, Scope};
use crate::values::{Invalid, Pattern, Redactor, Secret, Size};
use publish::Publisher;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

static EXIT_STATUS: Family = Family::gauge(
    "banken_command_exit_status",
    Scope::Probe,
    &[],
    "Exit status of the last run; absent when a signal ended it",
);

static OUTPUT_BYTES: Family = Family::gauge(
    "banken_command_output_bytes",
    Scope::Probe,
    &[],
    "How much the last run wrote to its standard output, in bytes",
);

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "command",
    summary: "A program ends as expected; its output, performance data of Nagios' plugins, metrics it prints",
    example: "\
- name: disk
  command: { argv: [ /usr/lib/nagios/plugins/check_disk, -w, 10%, -c, 5% ], format: nagios }
- name: queue
  interval: 60s
  timeout: 20s
  command:
    argv: [ /opt/bot/bin/check-queue, --limit, '100' ]
    env: { LANG: C.UTF-8 }
    expect: { output_matches: '^OK', output_lacks: ERROR }
- name: smart
  interval: 10m
  command: { argv: [ /usr/local/bin/smartmon.sh ], format: textfile }
",
    reasons: &[Reason::Exit, Reason::Missing, Reason::Timeout, Reason::Limit, Reason::Protocol, Reason::Body],
    families: &[&EXIT_STATUS, &OUTPUT_BYTES, &publish::VALUE, &publish::BOUND, &publish::METRIC],
    signals: &[],
};

/// The block `command:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The program and its arguments, each an element of its own: there is no shell. The program is an absolute path, or a
    /// name that is looked for in /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin and /bin.
    pub argv: Vec<String>,
    /// Its environment, each a text or `{ file: PATH }`, beside `PATH` and `LC_ALL=C`. Nothing of Banken's own is handed on.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// The folder in which it runs.
    #[serde(default = "root")]
    pub dir: PathBuf,
    /// How it must end, and what it must say.
    #[serde(default)]
    pub expect: Expect,
    /// How its standard output is read.
    #[serde(default)]
    pub format: Format,
    /// How much of its standard output is kept; the rest is counted.
    #[serde(default = "default_max_output")]
    pub max_output: Size,
}

fn root() -> PathBuf {
    "/".into()
}

fn default_max_output() -> Size {
    Size(64 << 10)
}

/// The largest output that may be asked for.
const MAX_OUTPUT: u64 = 16 << 20;

/// How a program must end, and what it must say on its standard output.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Exit statuses that are a success: `[0]`, with `format: nagios` `[0, 1]`, so that a warning is no failure.
    pub exit: Option<Vec<u8>>,
    /// What must be found in its output, from which the last line end is taken away.
    pub output_matches: Option<Pattern>,
    /// What must not be found in its output.
    pub output_lacks: Option<Pattern>,
}

/// How the standard output is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Only for `expect`.
    #[default]
    None,
    /// As that of a Nagios plugin: text, and after `|` performance data, which become values.
    Nagios,
    /// In the text format of Prometheus or OpenMetrics, whose samples become values.
    Textfile,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        self.check_argv(&mut invalid);
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                let message = "a variable has a name without '=', and no NUL anywhere";
                invalid.push(Invalid::new(format!("env.{name}"), message));
            }
        }
        if !self.dir.is_absolute() {
            invalid.push(Invalid::new("dir", "not an absolute path: begin it with '/'"));
        }
        if self.expect.exit.as_ref().is_some_and(Vec::is_empty) {
            invalid.push(Invalid::new("expect.exit", "no exit status could be right: write [0], or remove it"));
        }
        if self.max_output.0 == 0 || self.max_output.0 > MAX_OUTPUT {
            invalid.push(Invalid::new("max_output", "choose a size from 1 byte to 16MiB"));
        }
        match self.argv.split_first() {
            Some((program, args)) if invalid.is_empty() => Ok(Probe::new(self, program, args)),
            _ => Err(invalid),
        }
    }
}

impl Config {
    fn check_argv(&self, invalid: &mut Vec<Invalid>) {
        let Some(program) = self.argv.first().filter(|program| !program.is_empty()) else {
            let message = "nothing to run: write [ /path/of/the/program, argument, … ]";
            return invalid.push(Invalid::new("argv", message));
        };
        if program.contains('/') && !program.starts_with('/') {
            invalid.push(Invalid::new("argv[0]", "neither an absolute path nor a mere name: begin it with '/'"));
        }
        if program.split_whitespace().nth(1).is_some_and(|word| word.starts_with('-')) {
            let message = "there is no shell that would divide this: write each argument as an element of its own";
            invalid.push(Invalid::new("argv[0]", message));
        }
        for (index, _) in self.argv.iter().enumerate().filter(|(_, argument)| argument.contains('\0')) {
            invalid.push(Invalid::new(format!("argv[{index}]"), "an argument cannot hold NUL"));
        }
    }
}

/// A command probe that was built.
pub struct Probe {
    program: Program,
    keep: Keep,
    max_output: u64,
    exit: Vec<u8>,
    expect: Expect,
    format: Format,
    redactor: Redactor,
    publisher: Publisher,
}

/// What is kept of complaints, of which only the first line is ever shown.
const MAX_COMPLAINT: usize = 16 << 10;

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let ended = self.program.run(self.keep).await?;
        out.set(&OUTPUT_BYTES, ended.stdout.total as f64);
        if let Some(code) = ended.status.code() {
            out.set(&EXIT_STATUS, f64::from(code));
        }
        out.note("ended", self.ended_in_words(&ended));
        let first_line = self.first_line(&ended);
        if let Some(line) = &first_line {
            out.note("said", line.clone());
        }
        let is_read = self.read(&ended, out);
        self.judge_exit(&ended, first_line)?;
        is_read?;
        self.judge_output(&ended)
    }
}

impl Probe {
    fn new(config: &Config, program: &str, args: &[String]) -> Self {
        let env = config.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        // A line of a long secret gives it away as well.
        let secrets: Vec<String> = config.env.values().flat_map(|secret| lines_of(secret.expose())).collect();
        let redactor = Redactor::hiding(secrets.clone());
        let room = usize::try_from(config.max_output.0).unwrap_or(usize::MAX).max(redactor.wanted_bytes());
        let usual: &[u8] = if config.format == Format::Nagios { &[0, 1] } else { &[0] };
        Self {
            program: Program::new(program).args(args).env(env).dir(&config.dir),
            keep: Keep { stdout: room, stderr: MAX_COMPLAINT.max(redactor.wanted_bytes()) },
            max_output: config.max_output.0,
            exit: config.expect.exit.clone().unwrap_or_else(|| usual.to_vec()),
            expect: config.expect.clone(),
            format: config.format,
            redactor,
            publisher: Publisher::hiding(secrets),
        }
    }

    fn read(&self, ended: &Ended, out: &mut Readings) -> Result<(), Failure> {
        let is_looked_at =
            self.format != Format::None || self.expect.output_matches.is_some() || self.expect.output_lacks.is_some();
        if is_looked_at && ended.stdout.total > self.max_output {
            let (total, most) = (ended.stdout.total, self.max_output);
            let detail = format!("it wrote {total} bytes, only {most} are read: raise max_output");
            return Err(Failure::new(Reason::Limit, detail));
        }
        let text = String::from_utf8_lossy(&ended.stdout.text);
        let is_read = match self.format {
            Format::None => Ok(()),
            Format::Nagios => self.publisher.perfdata(&text, out),
            Format::Textfile => self.publisher.textfile(&ended.stdout.text, out),
        };
        is_read.map_err(|mistake| {
            // It may quote a part of a secret, by which the whole would not be known.
            let is_clean = matches!(self.redactor.redact(&text), std::borrow::Cow::Borrowed(_));
            Failure::new(mistake.reason, if is_clean { mistake.detail } else { mistake.bare })
        })
    }

    fn judge_exit(&self, ended: &Ended, first_line: Option<String>) -> Result<(), Failure> {
        let code = ended.status.code().and_then(|code| u8::try_from(code).ok());
        if code.is_some_and(|code| self.exit.contains(&code)) {
            return Ok(());
        }
        let expected: Vec<_> = self.exit.iter().map(ToString::to_string).collect();
        let said = first_line.map_or_else(|| ": it said nothing".to_owned(), |line| format!(": {line}"));
        let detail = format!("{}, expected {}{said}", self.ended_in_words(ended), expected.join(" or "));
        Err(Failure::new(Reason::Exit, detail))
    }

    fn judge_output(&self, ended: &Ended) -> Result<(), Failure> {
        let text = ended.stdout.text.as_slice();
        // Hardly a pattern that ends in `$` means to demand that there is no line end.
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let begins = || match text.len() {
            0 => "it is empty".to_owned(),
            _ => format!("it begins with {}", self.redactor.excerpt(text)),
        };
        if let Some(pattern) = self.expect.output_matches.as_ref().filter(|pattern| !pattern.is_match(text)) {
            let detail = format!("nothing in the output matches {:?}: {}", pattern.as_str(), begins());
            return Err(Failure::new(Reason::Body, detail));
        }
        if let Some(pattern) = self.expect.output_lacks.as_ref().filter(|pattern| pattern.is_match(text)) {
            let detail = format!("the output matches {:?}, which it must not: {}", pattern.as_str(), begins());
            return Err(Failure::new(Reason::Body, detail));
        }
        Ok(())
    }

    fn ended_in_words(&self, ended: &Ended) -> String {
        let words = in_words(ended.status);
        let meaning = match (self.format, ended.status.code()) {
            (Format::Nagios, Some(0)) => " (ok)",
            (Format::Nagios, Some(1)) => " (warning)",
            (Format::Nagios, Some(2)) => " (critical)",
            (Format::Nagios, Some(3)) => " (unknown)",
            _ => "",
        };
        format!("{words}{meaning}")
    }

    /// What it says first. Nagios' plugins tell everything on their output; whatever else fails says so in its complaints.
    fn first_line(&self, ended: &Ended) -> Option<String> {
        let (stdout, stderr) = (&ended.stdout.text, &ended.stderr.text);
        let sources = if self.format == Format::Nagios { [stdout, stderr] } else { [stderr, stdout] };
        sources.into_iter().find_map(|text| {
            let text = self.redactor.redact(&String::from_utf8_lossy(text)).into_owned();
            let line = text.lines().find(|line| !line.trim().is_empty())?;
            let line = if self.format == Format::Nagios { line.split('|').next().unwrap_or(line) } else { line };
            Some(self.redactor.excerpt(line.trim().as_bytes()))
        })
    }
}

fn lines_of(secret: &str) -> Vec<String> {
    let lines = secret.lines().filter(|line| *line != secret).map(str::to_owned);
    lines.chain([secret.to_owned()]).collect()
}
