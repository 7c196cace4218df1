//! Is a port free, and who holds it?

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use super::followed;
use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};

/// What is known of a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// It can be bound.
    Free,
    /// Somebody listens; the words name the process where we may see it.
    Taken(Option<String>),
    /// It cannot be bound for another reason, such as an address that is not ours.
    Unusable(String),
}

/// Asks by binding, which is what Docker would do.
pub fn probe(address: IpAddr, port: u16) -> Port {
    match TcpListener::bind(SocketAddr::new(address, port)) {
        Ok(_) => Port::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Port::Taken(holder(port)),
        // A port below 1024 is Docker's to open, not ours.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Port::Free,
        Err(error) => Port::Unusable(error.to_string()),
    }
}

/// Whether one port cannot be bound on both addresses.
pub fn overlap(one: IpAddr, other: IpAddr) -> bool {
    // `::` takes the IPv4 addresses too.
    let covers =
        |all: IpAddr, part: IpAddr| all.is_unspecified() && (all.is_ipv6() || part.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}

/// Where ports are chosen: above those of well-known services, below those that kernels hand out.
const CHOSEN: std::ops::Range<u16> = 10_000..32_768;

/// Different ports that are free on the loopback address now: for one `name` the same ones, as long
/// as nobody takes them.
///
/// # Errors
/// When there are not as many.
pub fn free_for(name: &str, count: usize) -> Result<Vec<u16>> {
    let digest = Sha256::digest(name);
    let start = u16::from_be_bytes([digest[0], digest[1]]) % (CHOSEN.end - CHOSEN.start);
    let all = (CHOSEN.start + start..CHOSEN.end).chain(CHOSEN.start..CHOSEN.start + start);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let free: Vec<_> = all.filter(is_free).take(count).collect();
    ensure!(free.len() == count, "no {count} ports are free between {CHOSEN:?}");
    Ok(free)
}

/// `name (process N)` of the listener, from Linux' `/proc`; `None` elsewhere or without the right.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(&followed::text(table).ok()?, port))?;
    let socket = format!("socket:[{inode}]");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut descriptors = std::fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        descriptors.find(|descriptor| {
            std::fs::read_link(descriptor.path()).is_ok_and(|link| *link.as_os_str() == *socket)
        })?;
        let name = followed::text(entry.path().join("comm")).ok()?;
        Some(format!("{} (process {pid})", name.trim()))
    })
}

/// The socket's inode in a table such as `/proc/net/tcp`: state 0A is LISTEN.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    let ending = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields.get(1)?.ends_with(&ending) && *fields.get(3)? == "0A")
            .then(|| fields.get(9).copied().map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_we_hold_is_taken_by_us() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let Port::Taken(holder) = probe(Ipv4Addr::LOCALHOST.into(), port) else {
            panic!("not taken")
        };
        if cfg!(target_os = "linux") {
            let holder = holder.unwrap();
            assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
        }
        drop(listener);
        // A child that another test is starting holds our sockets until it runs its program.
        let is_free = || probe(Ipv4Addr::LOCALHOST.into(), port) == Port::Free;
        let mut waits = (0..100).map(|_| std::thread::sleep(std::time::Duration::from_millis(20)));
        assert!(is_free() || waits.any(|()| is_free()));
    }

    #[test]
    fn a_name_has_ports_of_its_own_as_long_as_they_are_free() {
        let ports = free_for("a-name-for-this-test", 3).unwrap();
        assert_eq!(free_for("a-name-for-this-test", 3).unwrap(), ports);
        assert_ne!(free_for("another-name-for-this-test", 3).unwrap(), ports);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).unwrap();
        assert!(!free_for("a-name-for-this-test", 3).unwrap().contains(&ports[0]));
        assert!(ports.iter().all(|port| CHOSEN.contains(port)));
    }

    #[test]
    fn an_address_of_another_machine_is_unusable() {
        let address = Ipv4Addr::new(192, 0, 2, 1).into();
        assert!(matches!(probe(address, 8080), Port::Unusable(_)));
    }
}
