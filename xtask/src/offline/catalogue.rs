//! `tests/images/images.toml`: which offline images can be built, and of what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::host::followed;
use crate::report::finding::Problem;

/// Under which the engine has all of them.
const PREFIX: &str = "case-interview-offline";

/// One that can be built.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// That of its folder, and of the service that it is for.
    pub name: String,
    /// Of the server in it.
    pub version: String,
    /// What it is made of.
    pub recipe: Recipe,
}

/// What an image is made of, beside its folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The release of Debian.
    pub release: String,
    /// Debian's packages, unpacked for an image that starts from nothing; none where it starts from
    /// the release's root file system.
    #[serde(default)]
    pub packages: Option<Vec<String>>,
    /// The file in its folder that lists Python's.
    #[serde(default)]
    pub wheels: Option<String>,
}

impl Image {
    /// Under which the engine has it.
    pub fn reference(&self) -> String {
        format!("{PREFIX}/{}:{}", self.name, self.version)
    }

    /// A name for its own folders.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// All that can be built.
#[derive(Debug)]
pub struct Catalogue(Vec<Image>);

impl Catalogue {
    /// Reads the file below the repository's root.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense; the error shows the line.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join("tests/images/images.toml");
        let text = followed::text(&path).with_context(|| format!("reading {}", path.display()))?;
        let recipes: BTreeMap<String, BTreeMap<String, Recipe>> =
            toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        let images = recipes.into_iter().flat_map(|(name, versions)| {
            let image = move |(version, recipe)| Image { name: name.clone(), version, recipe };
            versions.into_iter().map(image)
        });
        Ok(Self(images.collect()))
    }

    /// All of them.
    pub fn all(&self) -> &[Image] {
        &self.0
    }

    /// That behind `reference`, which is one of ours.
    ///
    /// # Errors
    /// A usage problem that lists the versions there are.
    pub fn get(&self, reference: &str) -> Result<&Image> {
        let (name, version) = reference
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('/')?.split_once(':'))
            .with_context(|| format!("{reference} is not an offline image"))?;
        self.version(name, version)
    }

    /// That of `name` in `version`.
    ///
    /// # Errors
    /// A usage problem that lists the versions there are.
    pub fn version(&self, name: &str, version: &str) -> Result<&Image> {
        let of_name: Vec<_> = self.0.iter().filter(|image| image.name == name).collect();
        let found = of_name.iter().find(|image| image.version == version).copied();
        found.ok_or_else(|| {
            let known: Vec<_> = of_name.iter().map(|image| image.version.as_str()).collect();
            let what = format!("there is no offline image of {name} {version}");
            let mend = match known.as_slice() {
                [] => "tests/images/README.md says how to make one".to_owned(),
                known => format!("one of: {}", known.join(", ")),
            };
            Problem::usage("images.version", what).mend(mend).into()
        })
    }

    /// The releases of Debian that images are built on.
    pub fn releases(&self) -> BTreeSet<&str> {
        self.0.iter().map(|image| image.recipe.release.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::manifest::Manifest;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn what_up_offline_takes_can_be_built_and_another_version_is_refused_with_those_there_are() {
        let catalogue = Catalogue::load(root()).unwrap();
        let manifest = Manifest::load(root()).unwrap();
        for service in manifest.stacks.iter().flat_map(|stack| &stack.services) {
            let Some(reference) = &service.offline_image else { continue };
            let image = catalogue.get(reference).unwrap();
            assert_eq!(image.name, service.name);
            assert_eq!(image.reference(), *reference);
        }
        let refused = catalogue.get("case-interview-offline/postgres:14").unwrap_err();
        let problem = refused.downcast_ref::<Problem>().unwrap();
        assert!(format!("{problem:?}").contains("13, 15, 17"), "{problem:?}");
        assert!(catalogue.get("redis:6-alpine").is_err());
    }
}
