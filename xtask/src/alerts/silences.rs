//! What AlertManager keeps from people: silences that somebody made, and alerts that a worse one
//! inhibits.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{Unanswered, http};
use crate::stack::url::Url;

/// Which alerts are meant: those whose label has, or has not, a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// The value, or a regular expression that must match all of it.
    pub value: String,
    /// Whether it is one.
    pub is_regex: bool,
    /// Whether it must hold, and not the contrary.
    #[serde(default = "usual")]
    pub is_equal: bool,
}

fn usual() -> bool {
    true
}

impl Matcher {
    /// The label with an alert's name.
    pub const ALERT: &str = "alertname";

    /// Alerts called by one of `names`.
    pub fn called(names: &[&str]) -> Self {
        let value = names.join("|");
        Self { name: Self::ALERT.to_owned(), value, is_regex: names.len() > 1, is_equal: true }
    }
}

/// `service=redis`, `service!=redis`, `instance=~web.*`, `instance!~web.*`; the value may stand in
/// double quotes.
impl FromStr for Matcher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a matcher such as service=redis or instance=~web.*");
        let at = text.find(['=', '!']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let kinds =
            [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];
        let kind = kinds.iter().find(|(sign, ..)| rest.starts_with(sign)).ok_or_else(wrong)?;
        let (sign, is_regex, is_equal) = *kind;
        let value = rest.get(sign.len()..).unwrap_or_default();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let is_label = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !is_label {
            return Err(wrong());
        }
        let value = quoted.unwrap_or(value).to_owned();
        Ok(Self { name: name.to_owned(), value, is_regex, is_equal })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match (self.is_regex, self.is_equal) {
            (false, true) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (true, false) => "!~",
        };
        write!(f, "{}{sign}{}", self.name, self.value)
    }
}

/// A silence that is in force, or will be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Silence {
    /// By which AlertManager knows it.
    pub id: String,
    /// All of which an alert must meet.
    pub matchers: Vec<Matcher>,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it ends.
    pub ends_at: Timestamp,
    #[serde(skip_serializing)]
    status: State,
}

#[derive(Debug, Clone, Deserialize)]
struct State {
    state: String,
}

impl Silence {
    /// Whether `word` means it: its id, the beginning of it, or the name of the alert that it silences.
    pub fn is_meant(&self, word: &str) -> bool {
        let names_it = |matcher: &Matcher| {
            let names = matcher.value.split('|').any(|name| name == word);
            matcher.name == Matcher::ALERT && matcher.is_equal && names
        };
        (word.len() >= 4 && self.id.starts_with(word)) || self.matchers.iter().any(names_it)
    }

    /// Its matchers in a line.
    pub fn what(&self) -> String {
        self.matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// The silences that are in force or will be, the first to end first.
///
/// # Errors
/// When AlertManager does not answer.
pub fn list(url: &Url) -> Result<Vec<Silence>, Unanswered> {
    let mut silences: Vec<Silence> = http::get_json(url, "/api/v2/silences")?;
    silences.retain(|silence| silence.status.state != "expired");
    silences.sort_by_key(|silence| silence.ends_at);
    Ok(silences)
}

/// The document that makes a silence.
pub fn document(
    matchers: &[Matcher],
    now: Timestamp,
    ends: Timestamp,
    by: &str,
    why: &str,
) -> String {
    json!({
        "matchers": matchers,
        "startsAt": now.to_string(),
        "endsAt": ends.to_string(),
        "createdBy": by,
        "comment": why,
    })
    .to_string()
}

/// Makes the silence of `document` and returns its id.
///
/// # Errors
/// When AlertManager does not answer, or refuses it.
pub fn add(url: &Url, document: &str) -> Result<String, Unanswered> {
    #[derive(Deserialize)]
    struct Made {
        #[serde(rename = "silenceID")]
        id: String,
    }
    let answer = http::post(url, "/api/v2/silences", document)?;
    let made: Result<Made, _> = serde_json::from_str(&answer);
    made.map(|made| made.id)
        .map_err(|error| Unanswered::NotYet(format!("it answers what we do not know: {error}")))
}

/// Ends a silence.
///
/// # Errors
/// When AlertManager does not answer.
pub fn end(url: &Url, silence: &Silence) -> Result<(), Unanswered> {
    http::delete(url, &format!("/api/v2/silence/{}", crate::stack::url::encode(&silence.id)))
        .map(drop)
}

/// Why people do not receive an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Muted {
    /// Somebody has silenced it.
    Silenced,
    /// A worse alert about the same is told instead.
    Inhibited,
}

impl Muted {
    /// As a state.
    pub fn word(self) -> &'static str {
        match self {
            Self::Silenced => "silenced",
            Self::Inhibited => "inhibited",
        }
    }
}

/// The alerts that AlertManager has, and what it keeps from people.
#[derive(Debug, Default)]
pub struct Received(Vec<Alert>);

#[derive(Debug, Deserialize)]
struct Alert {
    labels: BTreeMap<String, String>,
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
}

impl Received {
    /// Asks AlertManager.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(url: &Url) -> Result<Self, Unanswered> {
        http::get_json(url, "/api/v2/alerts").map(Self)
    }

    /// Why the alert with these labels is not told. Prometheus adds labels on the way.
    pub fn muted(&self, labels: &BTreeMap<String, String>) -> Option<Muted> {
        let has = |alert: &&Alert| {
            labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value))
        };
        let status = &self.0.iter().find(has)?.status;
        match (status.silenced_by.is_empty(), status.inhibited_by.is_empty()) {
            (false, _) => Some(Muted::Silenced),
            (true, false) => Some(Muted::Inhibited),
            (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_prometheus_writes_them() {
        for (text, is_regex, is_equal, value) in [
            ("service=redis", false, true, "redis"),
            ("service!=redis", false, false, "redis"),
            ("service=~re.*|x=1", true, true, "re.*|x=1"),
            ("service!~re.*", true, false, "re.*"),
            ("service=\"a b\"", false, true, "a b"),
            ("service=", false, true, ""),
        ] {
            let matcher: Matcher = text.parse().unwrap();
            let found = (matcher.is_regex, matcher.is_equal, matcher.value.as_str());
            assert_eq!((matcher.name.as_str(), found), ("service", (is_regex, is_equal, value)));
        }
        for text in ["RedisDown", "=x", "a b=x", "1a=x", "a!x"] {
            assert!(text.parse::<Matcher>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_silence_is_meant_by_its_id_or_the_alert_that_it_silences() {
        let silence = |matcher: Matcher| Silence {
            id: "0a1b2c3d".to_owned(),
            matchers: vec![matcher],
            created_by: String::new(),
            comment: String::new(),
            ends_at: Timestamp::UNIX_EPOCH,
            status: State { state: "active".to_owned() },
        };
        let by_name = silence(Matcher::called(&["RedisDown", "PostgresDown"]));
        assert!(by_name.is_meant("RedisDown") && by_name.is_meant("0a1b"));
        assert!(!by_name.is_meant("Redis") && !by_name.is_meant("0a") && !by_name.is_meant(""));
        assert!(!silence("alertname!=RedisDown".parse().unwrap()).is_meant("RedisDown"));
    }

    #[test]
    fn what_alertmanager_keeps_from_people_is_found_by_its_labels() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let alert = |service: &str, silenced: &[&str], inhibited: &[&str]| Alert {
            labels: labels(&[("alertname", "A"), ("service", service), ("docs_url", "x")]),
            status: Status {
                silenced_by: silenced.iter().map(|id| (*id).to_owned()).collect(),
                inhibited_by: inhibited.iter().map(|id| (*id).to_owned()).collect(),
            },
        };
        let all = Received(vec![
            alert("a", &["1"], &["2"]),
            alert("b", &[], &["2"]),
            alert("c", &[], &[]),
        ]);
        let muted = |service| all.muted(&labels(&[("alertname", "A"), ("service", service)]));
        assert_eq!(muted("a"), Some(Muted::Silenced));
        assert_eq!(muted("b"), Some(Muted::Inhibited));
        assert_eq!((muted("c"), muted("d")), (None, None));
    }
}
