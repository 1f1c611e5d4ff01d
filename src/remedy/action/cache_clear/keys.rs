//! Keys of Redis with one prefix: found by SCAN and removed by UNLINK, some hundred at a time, so that the server answers
//! everybody else meanwhile.

use super::super::{Context, Done, Setback};
use crate::net::{IpChoice, TlsConfig};
use crate::observation::{Failure, Readings, Reason};
use crate::resp::{Answer, Connection, Login, Server, reason_of, there};
use crate::values::{Address, Invalid, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashSet;

/// The block `redis:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CacheClearRedis")]
pub struct RedisKeys {
    /// Where the server listens.
    pub address: Address,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// The user of the server's access list; without it, the password is that of the default user.
    #[serde(default)]
    pub username: Option<String>,
    /// The password: a text, `${NAME}` or `{ file: PATH }`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Turns TLS on and says how it is spoken; `tls: {}` for TLS as it comes.
    #[serde(default, deserialize_with = "there")]
    pub tls: Option<TlsConfig>,
    /// The number of the database.
    #[serde(default)]
    pub database: u32,
    /// How the keys begin, literally: no wildcard; at least three characters.
    pub prefix: String,
    /// So many keys are removed at most in one run.
    #[serde(default = "default_keys")]
    pub max_keys: usize,
}

const fn default_keys() -> usize {
    100_000
}

/// So short a prefix may be; a shorter one soon means a whole store.
const SHORTEST_PREFIX: usize = 3;

/// How many keys the server looks at in one step.
const STEP: &str = "500";

/// So many keys are removed by one command.
const BATCH: usize = 500;

impl RedisKeys {
    /// # Errors
    /// Every mistake, from this block on.
    pub(super) fn build(&self, context: &Context) -> Result<Keys, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let meaning = self.prefix.chars().filter(|c| !matches!(c, '*' | '?' | ' ')).count();
        if meaning < SHORTEST_PREFIX {
            let message = "this could mean a whole store: write how the keys begin, at least three characters";
            invalid.push(Invalid::new("prefix", message));
        } else if self.prefix.contains(['*', '?']) {
            let message = "it is meant literally, and '*' follows by itself: remove the wildcards";
            invalid.push(Invalid::new("prefix", message));
        }
        let login = Login {
            address: &self.address,
            ip: self.ip,
            username: self.username.as_deref(),
            password: self.password.as_ref(),
            tls: self.tls.as_ref(),
        };
        match Server::new(login, &context.roots) {
            Ok(server) if invalid.is_empty() => Ok(Keys {
                server,
                shown: self.address.to_string(),
                database: self.database,
                prefix: self.prefix.clone(),
                most: self.max_keys,
            }),
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }
}

/// Keys that can be removed.
pub struct Keys {
    server: Server,
    shown: String,
    database: u32,
    prefix: String,
    most: usize,
}

/// What was seen on the way through the store.
#[derive(Default)]
struct Count {
    keys: usize,
    more: bool,
}

impl Keys {
    pub(super) async fn rehearse(&self) -> Result<Vec<String>, Setback> {
        let mut out = Readings::default();
        let mut connection = self.connect(&mut out).await?;
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        let mut cursor = b"0".to_vec();
        let more = loop {
            let keys = self.scan(&mut connection, &mut cursor, &mut out).await?;
            seen.extend(keys);
            if seen.len() > self.most || cursor == b"0" {
                break seen.len() > self.most;
            }
        };
        let count = Count { keys: seen.len().min(self.most), more };
        Ok(vec![format!("would remove {}", self.in_words(&count))])
    }

    pub(super) async fn clear(&self) -> Result<Done, Setback> {
        let mut out = Readings::default();
        let mut connection = self.connect(&mut out).await?;
        let mut count = Count::default();
        match self.remove_all(&mut connection, &mut count, &mut out).await {
            Ok(()) => Ok(Done::new(format!("removed {}", self.in_words(&count)))),
            Err(setback) if count.keys == 0 => Err(setback),
            Err(setback) => Err(Setback::Failed(format!("{setback}; before that, removed {}", self.in_words(&count)))),
        }
    }

    async fn remove_all(
        &self,
        connection: &mut Connection,
        count: &mut Count,
        out: &mut Readings,
    ) -> Result<(), Setback> {
        let mut cursor = b"0".to_vec();
        loop {
            let mut keys = self.scan(connection, &mut cursor, out).await?;
            let room = self.most - count.keys;
            count.more |= keys.len() > room;
            keys.truncate(room);
            for batch in keys.chunks(BATCH) {
                let command: Vec<&[u8]> = [&b"UNLINK"[..]].into_iter().chain(batch.iter().map(Vec::as_slice)).collect();
                match self.ask(connection, &command, out).await? {
                    Answer::Number(removed) => count.keys += usize::try_from(removed).unwrap_or(0).min(batch.len()),
                    _ => return Err(Setback::Failed("UNLINK was answered with something else than a number".into())),
                }
            }
            if cursor == b"0" || count.more {
                return Ok(());
            }
            if count.keys >= self.most {
                // There may be more behind the cursor, and there may not.
                count.more = true;
                return Ok(());
            }
        }
    }

    fn in_words(&self, count: &Count) -> String {
        let Self { prefix, shown, database, .. } = self;
        let keys = crate::remedy::files::count(count.keys, "key");
        let more = if count.more { "; there may be more, beyond max_keys" } else { "" };
        format!("{keys} beginning with {prefix:?} in database {database} of {shown}{more}")
    }

    async fn connect(&self, out: &mut Readings) -> Result<Connection, Setback> {
        let (mut connection, _) = self.server.open(out).await?;
        if self.database != 0 {
            let number = self.database.to_string();
            self.ask(&mut connection, &[b"SELECT", number.as_bytes()], out).await?;
        }
        Ok(connection)
    }

    /// The next step through the store: keys that begin as they should, and where to go on.
    async fn scan(
        &self,
        connection: &mut Connection,
        cursor: &mut Vec<u8>,
        out: &mut Readings,
    ) -> Result<Vec<Vec<u8>>, Setback> {
        let strange = || Setback::Failed("SCAN was answered with something else than a cursor and keys".into());
        let pattern = pattern(&self.prefix);
        let command: [&[u8]; 6] = [b"SCAN", cursor, b"MATCH", pattern.as_bytes(), b"COUNT", STEP.as_bytes()];
        let Answer::List(page) = self.ask(connection, &command, out).await? else { return Err(strange()) };
        let Ok([Answer::Text(next), Answer::List(keys)]) = <[Answer; 2]>::try_from(page) else { return Err(strange()) };
        *cursor = next;
        let keys = keys.into_iter().map(|key| match key {
            // Whatever stands between us and the store: a key that begins otherwise is never removed.
            Answer::Text(key) if key.starts_with(self.prefix.as_bytes()) => Ok(key),
            _ => Err(strange()),
        });
        keys.collect()
    }

    async fn ask(&self, connection: &mut Connection, command: &[&[u8]], out: &mut Readings) -> Result<Answer, Setback> {
        let name = String::from_utf8_lossy(command.first().copied().unwrap_or_default()).into_owned();
        match connection.ask_for_any(command, out).await {
            Ok(Answer::Refusal(text)) => Err(self.refused(&name, &text)),
            Ok(answer) => Ok(answer),
            Err(trouble) => {
                let when = format!("while waiting for the answer to {name}");
                Err(trouble.failure(&when, self.server.veil()).into())
            }
        }
    }

    fn refused(&self, command: &str, text: &str) -> Setback {
        let shown = self.server.veil().show(text.as_bytes());
        match (text.split(' ').next().unwrap_or_default(), reason_of(text)) {
            ("LOADING", _) => Setback::Busy("the server is loading its data".into()),
            ("READONLY", _) => Setback::Failed("this server is a replica: name the one that it copies from".into()),
            ("NOAUTH", _) => Failure::new(Reason::Auth, "the server wants a password: set password").into(),
            ("NOPERM", _) => {
                Failure::new(Reason::Auth, format!("allow the user +{command} on its keys: {shown}")).into()
            }
            ("MOVED" | "CROSSSLOT", _) => {
                Setback::Failed(format!("a cluster cannot be cleared from one of its nodes: {shown}"))
            }
            (_, reason) => Failure::new(reason, format!("{command} is refused: {shown}")).into(),
        }
    }
}

/// The prefix as a pattern that means it literally, and `*`.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_means_itself() {
        assert_eq!(pattern("cache:"), "cache:*");
        assert_eq!(pattern(r"a[b]*?\-^"), r"a\[b\]\*\?\\\-\^*");
    }
}
