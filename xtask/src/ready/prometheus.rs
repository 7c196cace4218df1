//! Prometheus is ready when every rule of its folder is loaded, the stack's own targets are up, and
//! it knows an AlertManager.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::NotReady;
use crate::client::Unanswered;
use crate::client::http::{get, get_json};
use crate::host::followed;
use crate::stack::Stack;
use crate::stack::manifest::Service;
use crate::stack::url::Url;

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    discovered_labels: BTreeMap<String, String>,
    scrape_pool: String,
    health: String,
    last_error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alertmanagers {
    active_alertmanagers: Vec<serde::de::IgnoredAny>,
}

pub(super) fn ask(stack: &Stack, service: &Service, url: &Url) -> Result<(), Unanswered> {
    get(url, "/-/ready")?;
    if let Some(configuration) = &service.configuration {
        let loaded: Answer<Rules> = get_json(url, "/api/v1/rules")?;
        let wanted = rules_in(&stack.folder.join(&configuration.folder).join("rules"))?;
        missing_rule(&wanted, &loaded.data.groups)?;
    }
    let targets: Answer<Targets> = get_json(url, "/api/v1/targets?state=active")?;
    own_targets_up(stack, &targets.data.active_targets)?;
    let known: Answer<Alertmanagers> = get_json(url, "/api/v1/alertmanagers")?;
    if known.data.active_alertmanagers.is_empty() {
        return Err(Unanswered::NotYet("it knows no AlertManager yet".to_owned()));
    }
    Ok(())
}

fn rules_in(folder: &Path) -> Result<Vec<Group>, Unanswered> {
    let mut groups = Vec::new();
    for path in super::files(folder, "yml")? {
        let text = followed::text(&path)?;
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            groups: Vec<Group>,
        }
        let file: File = yaml_serde::from_str(&text).not_ready(&path)?;
        groups.extend(file.groups);
    }
    Ok(groups)
}

fn missing_rule(wanted: &[Group], loaded: &[Group]) -> Result<(), Unanswered> {
    let has = |wanted: &Group| {
        loaded
            .iter()
            .any(|group| group.name == wanted.name && group.rules.len() == wanted.rules.len())
    };
    match wanted.iter().find(|group| !has(group)) {
        Some(group) => {
            Err(Unanswered::NotYet(format!("it has not loaded the rules of `{}`", group.name)))
        }
        None => Ok(()),
    }
}

/// Others' targets, such as the development stack's or a service elsewhere, are what it is there
/// to watch, not what it needs.
fn own_targets_up(stack: &Stack, targets: &[Target]) -> Result<(), Unanswered> {
    let is_own = |target: &&Target| {
        let address = target.discovered_labels.get("__address__");
        let host = address.and_then(|address| address.split(':').next());
        stack.definition.services.iter().any(|service| Some(service.name.as_str()) == host)
    };
    let mut own = targets.iter().filter(is_own).peekable();
    if own.peek().is_none() {
        return Err(Unanswered::NotYet("it has no targets yet".to_owned()));
    }
    match own.find(|target| target.health != "up") {
        Some(Target { scrape_pool, last_error, .. }) if last_error.is_empty() => {
            Err(Unanswered::NotYet(format!("it has not yet asked {scrape_pool}")))
        }
        Some(Target { scrape_pool, last_error, .. }) => {
            Err(Unanswered::NotYet(format!("its target {scrape_pool} is down: {last_error}")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_lost_a_rule_is_not_loaded() {
        let groups = |text| yaml_serde::from_str::<Vec<Group>>(text).unwrap();
        let two = groups("[{name: a, rules: [x, y]}, {name: b, rules: []}]");
        assert_eq!(missing_rule(&two, &two), Ok(()));
        let one = groups("[{name: a, rules: [x]}, {name: b, rules: []}]");
        assert!(missing_rule(&two, &one).unwrap_err().to_string().contains("`a`"));
    }
}
