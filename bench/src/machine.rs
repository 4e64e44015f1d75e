//! The machine that was measured on, in one line.

use std::fs;
use std::process::Command;

/// Processor, cores, kernel, compiler, and how busy the machine was.
pub(crate) fn line() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.split_once(':')).map(|(_, v)| v.trim());
    let processor = field("model name").unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let rustc = String::from_utf8_lossy(&rustc);
    let rustc = rustc.split(" (").next().unwrap_or_default().trim();
    let (kernel, system) = (kernel.trim(), std::env::consts::OS);
    format!("{processor}, {cores} cores, {system} {kernel}, {rustc}, load {load} when it began")
}
