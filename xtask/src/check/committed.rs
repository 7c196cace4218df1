//! Nothing secret is under version control.

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::host::files::PARTIAL;
use crate::host::followed;
use crate::process::{Cmd, find};
use crate::report::finding::Finding;

/// What begins a secret wherever it stands; split, so that this file holds none.
const SIGNS: [(&str, &str, &str); 4] = [
    ("-----BEGIN ", "PRIVATE KEY-----", "a private key"),
    ("https://hooks.slack", ".com/services/T", "a Slack webhook"),
    ("AGE-SECRET", "-KEY-1", "an age key"),
    ("xoxb", "-", "a Slack token"),
];

pub(super) fn no_secrets(cx: &Context) -> Result<Vec<Finding>> {
    if find("git").is_err() || !cx.root.join(".git").exists() {
        return Ok(vec![Finding::warning(
            "secret.committed",
            "not a git checkout, so nothing to look at",
        )]);
    }
    let files = Cmd::new("git")
        .args(["ls-files", "-z"])
        .dir(&cx.root)
        .read()
        .context("listing committed files")?;
    let mut findings = Vec::new();
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let name = file.rsplit('/').next().unwrap_or(file);
        let is_env = name.starts_with(".env") && name != ".env.example";
        if is_env || name.ends_with(PARTIAL) {
            findings.push(
                Finding::error(
                    "secret.committed",
                    "a file that holds passwords is under version control",
                )
                .at(file, None)
                .mend(format!("git rm --cached {file}, and change every password in it")),
            );
        }
        let Ok(text) = followed::text(cx.root.join(file)) else { continue };
        for (index, line) in text.lines().enumerate() {
            let is_sign = |(head, tail, _): &&(&str, &str, &str)| stands_in(line, head, tail);
            if let Some((_, _, what)) = SIGNS.iter().find(is_sign) {
                findings.push(
                    Finding::error("secret.committed", *what)
                        .at(file, Some(index + 1))
                        .mend("remove it, and make another"),
                );
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("secret.committed", "no secret is under version control"));
    }
    Ok(findings)
}

/// Whether `head` and `tail` stand in the line with nothing between but a key's kind (`RSA `).
fn stands_in(line: &str, head: &str, tail: &str) -> bool {
    let after = line.find(head).map(|at| &line[at + head.len()..]);
    let between = after.and_then(|after| after.split_once(tail)).map(|(between, _)| between);
    between.is_some_and(|between| between.chars().all(|c| c.is_ascii_uppercase() || c == ' '))
}
