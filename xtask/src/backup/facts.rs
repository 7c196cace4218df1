//! What servers say of their data, as a manifest holds it.

use serde::{Deserialize, Serialize};

use super::source::alertmanager::facts as alertmanager;
use super::source::grafana::facts as grafana;
use super::source::postgres::facts as postgres;
use super::source::prometheus::facts as prometheus;
use super::source::redis::facts as redis;

/// What a server said of its data: at the backup into the manifest, and again at each drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Facts {
    /// Of PostgreSQL.
    Postgres(postgres::Facts),
    /// Of Redis.
    Redis(redis::Facts),
    /// Of Prometheus.
    Prometheus(prometheus::Facts),
    /// Of AlertManager.
    Alertmanager(alertmanager::Facts),
    /// Of Grafana.
    Grafana(grafana::Facts),
}

impl Facts {
    /// The server's version.
    pub fn version(&self) -> &str {
        match self {
            Self::Postgres(facts) => &facts.version,
            Self::Redis(facts) => &facts.version,
            Self::Prometheus(facts) => &facts.version,
            Self::Alertmanager(facts) => &facts.version,
            Self::Grafana(facts) => &facts.version,
        }
    }
}
