//! Users and groups of this system, by name or by number.

use schemars::JsonSchema;
use serde::Deserialize;
use std::path::Path;

/// Where users have their names.
pub const PASSWD: &str = "/etc/passwd";

/// A user of this system. Names come from `/etc/passwd`; for a user that only a directory service knows, write the uid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a user name or a uid")]
pub enum User {
    /// The uid.
    Id(u32),
    /// The name, or the uid as text.
    Name(String),
}

impl User {
    /// The uid.
    ///
    /// # Errors
    /// When there is no such name in the file, in words.
    pub fn uid(&self, passwd: &Path) -> Result<u32, String> {
        let name = match self {
            User::Id(uid) => return Ok(*uid),
            User::Name(name) => name,
        };
        if let Ok(uid) = name.parse() {
            return Ok(uid);
        }
        let text = std::fs::read(passwd).map_err(|error| format!("cannot read {}: {error}", passwd.display()))?;
        find(&String::from_utf8_lossy(&text), name)
            .ok_or_else(|| format!("no user {name:?} in {}: write the uid instead", passwd.display()))
    }
}

/// A group of this system. Names come from `/etc/group`; for a group that only a directory service knows, write the gid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a group or a gid")]
pub enum Group {
    /// The gid.
    Id(u32),
    /// The name, or the gid as text.
    Name(String),
}

impl Group {
    /// The gid.
    ///
    /// # Errors
    /// When there is no such name in the file, in words.
    pub fn gid(&self, file: &Path) -> Result<u32, String> {
        let name = match self {
            Group::Id(gid) => return Ok(*gid),
            Group::Name(name) => name,
        };
        if let Ok(gid) = name.parse() {
            return Ok(gid);
        }
        let text = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        // The fields that matter stand where those of users do.
        find(&String::from_utf8_lossy(&text), name)
            .ok_or_else(|| format!("no group {name:?} in {}: write the gid instead", file.display()))
    }
}

/// What a uid is called: by its name where the file has one, else by its number.
pub fn called(uid: u32, passwd: &Path) -> String {
    let text = std::fs::read(passwd).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

fn find(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_whole_and_a_number_needs_no_file() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbot:x:1000:1000::/home/bot:/bin/sh\nbroken:x\n";
        assert_eq!(find(passwd, "bot"), Some(1000));
        assert_eq!(find(passwd, "bo"), None);
        assert_eq!(find(passwd, "broken"), None);
        let nowhere = Path::new("/nonexistent");
        assert_eq!(User::Id(7).uid(nowhere), Ok(7));
        assert_eq!(User::Name("7".into()).uid(nowhere), Ok(7));
        assert!(User::Name("bot".into()).uid(nowhere).is_err());
    }

    #[test]
    fn a_uid_is_called_by_its_name_where_it_has_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "broken\nroot:x:0:0::/root:/bin/sh\nbot:x:1000:7::/:/bin/sh\n").unwrap();
        assert_eq!(called(1000, file.path()), "bot");
        assert_eq!(called(7, file.path()), "7");
        assert_eq!(called(0, Path::new("/nonexistent")), "0");
    }
}
