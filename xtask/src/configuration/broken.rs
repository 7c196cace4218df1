//! Refuses a broken configuration before a service meets it: first what is no YAML or JSON at all,
//! then what the service's own tool complains of, run in its image.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::folder;
use crate::context::Context;
use crate::docker::mount::{Access, mount};
use crate::docker::{docker, labels};
use crate::host::files::below;
use crate::host::followed;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::setup::generated;
use crate::stack::Stack;
use crate::stack::manifest::{Configuration, Service};

/// Longest that a busy machine may take to make a container and have the tool look.
const CHECKING: Duration = Duration::from_secs(300);

/// Looks at the configurations of `services`, side by side.
///
/// # Errors
/// A problem with each complaint, its file and its line.
pub(super) fn refuse(cx: &Context, stack: &Stack, services: &[&Service]) -> Result<()> {
    let complaints: Vec<Result<Vec<Finding>>> = std::thread::scope(|scope| {
        let looks: Vec<_> = services
            .iter()
            .filter_map(|service| Some((service, service.configuration.as_ref()?)))
            .map(|(service, configuration)| {
                scope.spawn(move || complaints(cx, stack, service, configuration))
            })
            .collect();
        let join = |look: std::thread::ScopedJoinHandle<'_, _>| {
            look.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the check itself is broken")))
        };
        looks.into_iter().map(join).collect()
    });
    let complaints: Vec<_> =
        complaints.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    if complaints.is_empty() {
        return Ok(());
    }
    complaints.iter().for_each(|complaint| cx.report.finding(complaint));
    Err(Problem::failed(
        "configuration.broken",
        "a configuration is broken; nothing was changed, and what runs keeps the one it has",
    )
    .mend(format!("correct it, then: {}", Xtask::Up(stack.on())))
    .into())
}

fn complaints(
    cx: &Context,
    stack: &Stack,
    service: &Service,
    configuration: &Configuration,
) -> Result<Vec<Finding>> {
    let Some(folder) = folder(stack, service) else { return Ok(Vec::new()) };
    let mut complaints = Vec::new();
    for path in below(&folder)? {
        complaints.extend(malformed(cx, &path));
    }
    match &configuration.check {
        Some(check) if complaints.is_empty() => {
            complaints.extend(refused(cx, stack, service, configuration, &folder, check)?);
        }
        _ => {}
    }
    Ok(complaints.into_iter().map(|complaint| complaint.about(service.name.as_str())).collect())
}

/// What keeps the file from being read at all.
pub(super) fn malformed(cx: &Context, path: &Path) -> Option<Finding> {
    let ending = path.extension()?.to_str()?;
    if !["yml", "yaml", "json"].contains(&ending) {
        return None;
    }
    let shown = path.strip_prefix(&cx.root).unwrap_or(path).display().to_string();
    let finding = |what: String, line| {
        Some(Finding::error("configuration.broken", what).at(shown.as_str(), line))
    };
    let text = match followed::text(path) {
        Ok(text) => text,
        Err(error) => return finding(error.to_string(), None),
    };
    if ending == "json" {
        let error = serde_json::from_str::<serde::de::IgnoredAny>(&text).err()?;
        return finding(error.to_string(), Some(error.line()));
    }
    let error = yaml_serde::from_str::<yaml_serde::Value>(&text).err()?;
    let line = error.location().map(|location| location.line());
    finding(error.to_string(), line)
}

/// What the service's own tool complains of.
fn refused(
    cx: &Context,
    stack: &Stack,
    service: &Service,
    configuration: &Configuration,
    folder: &Path,
    check: &str,
) -> Result<Option<Finding>> {
    let at = &configuration.at;
    let image = stack.image(service)?;
    let mut cmd = docker()
        .time_limit(CHECKING)
        .args(["run", "--rm", "--pull", "never", "--network", "none", "--read-only"])
        .args(["--label", &format!("{}={}", labels::HELPER, stack.project())])
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--log-driver", "none"])
        .args(mount(&folder.to_string_lossy(), at, Access::Read)?);
    if let Some(generated) = &service.generated {
        let made = stack.data_dir().join(generated::folder(service));
        cmd = cmd.args(["--user", &generated.owner.to_string()]).args(mount(
            &made.to_string_lossy(),
            "/etc/generated",
            Access::Read,
        )?);
    }
    let cmd = cmd.args(["--entrypoint", "sh", &image, "-c", check]);
    let output = cmd.output().with_context(|| format!("checking {}", folder.display()))?;
    if output.success() {
        return Ok(None);
    }
    let shown = folder.strip_prefix(&cx.root).unwrap_or(folder).display().to_string();
    let said = format!("{}\n{}", output.stdout.trim(), output.stderr.trim());
    Ok(Some(complaint(said.trim(), at, &shown)))
}

/// The tool's words with the files as they are called here, and the place where it names one.
fn complaint(said: &str, at: &str, folder: &str) -> Finding {
    let said = said.replace(at, folder);
    let fine = |line: &&str| {
        !line.is_empty() && !line.starts_with("Checking ") && !line.contains("SUCCESS")
    };
    let lines: Vec<_> = said.lines().map(str::trim).filter(fine).collect();
    let (file, line) = place(&lines, folder);
    Finding::error("configuration.broken", lines.join("\n")).at(file, line)
}

/// The first file below `folder` that is named, and the first line number after it: `FILE: 3:5:`,
/// `FILE: yaml: line 3:`.
fn place(lines: &[&str], folder: &str) -> (String, Option<usize>) {
    let text = lines.join("\n");
    let Some(start) = text.find(&format!("{folder}/")) else { return (folder.to_owned(), None) };
    let rest = &text[start..];
    let end = rest.find(|c: char| c == ':' || c == '"' || c == '\'' || c.is_whitespace());
    let (file, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let number = |text: &str| {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().ok()
    };
    let after_word = rest.find("line ").and_then(|at| number(&rest[at + "line ".len()..]));
    (file.to_owned(), after_word.or_else(|| number(rest.trim_start_matches([':', ' ', '"']))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_in_the_words_of_each_tool() {
        for (said, expected) in [
            ("FAILED:\nconf/rules/x.yml: 9:15: group \"g\", rule 1", ("conf/rules/x.yml", Some(9))),
            (
                "FAILED: parsing YAML file conf/prometheus.yml: yaml: unmarshal errors:\nline 3: field x",
                ("conf/prometheus.yml", Some(3)),
            ),
            ("error: bad thing", ("conf", None)),
        ] {
            let lines: Vec<_> = said.lines().collect();
            let (file, line) = place(&lines, "conf");
            assert_eq!((file.as_str(), line), expected, "{said}");
        }
    }
}
