//! stacks.toml and the compose files speak of the same things.

use anyhow::Result;

use super::relative;
use crate::context::Context;
use crate::report::finding::Finding;
use crate::stack::template;

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
