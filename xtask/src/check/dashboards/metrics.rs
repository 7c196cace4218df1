//! Every metric that a dashboard or a rule reads is recorded by a rule or listed in docs/. The
//! end-to-end test of the dashboards asks the real exporters whether the list is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::board::Board;
use super::rules::{self, Rules};
use crate::check::promql;
use crate::host::followed;
use crate::report::finding::Finding;

/// The lists. A line of a table that begins with a name in backticks is an entry.
const LISTS: [&str; 3] =
    ["docs/metrics.md", "docs/api-metrics.md", "docs/infrastructure-metrics.md"];

const MEND: &str =
    "correct the name; or add it to docs/metrics.md, once an exporter was seen to have it";

/// The listed metrics, each with its file and line.
#[derive(Debug)]
pub(super) struct Known(BTreeMap<String, (&'static str, usize)>);

impl Known {
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut known = BTreeMap::new();
        for file in LISTS {
            let path = root.join(file);
            let text =
                followed::text(&path).with_context(|| format!("reading {}", path.display()))?;
            for (index, line) in text.lines().enumerate() {
                let name = line.strip_prefix("| `").and_then(|rest| rest.split_once('`'));
                if let Some((name, _)) = name {
                    known.insert(name.to_owned(), (file, index + 1));
                }
            }
        }
        Ok(Self(known))
    }
}

pub(super) fn check(boards: &[Board], rules: &Rules, known: &Known) -> Vec<Finding> {
    let recorded = rules.recorded();
    let mut read: BTreeSet<&str> = BTreeSet::new();
    let mut findings = Vec::new();
    let mut look = |name, place: Finding| {
        read.insert(name);
        if !known.0.contains_key(name) && !recorded.contains(name) {
            findings.push(place);
        }
    };
    let unknown = |name| format!("no exporter is known to have `{name}`");
    let queries = boards
        .iter()
        .flat_map(|board| board.queries().into_iter().map(move |query| (board, query)));
    for (board, query) in queries {
        for name in promql::metrics(query.expression) {
            let finding = board.error("metric.unknown", &query.pointer, unknown(name));
            look(name, finding.about(format!("panel `{}`", query.title)).mend(MEND));
        }
    }
    for (name, rule) in rules.reads() {
        look(name, rules::error(rule, "metric.unknown", unknown(name)).mend(MEND));
    }
    let unused = known.0.iter().filter(|(name, _)| !read.contains(name.as_str()));
    findings.extend(unused.map(|(name, (file, line))| {
        let found = format!("no dashboard and no rule reads `{name}`");
        Finding::error("metric.unused", found).at(*file, Some(*line)).mend("remove it")
    }));
    findings
}
