//! A small disk of the test's own. Only for root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Site;

/// A file system of its own, unmounted when dropped. Its image lies beside the folder.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Makes one of so many bytes, empty, at the folder `at`, which is made if missing.
    pub fn mount(at: &Path, bytes: u64) -> Self {
        let image = at.with_extension("disk");
        fs::create_dir_all(at).expect("a folder");
        fs::File::create(&image).and_then(|file| file.set_len(bytes)).expect("an image");
        run("mkfs.ext4", &["-q", "-m", "0", "-O", "^has_journal", text(&image)]);
        run("mount", &["-o", "loop", text(&image), text(at)]);
        let disk = Self(at.to_owned());
        fs::remove_dir(at.join("lost+found")).expect("an empty disk");
        disk
    }

    /// Has the stacks of `site` take less than they ask for.
    pub fn is_enough_for(site: &Site, free: &str) {
        let path = site.root().join("infrastructure/stacks.toml");
        let text = fs::read_to_string(&path).expect("stacks.toml");
        let shipped = "disk = \"10GB\"";
        assert!(text.contains(shipped), "{shipped}");
        fs::write(path, text.replace(shipped, &format!("disk = {free:?}"))).expect("stacks.toml");
    }

    /// Unmounts it, as if it had not come up at boot; what uses it keeps it.
    pub fn take_away(&self) {
        run("umount", &["--lazy", text(&self.0)]);
    }

    /// Mounts it again.
    pub fn bring_back(&self) {
        run("mount", &["-o", "loop", text(&self.0.with_extension("disk")), text(&self.0)]);
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The part of it that is used.
    pub fn used(&self) -> f64 {
        let [available, size] = self.space();
        1.0 - available as f64 / size as f64
    }

    /// Fills it with the file `ballast`, all but so many bytes.
    pub fn fill(&self, ballast: &Path, left: u64) {
        let [available, _] = self.space();
        let length = available.saturating_sub(left).to_string();
        run("fallocate", &["--length", &length, text(ballast)]);
    }

    /// Makes empty files in the new folder `at`, until all but this part of the inodes is used.
    pub fn use_up_inodes(&self, at: &Path, left: f64) {
        let [available, total] = self.df("iavail,itotal");
        fs::create_dir(at).expect("a new folder");
        for number in 0..available.saturating_sub((total as f64 * left) as u64) {
            fs::File::create(at.join(number.to_string())).expect("a free inode");
        }
    }

    /// What is free of it, and all of it, in bytes.
    fn space(&self) -> [u64; 2] {
        self.df("avail,size")
    }

    fn df(&self, columns: &str) -> [u64; 2] {
        let said = run("df", &[&format!("--output={columns}"), "--block-size=1", text(&self.0)]);
        let numbers: Vec<_> =
            said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().unwrap_or_else(|_| panic!("df says {said}"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test may have taken it away already.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
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
