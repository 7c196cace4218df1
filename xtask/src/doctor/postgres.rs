//! What a PostgreSQL data directory holds: nothing, a half-made cluster, or one of which version?

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use super::facts::Facts;
use crate::docker::helper::Helper;
use crate::docker::image;
use crate::host::files::read_text;
use crate::postgres::version::{Version, major};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Finding;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// A whole cluster has template0, template1 and at least one more.
const FEWEST_DATABASES: usize = 3;

/// What lies in a directory, as far as it tells a cluster from a ruin.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Contents {
    is_empty: bool,
    version: Option<u32>,
    has_control: bool,
    databases: usize,
}

pub(super) fn data(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let is_postgres = |service: &&Service| {
        service.endpoints.iter().any(|endpoint| endpoint.url.starts_with("postgresql://"))
    };
    let mut findings = Vec::new();
    for service in stack.definition.services.iter().filter(is_postgres) {
        let Some(data) = &service.data else { continue };
        let finding = judge(facts, stack, service, &stack.data_path(data))?;
        findings.extend(finding.map(|finding| finding.about(service.name.as_str())));
    }
    Ok(findings)
}

fn judge(
    facts: &Facts<'_>,
    stack: &Stack,
    service: &Service,
    path: &Path,
) -> Result<Option<Finding>> {
    if !facts.engine_place().shares_machine() {
        return Ok(None);
    }
    // While a server runs, or makes its cluster, it is the judge.
    let is_running = facts.is_running(stack, &service.name).unwrap_or(false);
    let contents = match look(path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            match look_as_root(facts, stack, path)? {
                Some(contents) => contents,
                None => {
                    let found = format!(
                        "what lies in {} is unknown: only root may look, and the image to look with is missing",
                        path.display()
                    );
                    return Ok(Some(Finding::ok("data.version", found)));
                }
            }
        }
        Err(error) => return Err(error).context(format!("looking into {}", path.display())),
    };
    if contents.is_empty || is_running {
        return Ok(None);
    }
    if let Some(why) = ruin(&contents) {
        return Ok(Some(half_initialised(stack, path, why)));
    }
    let image = stack.image(service)?;
    Ok(Some(judge_version(facts, stack, service, path, contents.version, &image)?))
}

fn half_initialised(stack: &Stack, path: &Path, why: &str) -> Finding {
    let quoted = crate::process::quote(&path.to_string_lossy());
    Finding::error(
        "data.half-initialised",
        format!("{} holds no whole database: {why}", path.display()),
    )
    .mend(
        Advice::from(format!(
            "if nothing of value is in it: sudo mv {quoted} {quoted}.broken, then {}",
            Xtask::UpFresh(stack.on())
        ))
        .or(format!("start anew, losing all data of the stack: {}", Xtask::DownPurge(stack.on()))),
    )
}

/// Why the directory is no whole cluster.
fn ruin(contents: &Contents) -> Option<&'static str> {
    match contents {
        Contents { version: None, .. } => Some("it is not empty, but has no PG_VERSION"),
        Contents { has_control: false, .. } => {
            Some("it has no global/pg_control; its initialisation was cut off")
        }
        Contents { databases: 0..FEWEST_DATABASES, .. } => {
            Some("databases are missing; its initialisation was cut off")
        }
        _ => None,
    }
}

fn judge_version(
    facts: &Facts<'_>,
    stack: &Stack,
    service: &Service,
    path: &Path,
    made_by: Option<u32>,
    image: &str,
) -> Result<Finding> {
    let id = "data.version";
    let made_by = made_by.map_or_else(|| "?".to_owned(), |major| major.to_string());
    if image::get(image)?.is_none() {
        let found = format!(
            "{} is of PostgreSQL {made_by}; {image} is not here yet, so its version is unknown",
            path.display()
        );
        return Ok(Finding::ok(id, found));
    }
    // Asked before our own helper could be taken for a left-over.
    facts.containers()?;
    let served = Version::of_image(&stack.project(), image)?.major;
    if served.to_string() == made_by {
        return Ok(Finding::ok(
            id,
            format!("{} is of PostgreSQL {made_by}, like its image", path.display()),
        ));
    }
    let found = format!("{} is of PostgreSQL {made_by}, and {image} is {served}", path.display());
    let variable = stack.compose.image_variable(&service.name)?;
    Ok(Finding::error(id, found).needs(format!("an image of PostgreSQL {made_by}")).mend(
        Advice::from(format!(
            "set {variable} in {} to an image of that version",
            stack.env.path().display()
        ))
        .or(format!("start anew, losing the data: {}", Xtask::DownPurge(stack.on()))),
    ))
}

fn look(path: &Path) -> std::io::Result<Contents> {
    if fs::read_dir(path)?.next().is_none() {
        return Ok(Contents { is_empty: true, ..Contents::default() });
    }
    let version = match read_text(&path.join("PG_VERSION")) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        text => major(&text?),
    };
    let is_database = |entry: &fs::DirEntry| {
        entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit)
    };
    let databases = fs::read_dir(path.join("base"))
        .map(|entries| entries.flatten().filter(is_database).count())
        .unwrap_or_default();
    let has_control = path.join("global/pg_control").exists();
    Ok(Contents { is_empty: false, version, has_control, databases })
}

/// Says the same as [`look`], one `name=value` a line.
const LOOK: &str = r#"cd /data
[ -n "$(ls -A)" ] || { echo empty=1; exit; }
[ ! -f PG_VERSION ] || echo "version=$(cat PG_VERSION)"
[ ! -f global/pg_control ] || echo control=1
echo "databases=$(ls base 2>/dev/null | grep -c '^[0-9]' || true)""#;

/// Through a container, where we may not look; `None` where there is no image for it.
fn look_as_root(facts: &Facts<'_>, stack: &Stack, path: &Path) -> Result<Option<Contents>> {
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let Ok(images) = facts.images() else { return Ok(None) };
    if !images.contains(&image) {
        return Ok(None);
    }
    // Asked before our own helper could be taken for a left-over.
    facts.containers()?;
    let helper = Helper::new(&stack.project(), &image).mount(path, "/data")?;
    let said = helper.cmd(LOOK, &[]).read().context("looking into the data directory as root")?;
    Ok(Some(read_answer(&said)))
}

fn read_answer(said: &str) -> Contents {
    let value = |name: &str| {
        said.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    Contents {
        is_empty: value("empty").is_some(),
        version: value("version").and_then(major),
        has_control: value("control").is_some(),
        databases: value("databases").and_then(|text| text.parse().ok()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initialisation_that_was_cut_off_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(look(path).unwrap().is_empty);
        fs::create_dir_all(path.join("base/1")).unwrap();
        assert!(ruin(&look(path).unwrap()).unwrap().contains("PG_VERSION"));
        fs::write(path.join("PG_VERSION"), "14\n").unwrap();
        assert!(ruin(&look(path).unwrap()).unwrap().contains("pg_control"));
        fs::create_dir(path.join("global")).unwrap();
        fs::write(path.join("global/pg_control"), "x").unwrap();
        assert!(ruin(&look(path).unwrap()).unwrap().contains("databases"));
        for database in ["4", "5", "pgsql_tmp"] {
            fs::create_dir(path.join("base").join(database)).unwrap();
        }
        let whole = look(path).unwrap();
        assert_eq!(ruin(&whole), None);
        assert_eq!(read_answer("version=14\ncontrol=1\ndatabases=3\n"), whole);
    }
}
