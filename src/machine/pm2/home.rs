//! Where PM2 keeps its socket.

use std::path::{Path, PathBuf};

/// The folder itself, in which `~` is the home of the user that runs Banken.
///
/// # Errors
/// How to write it, in words.
pub fn resolve_home(written: &Path, passwd: &Path) -> Result<PathBuf, String> {
    let Ok(below) = written.strip_prefix("~") else {
        let wrong = "neither absolute nor below the home of Banken's user: begin it with '/' or '~/'";
        return if written.is_absolute() { Ok(written.to_owned()) } else { Err(wrong.into()) };
    };
    let text = std::fs::read(passwd).map_err(|error| format!("cannot read {}: {error}", passwd.display()))?;
    let uid = rustix::process::geteuid().as_raw();
    let home = find(&String::from_utf8_lossy(&text), uid).ok_or_else(|| {
        format!("the user that runs Banken ({uid}) has no home in {}: write an absolute path", passwd.display())
    })?;
    Ok(home.join(below))
}

fn find(passwd: &str, uid: u32) -> Option<PathBuf> {
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [_, _, id, _, _, home, ..] = fields[..] else { return None };
        (id.parse() == Ok(uid) && home.starts_with('/')).then(|| home.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_absolute_or_below_that_of_our_user() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbot:x:1000:1000::/home/bot:/bin/sh\nnone:x:5:5::nowhere:/x\nbroken:x\n";
        assert_eq!(find(passwd, 1000), Some("/home/bot".into()));
        assert_eq!((find(passwd, 100), find(passwd, 5)), (None, None));

        let nowhere = Path::new("/nonexistent");
        assert_eq!(resolve_home(Path::new("/srv/pm2"), nowhere), Ok("/srv/pm2".into()));
        for wrong in ["pm2", "~bot/.pm2", "", "~/.pm2"] {
            assert!(resolve_home(Path::new(wrong), nowhere).is_err(), "{wrong}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        std::fs::write(file.path(), format!("us:x:{uid}:0::/home/us:/bin/sh\n")).unwrap();
        assert_eq!(resolve_home(Path::new("~/.pm2"), file.path()), Ok("/home/us/.pm2".into()));
    }
}
