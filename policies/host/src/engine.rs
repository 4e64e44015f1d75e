//! wasmtime, set up so that an answer depends on nothing but module, settings and facts.
//!
//! Fuel is the budget: it is the same on a loaded machine. Epochs are the backstop ([`crate::backstop`]). No GC, threads, exceptions
//! or async are compiled in; relaxed SIMD, whose results differ between processors, is off.

use std::sync::OnceLock;

use ovncilium_core::policy::FaultKind;
use wasmtime::{Config, Engine};

use crate::in_place;
use crate::trouble::Trouble;

/// Stack of a guest, in bytes; wasmtime's default, written down because verdicts depend on it.
const STACK: usize = 512 << 10;

/// The process's one engine.
///
/// # Errors
/// When wasmtime cannot compile for this machine.
pub(crate) fn engine() -> Result<&'static Engine, Trouble> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&configuration()).map_err(|error| format!("{error:#}"))).as_ref().map_err(
        |error| {
            Trouble::new(
                FaultKind::Missing,
                format!("WebAssembly cannot run on this machine: {error}"),
                "use a machine that wasmtime supports: x86-64, aarch64, s390x or riscv64 under Linux or macOS",
            )
        },
    )
}

/// How wasmtime is set up, here and where code is compiled ahead of time.
pub(crate) fn configuration() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(STACK)
        // Traps are told by their kind; without a backtrace nobody reads the map, an eighth of the code's size.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        // Tables for debuggers, which would be read through whenever code is loaded.
        .native_unwind_info(false)
        // A module runs once: its data is copied, not put into a file that many runs could share.
        .memory_init_cow(false);
    in_place::allow(&mut config);
    config
}
