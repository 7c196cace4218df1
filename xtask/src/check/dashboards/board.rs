//! A dashboard as Grafana stores it, as far as the checks look at it.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::form;
use crate::host::followed;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;

/// A dashboard.
#[derive(Debug)]
pub struct Board {
    /// Its file's name without the ending.
    pub name: String,
    /// The file from the repository's root.
    pub(super) file: String,
    /// Whether the file is in the normal form, so that its lines are known.
    pub(super) is_normal: bool,
    /// What stands in the file.
    pub json: Value,
}

/// A panel or a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel<'a> {
    pub json: &'a Value,
    index: usize,
}

/// What a panel or an annotation asks Prometheus.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The title of the panel.
    pub title: &'a str,
    /// PromQL with Grafana's variables.
    pub expression: &'a str,
    /// Whether it asks for one moment rather than for a range of time.
    pub instant: bool,
    /// Where it stands in the file.
    pub(super) pointer: String,
}

/// A choice at the top of the page.
#[derive(Debug, Clone, Copy)]
pub struct Variable<'a> {
    /// Its name, without the dollar.
    pub name: &'a str,
    /// What fills it, such as `label_values(up, job)`.
    pub query: &'a str,
}

impl Board {
    /// Whether the file is in the normal form.
    pub(super) fn check_form(&self) -> Option<Finding> {
        (!self.is_normal).then(|| {
            Finding::error(
                "dashboard.form",
                "is not in the normal form, so a diff would not be readable",
            )
            .at(&self.file, None)
            .mend(Xtask::CheckFix)
        })
    }

    /// Reads the file at `path`, called `file` in findings; the finding says why it is no
    /// dashboard.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(path: &Path, file: &str) -> Result<Result<Self, Box<Finding>>> {
        let text = followed::text(path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self::parse(&name, file, &text))
    }

    pub(super) fn parse(name: &str, file: &str, text: &str) -> Result<Self, Box<Finding>> {
        let wrong = |found: String, line| {
            let finding = Finding::error("dashboard.json", found).at(file, line);
            Box::new(finding.mend("export it from Grafana again"))
        };
        let json: Value = serde_json::from_str(text)
            .map_err(|error| wrong(error.to_string(), Some(error.line())))?;
        if !json["panels"].is_array() {
            return Err(wrong("is not a dashboard: it has no panels".to_owned(), None));
        }
        let is_normal = form::normal(&json) == text;
        Ok(Self { name: name.to_owned(), file: file.to_owned(), is_normal, json })
    }

    /// Its panels and rows, in the order of the file.
    pub(super) fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        list(&self.json["panels"]).enumerate().map(|(index, json)| Panel { json, index })
    }

    /// Everything that it asks Prometheus.
    pub fn queries(&self) -> Vec<Query<'_>> {
        let of_panels = self.panels().flat_map(|panel| {
            list(&panel.json["targets"]).enumerate().map(move |(index, target)| Query {
                title: panel.title(),
                expression: text(&target["expr"]),
                instant: target["instant"] == true,
                pointer: format!("{}/targets/{index}/expr", panel.pointer()),
            })
        });
        let annotations = list(&self.json["annotations"]["list"]).enumerate();
        let of_annotations = annotations.filter(|(_, annotation)| annotation["builtIn"] != 1);
        let of_annotations = of_annotations.map(|(index, annotation)| Query {
            title: text(&annotation["name"]),
            expression: text(&annotation["expr"]),
            instant: false,
            pointer: format!("/annotations/list/{index}/expr"),
        });
        of_panels.chain(of_annotations).collect()
    }

    /// Its variables, in the order in which they stand at the top.
    pub fn variables(&self) -> Vec<Variable<'_>> {
        let all = list(&self.json["templating"]["list"]);
        all.filter(|json| !is_constant(json))
            .map(|json| Variable {
                name: text(&json["name"]),
                query: text(&json["query"]["query"]),
            })
            .collect()
    }

    /// An error at `pointer`.
    pub(super) fn error(
        &self,
        id: &'static str,
        pointer: &str,
        found: impl Into<String>,
    ) -> Finding {
        let line = self.is_normal.then(|| form::line(&self.json, pointer));
        Finding::error(id, found).at(&self.file, line)
    }

    /// An error of a panel.
    pub(super) fn panel_error(
        &self,
        id: &'static str,
        panel: Panel<'_>,
        found: impl Into<String>,
    ) -> Finding {
        let pointer = match panel.json.get("title") {
            Some(_) => format!("{}/title", panel.pointer()),
            None => panel.pointer(),
        };
        self.error(id, &pointer, found).about(format!("panel `{}`", panel.title()))
    }
}

impl<'a> Panel<'a> {
    /// Where it stands in the file.
    pub(super) fn pointer(self) -> String {
        format!("/panels/{}", self.index)
    }

    pub(super) fn title(self) -> &'a str {
        text(&self.json["title"])
    }

    pub(super) fn kind(self) -> &'a str {
        text(&self.json["type"])
    }

    pub(super) fn is_row(self) -> bool {
        self.kind() == "row"
    }

    pub(super) fn unit(self) -> &'a str {
        text(&self.json["fieldConfig"]["defaults"]["unit"])
    }
}

/// Whether nothing is asked for the variable's value.
pub(super) fn is_constant(variable: &Value) -> bool {
    variable["type"] == "constant"
}

/// The elements of a list; none where it is missing.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text; empty where it is missing.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
