//! The ports that services publish, as a compose file has them in either form.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use serde::Deserialize;

use super::template::{self, interpolate};

/// A port that a service publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The service.
    pub service: String,
    /// The variable that chooses it.
    pub variable: Option<String>,
    /// The address that it is bound to; the loopback one where the text is not an address.
    pub address: IpAddr,
    /// The port on the host; 0 where the text is not a port.
    pub port: u16,
}

/// An entry of a service's `ports`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// `[[address:]host:]container[/protocol]`; the engine chooses the port that is left out.
    Short(Scalar),
    /// By its parts.
    Long {
        /// The port on the host.
        published: Option<Scalar>,
        /// The address on the host.
        host_ip: Option<String>,
    },
}

/// A number, or a text that may have variables.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// A port.
    Number(u16),
    /// A port, or a whole entry.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Where a port is bound on the host.
struct Binding {
    /// What says so, before its variables have values.
    whole: String,
    address: String,
    host: String,
}

impl Entry {
    /// The whole of it where it is one text, with its variables.
    pub fn template(&self) -> Option<&str> {
        match self {
            Self::Short(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The ports of `service` with the values of `get`; none where the engine chooses.
    ///
    /// # Errors
    /// When a variable is missing.
    pub(super) fn ports(
        &self,
        service: &str,
        get: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<PublishedPort>> {
        let Some(Binding { whole, address, host }) = self.binding(get)? else {
            return Ok(Vec::new());
        };
        let chooses = |name: &str| get(name).is_some_and(|value| value == host);
        let references = template::references(&whole)?;
        let variable = references.iter().rfind(|one| {
            chooses(one.name) || (get(one.name).is_none() && one.default == Some(host.as_str()))
        });
        let variable = variable.map(|one| one.name.to_owned());
        let address = bound_to(&address);
        let port = |port| PublishedPort {
            service: service.to_owned(),
            variable: variable.clone(),
            address,
            port,
        };
        Ok(range(&host).map(port).collect())
    }

    fn binding(&self, get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Binding>> {
        let value = |text: &str| interpolate(text, get);
        Ok(match self {
            Self::Short(whole) => {
                // An IPv6 address has colons of its own.
                let whole = whole.to_string();
                let text = value(&whole)?;
                let outside = text.rsplit_once(':').map(|(outside, _container)| outside);
                let binding = outside.map(|outside| match outside.rsplit_once(':') {
                    Some((address, host)) => (address.to_owned(), host.to_owned()),
                    None => (String::new(), outside.to_owned()),
                });
                binding.map(|(address, host)| Binding { whole, address, host })
            }
            Self::Long { published: None, .. } => None,
            Self::Long { published: Some(published), host_ip } => {
                let whole = published.to_string();
                let address = value(host_ip.as_deref().unwrap_or_default())?;
                Some(Binding { host: value(&whole)?, whole, address })
            }
        })
    }
}

/// An address that is left out is every address.
fn bound_to(text: &str) -> IpAddr {
    let text = text.trim_start_matches('[').trim_end_matches(']');
    match text.parse() {
        Ok(address) => address,
        Err(_) if text.is_empty() => Ipv4Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

/// `8000-8010` is eleven ports.
fn range(text: &str) -> std::ops::RangeInclusive<u16> {
    let port = |text: &str| text.parse().unwrap_or(0);
    match text.split_once('-') {
        Some((first, last)) if port(first) > 0 && port(first) <= port(last) => {
            port(first)..=port(last)
        }
        _ => port(text)..=port(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(entry: &str) -> Vec<(String, u16, Option<String>)> {
        let entry: Entry = yaml_serde::from_str(entry).unwrap();
        let get = |name: &str| match name {
            "BIND" => Some("127.0.0.2".to_owned()),
            "BAD" => Some("127.0.0.1:80".to_owned()),
            "PORT" => Some("5432".to_owned()),
            "NONE" => Some("none".to_owned()),
            _ => None,
        };
        let ports = entry.ports("one", &get).unwrap();
        ports.into_iter().map(|one| (one.address.to_string(), one.port, one.variable)).collect()
    }

    #[test]
    fn every_form_of_a_port_is_understood() {
        let one = |address: &str, port, variable: Option<&str>| {
            vec![(address.to_owned(), port, variable.map(str::to_owned))]
        };
        for (entry, expected) in [
            (r#""${BIND:-127.0.0.1}:${PORT:-1}:5432""#, one("127.0.0.2", 5432, Some("PORT"))),
            (r#""${BAD}:${PORT}:5432""#, one("127.0.0.1", 5432, Some("PORT"))),
            (r#""${BIND}:${NONE}:1""#, one("127.0.0.2", 0, Some("NONE"))),
            (r#""${BIND}:80:1""#, one("127.0.0.2", 80, None)),
            (r#""${OTHER:-81}:1/udp""#, one("0.0.0.0", 81, Some("OTHER"))),
            (r#""::1:80:1""#, one("::1", 80, None)),
            (r#""[::]:80:1""#, one("::", 80, None)),
            ("{ target: 1, published: 80 }", one("0.0.0.0", 80, None)),
            (r#"{ target: 1, published: "80", host_ip: "${BIND}" }"#, one("127.0.0.2", 80, None)),
        ] {
            assert_eq!(ports(entry), expected, "{entry}");
        }
        assert_eq!(ports(r#""80-82:80-82""#).len(), 3);
        for chosen_by_the_engine in ["80", r#""80""#, "{ target: 80 }"] {
            assert_eq!(ports(chosen_by_the_engine), [], "{chosen_by_the_engine}");
        }
    }
}
