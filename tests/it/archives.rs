//! Random archives: what is understood of each is what GNU tar and busybox unpack of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tests::{Random, Site, is_long, seed};
use xtask::backup::tar::{Archive, BLOCK, END, MODES};

/// Path to contents; none for a directory.
type Tree = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Unpacks every archive of the folder into a directory of its own; nothing of it may be anything
/// but a file or directory, nor give somebody another's rights.
const UNPACK: &str = r#"
cd /work; umask 0; mkdir out
for tar in *.tar; do mkdir "out/${tar%.tar}"; tar -x -o -f "$tar" -C "out/${tar%.tar}" || echo "failed: $tar"; done
find out ! -type f ! -type d; find out -perm /7000
chmod -R u+rwX out; chown -R "$1" out"#;

fn pick<'a, T: ?Sized>(random: &mut Random, from: &[&'a T]) -> &'a T {
    from[usize::try_from(random.below(from.len() as u64)).unwrap()]
}

/// Archives of files and directories that are hard to name, in each format.
fn whole_ones() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| folder.path().join(OsString::from_vec(name.to_vec()));
    let deep = [b"d".repeat(60), b"e".repeat(60), b"f".repeat(180)].join(&b'/');
    fs::create_dir_all(at(&deep).parent().unwrap()).unwrap();
    fs::create_dir(at(b"empty")).unwrap();
    for (name, bytes) in [
        (&b"short"[..], 5),
        (b"none", 0),
        (b"a block", 512),
        (b"more", 1500),
        (b"line\nbreak", 1),
        (b"-rf", 1),
        (b"not \xff text", 1),
        (&deep, 700),
        (&b"n".repeat(99), 1),
        (&b"n".repeat(100), 1),
        (&b"n".repeat(101), 1),
    ] {
        fs::write(at(name), b"x".repeat(bytes)).unwrap();
    }
    let archive = |format: &&str| {
        let mut tar = Command::new("tar");
        tar.args([&format!("--format={format}"), "--create", "--file=-", "--directory"]);
        tar.arg(folder.path()).arg(".").output().unwrap().stdout
    };
    ["gnu", "pax", "oldgnu"].iter().map(archive).collect()
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// A header before a member's, with its text.
fn extension(kind: u8, text: &[u8]) -> Vec<u8> {
    let mut blocks = vec![0; BLOCK];
    put(&mut blocks[..100], b"extension");
    put(&mut blocks[124..136], format!("{:011o}", text.len()).as_bytes());
    blocks[156] = kind;
    put(&mut blocks[257..265], b"ustar\x0000");
    seal(&mut blocks);
    blocks.extend(text);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks
}

const NAMES: [&[u8]; 14] = [
    b"a\0",
    b"../out\0",
    b"/out\0",
    b"a/../../out\0",
    b"dir/\0",
    b"./\0",
    b"\0",
    b"a\0/../../out\0",
    b"a//b\0",
    b"short\0",
    b"short/below\0",
    b"a\\b\0",
    b"..\0",
    b"\xff\xfe\0",
];
const NUMBERS: [&[u8]; 12] = [
    b"00000000000\0",
    b"00000000001\0",
    b"00000001000\0",
    b"00000002000\0",
    b"      1000  ",
    b"1000\0\0\0\0\0\0\0\0",
    b"+0000001000\0",
    b"0x000001000\0",
    b"\x80\0\0\0\0\0\0\0\0\0\x02\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\0",
    b"777777777777",
    b"1000\x001000\0\0\0",
];
const RECORDS: [&[u8]; 8] = [
    b"9 path=a\n",
    b"15 path=../out\n",
    b"11 size=512\n",
    b"10 size=0\n",
    b"18 linkpath=/out\n",
    b"11 path=a\0b\n",
    b"9 path=aX",
    b"9 path=a\n9 path=b\n",
];

/// One change, at a header more often than not.
fn change(archive: &mut Vec<u8>, random: &mut Random) {
    let count = archive.len() / BLOCK;
    let is_header = |at: &usize| archive[at * BLOCK + 257..].starts_with(b"ustar");
    let headers: Vec<usize> = (0..count).filter(is_header).collect();
    let any = usize::try_from(random.below(count as u64)).unwrap();
    let header = headers.iter().collect::<Vec<_>>();
    let at = if header.is_empty() { any } else { *pick(random, &header) } * BLOCK;
    let byte = usize::try_from(random.below(BLOCK as u64)).unwrap();
    let block = &mut archive[at..at + BLOCK];
    match random.below(12) {
        0 => put(&mut block[..100], pick(random, &NAMES)),
        1 => put(&mut block[124..136], pick(random, &NUMBERS)),
        2 => block[156] = *pick(random, &b"0057LxKgS123\0".iter().collect::<Vec<_>>()),
        3 => put(&mut block[345..500], pick(random, &NAMES)),
        4 => put(
            &mut block[257..265],
            pick(random, &[&b"ustar\x0000"[..], b"ustar  \0", b"\0\0\0\0\0\0\0\0"]),
        ),
        5 => put(&mut block[100..108], pick(random, &NUMBERS)),
        6 => block[byte] = random.below(256) as u8,
        7 => archive.splice(at..at, extension(b'L', pick(random, &NAMES))).for_each(drop),
        8 => archive.splice(at..at, extension(b'x', pick(random, &RECORDS))).for_each(drop),
        9 => archive.drain(at..at + BLOCK).for_each(drop),
        10 => archive.extend_from_within(at..),
        _ => archive.truncate(at + byte),
    }
    // Whoever forges an archive gets its sums right.
    if at + BLOCK <= archive.len() && random.below(8) > 0 {
        seal(&mut archive[at..at + BLOCK]);
    }
}

fn written_anew(foreign: &[u8]) -> Option<Vec<u8>> {
    let mut archive = Archive::new(foreign, MODES);
    let mut ours = Vec::new();
    archive.read_to_end(&mut ours).ok()?;
    ours.extend(END);
    Some(ours).filter(|_| matches!(archive.go_on(), Ok(false)))
}

/// What stands in an archive of ours, which is simple. `None` where it puts a file and a directory
/// at one place, or has a name that no file can have.
fn members(mut ours: &[u8]) -> Option<Tree> {
    let mut tree = Tree::new();
    let mut long = None;
    while ours[..END.len()] != END {
        let octal = |field: &[u8]| usize::from_str_radix(std::str::from_utf8(field).unwrap(), 8);
        let (header, rest) = ours.split_at(BLOCK);
        let size = octal(&header[124..135]).unwrap();
        let (contents, rest) = (&rest[..size], &rest[size.next_multiple_of(BLOCK)..]);
        ours = rest;
        if header[156] == b'L' {
            long = Some(contents[..size - 1].to_vec());
            continue;
        }
        let own = header[..100].split(|byte| *byte == 0).next().unwrap().to_vec();
        let name = long.take().unwrap_or(own);
        let is_directory = header[156] == b'5';
        let path = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
        if path == b"." {
            continue;
        }
        let parts: Vec<_> = path.split(|byte| *byte == b'/').collect();
        if parts.iter().any(|part| part.len() > 255) {
            return None;
        }
        for above in 1..parts.len() {
            if tree.insert(parts[..above].join(&b'/'), None).is_some_and(|there| there.is_some()) {
                return None;
            }
        }
        let node = (!is_directory).then(|| contents.to_vec());
        let was_file = tree.get(&path).map(Option::is_some);
        if was_file.is_some_and(|was_file| was_file == is_directory) {
            return None;
        }
        tree.insert(path, node);
    }
    Some(tree)
}

fn unpacked(folder: &Path, below: &[u8], tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let mut name = below.to_vec();
        name.extend(entry.file_name().as_bytes());
        if entry.file_type().unwrap().is_dir() {
            tree.insert(name.clone(), None);
            name.push(b'/');
            unpacked(&entry.path(), &name, tree);
        } else {
            tree.insert(name, Some(fs::read(entry.path()).unwrap()));
        }
    }
}

/// Has `image` unpack the archives in a folder, and compares.
fn compare(image: &str, archives: &[(Vec<u8>, Tree)], seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    for (at, (archive, _)) in archives.iter().enumerate() {
        fs::write(folder.path().join(format!("{at}.tar")), archive).unwrap();
    }
    let facts = fs::metadata(folder.path()).unwrap();
    let output = Command::new("docker")
        .args(["run", "--rm", "--user", "0:0", "--network", "none", "--volume"])
        .arg(format!("{}:/work", folder.path().display()))
        .args(["--entrypoint", "sh", image, "-eu", "-c", UNPACK, "sh"])
        .arg(format!("{}:{}", facts.uid(), facts.gid()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{image}: {said}{errors}, seed {seed}");
    for (at, (archive, understood)) in archives.iter().enumerate() {
        let mut tree = Tree::new();
        unpacked(&folder.path().join(format!("out/{at}")), b"", &mut tree);
        if tree != *understood {
            let kept = std::env::temp_dir().join("differs.tar");
            fs::write(&kept, archive).unwrap();
            panic!("{image} unpacks something else of {}, seed {seed}", kept.display());
        }
    }
}

#[test]
fn what_is_understood_of_an_archive_is_what_every_tar_unpacks() {
    let seed = seed();
    let mut random = Random(seed);
    let whole = whole_ones();
    let whole: Vec<_> = whole.iter().collect();
    let (rounds, batch) = if is_long() { (20_000, 1000) } else { (1000, 500) };
    let images = [
        Site::offline_or("postgres", "15", "supabase/postgres:14.1.0"),
        Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0"),
    ];
    let (mut understood, mut compared) = (0, 0);
    for _ in 0..rounds / batch {
        let mut archives = Vec::new();
        for _ in 0..batch {
            let mut archive = pick(&mut random, &whole).clone();
            for _ in 0..=random.below(4) {
                if archive.len() >= BLOCK {
                    change(&mut archive, &mut random);
                }
            }
            let Some(ours) = written_anew(&archive) else { continue };
            understood += 1;
            assert_eq!(written_anew(&ours).as_ref(), Some(&ours), "seed {seed}");
            archives.extend(members(&ours).map(|tree| (ours, tree)));
        }
        compared += archives.len();
        images.iter().for_each(|image| compare(image, &archives, seed));
    }
    println!("{understood} of {rounds} archives were understood, {compared} compared");
    assert!(understood > rounds / 20 && compared > understood / 2, "{understood}, {compared}");
}
