//! What is never restarted, whatever the configuration says.

use super::Setback;
use crate::machine::kin;

/// Units on which the machine, or the way to it, rests; each with its instances.
const UNITS: [&str; 13] = [
    "banken",
    "dbus",
    "dbus-broker",
    "ssh",
    "sshd",
    "init",
    "emergency",
    "rescue",
    "user",
    "user-runtime-dir",
    "getty",
    "serial-getty",
    "polkit",
];

/// And all whose names begin so.
const BEGINNINGS: [&str; 2] = ["systemd-", "dbus-org.freedesktop."];

/// Whether a unit may be named at all.
///
/// # Errors
/// Why not.
pub(super) fn check_unit(name: &str) -> Result<(), String> {
    let Some(bare) = name.strip_suffix(".service") else {
        return Err(format!("{name:?} is no service: only units that end in .service can be restarted"));
    };
    let template = bare.split('@').next().unwrap_or(bare);
    if UNITS.contains(&template) || BEGINNINGS.iter().any(|begin| bare.starts_with(begin)) {
        return Err(format!("{name} is never restarted: this machine, the way to it, or Banken itself rests on it"));
    }
    Ok(())
}

/// Whether a service with this name may be named at all, where names are free.
///
/// # Errors
/// Why not.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let bare = name.rsplit(':').next().unwrap_or(name);
    if bare.eq_ignore_ascii_case("banken") {
        return Err(format!("{name:?} is Banken itself, which cannot restart what it is a part of"));
    }
    Ok(())
}

/// Refuses where one of these processes is Banken, or what Banken was started by.
///
/// # Errors
/// [`Setback::Refused`], or that it could not be looked.
pub(super) fn check_processes(what: &str, pids: impl IntoIterator<Item = i32>) -> Result<(), Setback> {
    let lineage = kin::lineage()?;
    if pids.into_iter().any(|pid| pid > 0 && lineage.contains(&pid)) {
        return Err(Setback::Refused(format!("{what} is what Banken itself runs in")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_rests_on_cannot_be_named() {
        for name in [
            "banken.service",
            "banken@1.service",
            "dbus.service",
            "dbus-broker.service",
            "dbus-org.freedesktop.login1.service",
            "ssh.service",
            "sshd.service",
            "sshd@3-10.0.0.1:22-10.0.0.2:5.service",
            "systemd-logind.service",
            "systemd-networkd.service",
            "user@1000.service",
            "init.service",
            "-.slice",
            "init.scope",
            "bot.timer",
            "bot.socket",
            "multi-user.target",
            "bot",
        ] {
            assert!(check_unit(name).is_err(), "{name}");
        }
        for name in ["bot.service", "sshuttle.service", "dbus-proxy.service", "worker@ssh.service", "bankend.service"] {
            assert_eq!(check_unit(name), Ok(()), "{name}");
        }
        for name in ["banken", "Banken", "group:banken"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(check_name("banken-demo"), Ok(()));
    }

    #[test]
    fn whoever_is_one_of_us_is_refused() {
        let own = std::process::id().cast_signed();
        let parent = std::os::unix::process::parent_id().cast_signed();
        assert!(matches!(check_processes("x", [own]), Err(Setback::Refused(_))));
        assert!(matches!(check_processes("x", [0, parent]), Err(Setback::Refused(_))));
        assert_eq!(check_processes("x", [0, -1, i32::MAX]), Ok(()));
    }
}
