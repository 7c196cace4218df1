//! Rules with one mistake each, to see whether the promtool cases notice.

mod promql;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use yaml_serde::{Mapping, Value};

/// A rule with a mistake, and the cases that should notice.
#[derive(Debug)]
pub struct Mutant {
    /// The rule's file and name, such as `api.yml ApiLatencyHigh`.
    pub rule: String,
    /// The mistake; none in the control, which every case must pass.
    pub mistake: Option<String>,
    rules: Value,
    cases: Vec<Value>,
}

impl Mutant {
    /// Writes `rules.yml` and `case-N.yml` into `folder`.
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        let write = |name: String, value: &Value| {
            fs::write(folder.join(name), yaml_serde::to_string(value).expect("YAML"))
                .expect("a file");
        };
        write("rules.yml".to_owned(), &self.rules);
        for (index, case) in self.cases.iter().enumerate() {
            write(format!("case-{index}.yml"), case);
        }
    }
}

/// For every rule below `prometheus/rules/` a control and all its mutants, in the order of the files.
pub fn of_every_rule(prometheus: &Path) -> Vec<Mutant> {
    let cases: Vec<_> = yaml_files(&prometheus.join("tests"));
    let mut mutants = Vec::new();
    for (file, rules) in yaml_files(&prometheus.join("rules")) {
        let cases: Vec<_> = cases.iter().filter(|(_, case)| reads(case, &file)).collect();
        for (group, index) in positions(&rules) {
            let rule = &rules["groups"][group]["rules"][index];
            let affected = affected(&rules, &name(rule));
            let title = format!("{file} {}", name(rule));
            let pruned: Vec<_> =
                cases.iter().filter_map(|(_, case)| pruned_cases(case, &affected)).collect();
            let changed = std::iter::once((None, rule.clone()))
                .chain(mistakes(rule).into_iter().map(|(what, rule)| (Some(what), rule)));
            mutants.extend(changed.map(|(mistake, rule)| Mutant {
                rule: title.clone(),
                mistake,
                rules: pruned_rules(&rules, (group, index), rule, &affected),
                cases: pruned.clone(),
            }));
        }
    }
    mutants
}

fn yaml_files(folder: &Path) -> Vec<(String, Value)> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a file");
            let mut value: Value = yaml_serde::from_str(&text).expect("YAML");
            value.apply_merge().expect("merge keys");
            (name, value)
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

/// Whether these cases are about the rules in `file`.
fn reads(case: &Value, file: &str) -> bool {
    let files = case["rule_files"].as_sequence().expect("rule_files");
    files.iter().any(|path| path.as_str().is_some_and(|path| path.ends_with(&format!("/{file}"))))
}

fn positions(rules: &Value) -> Vec<(usize, usize)> {
    let groups = rules["groups"].as_sequence().expect("groups");
    let count = |group: &Value| group["rules"].as_sequence().expect("rules").len();
    groups
        .iter()
        .enumerate()
        .flat_map(|(g, group)| (0..count(group)).map(move |r| (g, r)))
        .collect()
}

fn name(rule: &Value) -> String {
    let name = rule.get("alert").or_else(|| rule.get("record")).and_then(Value::as_str);
    name.expect("a rule has a name").to_owned()
}

fn expr(rule: &Value) -> &str {
    rule["expr"].as_str().expect("a rule has an expression")
}

fn all_rules(rules: &Value) -> impl Iterator<Item = &Value> {
    let groups = rules["groups"].as_sequence().expect("groups").iter();
    groups.flat_map(|group| group["rules"].as_sequence().expect("rules"))
}

/// The rule called `origin` and all that is computed from it.
fn affected(rules: &Value, origin: &str) -> BTreeSet<String> {
    closure(origin, |names| {
        let uses = |rule: &&Value| names.iter().any(|name| promql::mentions(expr(rule), name));
        all_rules(rules).filter(uses).map(name).collect()
    })
}

/// What the rules called `names` are computed from, and themselves.
fn needed(rules: &Value, names: &BTreeSet<String>) -> BTreeSet<String> {
    let one = |origin: &String| {
        closure(origin, |names| {
            let chosen = all_rules(rules).filter(|rule| names.contains(&name(rule)));
            let used = |rule: &Value| {
                let expr = expr(rule).to_owned();
                all_rules(rules).map(name).filter(move |name| promql::mentions(&expr, name))
            };
            chosen.flat_map(used).collect()
        })
    };
    names.iter().flat_map(one).collect()
}

fn closure(origin: &str, step: impl Fn(&BTreeSet<String>) -> BTreeSet<String>) -> BTreeSet<String> {
    let mut names = BTreeSet::from([origin.to_owned()]);
    loop {
        let before = names.len();
        let more = step(&names);
        names.extend(more);
        if names.len() == before {
            return names;
        }
    }
}

/// The rules with one replaced, without those that neither matter to it nor depend on it.
fn pruned_rules(
    rules: &Value,
    (group, index): (usize, usize),
    replacement: Value,
    affected: &BTreeSet<String>,
) -> Value {
    let needed = needed(rules, affected);
    let mut rules = rules.clone();
    rules["groups"][group]["rules"][index] = replacement;
    for group in rules["groups"].as_sequence_mut().expect("groups") {
        let kept = group["rules"].as_sequence_mut().expect("rules");
        kept.retain(|rule| needed.contains(&name(rule)));
    }
    let groups = rules["groups"].as_sequence_mut().expect("groups");
    groups.retain(|group| !group["rules"].as_sequence().expect("rules").is_empty());
    rules
}

/// The cases that speak of an affected rule; none where there is no such.
fn pruned_cases(case: &Value, affected: &BTreeSet<String>) -> Option<Value> {
    let mut case = case.clone();
    case["rule_files"] = Value::Sequence(vec!["rules.yml".into()]);
    let tests = case["tests"].as_sequence_mut().expect("tests");
    for test in tests.iter_mut() {
        let test = test.as_mapping_mut().expect("a test");
        keep(test, "alert_rule_test", |one| {
            one["alertname"].as_str().is_some_and(|name| affected.contains(name))
        });
        keep(test, "promql_expr_test", |one| {
            let expr = one["expr"].as_str().expect("an expression");
            affected.iter().any(|name| promql::mentions(expr, name))
        });
    }
    let is_empty = |test: &Value| {
        ["alert_rule_test", "promql_expr_test"].iter().all(|kind| test.get(kind).is_none())
    };
    tests.retain(|test| !is_empty(test));
    (!tests.is_empty()).then_some(case)
}

fn keep(test: &mut Mapping, kind: &str, is_kept: impl Fn(&Value) -> bool) {
    if let Some(Value::Sequence(list)) = test.get_mut(kind) {
        list.retain(is_kept);
        if list.is_empty() {
            test.remove(kind);
        }
    }
}

/// The rule with one mistake at a time, and what the mistake is.
fn mistakes(rule: &Value) -> Vec<(String, Value)> {
    let mut mistakes = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut Mapping)| {
        let mut changed = rule.clone();
        change(changed.as_mapping_mut().expect("a rule"));
        mistakes.push((what, changed));
    };
    for (what, expr) in promql::mistakes(expr(rule)) {
        add(what, &|rule| {
            rule.insert("expr".into(), expr.clone().into());
        });
    }
    if let Some(wait) = rule.get("for").and_then(Value::as_str) {
        add(format!("`for: {wait}` removed"), &|rule| {
            rule.remove("for");
        });
        for (word, percent) in [("doubled", 200), ("halved", 50)] {
            add(format!("`for: {wait}` {word}"), &|rule| {
                let changed = format!("{}s", seconds(wait) * percent / 100);
                rule.insert("for".into(), changed.into());
            });
        }
    }
    if let Some(labels) = rule.get("labels").and_then(Value::as_mapping) {
        for label in labels.keys().filter_map(Value::as_str) {
            // Emptied, which drops it from the alert; only left out, `service: '{{ $labels.service }}'`
            // would still come from the series.
            add(format!("label `{label}` dropped"), &|rule| {
                let labels = rule.get_mut("labels").and_then(Value::as_mapping_mut);
                labels.expect("labels").insert(label.into(), "".into());
            });
        }
    }
    mistakes
}

fn seconds(wait: &str) -> u64 {
    let (number, unit) = wait.split_at(wait.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("`for: {wait}`"),
    };
    number.parse::<u64>().expect("a number") * unit
}
