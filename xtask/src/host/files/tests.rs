//! Writes that are cut off, and attacks on what is opened.

use super::*;

#[test]
fn a_write_replaces_the_file_with_its_mode_and_clears_what_a_crash_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    fs::write(folder.path().join("..env.abc123.partial"), "half").unwrap();
    fs::write(folder.path().join("..env.copy.abc123.partial"), "another's").unwrap();
    write_atomically(&path, b"old", 0o644).unwrap();
    write_atomically(&path, b"new", 0o600).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_link_that_a_person_made_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write_followed(&link, b"new", 0o600).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert_eq!(crate::host::followed::text(&link).unwrap(), "new");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_failed_write_names_the_file() {
    let error = write_atomically(Path::new("/no/such/folder/file"), b"", 0o600).unwrap_err();
    assert!(format!("{error:#}").starts_with("writing /no/such/folder/file: No such file"));
}

/// Puts something at the second path, with the victim at the first.
type Put = fn(&Path, &Path);

fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn refused<T: std::fmt::Debug>(result: std::io::Result<T>, why: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(why), "{why}: {error}");
}

/// A folder with a file `victim`, which stays as it is, and what an attacker puts at `path`.
fn attacked(put: impl Fn(&Path, &Path), attack: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let (victim, path) = (folder.path().join("victim"), folder.path().join("file"));
    fs::write(&victim, "dear").unwrap();
    put(&victim, &path);
    attack(&path);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "dear");
}

#[test]
fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
    let kinds: [(&str, Put); 4] = [
        ("is a symbolic link", |victim, path| std::os::unix::fs::symlink(victim, path).unwrap()),
        ("is a named pipe", |_, path| make_pipe(path)),
        ("is a directory", |_, path| fs::create_dir(path).unwrap()),
        ("is a socket", |_, path| {
            drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        }),
    ];
    for (why, put) in kinds {
        attacked(put, |path| {
            refused(open(path), why);
            refused(open_to_write(path), why);
            refused(open_lock(path), why);
            refused(read_optional(path).map_err(std::io::Error::other), "reading");
            assert_eq!(create_new(path, 0o600).unwrap_err().kind(), ErrorKind::AlreadyExists);
        });
    }
    refused(open(Path::new("/dev/null")), "is a device");
}

#[test]
fn a_write_replaces_links_and_pipes_and_leaves_what_they_lead_to() {
    let puts: [Put; 4] = [
        |victim, path| std::os::unix::fs::symlink(victim, path).unwrap(),
        |victim, path| fs::hard_link(victim, path).unwrap(),
        |_, path| make_pipe(path),
        |victim, path| {
            let partial = path.with_file_name(".file.abc123.partial");
            std::os::unix::fs::symlink(victim, partial).unwrap();
        },
    ];
    for put in puts {
        attacked(put, |path| {
            write_atomically(path, b"new", 0o600).unwrap();
            assert_eq!(fs::symlink_metadata(path).unwrap().len(), 3);
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
        });
    }
}

#[test]
fn a_file_with_a_second_name_is_read_and_not_written_in_place() {
    attacked(
        |victim, path| fs::hard_link(victim, path).unwrap(),
        |path| {
            assert_eq!(read_text(path).unwrap(), "dear");
            refused(open_to_write(path), "has a second name");
        },
    );
}

/// Only root can make what another user would.
#[test]
fn a_link_of_another_user_on_the_way_leads_nowhere_and_ours_does() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::create_dir(&real).unwrap();
    fs::write(real.join("file"), "dear").unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    let path = link.join("file");
    assert_eq!(read_text(&path).unwrap(), "dear");
    assert_eq!(list(&link).unwrap(), [link.join("file")]);
    if !user::is_root() {
        return;
    }
    std::os::unix::fs::lchown(&link, Some(4322), None).unwrap();
    let why = "`link` on the way to";
    refused(open(&path), why);
    refused(remove(&path), why);
    refused(list(&link), why);
    refused(make_folder(&link.join("new"), 0o700), why);
    refused(make_directory(&link, user::owner(), 0o777), why);
    assert!(write_atomically(&path, b"new", 0o600).is_err());
    assert_eq!(fs::read_dir(&real).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(real.join("file")).unwrap(), "dear");
}

#[test]
fn a_circle_of_links_ends() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
    std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
    assert!(open(&folder.path().join("a/file")).is_err());
}

#[test]
fn a_name_that_is_taken_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let partial = || Partial::beside(&path, 0o600, None).unwrap();
    partial().name().unwrap();
    assert_eq!(partial().name().unwrap_err().kind(), ErrorKind::AlreadyExists);
    drop(partial());
    assert_eq!(list(folder.path()).unwrap(), [path]);
}

#[test]
fn a_folder_is_made_with_all_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    make_folder(&path, 0o700).unwrap();
    make_folder(&path, 0o755).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(path.join("file"), "").unwrap();
    assert!(make_folder(&path.join("file"), 0o700).is_err());
}
