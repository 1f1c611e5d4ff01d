//! Credentials.

use crate::values::{Invalid, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

/// Credentials; exactly one kind of them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// A name and a password (RFC 7617).
    #[serde(default)]
    pub basic: Option<Basic>,
    /// A token (RFC 6750).
    #[serde(default)]
    pub bearer: Option<Secret>,
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name, without a colon.
    pub username: String,
    /// The password: a text or `{ file: PATH }`.
    pub password: Secret,
}

impl Basic {
    fn token(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password.expose()))
    }
}

impl Auth {
    /// Every text that must not be shown.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.bearer.iter().map(|token| token.expose().to_owned()).collect();
        secrets.extend(self.basic.iter().flat_map(|basic| [basic.token(), basic.password.expose().to_owned()]));
        secrets
    }

    /// The value of the header `authorization`.
    pub(super) fn header(&self) -> Result<String, Invalid> {
        match (&self.basic, &self.bearer) {
            (Some(basic), None) if basic.username.contains(':') => {
                Err(Invalid::new("auth.basic.username", "a name with a colon cannot be sent (RFC 7617)"))
            }
            (Some(basic), None) => Ok(format!("Basic {}", basic.token())),
            (None, Some(token)) => Ok(format!("Bearer {}", token.expose())),
            (Some(_), Some(_)) => Err(Invalid::new("auth", "both basic and bearer are set: keep one")),
            (None, None) => Err(Invalid::new("auth", "no credentials in it: set basic or bearer")),
        }
    }
}
