//! Runs code that is part of this binary where it stands: on pages of the program's own file, which nobody can write to and of
//! which only those are read that run.
//!
//! Only under Linux on x86-64: elsewhere a processor may want its caches told of new code, which wasmtime does for code that it copies.

use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// Size of a page.
pub(crate) const PAGE: usize = 4096;

/// Bytes that have their pages to themselves: nothing else becomes executable with them.
#[repr(C, align(4096))]
pub(crate) struct OnPages<B: ?Sized>(pub(crate) B);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod pages {
    use std::ptr::NonNull;
    use std::sync::Arc;

    use rustix::mm::{MprotectFlags, mprotect};
    use wasmtime::component::Component;
    use wasmtime::{Config, CustomCodeMemory, Engine};

    use super::PAGE;

    /// Makes code executable, wherever it is: wasmtime itself does so only for memory that it has mapped.
    struct Executable;

    impl CustomCodeMemory for Executable {
        fn required_alignment(&self) -> usize {
            PAGE
        }

        #[expect(unsafe_code, reason = "pages change what may be done with them, not what they hold")]
        fn publish_executable(&self, start: *const u8, length: usize) -> wasmtime::Result<()> {
            // SAFETY: wasmtime gives whole pages of code that it holds, and writes to them no more.
            unsafe { mprotect(start.cast_mut().cast(), length, MprotectFlags::READ | MprotectFlags::EXEC) }?;
            Ok(())
        }

        /// Nothing: what wasmtime has mapped it unmaps, and code of the binary stays as executable as the rest of the binary.
        fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
            Ok(())
        }
    }

    pub(super) fn allow(config: &mut Config) {
        config.with_custom_code_memory(Some(Arc::new(Executable)));
    }

    #[expect(unsafe_code, reason = "wasmtime cannot check machine code; the caller knows where it comes from")]
    pub(super) fn run(engine: &Engine, code: &'static [u8]) -> Option<Component> {
        if !code.as_ptr().addr().is_multiple_of(PAGE) {
            return None;
        }
        // SAFETY: the bytes are part of this binary, as much as its own code: they live as long as the process, and nobody writes
        // to them. Another wasmtime's output is refused by its header.
        unsafe { Component::deserialize_raw(engine, NonNull::from(code)) }.ok()
    }
}

/// Has an engine take code where it stands.
pub(crate) fn allow(config: &mut Config) {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pages::allow(config);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    let _unused = config;
}

/// Code as a component without a copy; none where that cannot be done, or the code is not for this engine.
pub(crate) fn run(engine: &Engine, code: &'static [u8]) -> Option<Component> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    return pages::run(engine, code);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    {
        let _unused = (engine, code, PAGE);
        None
    }
}
