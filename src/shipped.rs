//! What the binary brings along: the rule files of `alert-rules/` and the runbooks of `docs/runbooks/`, as they were when it
//! was built. `build.rs` finds them, so a new alert is an entry in a rule file and a runbook, and nothing else.

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The runbook of an alert.
pub fn runbook(alert: &str) -> Option<&'static str> {
    RUNBOOKS.iter().find(|(file, _)| file.strip_suffix(".md") == Some(alert)).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_file_is_there_and_no_test_of_one() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("alert-rules");
        for (name, text) in RULES {
            assert_eq!(std::fs::read_to_string(folder.join(name)).unwrap(), *text, "{name}");
        }
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let kept: Vec<_> = files.filter(|path| path.extension().is_some_and(|found| found == "yml")).collect();
        assert_eq!(RULES.len(), kept.len());
        assert!(RULES.iter().any(|(name, _)| *name == "thresholds.yml"));
    }

    #[test]
    fn a_runbook_is_found_by_the_name_of_its_alert_alone() {
        for (file, text) in RUNBOOKS {
            let alert = file.strip_suffix(".md").unwrap();
            assert_eq!(runbook(alert), Some(*text));
            assert!(text.starts_with(&format!("# {alert}\n")), "{file} does not begin with its alert");
            assert_eq!(runbook(file), None);
        }
        assert_eq!(runbook(""), None);
        assert_eq!(runbook("README"), None);
    }
}
