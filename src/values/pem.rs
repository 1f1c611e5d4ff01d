//! Certificates and keys named in the configuration: read and parsed when it is loaded, so that a reload sees new ones.

use super::file::{file_block, read_small_file};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// The certificates of a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates(Vec<CertificateDer<'static>>);

impl Certificates {
    /// In the order of the file; never empty.
    pub fn as_slice(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

/// The first private key of a PEM file.
#[derive(PartialEq, Eq)]
pub struct PrivateKey(PrivateKeyDer<'static>);

impl PrivateKey {
    /// A copy of the key, for rustls, which wants to own it.
    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        self.0.clone_key()
    }
}

impl Clone for PrivateKey {
    fn clone(&self) -> Self {
        Self(self.0.clone_key())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

struct FileBlock;

impl<'de> Visitor<'de> for FileBlock {
    type Value = PathBuf;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file in PEM format: { file: PATH }")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PathBuf, A::Error> {
        file_block(map)
    }
}

impl<'de> Deserialize<'de> for Certificates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = deserializer.deserialize_map(FileBlock)?;
        let pem = read_small_file(&path).map_err(D::Error::custom)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| D::Error::custom(format!("{} is not valid PEM: {error}", path.display())))?;
        if certificates.is_empty() {
            return Err(D::Error::custom(format!("{} holds no certificate (BEGIN CERTIFICATE)", path.display())));
        }
        Ok(Self(certificates))
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = deserializer.deserialize_map(FileBlock)?;
        let pem = read_small_file(&path).map_err(D::Error::custom)?;
        PrivateKeyDer::from_pem_slice(&pem)
            .map(Self)
            .map_err(|_| D::Error::custom(format!("{} holds no private key in PEM format", path.display())))
    }
}

macro_rules! file_schema {
    ($type:ty, $name:literal, $description:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": $description, "type": "object", "required": ["file"], "additionalProperties": false,
                    "properties": { "file": { "type": "string" } }
                })
            }
        }
    };
}

file_schema!(Certificates, "Certificates", "Certificates in PEM format: { file: PATH }");
file_schema!(PrivateKey, "PrivateKey", "A private key in PEM format: { file: PATH }");
