//! Damage is found, and nothing damaged or hostile is restored.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::composes::FULL;
use tests::{Random, Site, is_long, seed};
use xtask::backup::folder::Folder;
use xtask::backup::object::Keys;
use xtask::backup::origin::{EXTENSION, Trust};
use xtask::backup::verify::{self, Depth};
use xtask::report::finding::Severity;
use xtask::report::{Report, Verbosity};

/// Whether `verify` finds anything wrong.
fn is_found(folder: &Folder, depth: Depth) -> bool {
    let report = Report::new(Verbosity::Quiet, false);
    let (sets, damaged) = folder.sets().unwrap();
    let mut findings = verify::strays(folder, &sets, &damaged).unwrap();
    findings.extend(verify::origins(&sets));
    findings
        .extend(verify::objects(&report, folder, &sets, depth, &Keys::default(), true).unwrap());
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap().flatten().map(|one| one.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_changed_byte_is_found_and_so_is_every_lost_or_exchanged_file() {
    let site = Site::new("flips", &[FULL[1]]);
    site.up();
    site.redis(&["set", "kept", "yes"]);
    let first = site.backup(&["--only", "redis"]);
    site.backup(&[]);
    let ours = [site.signing_key().public().unwrap()].into();
    let folder = Folder::at(site.backups()).believing(Trust { ours, ..Trust::default() });
    assert!(!is_found(&folder, Depth::Deep));
    let mut paths = Vec::new();
    files(&site.backups().join("objects"), &mut paths);
    files(&site.backups().join("sets"), &mut paths);
    let (signatures, paths): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.to_string_lossy().ends_with(EXTENSION));
    assert_eq!((signatures.len(), paths.len()), (2, 7));
    for path in &signatures {
        let whole = fs::read_to_string(path).unwrap();
        for changed in
            [String::new(), whole.replacen("\nRW", "\nRV", 1), whole.replace("file:", "")]
        {
            fs::write(path, changed).unwrap();
            assert!(is_found(&folder, Depth::Quick), "{}", path.display());
        }
        fs::remove_file(path).unwrap();
        assert!(is_found(&folder, Depth::Quick), "{}", path.display());
        fs::write(path, whole).unwrap();
    }

    let mut random = Random(seed());
    let rounds = if is_long() { 5000 } else { 1000 };
    for round in 0..rounds {
        let path = &paths[usize::try_from(random.below(paths.len() as u64)).unwrap()];
        let whole = fs::read(path).unwrap();
        let mut changed = whole.clone();
        let at = usize::try_from(random.below(whole.len() as u64)).unwrap();
        changed[at] ^= 1 << random.below(8);
        fs::write(path, &changed).unwrap();
        assert!(is_found(&folder, Depth::Full), "round {round}: byte {at} of {}", path.display());
        fs::write(path, &whole).unwrap();
    }
    for path in &paths {
        let whole = fs::read(path).unwrap();
        let is_object = path.starts_with(site.backups().join("objects"));
        for changed in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat(), &[]] {
            fs::write(path, changed).unwrap();
            assert!(is_found(&folder, Depth::Full), "{}", path.display());
            assert!(!is_object || is_found(&folder, Depth::Quick), "{}", path.display());
        }
        fs::remove_file(path).unwrap();
        // Without its manifest there is no set that could be restored, and its objects are strays.
        assert!(!is_object || is_found(&folder, Depth::Quick), "{}", path.display());
        fs::write(path, whole).unwrap();
    }
    let redis: Vec<_> =
        paths.iter().filter(|path| path.to_string_lossy().contains("/redis/")).collect();
    let [one, other] = redis.as_slice() else { panic!("two objects of redis") };
    let contents = [fs::read(one).unwrap(), fs::read(other).unwrap()];
    if contents[0] != contents[1] {
        fs::write(one, &contents[1]).unwrap();
        fs::write(other, &contents[0]).unwrap();
        assert!(is_found(&folder, Depth::Full));
    }
    // None of it is restored.
    fs::write(one, [&contents[0][..20], &[contents[0][20] ^ 1], &contents[0][21..]].concat())
        .unwrap();
    site.xtask(&["backup", "restore", &first, "--yes"])
        .ends_with(1)
        .says("is damaged: nothing was restored");
    site.xtask(&["backup", "drill", &first]).ends_with(1).says("its SHA-256 is another");
    assert_eq!(site.redis(&["get", "kept"]), "yes");
}

/// A tar archive with one member, as Python writes it.
fn archive(member: &str) -> Vec<u8> {
    let script = format!(
        "import tarfile,io,sys\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|')\ni=tarfile.TarInfo('x')\nd=b'hostile'\ni.size=len(d)\n{member}\nt.addfile(i,io.BytesIO(d) if i.size else None)\nt.close()"
    );
    let output = Command::new("python3").args(["-c", &script]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Puts `contents` in the place of the set's object of Redis, digests and all.
fn smuggle(site: &Site, id: &str, contents: &[u8], claimed: u64) {
    let compressed = zstd::encode_all(contents, 3).unwrap();
    site.forge(id, |manifest| {
        let objects = manifest["objects"].as_array_mut().unwrap();
        let object = objects.iter_mut().find(|object| object["service"] == "redis").unwrap();
        fs::write(site.backups().join(object["path"].as_str().unwrap()), &compressed).unwrap();
        object["sha256"] = xtask::host::digest::sha256(&compressed).into();
        object["bytes"] = compressed.len().into();
        object["content_bytes"] = claimed.into();
    });
}

#[test]
fn a_hostile_archive_restores_nothing_outside_its_target() {
    let site = Site::new("hostile", &[FULL[1]]);
    site.up();
    site.redis(&["set", "kept", "yes"]);
    let id = site.backup(&["--only", "redis"]);
    let outside = site.root().join("outside");
    let link = format!("i.type=tarfile.SYMTYPE\ni.linkname='{}'\ni.size=0", outside.display());
    let members = [
        (format!("i.name='{}'", outside.display()), "leads outside"),
        ("i.name='../../outside'".to_owned(), "leads outside"),
        (link.clone(), "neither a file nor a directory"),
        (
            format!("{link}\nt.addfile(i)\ni=tarfile.TarInfo('x/y')"),
            "neither a file nor a directory",
        ),
        ("i.type=tarfile.LNKTYPE\ni.linkname='/etc/passwd'\ni.size=0".to_owned(), "neither a file"),
        ("i.type=tarfile.BLKTYPE\ni.devmajor=8\ni.size=0".to_owned(), "neither a file"),
        (
            "i.type=tarfile.CHRTYPE\ni.devmajor=1\ni.devminor=3\ni.size=0".to_owned(),
            "neither a file",
        ),
        ("i.type=tarfile.FIFOTYPE\ni.size=0".to_owned(), "neither a file"),
        ("i.pax_headers={'path':'../../outside'}".to_owned(), "leads outside"),
        (format!("i.pax_headers={{'path':'{}'}}", outside.display()), "leads outside"),
        ("i.pax_headers={'linkpath':'/etc/passwd'}".to_owned(), "a pax record `linkpath`"),
        (
            format!("t.format=tarfile.GNU_FORMAT\ni.name='{}outside'", "../".repeat(70)),
            "leads outside",
        ),
        (
            format!("t.format=tarfile.GNU_FORMAT\n{link}\ni.linkname='{}'", "../".repeat(70)),
            "neither a file nor a directory",
        ),
        (format!("i.name='{}/outside'", "a/".repeat(60) + &"../".repeat(70)), "leads outside"),
    ];
    for (round, (member, words)) in members.into_iter().enumerate() {
        let contents = archive(&member);
        smuggle(&site, &id, &contents, contents.len() as u64);
        site.xtask(&["backup", "verify", &id, "--deep"]).ends_with(1).says(words);
        // All of them take the way that the first ones take.
        if round < 3 || is_long() {
            let to = site.root().join("looked");
            site.xtask(&["backup", "restore", &id, "--to", to.to_str().unwrap()])
                .ends_with(1)
                .says(words);
            let _ = fs::remove_dir_all(&to);
            site.xtask(&["backup", "restore", &id, "--yes"])
                .ends_with(1)
                .says("nothing has changed");
        }
        assert!(!outside.exists(), "{member}");
    }
    // A bomb: four gigabytes of zeros in a few kilobytes, said to be small, and said to be large.
    let zeros = std::io::Read::take(std::io::repeat(0), 4 << 30);
    let bomb = zstd::encode_all(zeros, 1).unwrap();
    let plain = zstd::encode_all(&bomb[..], 0).unwrap();
    assert!(plain.len() < 1 << 20);
    for claimed in [10240, 1_u64 << 59] {
        site.forge(&id, |manifest| {
            let object = &mut manifest["objects"][0];
            fs::write(site.backups().join(object["path"].as_str().unwrap()), &bomb).unwrap();
            object["sha256"] = xtask::host::digest::sha256(&bomb).into();
            object["bytes"] = bomb.len().into();
            object["content_bytes"] = claimed.into();
        });
        site.xtask(&["backup", "restore", &id, "--yes"]).ends_with(1);
    }
    assert_eq!(site.redis(&["get", "kept"]), "yes");
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}
