//! A program of the user's own, as an action runs it: by its absolute path, without a shell, and only if nobody else could have
//! put something else in its place. Not an action: what several of them are made of.

use super::{Scene, Setback};
use crate::machine::child::{Ended, Keep, Program, in_words};
use crate::values::{Invalid, Redactor, Secret};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

/// How much is read of what a program says; only its first line is ever shown.
const MAX_OUTPUT: usize = 16 << 10;

/// Everybody may write.
const OTHERS_WRITE: u32 = 0o002;

/// In such a folder everybody may only remove what is his own.
const STICKY: u32 = 0o1000;

/// Where programs are run that say nothing else.
pub(super) fn root() -> PathBuf {
    "/".into()
}

/// A program that is ready to be run.
pub(super) struct Script {
    program: Program,
    file: PathBuf,
    shown: String,
    keep: Keep,
    redactor: Redactor,
}

impl Script {
    /// # Errors
    /// Every mistake, with its path: `argv`, `argv[1]`, `env.NAME`, `dir`.
    pub(super) fn new(argv: &[String], env: &BTreeMap<String, Secret>, dir: &Path) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if !argv.first().is_some_and(|program| program.starts_with('/')) {
            let message = "a program that repairs is named by its absolute path: begin it with '/'";
            invalid.push(Invalid::new("argv", message));
        }
        for (index, _) in argv.iter().enumerate().filter(|(_, argument)| argument.contains('\0')) {
            invalid.push(Invalid::new(format!("argv[{index}]"), "an argument cannot hold NUL"));
        }
        for (name, value) in env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                let message = "a variable has a name without '=', and no NUL anywhere";
                invalid.push(Invalid::new(format!("env.{name}"), message));
            }
        }
        if !dir.is_absolute() {
            invalid.push(Invalid::new("dir", "not an absolute path: begin it with '/'"));
        }
        let Some((program, arguments)) = argv.split_first().filter(|_| invalid.is_empty()) else { return Err(invalid) };
        let redactor = Redactor::hiding(env.values().map(|secret| secret.expose().to_owned()));
        let room = MAX_OUTPUT.max(redactor.wanted_bytes());
        let shown = argv.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
        let variables = env.iter().map(|(name, value)| (name.clone(), value.clone()));
        Ok(Self {
            program: Program::new(program).args(arguments).env(variables).dir(dir).sparing_what_it_started(),
            file: program.into(),
            shown: redactor.redact(&shown).into_owned(),
            keep: Keep { stdout: room, stderr: room },
            redactor,
        })
    }

    /// What would be run, each word in quotes, without the secrets of its environment.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it may be run now.
    ///
    /// # Errors
    /// [`Setback::Failed`] if there is no such program, [`Setback::Refused`] if anybody at all could have written it.
    pub(super) async fn inspect(&self) -> Result<(), Setback> {
        let file = self.file.clone();
        let looked = spawn_blocking(move || inspect(&file)).await;
        looked.unwrap_or_else(|error| Err(Setback::Failed(format!("the look at the program broke: {error}"))))
    }

    /// Runs it to its end, and says how it ended in one line. It is told which incident it is for, all of which Banken made
    /// up itself.
    ///
    /// # Errors
    /// As [`Script::inspect`]; [`Setback::Failed`] if it cannot be started or does not succeed.
    pub(super) async fn run_for(&self, scene: &Scene) -> Result<String, Setback> {
        self.inspect().await?;
        let attempt = scene.attempt.to_string();
        let told =
            [("BANKEN_REMEDY", &scene.remedy), ("BANKEN_INCIDENT", &scene.incident), ("BANKEN_ATTEMPT", &attempt)];
        let told = told.map(|(name, value)| (name.to_owned(), Secret::from(value.clone())));
        let ended = self.program.clone().env(told).run(self.keep).await?;
        let said = self.first_line(&ended).map_or_else(String::new, |line| format!(": {line}"));
        let words = format!("{} ended with {}{said}", self.shown, in_words(ended.status));
        if ended.status.success() { Ok(words) } else { Err(Setback::Failed(words)) }
    }

    /// What it says first; whatever fails says so in its complaints.
    fn first_line(&self, ended: &Ended) -> Option<String> {
        [&ended.stderr.text, &ended.stdout.text].into_iter().find_map(|text| {
            let text = self.redactor.redact(&String::from_utf8_lossy(text)).into_owned();
            let line = text.lines().find(|line| !line.trim().is_empty())?;
            Some(self.redactor.excerpt(line.trim().as_bytes()))
        })
    }
}

fn inspect(file: &Path) -> Result<(), Setback> {
    let shown = file.display();
    let real = fs::canonicalize(file).map_err(|error| Setback::Failed(format!("the program {shown}: {error}")))?;
    let look =
        |path: &Path| fs::metadata(path).map_err(|error| Setback::Failed(format!("{}: {error}", path.display())));
    let program = look(&real)?;
    if !program.is_file() {
        return Err(Setback::Failed(format!("{shown} is no program: it is not a regular file")));
    }
    if program.mode() & 0o111 == 0 {
        return Err(Setback::Failed(format!("{shown} must not be executed: make it executable (chmod a+x)")));
    }
    if program.mode() & OTHERS_WRITE != 0 {
        return Err(Setback::Refused(format!("everybody may write {shown}: take that away (chmod o-w)")));
    }
    let folder = real.parent().unwrap_or(Path::new("/"));
    let mode = look(folder)?.mode();
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        let folder = folder.display();
        return Err(Setback::Refused(format!(
            "everybody may put another program in the place of {shown}: take that away (chmod o-w {folder})"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn allow(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_everybody_could_have_written_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("bin");
        fs::create_dir(&place).unwrap();
        let (program, link) = (place.join("repair"), folder.path().join("link"));
        fs::write(&program, "#!/bin/sh\n").unwrap();
        symlink(&program, &link).unwrap();
        allow(&program, 0o700);
        assert_eq!(inspect(&link), Ok(()));
        allow(&program, 0o702);
        assert!(matches!(inspect(&link), Err(Setback::Refused(words)) if words.contains("chmod o-w")));
        allow(&program, 0o700);
        allow(&place, 0o777);
        assert!(matches!(inspect(&link), Err(Setback::Refused(words)) if words.contains("in the place of")));
        allow(&place, 0o1777);
        assert_eq!(inspect(&link), Ok(()));
        allow(&program, 0o600);
        assert!(matches!(inspect(&link), Err(Setback::Failed(words)) if words.contains("chmod a+x")));
        fs::remove_file(&program).unwrap();
        assert!(matches!(inspect(&link), Err(Setback::Failed(_))));
        assert!(matches!(inspect(&place), Err(Setback::Failed(words)) if words.contains("no program")));
    }
}
