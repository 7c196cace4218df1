//! stacks.toml and the compose files speak of the same things.

use anyhow::Result;

use super::relative;
use crate::context::Context;
use crate::report::finding::Finding;
use crate::stack::manifest::Load;
use crate::stack::{Stack, template};

/// What stacks.toml names that there is not: a command would come upon it only when it needs it.
fn unknown_words(stack: &Stack, is_variable: &dyn Fn(&str) -> bool) -> Vec<String> {
    let definition = &stack.definition;
    let mut services = Vec::new();
    let mut variables = vec![("network", definition.network.as_str())];
    variables.extend(definition.disk.variable().map(|name| ("disk", name)));
    for pair in &definition.memory_pairs {
        variables
            .extend([("memory_pairs", pair.server.as_str()), ("memory_pairs", &pair.container)]);
    }
    variables.extend(definition.allowed.iter().map(|one| ("allowed", one.variable.as_str())));
    for service in &definition.services {
        let quota = service.data.iter().filter_map(|data| data.quota.as_ref()?.variable());
        variables.extend(quota.map(|name| ("quota", name)));
        if let Some(Load::Script { secret, .. }) =
            service.configuration.as_ref().map(|configuration| &configuration.load)
        {
            variables.push(("load", secret));
        }
        let files = service.generated.iter().flat_map(|generated| &generated.files);
        services.extend(files.filter_map(|file| Some(("about", file.about.as_deref()?))));
    }
    let services = services.into_iter().filter(|(_, name)| stack.service(name).is_err());
    let services = services.map(|(key, name)| format!("`{key}` names a service `{name}`"));
    let variables = variables.into_iter().filter(|(_, name)| !is_variable(name));
    let variables = variables.map(|(key, name)| format!("`{key}` names a variable {name}"));
    services.chain(variables).map(|named| format!("{named}, which there is not")).collect()
}

pub(super) fn agrees_with_compose_files(cx: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for stack in cx.stacks_whatever_env_says(None)? {
        let wrong = |found: String| {
            Finding::error("manifest.agrees", found)
                .about(stack.name())
                .at("infrastructure/stacks.toml", None)
        };
        let file = relative(cx, stack.compose.path());
        for service in stack.compose.services() {
            if stack.service(service).is_err() {
                findings.push(wrong(format!("`{service}` stands in {file} but not here")));
            }
        }
        let known = |name: &str| {
            let mut generated = stack.definition.services.iter().flat_map(|service| {
                service.generated.iter().flat_map(|generated| &generated.files)
            });
            name == "HOST"
                || stack.compose.variables().iter().any(|variable| variable.name == name)
                || generated.any(|file| file.secret.as_deref() == Some(name))
        };
        findings.extend(unknown_words(&stack, &known).into_iter().map(wrong));
        for service in &stack.definition.services {
            if stack.compose.services().all(|name| name != service.name) {
                findings.push(wrong(format!("`{}` stands here but not in {file}", service.name)));
            }
            for secret in service.secrets.iter().filter(|secret| !known(secret)) {
                findings.push(wrong(format!(
                    "the secret {secret} of `{}` is used neither here nor in {file}",
                    service.name
                )));
            }
            for endpoint in &service.endpoints {
                for reference in template::references(&endpoint.url)?
                    .iter()
                    .filter(|reference| !known(reference.name))
                {
                    findings.push(wrong(format!(
                        "{} in the URL of `{}` is not used in {file}",
                        reference.name, endpoint.name
                    )));
                }
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("manifest.agrees", "stacks.toml agrees with the compose files"));
    }
    Ok(findings)
}
