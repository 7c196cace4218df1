//! A small disk of the test's own. Only for root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own, unmounted when dropped. Its image lies beside the folder.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
    image: PathBuf,
}

impl SmallDisk {
    /// Makes one of so many bytes, empty, at the folder `at`, which is made if missing.
    pub fn mount(at: &Path, bytes: u64) -> Self {
        let disk = Self { at: at.to_owned(), image: at.with_extension("disk") };
        fs::create_dir_all(at).expect("a folder");
        fs::File::create(&disk.image).and_then(|file| file.set_len(bytes)).expect("an image");
        let (image, folder) = (text(&disk.image), text(at));
        run("mkfs.ext4", &["-q", "-m", "0", "-O", "^has_journal", image]);
        run("mount", &["-o", "loop", image, folder]);
        fs::remove_dir(at.join("lost+found")).expect("an empty disk");
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// The part of it that is used.
    pub fn used(&self) -> f64 {
        let said = run("df", &["--output=avail,size", "--block-size=1", text(&self.at)]);
        let numbers = said.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
        let [available, size] = numbers.collect::<Vec<_>>()[..] else { panic!("df says {said}") };
        1.0 - available / size
    }

    /// Makes it larger while it is in use.
    pub fn grow(&self, bytes: u64) {
        let image = fs::OpenOptions::new().write(true).open(&self.image);
        image.and_then(|file| file.set_len(bytes)).expect("an image");
        let device = run("findmnt", &["--noheadings", "--output", "SOURCE", text(&self.at)]);
        run("losetup", &["--set-capacity", device.trim()]);
        run("resize2fs", &[device.trim()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect(program);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
