//! One connection to a bus: questions go out, answers and news come in.

use super::super::Errand;
use super::unit::Properties;
use super::{INTERFACES, ListedUnit, Unit, lock};
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::Notify;
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
    fn list_units(&self) -> zbus::Result<Vec<Row>>;

    /// Without it, systemd does not tell anybody what changes.
    #[zbus(no_autostart)]
    fn subscribe(&self) -> zbus::Result<()>;
}

#[zbus::proxy(interface = "org.freedesktop.DBus.Properties", default_service = "org.freedesktop.systemd1")]
trait Facts {
    #[zbus(no_autostart)]
    fn get_all(&self, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>>;
}

#[zbus::proxy(
    interface = "org.freedesktop.DBus",
    default_service = "org.freedesktop.DBus",
    default_path = "/org/freedesktop/DBus"
)]
trait Daemon {
    fn add_match(&self, rule: &str) -> zbus::Result<()>;
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

#[derive(Debug, Default)]
struct News {
    ropes: Ropes,
    /// Another systemd is on the bus by now, which was not asked to tell us anything.
    stale: AtomicBool,
}

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
