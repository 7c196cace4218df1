//! Jobs as systemd timers (systemd.service(5), systemd.timer(5)).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::home::Home;
use crate::host::files::read_text;
use crate::host::user;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::stack::job::Job;

/// Whether systemd is what runs this machine (sd_booted(3)).
pub fn runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Where units go: the system's for root, the user's own otherwise.
///
/// # Errors
/// When we have no home directory.
pub fn folder() -> Result<PathBuf> {
    if user::is_root() {
        return Ok("/etc/systemd/system".into());
    }
    let configured = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let base = configured.or_else(home).context("looking for the home directory")?;
    Ok(base.join("systemd/user"))
}

fn systemctl() -> Cmd {
    let cmd = Cmd::new("systemctl");
    if user::is_root() { cmd } else { cmd.arg("--user") }
}

/// The files of a job, by their names.
pub fn units(home: &Home, job: &Job, environment: &[(String, String)]) -> [(String, String); 2] {
    let name = format!("{}-{}", home.name, job.name);
    let command: Vec<_> = home.command(&job.name).iter().map(|word| argument(word)).collect();
    // The user's own systemd runs everything as the user already.
    let user = if user::is_root() && home.owner.uid != 0 {
        format!("User={}\nGroup={}\n", home.owner.uid, home.owner.gid)
    } else {
        String::new()
    };
    let environment: String = environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quote(&format!("{name}={value}"))))
        .collect();
    let service = format!(
        "[Unit]\nDescription=Case Interview infrastructure: {}\nRequiresMountsFor={}\n\n[Service]\nType=oneshot\n{user}WorkingDirectory={}\n{environment}ExecStart={}\nNice=10\nIOSchedulingPriority=7\n",
        job.name,
        quote(&home.data_dir.to_string_lossy()),
        whole_line(&home.repository.to_string_lossy()),
        command.join(" "),
    );
    let timer = format!(
        "[Unit]\nDescription=Case Interview infrastructure: {}, {job}\n\n[Timer]\nOnCalendar={}\nRandomizedDelaySec={}min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
        job.name,
        job.calendar(),
        job.jitter,
    );
    [(format!("{name}.service"), service), (format!("{name}.timer"), timer)]
}

/// A word of a setting that is a list of words (systemd.syntax(7), "Quoting"): in quotes, since
/// paths may have spaces. `%` would be replaced (systemd.unit(5), "Specifiers"), and a line break
/// would begin another setting.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for c in word.chars() {
        match c {
            '%' => quoted.push_str("%%"),
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// As [`quote`], of a command line, in which `$` is replaced too (systemd.service(5)).
fn argument(word: &str) -> String {
    quote(word).replace('$', "$$")
}

/// A path that is a whole setting, which takes no quotes.
fn whole_line(path: &str) -> String {
    path.replace('%', "%%")
}

/// What has the jobs run from now on, and no others.
///
/// # Errors
/// When the folder of units cannot be read.
pub fn install(home: &Home, jobs: &[Job], environment: &[(String, String)]) -> Result<Plan> {
    let mut plan = Plan::new();
    let folder = folder()?;
    let mut wanted = Vec::new();
    for (name, text) in jobs.iter().flat_map(|job| units(home, job, environment)) {
        let path = folder.join(&name);
        if read_text(&path).ok().as_ref() != Some(&text) {
            if plan.is_empty() && !folder.is_dir() {
                let what = format!("make {}", folder.display());
                plan.make_directory(what, folder.clone(), user::owner(), 0o755);
            }
            plan.write_openly(format!("write {}", path.display()), path, text, 0o644);
        }
        wanted.push(name);
    }
    let stale = installed(home)?.into_iter().filter(|name| !wanted.contains(name)).collect();
    plan.append(removal(&folder, stale));
    let timers: Vec<_> = wanted.into_iter().filter(|name| name.ends_with(".timer")).collect();
    let inactive = timers.iter().any(|timer| {
        systemctl()
            .args(["is-active", "--quiet", timer])
            .output()
            .map_or(true, |output| !output.success())
    });
    if !plan.is_empty() {
        plan.run("have systemd read its units", systemctl().arg("daemon-reload"));
    }
    if !plan.is_empty() || inactive {
        let enable = systemctl().args(["enable", "--now"]).args(timers);
        plan.run("start the timers", enable);
    }
    Ok(plan)
}

/// What takes the jobs away again.
///
/// # Errors
/// As [`install`].
pub fn remove(home: &Home) -> Result<Plan> {
    let units = installed(home)?;
    let mut plan = removal(&folder()?, units);
    if !plan.is_empty() {
        plan.run("have systemd read its units", systemctl().arg("daemon-reload"));
    }
    Ok(plan)
}

fn removal(folder: &Path, units: Vec<String>) -> Plan {
    let mut plan = Plan::new();
    if units.is_empty() {
        return plan;
    }
    let timers: Vec<_> = units.iter().filter(|name| name.ends_with(".timer")).collect();
    if !timers.is_empty() {
        plan.try_run("stop the timers", systemctl().args(["disable", "--now"]).args(timers));
    }
    let paths = units.iter().map(|name| folder.join(name));
    plan.run(format!("remove {}", units.join(", ")), Cmd::new("rm").args(["-f", "--"]).args(paths));
    plan
}

/// The units of ours that are there.
///
/// # Errors
/// When the folder of units cannot be read.
pub fn installed(home: &Home) -> Result<Vec<String>> {
    let folder = folder()?;
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let is_ours = |name: &String| {
        let job = name.strip_prefix(&format!("{}-", home.name));
        let is_unit = name.ends_with(".service") || name.ends_with(".timer");
        // Another copy's name may begin like ours; its program is another.
        let text = || read_text(&folder.join(name.replace(".timer", ".service")));
        job.is_some()
            && is_unit
            && text().is_ok_and(|text| text.contains(&quote(&home.program().to_string_lossy())))
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(is_ours).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One word as systemd reads it: quotes, then escapes of C, then specifiers.
    fn read(word: &str) -> String {
        assert!(!word.contains('\n'), "{word:?}");
        let inner = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word);
        let (mut text, mut signs) = (String::new(), inner.chars());
        while let Some(sign) = signs.next() {
            assert_ne!(sign, '"', "{word}");
            text.push(match sign {
                '\\' => match signs.next().unwrap() {
                    'x' => {
                        let digits: String = signs.by_ref().take(2).collect();
                        char::from(u8::from_str_radix(&digits, 16).unwrap())
                    }
                    other => other,
                },
                '%' => signs.next().filter(|next| *next == '%').unwrap(),
                sign => sign,
            });
        }
        text
    }

    #[test]
    fn every_word_is_read_as_it_was() {
        crate::garble::text(|text| {
            assert_eq!(read(&quote(text)), text);
            let argument = argument(text);
            assert_eq!(argument.matches('$').count(), 2 * text.matches('$').count());
            assert_eq!(read(&argument.replace("$$", "$")), text);
        });
    }
}
