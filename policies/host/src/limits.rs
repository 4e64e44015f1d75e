//! How much a module may use. The same numbers for everybody, so that a verdict does not depend on the machine.

use std::time::Duration;

/// Largest module file, in bytes. Compiling is not interruptible; this bounds it.
pub(crate) const MODULE_BYTES: usize = 32 << 20;

/// How much one module may use in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fuel, in wasmtime's units: about one per instruction.
    pub fuel: u64,
    /// Wall-clock backstop; on a sane machine the fuel ends first.
    pub time: Duration,
    /// Linear memory and tables, in bytes.
    pub memory: usize,
    /// Largest single answer of the host, in bytes of JSON.
    pub answer: usize,
    /// All answers of the host together, in bytes.
    pub answers: usize,
    /// Number of findings. A module may speak of each of 5,000 nodes under several rules.
    pub findings: usize,
    /// Text of all findings together, in bytes.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Ten times what the built-in policies use for 5,000 nodes; an endless loop ends after about two seconds.
            fuel: 2_000_000_000,
            time: Duration::from_secs(10),
            memory: 64 << 20,
            answer: 8 << 20,
            answers: 256 << 20,
            findings: 16_384,
            output: 4 << 20,
        }
    }
}
