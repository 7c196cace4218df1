//! Containers of others that can write to the data of a stack, by whatever name they know it.

use std::path::{Path, PathBuf};

use crate::docker::container::Container;
use crate::docker::endpoint::Endpoint;
use crate::host::identity::Node;
use crate::report::advice::Advice;
use crate::report::finding::Finding;
use crate::stack::Stack;

/// Each with the directory of ours that it has.
pub fn users<'a>(stack: &Stack, containers: &'a [Container]) -> Vec<(&'a Container, PathBuf)> {
    let project = stack.project();
    let services = stack.definition.services.iter();
    let directories = services.filter_map(|service| service.data.as_ref());
    let ours: Vec<_> = directories.map(|data| Spot::of(&stack.data_path(data))).collect();
    let others = containers.iter().filter(|container| {
        container.project() != Some(&project) && container.helper_of() != Some(&project)
    });
    let uses = |container: &'a Container| {
        let spot = ours.iter().find(|spot| is_used(container, spot))?;
        Some((container, spot.path.clone()))
    };
    others.filter_map(uses).collect()
}

/// Two servers on one directory destroy it; one that is stopped may be started.
pub fn finding(stack: &Stack, container: &Container, path: &Path) -> Finding {
    let name = container.name();
    let found = match container.project() {
        Some(of) => format!("the container {name} of the project {of} has {}", path.display()),
        None => format!("the container {name} has {}", path.display()),
    };
    let elsewhere = format!("choose another DATA_DIR in {}", stack.env_file());
    let finding = if container.is_running() {
        Finding::error("data.in-use", format!("{found}, and runs"))
            .mend(Advice::from(format!("docker stop {name}")).or(elsewhere))
    } else {
        Finding::warning("data.in-use", format!("{found}; it is stopped"))
            .mend(Advice::from(elsewhere).or(format!("docker rm {name}, if it is not needed")))
    };
    finding.about(stack.name())
}

/// A directory, by its path without links and by its nodes, as far as we may look.
struct Spot {
    path: PathBuf,
    node: Option<Node>,
    around: Vec<Node>,
}

impl Spot {
    fn of(path: &Path) -> Self {
        // What has that path here says nothing of another machine.
        if Endpoint::current().is_remote() {
            return Self { path: path.to_owned(), node: None, around: Vec::new() };
        }
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self { node: Node::of(&path).ok(), around: Node::around(&path), path }
    }

    /// Whether it is the other, lies in it, or around it.
    fn touches(&self, other: &Self) -> bool {
        let lies_in = |inner: &Self, outer: &Self| {
            inner.path.starts_with(&outer.path)
                || outer.node.is_some_and(|node| inner.around.contains(&node))
        };
        lies_in(self, other) || lies_in(other, self)
    }
}

/// Whether `container` may write in the directory, above or below it.
fn is_used(container: &Container, spot: &Spot) -> bool {
    let mounts = container.mounts.iter();
    let mut writable = mounts.filter(|mount| mount.writable && !mount.source.is_empty());
    writable.any(|mount| Spot::of(Path::new(&mount.source)).touches(spot))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(source: &str, writable: bool) -> Container {
        serde_json::from_value(serde_json::json!({
            "Id": "1", "Name": "/x", "Image": "i",
            "State": { "Status": "running", "StartedAt": "", "ExitCode": 0 },
            "Config": { "Image": "i" }, "HostConfig": {}, "NetworkSettings": {},
            "Mounts": [{ "Source": source, "Destination": "/d", "RW": writable }],
        }))
        .unwrap()
    }

    #[test]
    fn who_may_write_above_or_below_a_directory_uses_it() {
        let spot = Spot::of(Path::new("/nowhere/data/postgres"));
        for (source, expected) in [
            ("/nowhere/data/postgres", true),
            ("/nowhere/data", true),
            ("/nowhere/data/postgres/base", true),
            ("/nowhere/data/postgres2", false),
            ("/nowhere/data/redis", false),
            ("", false),
        ] {
            assert_eq!(is_used(&container(source, true), &spot), expected, "{source}");
            assert!(!is_used(&container(source, false), &spot), "{source}");
        }
    }
}
