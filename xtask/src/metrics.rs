//! What the infrastructure says of itself, for node-exporter's textfile collector.

pub mod infrastructure;
pub mod wanted;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::Path;

use anyhow::Result;

use crate::host::files::write_atomically;

/// Begins the name of every metric.
const PREFIX: &str = "case_interview_";

/// Where pages lie below DATA_DIR.
pub const FOLDER: &str = "metrics";

/// Whether there is a page of `what`.
pub fn is_written(data_dir: &Path, what: &str) -> bool {
    data_dir.join(FOLDER).join(format!("{what}.prom")).exists()
}

/// One file of metrics, in the text format of Prometheus
/// (prometheus.io/docs/instrumenting/exposition_formats).
#[derive(Debug, Default)]
pub struct Page(BTreeMap<String, Family>);

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    samples: Vec<String>,
}

impl Page {
    /// Adds a value that goes up and down. The name goes without its beginning.
    pub fn gauge(
        &mut self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        self.add("gauge", name, help, labels, value);
    }

    /// Adds a value that only goes up.
    pub fn counter(
        &mut self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        self.add("counter", name, help, labels, value);
    }

    fn add(
        &mut self,
        kind: &'static str,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        let name = format!("{PREFIX}{name}");
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let sample = format!("{name}{{{}}} {value}", labels.join(","));
        let new = || Family { help, kind, samples: Vec::new() };
        self.0.entry(name).or_insert_with(new).samples.push(sample);
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, kind, samples }) in &self.0 {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for sample in samples {
                let _ = writeln!(text, "{sample}");
            }
        }
        text
    }

    /// Replaces the file `<what>.prom` in `folder`; the collector never sees half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path, what: &str) -> Result<()> {
        write_atomically(&folder.join(format!("{what}.prom")), self.text().as_bytes(), 0o644)
    }
}

/// A label's value between its quotes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_label_is_read_as_it_was() {
        crate::garble::text(|text| {
            let mut signs = escape(text).chars().collect::<Vec<_>>().into_iter();
            let mut read = String::new();
            while let Some(sign) = signs.next() {
                assert!(!matches!(sign, '"' | '\n'), "{text:?}");
                read.push(match sign {
                    '\\' => match signs.next().unwrap() {
                        'n' => '\n',
                        other => other,
                    },
                    sign => sign,
                });
            }
            assert_eq!(read, text);
        });
    }

    #[test]
    fn a_page_reads_as_prometheus_reads_it() {
        let mut page = Page::default();
        page.gauge("b_bytes", "B.", &[("x", "a\"b\\"), ("y", "1")], 2);
        page.counter("a_total", "A.", &[], 1);
        page.gauge("b_bytes", "B.", &[], 3);
        let expected = "# HELP case_interview_a_total A.\n# TYPE case_interview_a_total counter\ncase_interview_a_total{} 1\n# HELP case_interview_b_bytes B.\n# TYPE case_interview_b_bytes gauge\ncase_interview_b_bytes{x=\"a\\\"b\\\\\",y=\"1\"} 2\ncase_interview_b_bytes{} 3\n";
        assert_eq!(page.text(), expected);
    }
}
