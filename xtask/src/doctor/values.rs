//! Values of `.env` that no service can use.

use anyhow::Result;

use super::facts::Facts;
use crate::report::finding::Finding;
use crate::stack::Stack;
use crate::stack::manifest::Allowed;

/// A variable that is there without a value, where the compose file has one.
pub(super) fn empty(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let secrets = stack.secrets();
    for variable in stack.compose.variables() {
        let name = variable.name.as_str();
        let default = variable.default.as_deref().filter(|default| !default.is_empty());
        let is_empty = stack.env.assignment(name).is_some()
            && stack.env.in_file(name).is_none()
            && !stack.env.is_unclear(name);
        if let (Some(default), true, false) = (default, is_empty, secrets.contains(&name)) {
            let found = format!("{name} is empty, so the compose file's {default} counts");
            let finding = Finding::warning("env.empty", found);
            findings.push(facts.place(stack, name, finding.mend(format!("{name}={default}"))));
        }
    }
    Ok(findings.into_iter().filter(|_| stack.env.text().is_some()).collect())
}

/// A value that its server does not know; it would end at once, again and again.
pub(super) fn allowed(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let judge = |allowed: &Allowed| {
        let value = stack.env.get(&allowed.variable)?;
        Some(facts.place(stack, &allowed.variable, judge(allowed, &value)?))
    };
    Ok(stack.definition.allowed.iter().filter_map(judge).collect())
}

fn judge(Allowed { variable, values }: &Allowed, value: &str) -> Option<Finding> {
    let words = values.iter().map(String::as_str);
    (!values.iter().any(|known| known == value)).then(|| {
        Finding::error("env.value", format!("{variable} is `{value}`"))
            .needs(words.clone().collect::<Vec<_>>().join(" or "))
            .mend(format!("{variable}={}", words.clone().next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_the_server_does_not_know_is_refused_with_one_that_it_does() {
        let allowed = Allowed {
            variable: "REDIS_APPENDONLY".to_owned(),
            values: vec!["yes".to_owned(), "no".to_owned()],
        };
        assert!(judge(&allowed, "no").is_none());
        let finding = judge(&allowed, "ja").unwrap();
        assert_eq!(finding.to_string(), "REDIS_APPENDONLY is `ja` (needed: yes or no)");
        assert_eq!(finding.mend, "REDIS_APPENDONLY=yes".into());
    }
}
