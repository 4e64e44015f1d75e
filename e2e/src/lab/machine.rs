//! What the machine must have for a lab. A machine that lacks something is told so; it is not a failure of what would be tested.

use std::{fs, path::Path};

/// Programs of the machine itself; all others come from the Debian tree or from Go modules.
const PROGRAMS: [&str; 10] =
    ["bash", "chroot", "cp", "debootstrap", "mount", "nsenter", "setcap", "setpriv", "tar", "unshare"];
const FILESYSTEMS: [&str; 4] = ["bpf", "cgroup2", "overlay", "sysfs"];
const FILES: [(&str, &str); 4] = [
    ("/dev/net/tun", "TUN devices, which Open vSwitch's userspace datapath makes"),
    ("/sys/kernel/btf/vmlinux", "type information of the kernel, which Cilium's programs need"),
    ("/sys/fs/cgroup/cpuset/cpuset.cpus", "control groups of version 1"),
    ("/sys/fs/cgroup/unified/cgroup.procs", "the unified control group hierarchy beside those of version 1"),
];

/// Everything that a lab needs and that this machine does not have; a sentence for each.
pub(crate) fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push("a lab makes namespaces, mounts and devices: it needs root".to_owned());
    }
    for program in PROGRAMS {
        if which::which(program).is_err() {
            missing.push(format!("`{program}` is not on PATH"));
        }
    }
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    for filesystem in FILESYSTEMS {
        if !known.lines().any(|line| line.split_whitespace().last() == Some(filesystem)) {
            missing.push(format!("the kernel has no {filesystem} file system"));
        }
    }
    for (file, what) in FILES {
        if !Path::new(file).exists() {
            missing.push(format!("{file} is not there: {what}"));
        }
    }
    missing
}
