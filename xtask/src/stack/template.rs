//! `${NAME:-default}` in compose files and endpoint URLs, as both Composes read it.

use anyhow::{Result, bail};

/// One `$NAME` or `${NAME…}` in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The variable.
    pub name: &'a str,
    /// What stands in for it when it is unset, or empty too (`:-`).
    pub default: Option<&'a str>,
    /// The sentence with which compose stops when it is missing (`:?`).
    pub required: Option<&'a str>,
    /// Whether an empty value counts as missing.
    empty_is_missing: bool,
}

impl<'a> Reference<'a> {
    fn parse(inner: &'a str) -> Option<Self> {
        let end =
            inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let empty_is_missing = rest.starts_with(':');
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        let (default, required) = match rest.chars().next() {
            None if !empty_is_missing => (None, None),
            Some('-') => (Some(&rest[1..]), None),
            Some('?') => (None, Some(&rest[1..])),
            _ => return None,
        };
        Some(Self { name, default, required, empty_is_missing })
    }
}

enum Part<'a> {
    Text(&'a str),
    Reference(Reference<'a>),
}

fn parts(mut text: &str) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    while let Some(at) = text.find('$') {
        parts.push(Part::Text(&text[..at]));
        let rest = &text[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            parts.push(Part::Text("$"));
            text = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let reference =
                inside.find('}').and_then(|end| Some((Reference::parse(&inside[..end])?, end)));
            let Some((reference, end)) = reference else {
                bail!("`${rest}` is not a variable such as ${{NAME:-default}}")
            };
            parts.push(Part::Reference(reference));
            text = &inside[end + 1..];
        } else {
            let end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let Some(reference) = Reference::parse(&rest[..end]) else {
                bail!("`${rest}` does not begin a variable; write `$$` for a dollar sign")
            };
            parts.push(Part::Reference(reference));
            text = &rest[end..];
        }
    }
    parts.push(Part::Text(text));
    Ok(parts)
}

/// The variables in `text`, in order.
///
/// # Errors
/// When a `$` begins no variable.
pub fn references(text: &str) -> Result<Vec<Reference<'_>>> {
    Ok(parts(text)?
        .into_iter()
        .filter_map(|part| match part {
            Part::Reference(reference) => Some(reference),
            Part::Text(_) => None,
        })
        .collect())
}

/// `text` with its variables replaced by what `lookup` says.
///
/// # Errors
/// When a variable is missing that has no default, or a `$` begins no variable.
pub fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut result = String::new();
    for part in parts(text)? {
        match part {
            Part::Text(text) => result.push_str(text),
            Part::Reference(reference) => {
                let value = lookup(reference.name)
                    .filter(|value| !(value.is_empty() && reference.empty_is_missing));
                match (value, reference.default, reference.required) {
                    (Some(value), ..) => result.push_str(&value),
                    (None, Some(default), _) => result.push_str(default),
                    (None, None, Some(sentence)) if !sentence.is_empty() => bail!("{sentence}"),
                    (None, None, _) => bail!("{} is not set", reference.name),
                }
            }
        }
    }
    Ok(result)
}

/// The values of the variables with which `template` became `actual`; `None` where it cannot have, or
/// two variables follow each other so that nobody can tell them apart. Read from the end, since an
/// address before a port may have colons too.
pub fn extract(template: &str, actual: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let (mut rest, mut open) = (actual, None::<&str>);
    for part in parts(template).ok()?.iter().rev() {
        match (part, open) {
            (Part::Text(""), _) => {}
            (Part::Text(text), None) => rest = rest.strip_suffix(text)?,
            (Part::Text(text), Some(name)) => {
                let at = rest.rfind(text)?;
                found.push((name.to_owned(), rest.get(at + text.len()..)?.to_owned()));
                (rest, open) = (rest.get(..at)?, None);
            }
            (Part::Reference(_), Some(_)) => return None,
            (Part::Reference(reference), None) => open = Some(reference.name),
        }
    }
    match open {
        Some(name) => found.push((name.to_owned(), rest.to_owned())),
        None if rest.is_empty() => {}
        None => return None,
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_became_tells_its_values() {
        let value = |template, actual, name: &str| {
            let found = extract(template, actual)?;
            found.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
        };
        let port = "${HOST:-a}:${PORT:-1}:5432";
        assert_eq!(value(port, "127.0.0.1:5433:5432", "PORT").as_deref(), Some("5433"));
        assert_eq!(value(port, "::1:5433:5432", "HOST").as_deref(), Some("::1"));
        assert_eq!(value("${DIR:-/data}/redis", "/srv/x/redis", "DIR").as_deref(), Some("/srv/x"));
        assert_eq!(value("--a=${A}", "--a=b", "A").as_deref(), Some("b"));
        assert_eq!(value("${A:?no}", "", "A").as_deref(), Some(""));
        for (template, actual) in [("--a=${A}", "--b=b"), ("${A}${B}", "ab"), ("a", "ab")] {
            assert_eq!(extract(template, actual), None, "{template}");
        }
    }

    #[test]
    fn variables_are_replaced_as_compose_replaces_them() {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("a$SET-b", "avalue-b"),
            ("${SET:-x}${EMPTY:-x}${EMPTY-x}${NONE-x}", "valuexx"),
            ("$$SET", "$SET"),
            ("${NONE:-a/b:1}", "a/b:1"),
        ] {
            assert_eq!(interpolate(text, &lookup).unwrap(), expected, "{text}");
        }
        assert_eq!(interpolate("${NONE:?set it}", &lookup).unwrap_err().to_string(), "set it");
        assert_eq!(interpolate("${EMPTY:?set it}", &lookup).unwrap_err().to_string(), "set it");
        for malformed in ["${", "${}", "$", "${1}", "${A+b}"] {
            assert!(interpolate(malformed, &lookup).is_err(), "{malformed}");
        }
    }
}
