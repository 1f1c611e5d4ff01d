//! Holds the documents against the program: links resolve, configurations load, and every metric, command, key and
//! reason that is named exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use banken::board::{RemedyState, Suppression};
use banken::config;
use banken::probe::{KINDS, Kind};
use banken::remedy::action;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A Markdown file or an example.
struct Document {
    path: PathBuf,
    text: String,
}

/// A fenced block: the word after the fence, and what is inside.
struct Block {
    language: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Document {
    let path = root().join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Document { path, text }
}

/// The files of one ending directly in a folder, in order.
fn files(folder: &str, extension: &str) -> Vec<Document> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    assert!(!paths.is_empty(), "{folder} holds no .{extension}");
    paths.iter().map(|path| read(path.to_str().unwrap())).collect()
}

fn documents() -> Vec<Document> {
    [".", "docs", "docs/probes", "docs/actions", "docs/runbooks"]
        .into_iter()
        .flat_map(|folder| files(folder, "md"))
        .collect()
}

impl Document {
    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string().trim_start_matches("./").to_owned()
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.strip_prefix("```") else { continue };
            let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { language: language.to_owned(), text: inside.join("\n") + "\n" });
        }
        blocks
    }

    /// The text without fenced blocks.
    fn prose(&self) -> String {
        let mut fenced = false;
        let kept = self.text.lines().filter(|line| {
            fenced ^= line.starts_with("```");
            !fenced && !line.starts_with("```")
        });
        kept.fold(String::new(), |text, line| text + line + "\n")
    }

    fn headings(&self) -> Vec<String> {
        let prose = self.prose();
        let levels = prose.lines().filter(|line| line.starts_with('#'));
        levels.map(|line| line.trim_start_matches('#').trim().to_owned()).collect()
    }
}

fn found<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|captures| captures.get(1).unwrap().as_str()).collect()
}

fn banken(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banken"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BANKEN_CONFIG")
        .output()
        .unwrap()
}

/// As the sites that show Markdown make an anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in documents() {
        let prose = document.prose();
        for link in found(r"\]\(([^)\s]+)\)", &prose) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { document.path.clone() } else { document.path.parent().unwrap().join(file) };
            if !target.exists() {
                wrong.push(format!("{}: {link} leads nowhere", document.name()));
            } else if !fragment.is_empty() {
                let headings = read(target.to_str().unwrap()).headings();
                if !headings.iter().any(|heading| anchor(heading) == fragment) {
                    wrong.push(format!("{}: {link} names no heading", document.name()));
                }
            }
        }
    }
    assert!(checked > 60, "only {checked} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Relative paths begin at `folder`.
fn mistakes(text: &str, name: &str, folder: &Path) -> Vec<String> {
    match config::parse(text, name, folder) {
        Ok(config) => {
            config.warnings.iter().map(|warning| format!("{name}: {}: {}", warning.path, warning.message)).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn every_configuration_in_the_documents_is_accepted_without_a_warning() {
    let top_level = Regex::new(r"(?m)^(probes|listen|host|logs|jobs|remedies|repair):").unwrap();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for document in documents() {
        for block in document.blocks() {
            if block.language == "yaml" && top_level.is_match(&block.text) {
                checked += 1;
                wrong.extend(mistakes(&block.text, &document.name(), root()));
            }
        }
    }
    assert!(checked >= 9, "only {checked} configurations were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn check_accepts_the_configuration_of_each_system_without_a_warning() {
    let examples: Vec<String> = files("deploy/examples", "yml").iter().map(Document::name).collect();
    for system in ["zero-downtime-bot", "trading-bot", "pipeline", "fx-platform", "knowledge-system"] {
        assert!(examples.contains(&format!("deploy/examples/{system}.yml")), "there is no example for {system}");
    }
    for example in examples {
        let output = banken(&["check", &example], root());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.starts_with(&format!("{example}: ok: ")) && said.lines().count() == 1, "{said}");
    }
}

fn probes(text: &str) -> Vec<Value> {
    let document: Value = serde_yaml::from_str(text).unwrap();
    document["probes"].as_array().unwrap().clone()
}

#[test]
fn the_example_of_the_demo_is_what_the_demo_prints() {
    let output = banken(&["demo", "--print-config", "--dir", "/tmp/banken-demo"], root());
    let printed = probes(&String::from_utf8(output.stdout).unwrap());
    let kept = probes(&read("deploy/examples/demo.yml").text);
    let without: Vec<_> = printed.iter().filter(|probe| !kept.contains(probe)).map(|probe| &probe["name"]).collect();
    assert_eq!(without, ["secure", "certificate"], "those that need the demo's own CA, and no others, are left out");
    assert_eq!(kept.len() + without.len(), printed.len());
}

#[test]
fn every_metric_that_is_named_is_on_the_page_of_metrics() {
    let page = read("docs/metrics.md").text;
    let known: BTreeSet<&str> = found(r"`(banken_[a-z0-9_]+)`", &page).into_iter().collect();
    let mut wrong = Vec::new();
    for document in documents().into_iter().filter(|document| document.name() != "docs/metrics.md") {
        for name in found(r"\b(banken_[a-z0-9_]+)", &document.text) {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            if !known.contains(name) && !of_histogram.is_some_and(|name| known.contains(name)) {
                wrong.push(format!("{}: there is no metric {name}", document.name()));
            }
        }
    }
    assert!(known.len() > 50, "the page of metrics names only {}", known.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_that_is_shown_is_a_real_one() {
    let shown: BTreeSet<String> = documents()
        .iter()
        .flat_map(|document| {
            let spans = document.prose();
            let spans = found(r"`([^`\n]+)`", &spans).join("\n");
            let blocks: String = document.blocks().into_iter().map(|block| block.text).collect();
            let code = format!("{spans}\n{blocks}");
            found(r"(?m)(?:^|[\s/])banken(?: -[-a-z]+ [^ \n]+)* ([a-z]+)", &code)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(shown.len() >= 7, "only these were found: {shown:?}");
    for command in shown {
        let output = banken(&[&command, "--help"], root());
        assert!(output.status.success(), "banken {command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Follows references and gathers the keys of every block below a schema.
fn keys(schema: &Value, definitions: &Value, seen: &mut BTreeSet<String>, keys_found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(name) =
                object.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/definitions/"))
                && seen.insert(name.to_owned())
            {
                keys(&definitions[name], definitions, seen, keys_found);
            }
            if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                keys_found.extend(properties.keys().cloned());
            }
            object.values().for_each(|below| keys(below, definitions, seen, keys_found));
        }
        Value::Array(array) => array.iter().for_each(|below| keys(below, definitions, seen, keys_found)),
        _ => {}
    }
}

fn keys_of(kind: &Kind) -> BTreeSet<String> {
    let schema = config::schema();
    let definitions = &schema["definitions"];
    let block = match kind.name {
        "host" => &definitions["HostSwitch"],
        name => &definitions["Spec"]["properties"][name],
    };
    let mut all = BTreeSet::new();
    keys(block, definitions, &mut BTreeSet::new(), &mut all);
    assert!(all.len() > 2, "the block of {} was not found", kind.name);
    all
}

#[test]
fn every_kind_has_a_page_with_all_of_its_keys_reasons_and_metrics() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let page = read(&format!("docs/probes/{}.md", kind.name)).text;
        let mut demand = |what: &str, there: bool| {
            if !there {
                wrong.push(format!("docs/probes/{}.md does not say {what}", kind.name));
            }
        };
        for key in keys_of(kind) {
            demand(&format!("the key {key}"), names_key(&page, &key));
        }
        for reason in kind.reasons {
            demand(&format!("the reason {reason}"), page.contains(&format!("\n| `{reason}` |")));
        }
        let thresholds = kind.signals.iter().map(|signal| signal.threshold);
        for family in kind.families.iter().copied().chain(thresholds) {
            demand(&format!("the metric {}", family.name), page.contains(&format!("`{}`", family.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_configuration_names_every_key_outside_the_kinds() {
    let page = read("docs/configuration.md").text;
    let schema = config::schema();
    let places = ["/properties", "/definitions/Defaults/properties", "/definitions/Spec/properties"];
    for place in places {
        for key in schema.pointer(place).unwrap().as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{key}`")), "docs/configuration.md does not name {key} of {place}");
        }
    }
}

/// Whether a page names a key, as code or in an example.
fn names_key(page: &str, key: &str) -> bool {
    page.contains(&format!("`{key}`")) || page.contains(&format!("{key}:"))
}

#[test]
fn the_page_of_remedies_names_every_key_state_and_reason_to_hold_back() {
    let page = read("docs/remedies.md").text;
    let schema = config::schema();
    let mut wrong = Vec::new();
    for block in ["RemedySpec", "RemedyWhen", "RemedyThreshold", "RemedyVerify", "Repair", "Window"] {
        let keys = schema.pointer(&format!("/definitions/{block}/properties")).and_then(Value::as_object);
        let keys = keys.unwrap_or_else(|| panic!("the schema has no {block}"));
        wrong.extend(keys.keys().filter(|key| !page.contains(&format!("`{key}`"))).map(|key| format!("{block}.{key}")));
    }
    let states = RemedyState::ALL.into_iter().map(RemedyState::as_str);
    let words = states.chain(Suppression::ALL.into_iter().map(Suppression::as_str));
    wrong.extend(words.filter(|word| !page.contains(&format!("\n| `{word}` |"))).map(str::to_owned));
    assert!(wrong.is_empty(), "docs/remedies.md does not name {}", wrong.join(", "));
}

/// What a rehearsal of an example prints, and what the document shows.
fn rehearsed(document: &Document) -> (String, String) {
    let blocks = document.blocks();
    let shown = |block: &&Block| block.language == "console" && block.text.contains("--dry-run");
    let shown = blocks.iter().find(shown).unwrap_or_else(|| panic!("{} shows no rehearsal", document.name()));
    let (command, shown) = shown.text.split_once('\n').unwrap();
    let arguments: Vec<_> = command.strip_prefix("$ banken ").unwrap().split(' ').collect();
    let name = format!("- name: {}\n", arguments[1]);
    let example = blocks.iter().find(|block| block.language == "yaml" && block.text.contains(&name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("bot").display().to_string();
    std::fs::create_dir(&bot).unwrap();
    // A program that is not there is refused by the rehearsal too.
    for program in ["restart-dashboard.sh", "rebuild-all.sh", "auto_recovery.sh"] {
        let path = Path::new(&bot).join(program);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(folder.path().join("banken.yml"), example.text.replace("/opt/bot", &bot)).unwrap();
    let output = banken(&arguments, folder.path());
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (printed.replace(&bot, "/opt/bot"), shown.to_owned())
}

#[test]
fn rehearsals_and_the_sum_of_the_worst_case_are_shown_as_they_are_printed() {
    for path in ["README.md", "README.ja.md", "docs/remedies.md", "docs/actions/command.md"] {
        let (printed, shown) = rehearsed(&read(path));
        assert_eq!(printed, shown, "{path}");
    }
    let page = read("docs/remedies.md");
    let example = page.blocks().into_iter().find(|block| block.language == "yaml").unwrap().text;
    let hurried = example.replace("recover_within: 30s", "recover_within: 20s");
    let said = mistakes(&hurried, "banken.yml", root()).concat();
    assert!(said.contains("a recovery can take ") && page.text.contains(said.trim_end()), "{said}");
}

#[test]
fn every_action_has_a_page_with_all_of_its_keys() {
    let schema = config::schema();
    let definitions = &schema["definitions"];
    let mut wrong = Vec::new();
    for kind in action::KINDS {
        let path = format!("docs/actions/{}.md", kind.name);
        if !root().join(&path).exists() {
            wrong.push(format!("{path} is missing"));
            continue;
        }
        let page = read(&path).text;
        let mut all = BTreeSet::new();
        keys(&definitions["RemedyStep"]["properties"][kind.name], definitions, &mut BTreeSet::new(), &mut all);
        assert!(!all.is_empty(), "the block of {} was not found", kind.name);
        wrong.extend(all.iter().filter(|key| !names_key(&page, key)).map(|key| format!("{path} does not say {key}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn both_readmes_have_the_same_parts() {
    let (english, japanese) = (read("README.md"), read("README.ja.md"));
    let parts = |document: &Document| document.text.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(parts(&english), parts(&japanese));
    let outputs = |document: &Document| -> Vec<String> {
        let shown = document.blocks().into_iter().filter(|block| block.language != "yaml");
        shown.map(|block| block.text).collect()
    };
    assert_eq!(outputs(&english), outputs(&japanese), "commands and what they print are the same in both");
}

/// The configuration of which the readme shows what `check` says.
const WRONG: &str = "\
listen: 127.0.0.1:9810
defaults: { interval: 30 }
probes:
  - name: dashboard
    http: { url: http://localhost:8082/ }
  - name: ticker
    intervall: 60s
    http: { url: http://localhost:8082/api/ticker/DOGE_JPY }
  - name: database
    tcp: { address: 127.0.0.1 }
";

#[test]
fn the_readme_shows_what_check_really_says() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    let example = readme.blocks().into_iter().find(|block| block.text.starts_with("listen:")).unwrap();
    std::fs::write(folder.path().join("banken.yml"), example.text).unwrap();
    std::fs::write(folder.path().join("wrong.yml"), WRONG).unwrap();
    let (good, bad) = (banken(&["check", "banken.yml"], folder.path()), banken(&["check", "wrong.yml"], folder.path()));
    let said = String::from_utf8([good.stdout, bad.stderr].concat()).unwrap();
    assert_eq!((good.status.code(), bad.status.code()), (Some(0), Some(2)));
    for line in said.lines() {
        assert!(readme.text.contains(&format!("\n{line}\n")), "README.md does not show: {line}");
    }
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn the_index_leads_to_every_page_and_every_example() {
    let index = read("docs/README.md").text;
    let pages = [("docs", "md"), ("docs/probes", "md"), ("docs/actions", "md"), ("deploy/examples", "yml")];
    for document in pages.into_iter().flat_map(|(folder, extension)| files(folder, extension)) {
        let name = document.name();
        let link = name.strip_prefix("docs/").map_or_else(|| format!("../{name}"), str::to_owned);
        assert!(link == "README.md" || index.contains(&format!("({link})")), "docs/README.md does not lead to {link}");
    }
}
