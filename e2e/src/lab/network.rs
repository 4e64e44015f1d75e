//! The network between the nodes: one bridge, in the lab's own network namespace, with the API server behind it.

use std::{fs, net::Ipv4Addr, process::Command};

use crate::{
    error::{Error, Result},
    lab::tree::{self, Tree},
};

/// Address of the bridge: router of the nodes and home of the API server.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);

/// Address of the node with this number, counted from 1.
pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 0, 20 + number)
}

/// # Errors
/// [`Error::Script`] when the kernel has no bridges.
pub(crate) fn make(tree: &Tree) -> Result<()> {
    // `ip` finds the namespaces of processes there. The mount is seen in the lab's own mount namespace alone.
    let mut mount = Command::new("mount");
    mount.args(["-t", "proc", "proc"]).arg(tree.root.join("proc"));
    tree::run("mount", mount)?;
    for args in [
        &["ip", "link", "set", "lo", "up"][..],
        &["ip", "link", "add", "br0", "type", "bridge"],
        &["ip", "addr", "add", "172.30.0.1/24", "dev", "br0"],
        &["ip", "link", "set", "br0", "up"],
        &["ethtool", "-K", "br0", "tx", "off"],
    ] {
        let mut command = tree.command(args[0]);
        command.args(&args[1..]);
        tree::run(args[0], command)?;
    }
    // Frames between nodes are not ours to filter.
    let filter = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if fs::exists(filter).map_err(Error::io("look for", filter))? {
        fs::write(filter, "0").map_err(Error::io("write", filter))?;
    }
    Ok(())
}
