//! One connection to a bus: questions go out, answers and news come in.

use super::super::Errand;
use super::unit::Properties;
use super::{INTERFACES, ListedUnit, Unit, lock};
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::time::timeout;
use zbus::message::Type;
use zbus::proxy::CacheProperties;
use zbus::{Address, Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// Name, description, load state, active state, sub-state, whom it follows, path, and the job that waits for it.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    /// Unlike `GetUnit`, it also knows units that nothing has needed so far.
    #[zbus(no_autostart)]
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;

    #[zbus(no_autostart)]
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;

    #[zbus(no_autostart)]
    fn list_units(&self) -> zbus::Result<Vec<Row>>;

    /// Without it, systemd does not tell anybody what changes.
    #[zbus(no_autostart)]
    fn subscribe(&self) -> zbus::Result<()>;
}

#[zbus::proxy(interface = "org.freedesktop.DBus.Properties", default_service = "org.freedesktop.systemd1")]
trait Facts {
    #[zbus(no_autostart)]
    fn get_all(&self, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>>;

    #[zbus(no_autostart)]
    fn get(&self, interface: &str, property: &str) -> zbus::Result<OwnedVariant>;
}

#[zbus::proxy(
    interface = "org.freedesktop.DBus",
    default_service = "org.freedesktop.DBus",
    default_path = "/org/freedesktop/DBus"
)]
trait Daemon {
    fn add_match(&self, rule: &str) -> zbus::Result<()>;
    fn remove_match(&self, rule: &str) -> zbus::Result<()>;
}

/// Who is to be told of which object's changes.
type Ropes = Mutex<HashMap<String, Vec<Weak<Notify>>>>;

/// A connection that works until it is found not to.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    manager: ManagerProxy<'static>,
    daemon: DaemonProxy<'static>,
    news: Arc<News>,
    _listening: Errand,
}

#[derive(Debug)]
struct News {
    ropes: Ropes,
    /// Jobs that are no more, and how they ended.
    ends: broadcast::Sender<(OwnedObjectPath, String)>,
    /// Another systemd is on the bus by now, which was not asked to tell us anything.
    stale: AtomicBool,
}

/// More jobs than this do not end between one look and the next.
const MAX_ENDS: usize = 256;

impl Default for News {
    fn default() -> Self {
        Self { ropes: Ropes::default(), ends: broadcast::Sender::new(MAX_ENDS), stale: AtomicBool::default() }
    }
}

/// How often to look whether a job is still there, whose end systemd would have told: only for a bus on which it does not.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Link {
    pub(super) async fn open(address: &Address) -> zbus::Result<Self> {
        let connection = zbus::connection::Builder::address(address.clone()).build().await?;
        let manager = ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        let daemon = DaemonProxy::builder(&connection).cache_properties(CacheProperties::No).build().await?;
        // Always read on, whether or not anybody waits: news that pile up would keep answers from coming through.
        let (news, incoming) = (Arc::new(News::default()), MessageStream::from(&connection));
        let listening = Errand::spawn(listen(incoming, Arc::clone(&news)));
        let owners = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, SYSTEMD)
            .build()?;
        daemon.add_match(&owners.to_string()).await?;
        match manager.subscribe().await {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => tracing::debug!(%error, "systemd does not tell us of changes"),
            Err(error) => return Err(error),
        }
        Ok(Self { connection, manager, daemon, news, _listening: listening })
    }

    pub(super) fn is_good(&self) -> bool {
        !self.connection.is_closed() && !self.news.stale.load(Ordering::Acquire)
    }

    pub(super) async fn unit(&self, name: &str, rope: &Arc<Notify>) -> zbus::Result<Unit> {
        let path = self.manager.load_unit(name).await?;
        // Before it is looked at, so that no change falls between.
        self.hear(&path, rope).await?;
        let facts =
            FactsProxy::builder(&self.connection).path(&path).cache_properties(CacheProperties::No).build().await?;
        let ending = name.rsplit('.').next().unwrap_or_default();
        let interface = INTERFACES.iter().find(|(known, _)| *known == ending).and_then(|(_, interface)| *interface);
        let own = async {
            match interface {
                Some(interface) => facts.get_all(interface).await,
                None => Ok(HashMap::new()),
            }
        };
        let (common, own) = tokio::try_join!(facts.get_all(UNIT), own)?;
        Unit::read(&Properties(common), &Properties(own))
    }

    /// Has a unit restarted and waits until that is done, however it ends; nothing if its end was not heard of.
    ///
    /// It fails where another job would have to be put off for it: somebody else wants something of the unit.
    pub(super) async fn restart(&self, name: &str) -> zbus::Result<Option<String>> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(SYSTEMD)
            .interface("org.freedesktop.systemd1.Manager")
            .member("JobRemoved")
            .arg(2, name)
            .build()?;
        let rule = rule.to_string();
        // Before the job is made, which may be done before its number is known here.
        let mut ends = self.news.ends.subscribe();
        match self.daemon.add_match(&rule).await {
            Err(error) if !is_refusal(&error) => return Err(error),
            _ => {}
        }
        let result = match self.manager.restart_unit(name, "fail").await {
            Ok(job) => self.end_of(&job, &mut ends).await,
            Err(error) => Err(error),
        };
        // Left behind, it would cost a rule of those that a connection may have.
        let _ = self.daemon.remove_match(&rule).await;
        result
    }

    async fn end_of(
        &self,
        job: &OwnedObjectPath,
        ends: &mut broadcast::Receiver<(OwnedObjectPath, String)>,
    ) -> zbus::Result<Option<String>> {
        let facts =
            FactsProxy::builder(&self.connection).path(job).cache_properties(CacheProperties::No).build().await?;
        loop {
            match timeout(LOOK_EVERY, ends.recv()).await {
                Ok(Ok((ended, result))) if ended == *job => return Ok(Some(result)),
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) => return Ok(None),
                Err(_) => match facts.get("org.freedesktop.systemd1.Job", "State").await {
                    Ok(_) => {}
                    // It is no more; its end may have come meanwhile.
                    Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => {
                        return Ok(heard(job, ends));
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    pub(super) async fn units(&self) -> zbus::Result<Vec<ListedUnit>> {
        let rows = self.manager.list_units().await?;
        let listed = |(name, description, load_state, active_state, sub_state, ..): Row| ListedUnit {
            name,
            description,
            load_state,
            active_state,
            sub_state,
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// A bus takes only so many rules of one connection; beyond that, changes are seen at the interval.
    async fn hear(&self, path: &OwnedObjectPath, rope: &Arc<Notify>) -> zbus::Result<()> {
        let is_new = {
            let mut ropes = lock(&self.news.ropes);
            let is_new = !ropes.contains_key(path.as_str());
            let known = ropes.entry(path.as_str().to_owned()).or_default();
            known.retain(|known| known.strong_count() > 0);
            if !known.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(rope))) {
                known.push(Arc::downgrade(rope));
            }
            is_new
        };
        if !is_new {
            return Ok(());
        }
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(SYSTEMD)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path(path)
            .arg(0, UNIT)
            .build()?;
        match self.daemon.add_match(&rule.to_string()).await {
            Err(error) if is_refusal(&error) => {
                tracing::debug!(%error, path = path.as_str(), "its changes are not heard of");
                Ok(())
            }
            added => added,
        }
    }
}

/// How a job ended, if that was told already.
fn heard(job: &OwnedObjectPath, ends: &mut broadcast::Receiver<(OwnedObjectPath, String)>) -> Option<String> {
    loop {
        match ends.try_recv() {
            Ok((ended, result)) if ended == *job => return Some(result),
            Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return None,
        }
    }
}

fn is_refusal(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{AccessDenied, LimitsExceeded};
    matches!(error, zbus::Error::FDO(error) if matches!(**error, AccessDenied(_) | LimitsExceeded(_)))
}

async fn listen(mut incoming: MessageStream, news: Arc<News>) {
    while let Some(Ok(message)) = incoming.next().await {
        if message.message_type() == Type::Signal {
            news.take(&message);
        }
    }
}

impl News {
    fn take(&self, message: &Message) {
        let header = message.header();
        match header.member().map(zbus::names::MemberName::as_str) {
            Some("PropertiesChanged") => {
                let Some(path) = header.path() else { return };
                for rope in lock(&self.ropes).get(path.as_str()).into_iter().flatten() {
                    if let Some(rope) = rope.upgrade() {
                        rope.notify_one();
                    }
                }
            }
            Some("JobRemoved") => {
                let removed: zbus::Result<(u32, OwnedObjectPath, String, String)> = message.body().deserialize();
                if let Ok((_, job, _, result)) = removed {
                    // Nobody may be waiting.
                    let _ = self.ends.send((job, result));
                }
            }
            Some("NameOwnerChanged") => {
                let changed: zbus::Result<(String, String, String)> = message.body().deserialize();
                if changed.is_ok_and(|(name, ..)| name == SYSTEMD) {
                    self.stale.store(true, Ordering::Release);
                }
            }
            _ => {}
        }
    }
}
