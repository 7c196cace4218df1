//! Kernel settings that servers complain of. "Unknown" wherever the system does not say.

use super::followed;
use std::path::Path;

/// Whether the kernel grants memory that a forked process may never touch
/// (`vm.overcommit_memory`), which Redis wants for its background save. Linux only.
pub fn overcommits() -> Option<bool> {
    let text = followed::text("/proc/sys/vm/overcommit_memory").ok()?;
    Some(text.trim() == "1")
}

/// Whether transparent huge pages are always on, which makes Redis slow. Linux only.
pub fn always_huge_pages() -> Option<bool> {
    let text = followed::text(Path::new("/sys/kernel/mm/transparent_hugepage/enabled")).ok()?;
    Some(text.contains("[always]"))
}
