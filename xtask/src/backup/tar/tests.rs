//! What other programs write, and what none of them would.

use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// Every archive of the stream, each with an end; read by so many bytes at once.
fn archives(stream: &[u8], by: usize) -> Result<Vec<Vec<u8>>> {
    let mut archive = Archive::new(Slowly(stream, by), MODES);
    let mut all = Vec::new();
    loop {
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes)?;
        bytes.extend(END);
        all.push(bytes);
        if !archive.go_on()? {
            return Ok(all);
        }
    }
}

fn one(stream: &[u8]) -> Result<Vec<u8>> {
    let [archive] = <[_; 1]>::try_from(archives(stream, 1 << 20)?).expect("one archive");
    Ok(archive)
}

/// Hands over a few bytes at a time, as a pipe may.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let now = into.len().min(self.1).min(self.0.len());
        into[..now].copy_from_slice(&self.0[..now]);
        self.0 = &self.0[now..];
        Ok(now)
    }
}

fn tar(args: &[&str], folder: &Path, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("tar")
        .args(args)
        .arg("--directory")
        .arg(folder)
        .args(["--file=-"])
        .args(args.contains(&"--create").then_some("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || io::Write::write_all(&mut stdin, &input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output.stdout
}

fn entry(name: &str, kind: u8, bytes: usize) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{bytes:011o}").as_bytes());
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    sealed(block)
}

fn sealed(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[test]
fn what_tar_writes_in_each_format_comes_back_in_chunks_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a".repeat(70)).join("b".repeat(70));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("c".repeat(70)), vec![7; 1300]).unwrap();
    std::fs::write(folder.path().join("line\nbreak"), "").unwrap();
    for format in ["gnu", "ustar", "pax"] {
        let stream = tar(&["--create", &format!("--format={format}")], folder.path(), &[]);
        for by in [1, 511, 512, 513, 1 << 20] {
            let archives = archives(&stream, by).unwrap();
            let to = tempfile::tempdir().unwrap();
            tar(&["--extract"], to.path(), &archives[0]);
            let same = Command::new("diff").arg("-r").args([folder.path(), to.path()]).status();
            assert!(same.unwrap().success(), "{format} by {by}");
        }
        assert!(one(&stream[..2 * BLOCK]).is_err());
    }
}

#[test]
fn archives_in_one_stream_are_told_apart_and_joined_again() {
    let member = |name, bytes| {
        [entry(name, b'0', bytes), padded(vec![b'x'; bytes]), vec![0; 9 * BLOCK]].concat()
    };
    let both = [member("one", 3000), member("two", 0)].concat();
    let archives = archives(&both, 700).unwrap();
    assert_eq!(archives.len(), 2);
    let members = |archive: &[u8]| archive[..archive.len() - END.len()].to_vec();
    let joined = [members(&archives[0]), members(&archives[1]), END.to_vec()].concat();
    let listed = tar(&["--list"], Path::new("."), &joined);
    assert_eq!(String::from_utf8(listed).unwrap(), "one\ntwo\n");
}

#[test]
fn every_archive_that_pg_basebackup_writes_is_taken_and_padded() {
    for bytes in [131, 512, 1, 511, 513, 3 * 512 + 300, 140_000] {
        let manifest: Vec<u8> = (0..bytes).map(|at| b'0' + (at % 10) as u8).collect();
        let before = [entry("PG_VERSION", b'0', 3), padded(b"14\n".to_vec())].concat();
        let header = entry("backup_manifest", b'0', bytes);
        // 15 and later pad the manifest; before, it was followed by the two empty blocks.
        for manifest_as_written in [padded(manifest.clone()), manifest.clone()] {
            let stream = [&before[..], &header, &manifest_as_written, &END].concat();
            let stored = one(&stream).unwrap();
            assert_eq!(stored.len() % BLOCK, 0);
            let to = tempfile::tempdir().unwrap();
            tar(&["--extract"], to.path(), &stored);
            assert_eq!(std::fs::read(to.path().join("backup_manifest")).unwrap(), manifest);
            for cut in 1..bytes % BLOCK {
                let cut = &stream[..stream.len() - cut];
                assert!(
                    one(cut).is_err() || manifest_as_written.len() % BLOCK == 0,
                    "{bytes} bytes, cut to {}",
                    cut.len()
                );
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_is_no_archive() {
    let stream = [entry("one", b'0', 3000), padded(vec![b'x'; 3000]), END.to_vec()].concat();
    assert!(one(&stream).is_ok());
    for cut in [0, 1, 511, 512, 700, 3512, 3584, 3585, 4096, 4500, 4607] {
        assert!(one(&stream[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn an_entry_that_leads_outside_or_is_no_file_is_refused() {
    for (name, kind, fits) in [
        ("base/1/2", b'0', true),
        ("./a..b/", b'5', true),
        ("/etc/passwd", b'0', false),
        ("a/../../b", b'0', false),
        ("..", b'5', false),
        ("directory/", b'0', false),
        ("./", b'0', false),
        ("link", b'2', false),
        ("hard", b'1', false),
        ("disk", b'4', false),
        ("tty", b'3', false),
        ("fifo", b'6', false),
        ("sparse", b'S', false),
        ("global", b'g', false),
    ] {
        let archive = [entry(name, kind, 0), END.to_vec()].concat();
        assert_eq!(one(&archive).is_ok(), fits, "{name} {kind}");
    }
    let after = [END.to_vec(), entry("a", b'0', 0)].concat();
    assert!(archives(&[&after[BLOCK..]].concat(), 512).is_err(), "after the end");
    let mut damaged = entry("a", b'0', 0);
    damaged[3] ^= 1;
    assert!(one(&[damaged, END.to_vec()].concat()).is_err(), "damaged");
}

#[test]
fn what_one_tar_sees_and_another_does_not_reaches_none() {
    let long = |name: &[u8]| [entry("long", b'L', name.len()), padded(name.to_vec())].concat();
    let records =
        |text: &str| [entry("pax", b'x', text.len()), padded(text.as_bytes().to_vec())].concat();
    let file = |name| entry(name, b'0', 0);
    let mut prefix = file("name");
    prefix[257..265].copy_from_slice(b"ustar  \0");
    prefix[345..350].copy_from_slice(b"/etc\0");
    let two = [long(b"one\0"), long(b"two\0"), file("x")].concat();
    for (what, headers, name) in [
        ("bytes behind a NUL", [long(b"fine\0/../../out\0"), file("x")].concat(), None),
        ("a long name outside", [long(b"../../outside\0"), file("x")].concat(), None),
        ("two long names", two, None),
        ("both kinds", [long(b"a\0"), records("9 path=b\n"), file("x")].concat(), None),
        ("a NUL in a record", [records("11 path=a\0b\n"), file("x")].concat(), None),
        ("a record without an end", [records("9 path=bx"), file("x")].concat(), None),
        // busybox knows no records, and takes a prefix in GNU's headers for part of the name.
        ("a record", [records("9 path=b\n"), file("/out")].concat(), Some("b\n")),
        ("GNU's header with a prefix", sealed(prefix), Some("name\n")),
    ] {
        let stored = one(&[headers, END.to_vec()].concat());
        let listed = stored.ok().map(|stored| tar(&["--list"], Path::new("."), &stored));
        assert_eq!(listed.as_deref(), name.map(str::as_bytes), "{what}");
    }
    // Of a size in a record busybox takes the header's instead: what it reads as contents of
    // the next members is a member to others.
    let inner = [file("inner"), vec![0; BLOCK]].concat();
    let sized = [records("13 size=1024\n"), file("outer"), inner, END.to_vec()].concat();
    let stored = one(&sized).unwrap();
    assert_eq!(stored[124..136], *b"00000002000\0");
    assert_eq!(tar(&["--list"], Path::new("."), &stored), b"outer\n");
}

#[test]
fn nothing_gets_anothers_rights() {
    let mut set_id = entry("program", b'0', 0);
    set_id[100..108].copy_from_slice(b"0007777\0");
    let stored = one(&[sealed(set_id), END.to_vec()].concat()).unwrap();
    assert_eq!(stored[100..108], *b"0000777\0");
}
