//! Who imports whom: no circle among files, and no import that runs up the code
//! map of docs/ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "it reads the sources alone")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// `backup::set` and the like.
type Module = Vec<String>;
type Imports = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = imports();
    let circles: Vec<_> = imports.keys().filter_map(|start| circle_from(start, &imports)).collect();
    let shortest = circles.iter().min_by_key(|circle| circle.len());
    assert!(shortest.is_none(), "{}", shortest.unwrap().join("\n  imports "));
}

#[test]
fn imports_point_down_the_code_map() {
    let map = code_map();
    let floor = |module: &Module| {
        let floor = map.iter().position(|name| *name == module[0]);
        floor.unwrap_or_else(|| panic!("the code map does not list `{}`", module[0]))
    };
    let mut up = BTreeSet::new();
    for (from, all) in imports().iter().filter(|(from, _)| !from.is_empty()) {
        for to in all.iter().filter(|to| !to.is_empty() && to[0] != from[0]) {
            if floor(to) < floor(from) {
                up.insert(format!("{} imports {}", from.join("::"), to.join("::")));
            }
        }
    }
    assert!(up.is_empty(), "upwards: {up:#?}");
}

/// The way from `start` back to it, if there is one.
fn circle_from(start: &Module, imports: &Imports) -> Option<Vec<String>> {
    let mut came_from = BTreeMap::new();
    let mut next = vec![start];
    while let Some(module) = next.pop() {
        for to in imports.get(module).into_iter().flatten() {
            if to == start {
                let back = std::iter::successors(Some(module), |at| came_from.get(*at).copied());
                let mut way: Vec<_> = back.map(|module| module.join("::")).collect();
                way.reverse();
                way.push(start.join("::"));
                return Some(way);
            }
            if !came_from.contains_key(to) {
                came_from.insert(to, module);
                next.push(to);
            }
        }
    }
    None
}

/// The modules below the crate's root, from the top down.
fn code_map() -> Vec<String> {
    let text = std::fs::read_to_string(source().join("../../docs/ARCHITECTURE.md")).unwrap();
    let map = text.split("## Code map").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut names = Vec::new();
    for cell in map.lines().filter_map(|line| line.strip_prefix("| `xtask/src/")?.split('|').next())
    {
        for name in cell.split('`').filter(|name| !name.trim().is_empty() && *name != ", ") {
            names.push(name.trim_end_matches('/').trim_end_matches(".rs").to_owned());
        }
    }
    names
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn imports() -> Imports {
    let files: BTreeMap<Module, String> = xtask::host::files::below(&source())
        .unwrap()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .filter(|file| !file.ends_with("tests.rs"))
        .map(|file| (module_of(&file), code_of(&file)))
        .collect();
    let known: BTreeSet<_> = files.keys().cloned().collect();
    let imports_of = |(module, code): (&Module, &String)| {
        let paths = paths_in(code).into_iter().filter_map(|path| absolute(&path, module));
        let targets = paths.filter_map(|path| nearest(&path, &known));
        // A file and the folder of its name are one thing: it may hand on what its parts have.
        (module.clone(), targets.filter(|target| !target.starts_with(module)).collect())
    };
    files.iter().map(imports_of).collect()
}

/// `src/backup/set.rs` as `backup::set`; the crate's root has no name.
fn module_of(file: &Path) -> Module {
    let name = file.strip_prefix(source()).unwrap().with_extension("");
    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts == ["lib"] { Vec::new() } else { parts }
}

/// Without tests and comments.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.filter(|line| !line.trim_start().starts_with("mod ")).collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate`, `super` or `self`, groups in braces taken apart.
fn paths_in(code: &str) -> Vec<Module> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::", "xtask::"] {
        for (at, _) in code.match_indices(start) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if !code[..at].ends_with(is_word) {
                take_path(&code[at..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Adds what `text` begins with to `paths`, below `prefix`; returns what follows.
fn take_path<'a>(mut text: &'a str, prefix: &mut Module, paths: &mut Vec<Module>) -> &'a str {
    let depth = prefix.len();
    loop {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        prefix.push(text[..end].to_owned());
        text = &text[end..];
        let Some(rest) = text.strip_prefix("::") else { break };
        if let Some(mut group) = rest.strip_prefix('{') {
            while !group.trim_start().starts_with('}') && !group.is_empty() {
                group = take_path(group.trim_start(), prefix, paths).trim_start();
                group = group.strip_prefix(',').unwrap_or(group);
            }
            prefix.truncate(depth);
            return group.trim_start().strip_prefix('}').unwrap_or(group);
        }
        text = rest;
    }
    paths.push(prefix.clone());
    prefix.truncate(depth);
    // `as name` within a group.
    text.find([',', '}']).map_or(text, |end| if depth > 0 { &text[end..] } else { text })
}

/// From the crate's root.
fn absolute(path: &Module, of: &Module) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" | "xtask" => Vec::new(),
        "self" => of.clone(),
        "super" => of[..of.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    let mut rest = rest;
    while let Some((part, others)) = rest.split_first().filter(|(part, _)| *part == "super") {
        debug_assert_eq!(part, "super");
        base.pop()?;
        rest = others;
    }
    base.extend(rest.iter().filter(|part| *part != "self").cloned());
    Some(base)
}

/// The file that has what `path` names.
fn nearest(path: &Module, known: &BTreeSet<Module>) -> Option<Module> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|path| known.contains(path))
}
