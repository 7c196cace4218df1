//! Archived logs: every line once, or the gap named, whatever happens to the run and the engine.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::composes::FULL;
use tests::{Site, net};

pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "docker {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A site with its directories, on which containers of the test's own may log.
pub(crate) fn site(name: &str) -> Site {
    let site = Site::new(name, &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    site
}

fn image() -> &'static str {
    if Site::is_offline() { "case-interview-offline/redis:6.2" } else { "redis:6-alpine" }
}

/// Starts a container of the stack that runs `script` as `service`; returns its name.
pub(crate) fn run(site: &Site, service: &str, options: &[&str], script: &str) -> String {
    run_image(site, service, options, image(), script)
}

pub(crate) fn run_image(
    site: &Site,
    service: &str,
    options: &[&str],
    image: &str,
    script: &str,
) -> String {
    let name = format!("{}-{service}", site.project());
    let project = format!("com.docker.compose.project={}", site.project());
    let label = format!("com.docker.compose.service={service}");
    let fixed = ["run", "--detach", "--name", &name, "--label", &project, "--label", &label];
    let program = ["--init", "--entrypoint", "sh", image, "-c", script];
    docker(&[&fixed, options, &program].concat());
    name
}

/// Waits until the engine has this as the last line of the container.
pub(crate) fn until_last(name: &str, line: &str) {
    let last = || docker(&["logs", "--tail", "1", name]);
    net::eventually(&format!("{name} logs {line}"), || last() == line);
}

pub(crate) fn wait(name: &str) {
    docker(&["wait", name]);
}

pub(crate) fn folder(site: &Site, service: &str) -> PathBuf {
    site.data().join("logs/development").join(service)
}

/// What `zstdcat` reads of a service's archive, line by line, the oldest file first.
pub(crate) fn archived(site: &Site, service: &str) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(folder(site, service))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "zst"))
        .collect();
    files.sort();
    let output = Command::new("zstdcat").args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn text(line: &str) -> &str {
    line.splitn(4, ' ').nth(3).unwrap()
}

pub(crate) fn logs(site: &Site, args: &[&str]) -> Vec<String> {
    let run = site.xtask(&[&["logs", "dev", "--json"], args].concat()).succeeds();
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_long_line_is_one_line_and_bytes_stay_as_they_are() {
    let site = site("logs-long");
    let script =
        "head -c 50000 /dev/zero | tr '\\0' x; echo end; echo after; printf 'caf\\303\\251\\n'";
    let writer = run(&site, "writer", &["--log-driver", "local"], script);
    wait(&writer);
    for archive in [false, true] {
        if archive {
            site.xtask(&["rotate-logs", "dev"]).succeeds();
        }
        let lines = logs(&site, &["--grep", "xend|after|café"]);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [50003, 5, 5]);
    }
    assert!(archived(&site, "writer").iter().any(|line| line.contains(" stdout P xxx")));
}

#[test]
fn archive_and_engine_are_read_as_one() {
    let site = site("logs-read");
    let script = "echo a1; sleep 0.05; echo a2; while [ ! -f /tmp/go ]; do sleep 0.05; done; echo a3; exec sleep 600";
    let a = run(&site, "a", &[], script);
    let b = run(
        &site,
        "b",
        &[],
        &script
            .replace('a', "b")
            .replace("sleep 0.05; echo", "sleep 0.1; echo")
            .replace("ebcho", "echo"),
    );
    for (name, last) in [(&a, "a2"), (&b, "b2")] {
        until_last(name, last);
    }
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    docker(&["exec", &a, "touch", "/tmp/go"]);
    until_last(&a, "a3");
    assert_eq!(logs(&site, &["a"]), ["a1", "a2", "a3"]);
    assert_eq!(logs(&site, &["--tail", "1"]), ["b2", "a3"]);
    assert_eq!(logs(&site, &["--grep", "2|3"]).len(), 3);
    assert_eq!(logs(&site, &["--grep", "a3"]), ["a3"]);
    let all = site.xtask(&["logs", "dev", "--json"]).succeeds().stdout;
    let times: Vec<_> = all
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["time"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(times.len() == 5 && times.is_sorted(), "{times:?}");
    assert_eq!(logs(&site, &["--since", &times[4]]), ["a3"]);
    assert_eq!(logs(&site, &["--until", &times[1]]).len(), 1);
    assert_eq!(logs(&site, &["--since", "1h", "--until", &times[4]]).len(), 4);
    site.xtask(&["logs", "dev", "nobody"]).ends_with(2).says("no service `nobody`");
    site.xtask(&["logs", "dev", "--since", "soon"])
        .ends_with(2)
        .says("`soon` is not a time; write 90s");
    site.xtask(&["logs", "dev", "--grep", "("]).ends_with(2).says("is not a regular expression");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn following_shows_what_was_and_what_comes() {
    let site = site("logs-follow");
    let script = "echo 1; while [ ! -f /tmp/go ]; do sleep 0.05; done; seq 2 2000; rm /tmp/go; while [ ! -f /tmp/go ]; do sleep 0.05; done";
    let writer = run(&site, "writer", &[], script);
    until_last(&writer, "1");
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    let mut follower =
        site.command(&["logs", "dev", "-f", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let number = |line: std::io::Result<String>| -> u64 {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["text"].as_str().unwrap().parse().unwrap()
    };
    let first = number(lines.next().unwrap());
    docker(&["exec", &writer, "touch", "/tmp/go"]);
    until_last(&writer, "2000");
    docker(&["exec", &writer, "touch", "/tmp/go"]);
    let rest = lines.map(number);
    let numbers: Vec<_> = std::iter::once(first).chain(rest).collect();
    assert!(follower.wait().unwrap().success());
    assert_eq!(numbers, (1..=2000).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_archived_is_named_and_the_rest_is_archived() {
    let site = site("logs-bad");
    let mute = run(&site, "mute", &["--log-driver", "none"], "echo lost");
    let writer = run(&site, "writer", &[], "seq 1 1000");
    wait(&mute);
    wait(&writer);
    let rotate = || site.xtask(&["rotate-logs", "dev"]);
    rotate().ends_with(1).says("its logging driver is `none`").says("json-file, local or journald");
    assert_eq!(archived(&site, "writer").len(), 1000);
    docker(&["rm", "--volumes", &mute]);

    let cursor = folder(&site, "writer").join("cursor.json");
    for damage in [Some("{"), None] {
        match damage {
            Some(text) => fs::write(&cursor, text).unwrap(),
            None => fs::remove_file(&cursor).unwrap(),
        }
        rotate().succeeds().says("cursor.json").says("read from the archive itself");
        assert_eq!(archived(&site, "writer").len(), 1000, "{damage:?}");
    }
    rotate().succeeds();

    let archive = archive_file(&site);
    let whole = fs::read(&archive).unwrap();
    // A torn frame after a crash of the machine.
    fs::write(&archive, [whole.as_slice(), &whole[..40]].concat()).unwrap();
    rotate().succeeds();
    assert_eq!(fs::read(&archive).unwrap(), whole);
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&archive, &damaged).unwrap();
    let shown = site.xtask(&["logs", "dev"]).ends_with(1);
    shown.says("is damaged").says("parts of the archive could not be read");
    let mut unreadable = whole.clone();
    unreadable[..4].fill(0);
    fs::write(&archive, &unreadable).unwrap();
    let shown = site.xtask(&["logs", "dev"]).ends_with(1);
    shown.says("no frame of ours begins at byte 0").says("could not be read");

    // What is left of it is set aside, never removed.
    let left = &whole[..whole.len() - 5];
    fs::write(&archive, left).unwrap();
    rotate().succeeds().says("it was cut off").says("what is left of it cannot be read");
    assert_eq!(fs::read(archive.with_extension("unreadable")).unwrap(), left);
    rotate().succeeds();
}

fn archive_file(site: &Site) -> PathBuf {
    let mut files =
        fs::read_dir(folder(site, "writer")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "zst")).unwrap()
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn doctor_finds_logs_that_nothing_bounds() {
    let site = site("logs-doctor");
    let endless = "head -c 12000000 /dev/zero >/tmp/endless.log; echo ready; exec sleep 600";
    let unbounded = run(&site, "unbounded", &["--log-opt", "max-size=500g"], endless);
    run(&site, "bounded", &["--log-opt", "max-size=1m"], "exec sleep 600");
    until_last(&unbounded, "ready");
    let doctor = site.xtask(&["doctor", "dev", "--json"]).json();
    let of = |id: &str| -> Vec<String> {
        let findings = doctor["findings"].as_array().unwrap().iter();
        let bad =
            findings.filter(|finding| finding["id"] == id && finding["severity"] == "warning");
        bad.map(|finding| finding["found"].as_str().unwrap().to_owned()).collect()
    };
    let (engine, files) = (of("logs.unbounded"), of("logs.inside"));
    assert!(engine.len() == 1 && engine[0].contains(&unbounded), "{engine:?}");
    assert!(files.len() == 1 && files[0].contains("/tmp/endless.log inside (11 MB)"), "{files:?}");
}

/// Passes connections on to the engine's socket; returns its port.
fn engine_over_tcp() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut to) = (engine, client);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn the_log_of_an_engine_that_is_no_local_socket_is_read_too() {
    let site = site("logs-tcp");
    let writer = run(&site, "writer", &[], "seq 1 5000; echo end >&2");
    wait(&writer);
    let host = format!("tcp://127.0.0.1:{}", engine_over_tcp());
    for args in [&["rotate-logs", "dev"][..], &["logs", "dev", "--tail", "1"]] {
        let output = site.command(args).env("DOCKER_HOST", &host).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(archived(&site, "writer").len(), 5001);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_full_disk_and_a_foreign_folder_lose_nothing() {
    let mut site = site("logs-full");
    let options = ["--log-opt", "max-size=1g"];
    let writer =
        run(&site, "writer", &options, "head -c 6000000 /dev/urandom | od -An -tx1 -w32 -v");
    wait(&writer);
    let path = site.data().join("logs");
    let path = path.to_str().unwrap();
    let mount =
        |args: &[&str]| assert!(Command::new("mount").args(args).status().unwrap().success());
    mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs", path]);
    let full = site.xtask(&["rotate-logs", "dev"]);
    mount(&["-o", "remount,size=64m", path]);
    let room = site.xtask(&["rotate-logs", "dev"]);
    let lines = archived(&site, "writer");
    assert!(Command::new("umount").arg(path).status().unwrap().success());
    full.ends_with(1).says("the disk is full").says("Nothing is lost").says("make room");
    room.succeeds();
    assert_eq!(lines.len(), 6_000_000 / 32);

    let socket = fs::metadata("/var/run/docker.sock").unwrap();
    fs::create_dir_all(path).unwrap();
    site.run_as(12345, std::os::unix::fs::MetadataExt::gid(&socket));
    std::os::unix::fs::chown(path, Some(0), Some(0)).unwrap();
    site.xtask(&["rotate-logs", "dev"]).ends_with(1).says("belongs to another user");
}
