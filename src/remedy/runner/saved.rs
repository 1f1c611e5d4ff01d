//! Where a remedy stands, as it survives a restart of Banken and of the host.

use crate::remedy::clock::boot_id;
use crate::remedy::policy::{Moment, Walk};
use crate::state::{Loaded, Store};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::task::spawn_blocking;

/// What is saved of a remedy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// On which start of this host.
    boot: Option<String>,
    /// At which moment.
    at: Moment,
    walk: Walk,
    /// The id of the incident that is or was open last.
    pub incident: String,
    /// What was saved last, so that a look that changes nothing costs no disk.
    #[serde(skip)]
    last: Option<(serde_json::Value, String)>,
}

impl Saved {
    /// What was saved of this remedy.
    pub async fn load(store: Option<Store>, remedy: &str) -> Option<Self> {
        let (store, name) = (store?, place(remedy));
        match spawn_blocking(move || store.load::<Self>(&name)).await.ok()? {
            Loaded::Latest(saved) => Some(saved),
            Loaded::Nothing => None,
            Loaded::Previous(saved, why) => {
                tracing::warn!(remedy, why, "where the remedy stood is damaged: the state before that is used");
                Some(saved)
            }
            Loaded::Damaged(why) => {
                tracing::error!(remedy, why, "where the remedy stood is lost: it begins anew");
                None
            }
        }
    }

    /// The walk, with its moments as they are on this start of the host.
    pub fn walk_at(&self, now: Moment) -> Walk {
        let mut walk = self.walk.clone();
        let same = self.boot.is_some() && self.boot == boot_id();
        if !same {
            walk.rebase(self.at, now);
        }
        walk
    }

    /// Saves where the remedy stands, if that has changed. When this returns, it is on disk.
    ///
    /// # Errors
    /// When it could not be saved.
    pub async fn save(
        &mut self,
        store: Option<Store>,
        remedy: &str,
        walk: &Walk,
        incident: &str,
        now: Moment,
    ) -> io::Result<()> {
        let Some(store) = store else { return Ok(()) };
        let key = (serde_json::to_value(walk)?, incident.to_owned());
        if self.last.as_ref() == Some(&key) {
            return Ok(());
        }
        let saved = Self { boot: boot_id(), at: now, walk: walk.clone(), incident: incident.to_owned(), last: None };
        let name = place(remedy);
        let saving = spawn_blocking(move || store.save(&name, &saved)).await;
        saving.unwrap_or_else(|error| Err(io::Error::other(error)))?;
        self.last = Some(key);
        Ok(())
    }
}

fn place(remedy: &str) -> String {
    format!("remedies/walks/{remedy}")
}
