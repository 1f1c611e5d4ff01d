//! The answer to INFO, and what of it is published.

use super::families as f;
use crate::observation::{Labels, Readings, unix_now};
use std::sync::Arc;

/// The lines `key:value` of an answer to INFO.
pub(super) struct Info<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Info<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':')).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// A number; -1 stands for "not known" in every field that is read here.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.text(key).and_then(number)
    }

    /// Whether a field that ends in success or failure says success.
    fn is_ok(&self, key: &str) -> Option<bool> {
        self.text(key).map(|value| value == "ok")
    }

    /// Whether the server is a replica.
    pub(super) fn is_replica(&self) -> Option<bool> {
        match self.text("role")? {
            "master" => Some(false),
            "slave" => Some(true),
            _ => None,
        }
    }

    /// Whether a replica is connected to its master.
    pub(super) fn link_up(&self) -> Option<bool> {
        self.text("master_link_status").map(|status| status == "up")
    }

    /// How long ago a replica heard from its master.
    pub(super) fn silence_of_master(&self) -> Option<f64> {
        let key = if self.link_up()? { "master_last_io_seconds_ago" } else { "master_link_down_since_seconds" };
        self.number(key)
    }

    /// The fields of each replica that is in step.
    fn replicas(&self) -> impl Iterator<Item = &'a str> + '_ {
        let lines = self.0.iter().filter(|(key, value)| is_numbered(key, "slave") && part(value, "state").is_some());
        lines.map(|(_, value)| *value).filter(|value| part(value, "state") == Some("online"))
    }

    pub(super) fn replicas_online(&self) -> Option<usize> {
        self.text("connected_slaves").map(|_| self.replicas().count())
    }

    /// How far replication is behind: of a replica itself, of a master the slowest of its replicas.
    fn lag(&self) -> Option<f64> {
        if self.is_replica()? {
            return self.silence_of_master();
        }
        self.replicas().filter_map(|fields| number(part(fields, "lag")?)).reduce(f64::max)
    }

    /// Whether the last save in the background succeeded.
    pub(super) fn last_save(&self) -> Option<bool> {
        self.is_ok("rdb_last_bgsave_status")
    }

    /// Whether the last write to the append-only file succeeded, where there is one.
    pub(super) fn last_append(&self) -> Option<bool> {
        (self.number("aof_enabled")? > 0.0).then(|| self.is_ok("aof_last_write_status")).flatten()
    }

    /// How long ago the last save succeeded, by the server's own clock where it says its time (Redis 7).
    pub(super) fn save_age(&self) -> Option<f64> {
        let now = self.number("server_time_usec").map_or_else(unix_now, |micros| micros / 1e6);
        Some((now - self.number("rdb_last_save_time")?).max(0.0))
    }

    /// Keys, and those that expire, of one database or of all; a database without keys has no line.
    fn keys(&self, database: Option<u32>) -> (f64, f64) {
        let wanted = |key: &str| match database {
            Some(number) => key.strip_prefix("db").is_some_and(|found| found == number.to_string()),
            None => is_numbered(key, "db"),
        };
        let of = |fields, name| part(fields, name).and_then(number).unwrap_or(0.0);
        let databases = self.0.iter().filter(|(key, _)| wanted(key));
        databases.fold((0.0, 0.0), |(keys, expiring), (_, fields)| {
            (keys + of(fields, "keys"), expiring + of(fields, "expires"))
        })
    }

    /// Writes what the server says of itself. What it does not say has no reading.
    pub(super) fn write(&self, database: Option<u32>, [master, replica]: &[Arc<Labels>; 2], out: &mut Readings) {
        let version = self.text("redis_version").unwrap_or("of an unknown version");
        let role = self.text("role").unwrap_or("unknown");
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(32).collect::<String>();
        out.note("server", format!("Redis {}, role {}", short(version), short(role)));
        for (family, key) in f::NUMBERS {
            out.set(family, self.number(key).unwrap_or(f64::NAN));
        }
        for (family, flag) in [
            (&f::LAST_SAVE_SUCCESS, self.last_save()),
            (&f::APPEND_SUCCESS, self.last_append()),
            (&f::LINK_UP, self.link_up()),
        ] {
            if let Some(flag) = flag {
                out.flag(family, flag);
            }
        }
        self.write_memory(out);
        let (clients, most) = (self.number("connected_clients"), self.number("maxclients"));
        if let (Some(clients), Some(most)) = (clients, most)
            && most > 0.0
        {
            out.signal(&f::CLIENTS, clients / most);
        }
        if let Some(is_replica) = self.is_replica() {
            out.flag_with(&f::ROLE, master, !is_replica);
            out.flag_with(&f::ROLE, replica, is_replica);
        }
        if let Some(replicas) = self.replicas_online() {
            out.set(&f::REPLICAS, replicas as f64);
        }
        if let Some(lag) = self.lag() {
            out.set(&f::LAG, lag);
            out.signal(&f::REPLICATION_LAG, lag);
        }
        // While it loads, it says nothing of its keys, which is not the same as none.
        if self.number("loading").is_none_or(|loading| loading == 0.0) {
            let (keys, expiring) = self.keys(database);
            out.set(&f::KEYS, keys);
            out.set(&f::KEYS_EXPIRING, expiring);
        }
    }

    fn write_memory(&self, out: &mut Readings) {
        let Some(used) = self.number("used_memory") else { return };
        out.signal(&f::MEMORY, used);
        // 0 stands for no limit.
        if let Some(most) = self.number("maxmemory").filter(|most| *most > 0.0) {
            out.set(&f::MEMORY_MAX, most);
            out.signal(&f::MEMORY_RATIO, used / most);
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// `db0`, `slave12`: a word and a number, and nothing that only begins like it.
fn is_numbered(key: &str, word: &str) -> bool {
    key.strip_prefix(word).is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// One of `keys=3,expires=1`.
fn part<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields
        .split(',')
        .find_map(|field| field.split_once('=').filter(|(known, _)| *known == name))
        .map(|(_, value)| value)
}
