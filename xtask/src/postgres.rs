//! What backups and checks both need to know of PostgreSQL.

pub mod name;
pub mod version;
