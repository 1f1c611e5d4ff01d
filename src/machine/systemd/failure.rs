//! What an error on the bus says about systemd, and what to do about it.

use crate::observation::{Failure, Reason};
use crate::values::one_line;
use std::fmt;
use std::io::ErrorKind;
use zbus::{Error, fdo};

pub(super) fn failure(bus: &str, error: Error) -> Failure {
    match error {
        Error::Connection(error, _) => unreachable_bus(bus, &error),
        Error::InputOutput(error) => {
            Failure::io(Reason::Connect, format_args!("the bus {bus} broke the connection"), &error)
        }
        Error::Handshake(said) if said.contains("rejected") => {
            refused(format_args!("the bus {bus} takes no connection of this user"), &said)
        }
        Error::MethodError(name, said, _) => named(bus, name.as_str(), &said.unwrap_or_default()),
        Error::FDO(error) => well_known(bus, &error),
        other => {
            let said = one_line(&other.to_string());
            Failure::new(Reason::Protocol, format!("{bus} does not speak like a bus with systemd on it: {said}"))
        }
    }
}

/// What allows Banken to restart units.
const RULE: &str = "name the unit in the polkit rule deploy/polkit/50-banken.rules and install it";

/// The same where a unit should have been restarted, which needs a right of its own.
pub(super) fn restart_failure(bus: &str, unit: &str, error: Error) -> Failure {
    let denied = match &error {
        Error::MethodError(name, said, _) => {
            let is_denial = ["org.freedesktop.PolicyKit1.", "org.freedesktop.DBus.Error.AccessDenied"]
                .iter()
                .chain(&["org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"])
                .any(|begin| name.starts_with(begin));
            is_denial.then(|| said.clone().unwrap_or_default())
        }
        Error::FDO(error) => match &**error {
            fdo::Error::AccessDenied(said)
            | fdo::Error::AuthFailed(said)
            | fdo::Error::InteractiveAuthorizationRequired(said) => Some(said.clone()),
            _ => None,
        },
        _ => None,
    };
    match denied {
        Some(said) => {
            let said = one_line(&said);
            Failure::new(Reason::Auth, format!("this user may not restart {unit} ({said}): {RULE}"))
        }
        None => failure(bus, error),
    }
}

fn unreachable_bus(bus: &str, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => {
            let remedy = "start D-Bus, mount its socket where Banken runs in a container, or correct bus:";
            Failure::new(Reason::Connect, format!("there is no bus {bus}: {remedy}"))
        }
        ErrorKind::PermissionDenied => refused(format_args!("the bus {bus} must not be used"), &error.to_string()),
        _ => Failure::io(Reason::Connect, format_args!("nobody answers at {bus}"), error),
    }
}

/// Errors that systemd or polkit have named.
fn named(bus: &str, name: &str, said: &str) -> Failure {
    match name {
        "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.systemd1.LoadFailed" => {
            Failure::new(Reason::Missing, one_line(said))
        }
        name if name.starts_with("org.freedesktop.PolicyKit1.") => refused("systemd refused to answer", said),
        name if name.starts_with("org.freedesktop.DBus.Error.Spawn") => no_systemd(bus, said),
        name => Failure::new(Reason::Protocol, format!("systemd answered with {name}: {}", one_line(said))),
    }
}

/// Errors that everybody on a bus may answer with.
fn well_known(bus: &str, error: &fdo::Error) -> Failure {
    match error {
        fdo::Error::AccessDenied(said)
        | fdo::Error::AuthFailed(said)
        | fdo::Error::InteractiveAuthorizationRequired(said) => refused("systemd refused to answer", said),
        fdo::Error::ServiceUnknown(said)
        | fdo::Error::NameHasNoOwner(said)
        | fdo::Error::NoReply(said)
        | fdo::Error::Disconnected(said)
        | fdo::Error::NoServer(said) => no_systemd(bus, said),
        fdo::Error::Timeout(said) | fdo::Error::TimedOut(said) => {
            Failure::new(Reason::Timeout, format!("systemd did not answer: {}", one_line(said)))
        }
        other => Failure::new(Reason::Protocol, format!("systemd answered with {}", one_line(&other.to_string()))),
    }
}

fn refused(what: impl fmt::Display, said: &str) -> Failure {
    Failure::new(Reason::Auth, format!("{what} ({}): allow it to the user that runs Banken", one_line(said)))
}

fn no_systemd(bus: &str, said: &str) -> Failure {
    let remedy = "start systemd there, or correct bus: or user:";
    Failure::new(Reason::Connect, format!("no systemd answers on the bus {bus} ({}): {remedy}", one_line(said)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::sync::Arc;
    use zbus::Message;

    fn connection(error: Errno) -> Error {
        let address = super::super::parse_address("unix:path=/bus").unwrap();
        Error::Connection(Arc::new(std::io::Error::from_raw_os_error(error.raw_os_error())), Box::new(address))
    }

    fn method(name: &'static str) -> Error {
        let question = Message::method_call("/", "LoadUnit").build(&()).unwrap();
        Error::MethodError(name.try_into().unwrap(), Some("it says\nso".into()), question)
    }

    fn well_known(error: fn(String) -> fdo::Error) -> Error {
        Error::FDO(Box::new(error("it says\nso".into())))
    }

    #[test]
    fn a_restart_that_is_not_allowed_names_the_rule_that_would_allow_it() {
        for error in [
            well_known(fdo::Error::AccessDenied),
            well_known(fdo::Error::InteractiveAuthorizationRequired),
            method("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"),
            method("org.freedesktop.PolicyKit1.Error.NotAuthorized"),
        ] {
            let failure = restart_failure("BUS", "bot.service", error);
            assert_eq!(failure.reason, Reason::Auth, "{failure}");
            assert!(failure.detail.contains("may not restart bot.service (it says so)"), "{failure}");
            assert!(failure.detail.contains("deploy/polkit/50-banken.rules"), "{failure}");
        }
        let other = restart_failure("BUS", "bot.service", well_known(fdo::Error::NoReply));
        assert_eq!(other.reason, Reason::Connect, "{other}");
    }

    #[test]
    fn every_error_has_its_reason_and_says_what_to_do_on_one_line() {
        let rejected = Error::Handshake("EXTERNAL rejected by the server. Accepted mechanisms: []".into());
        for (error, reason, words) in [
            (connection(Errno::NOENT), Reason::Connect, "there is no bus BUS: start D-Bus"),
            (connection(Errno::ACCESS), Reason::Auth, "the bus BUS must not be used"),
            (connection(Errno::CONNREFUSED), Reason::Connect, "nobody answers at BUS"),
            (connection(Errno::MFILE), Reason::Local, "nobody answers at BUS"),
            (Error::InputOutput(Arc::new(ErrorKind::BrokenPipe.into())), Reason::Connect, "broke the connection"),
            (rejected, Reason::Auth, "takes no connection of this user"),
            (Error::Handshake("Unexpected command".into()), Reason::Protocol, "does not speak like a bus"),
            (Error::InvalidReply, Reason::Protocol, "does not speak like a bus"),
            (method("org.freedesktop.systemd1.NoSuchUnit"), Reason::Missing, "it says so"),
            (method("org.freedesktop.PolicyKit1.Error.Failed"), Reason::Auth, "allow it to the user"),
            (method("org.freedesktop.DBus.Error.Spawn.ChildExited"), Reason::Connect, "no systemd answers"),
            (method("org.example.Odd"), Reason::Protocol, "systemd answered with org.example.Odd: it says so"),
            (well_known(fdo::Error::AccessDenied), Reason::Auth, "allow it to the user"),
            (well_known(fdo::Error::ServiceUnknown), Reason::Connect, "start systemd there"),
            (well_known(fdo::Error::NoReply), Reason::Connect, "start systemd there"),
            (well_known(fdo::Error::TimedOut), Reason::Timeout, "did not answer"),
            (well_known(fdo::Error::Failed), Reason::Protocol, "it says so"),
        ] {
            let failure = failure("BUS", error);
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(failure.detail.contains(words) && !failure.detail.contains('\n'), "{failure}");
        }
    }
}
