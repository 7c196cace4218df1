//! The alert rules: does a mistake in one go unnoticed?

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tests::composes::FULL;
use tests::mutants::{self, Mutant};
use tests::{Random, Site, is_long, root, seed};

/// Containers that run promtool side by side.
const AT_ONCE: usize = 2;

/// How promtool's cases took a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A case failed.
    Killed,
    /// Every case passed.
    Survived,
    /// Prometheus would not load it.
    Refused,
}

/// One of each: a threshold that is not the promised one, a missing runbook, one that does not say
/// what to do, an alert without cases, a text that no phone shows.
#[test]
fn what_an_alert_lacks_is_named() {
    let site = Site::new("lacking", &[FULL[1]]);
    let prometheus = site.monitoring().folder().join("prometheus");
    let replace = |path: &Path, old: &str, new: &str| {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(path, text.replace(old, new)).unwrap();
    };
    replace(&prometheus.join("rules/api.yml"), "> 0.2", "> 0.25");
    replace(&prometheus.join("rules/api.yml"), "The API fails", &"The API fails. ".repeat(5));
    replace(&prometheus.join("tests/databases.yml"), "RedisDown: fires", "RedisDown: burns");
    let runbooks = site.root().join("docs/runbooks");
    fs::remove_file(runbooks.join("PostgresDown.md")).unwrap();
    replace(&runbooks.join("RedisDown.md"), "## Do\n", "## Hope\n");
    let found = site.xtask_without_engine(&["check", "--json"]).ends_with(1).json();
    assert_eq!(found["schema"], "xtask.check/v1");
    for (id, alert, words) in [
        ("rules.stated", "ApiLatencyHigh", ""),
        ("rules.complete", "ApiErrorRateHigh", "summary has 74 characters"),
        ("rules.complete", "PostgresDown", "has no runbook docs/runbooks/PostgresDown.md"),
        ("rules.complete", "RedisDown", "its runbook has no `## Do`"),
        ("rules.cases", "RedisDown", "no case shows that it does so"),
    ] {
        let mut findings = found["findings"].as_array().unwrap().iter();
        let named = findings.any(|finding| {
            let text = finding["found"].as_str().unwrap();
            finding["id"] == id
                && finding["severity"] == "error"
                && finding["subject"] == alert
                && text.contains(words)
        });
        assert!(named, "{id} {alert} {words}: {found:#}");
    }
}

/// Only what a change can have changed is asked of promtool again; what failed is asked each time.
#[test]
fn what_passed_is_not_asked_again_until_its_files_change() {
    let site = Site::new("kept", &[FULL[1]]);
    let rules = site.monitoring().folder().join("prometheus/rules/api.yml");
    let text = fs::read_to_string(&rules).unwrap();
    let check = || site.xtask(&["check", "rules.promtool"]);
    let as_before = "(as before: nothing that it reads has changed)";
    let first = check().succeeds();
    assert!(!first.stdout.contains("as before"), "{}", first.stdout);
    let again = check().succeeds();
    assert_eq!(again.stdout.matches(as_before).count(), 3, "{}", again.stdout);

    fs::write(&rules, text.replace("for: 5m", "for: 9m")).unwrap();
    for _ in 0..2 {
        let failed = check().ends_with(1);
        assert!(failed.stdout.contains("tests/api.yml"), "{}", failed.stdout);
    }
    fs::write(&rules, format!("{text}# A change of words.\n")).unwrap();
    let after = check().succeeds();
    let cases = format!("; 14 of 15 files {as_before}");
    assert!(after.stdout.contains(&cases), "{}", after.stdout);
}

/// With `--long` every mistake in every rule, else one in each; with `XTASK_TEST_RULES=api.yml`
/// every one in that file.
#[test]
fn no_mistake_in_a_rule_goes_unnoticed() {
    let mutants =
        mutants::of_every_rule(&root().join("infrastructure/docker/monitoring/prometheus"));
    let chosen = match std::env::var("XTASK_TEST_RULES") {
        Ok(file) => mutants.into_iter().filter(|mutant| mutant.rule.starts_with(&file)).collect(),
        Err(_) if is_long() => mutants,
        Err(_) => one_of_each_rule(mutants),
    };
    assert!(!chosen.is_empty());
    let fates = fates(&chosen);

    let count = |fate| fates.iter().filter(|found| **found == fate).count();
    let of = |wanted, is_control: bool| {
        let pairs = chosen.iter().zip(&fates);
        let found = pairs.filter(move |(mutant, fate)| {
            **fate == wanted && mutant.mistake.is_none() == is_control
        });
        found.map(|(mutant, _)| {
            format!("{}: {}", mutant.rule, mutant.mistake.as_deref().unwrap_or("nothing changed"))
        })
    };
    let sound: Vec<_> = of(Fate::Killed, true).chain(of(Fate::Refused, true)).collect();
    assert!(sound.is_empty(), "cases fail without a mistake:\n{}", sound.join("\n"));
    let survivors: Vec<_> = of(Fate::Survived, false).collect();
    let summary = format!(
        "mutants of the alert rules: {} killed, {} survived, {} that Prometheus refuses",
        count(Fate::Killed),
        survivors.len(),
        count(Fate::Refused)
    );
    // Past the capture of a test that passes.
    let _ = writeln!(std::io::stdout(), "{summary}");
    assert!(survivors.is_empty(), "{summary}\n{}", survivors.join("\n"));
}

/// Of each rule one mistake, chosen by the seed. That the cases pass without one, `check` has seen.
fn one_of_each_rule(mutants: Vec<Mutant>) -> Vec<Mutant> {
    let mut random = Random(seed());
    let mut chosen = Vec::new();
    let mut rest = mutants.into_iter().peekable();
    while rest.next().is_some() {
        let mut mistakes = Vec::new();
        while let Some(mutant) = rest.next_if(|mutant| mutant.mistake.is_some()) {
            mistakes.push(mutant);
        }
        if !mistakes.is_empty() {
            let index = random.below(mistakes.len() as u64);
            chosen.push(mistakes.swap_remove(usize::try_from(index).unwrap()));
        }
    }
    chosen
}

fn fates(mutants: &[Mutant]) -> Vec<Fate> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (index, mutant) in mutants.iter().enumerate() {
        mutant.write(&folder.path().join(index.to_string()));
    }
    let open = Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status();
    assert!(open.expect("chmod runs").success());
    let parts: Vec<String> = std::thread::scope(|scope| {
        let run = |part| {
            let folder = folder.path();
            scope.spawn(move || promtool(folder, part))
        };
        let running: Vec<_> = (0..AT_ONCE).map(run).collect();
        running.into_iter().map(|part| part.join().expect("promtool runs")).collect()
    });
    let mut fates = vec![None; mutants.len()];
    for line in parts.iter().flat_map(|part| part.lines()) {
        let (index, word) = line.split_once(' ').expect("a number and a word");
        fates[index.parse::<usize>().expect("a number")] = Some(match word {
            "killed" => Fate::Killed,
            "survived" => Fate::Survived,
            "refused" => Fate::Refused,
            other => panic!("`{other}`"),
        });
    }
    fates.into_iter().map(|fate| fate.expect("every mutant was tried")).collect()
}

/// Tries every mutant in `folder` whose number leaves `part` when divided, and says how it went.
fn promtool(folder: &Path, part: usize) -> String {
    let script = format!(
        "for mutant in *; do
            [ $((mutant % {AT_ONCE})) = {part} ] || continue
            fate=survived
            for case in $mutant/case-*.yml; do
                said=$(promtool test rules $case 2>&1) && continue
                fate=killed
                case $said in *'could not parse expression'*) fate=refused ;; esac
                break
            done
            echo $mutant $fate
        done"
    );
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--workdir", "/mutants", "--entrypoint", "sh"])
        .arg("--volume")
        .arg(format!("{}:/mutants:ro", fs::canonicalize(folder).unwrap().display()))
        .args([&Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0"), "-c", &script])
        .output()
        .expect("docker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
