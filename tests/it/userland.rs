//! Upstream's images of all but PostgreSQL have the tools of BusyBox alone, so scripts that run in
//! them may use no others.

use std::process::Command;

use tests::{Site, root};
use xtask::offline::catalogue::Catalogue;

/// Prints what is on the PATH and is neither BusyBox nor the image's own program.
const FOREIGN: &str = r#"
set -eu
for tool in bash perl apt-get dpkg-query $(busybox --list); do
    found=$(which "$tool") || continue
    case $tool:$(readlink -f "$found") in
        *:/bin/busybox) ;;
        *) echo "$tool is $found" ;;
    esac
done
for tool in tar sed grep find; do
    "$tool" --help 2>&1 | grep -q BusyBox || echo "$tool is not of BusyBox"
done
"#;

#[test]
fn what_upstream_has_on_busybox_has_nothing_else_here() {
    if !Site::is_offline() {
        println!("left out, since upstream's images are there");
        return;
    }
    let catalogue = Catalogue::load(root()).unwrap();
    let from_nothing = catalogue.all().iter().filter(|image| image.recipe.packages.is_some());
    for image in from_nothing {
        let output = Command::new("docker")
            .args(["run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", "sh"])
            .args([&image.reference(), "-c", FOREIGN])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.is_empty(), "{}: {said}", image.reference());
    }
}
