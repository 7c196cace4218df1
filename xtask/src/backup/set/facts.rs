//! What a server said of its data, in a manifest.

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a server said of its data, which only the server's own module understands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DataRecord {
    /// How it was backed up, as stacks.toml calls it.
    pub method: String,
    /// Such as `15.14 (Debian 15.14-1)`.
    pub version: String,
    /// What the server has and the set does not hold; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Parts that could not be backed up, for [`super::Manifest::missing`].
    #[serde(skip)]
    pub missing: Vec<String>,
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl DataRecord {
    /// What `method` has noted in `details`, which is a struct.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn new(method: &str, version: String, details: &impl Serialize) -> Result<Self> {
        match serde_json::to_value(details).context("writing what the server said")? {
            Value::Object(details) => {
                let (lacks, missing) = (Vec::new(), Vec::new());
                Ok(Self { method: method.to_owned(), version, lacks, missing, details })
            }
            other => bail!("{method} recorded something other than a struct: {other}"),
        }
    }

    /// Says what the server has and the set does not hold.
    pub fn lacking(self, lacks: Vec<String>) -> Self {
        Self { lacks, ..self }
    }

    /// Says which parts could not be backed up.
    pub fn without(self, missing: Vec<String>) -> Self {
        Self { missing, ..self }
    }

    /// The details, as their server understands them.
    ///
    /// # Errors
    /// When they are something else.
    pub fn details<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(T::deserialize(&self.details)?)
    }
}
