//! Code of the built-in modules for a release: compiled once where it is built, so that no first run waits for it.
//!
//! It is for any processor of the target's kind, ends with the digest of its module, and becomes part of the binary
//! (`build.rs`): as much this program as the rest of it, and never read from another file. It runs where it stands ([`in_place`]).

use std::sync::OnceLock;

use ovncilium_core::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::revive;
use crate::catalog::EMBEDDED;
use crate::engine::configuration;
use crate::in_place::{self, OnPages};

/// Hexadecimal digits of the module's digest.
const TRAILER: usize = 64;

/// What wasmtime says.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Code could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the built-in modules cannot be compiled for {target}")]
pub struct PrecompileError {
    /// What was asked for.
    pub target: String,
    /// Why.
    pub source: Cause,
}

/// Id and code of every built-in module for a target such as `x86_64-unknown-linux-gnu`.
///
/// # Errors
/// A target that wasmtime does not compile for.
pub fn precompile(target: &str) -> Result<Vec<(&'static str, Vec<u8>)>, PrecompileError> {
    let failed = |source| PrecompileError { target: target.to_owned(), source };
    let engine = engine_for(target).map_err(failed)?;
    EMBEDDED.iter().map(|embedded| Ok((embedded.id, compile(&engine, embedded.bytes).map_err(failed)?))).collect()
}

fn engine_for(target: &str) -> Result<Engine, Cause> {
    let mut config = configuration();
    Ok(Engine::new(config.target(target)?)?)
}

fn compile(engine: &Engine, module: &[u8]) -> Result<Vec<u8>, Cause> {
    let mut code = engine.precompile_component(module)?;
    code.extend(Digest::of(module).hex().into_bytes());
    Ok(code)
}

/// Code of one module that is part of the binary; empty when a release was not built so.
pub(crate) struct Precompiled {
    code: &'static [u8],
    /// Made once for all catalogs: wasmtime holds one component for an address, and panics at a second.
    component: OnceLock<Option<Component>>,
}

impl Precompiled {
    pub(crate) const fn new(code: &'static OnPages<[u8]>) -> Self {
        Self { code: &code.0, component: OnceLock::new() }
    }

    /// The code of this module, for the process's one engine; none when there is none, or the modules changed since.
    pub(crate) fn component(&self, engine: &Engine, module: &Digest) -> Option<Component> {
        let (code, trailer) = self.code.split_at_checked(self.code.len().checked_sub(TRAILER)?)?;
        if trailer != module.hex().as_bytes() {
            return None;
        }
        let revived = || in_place::run(engine, code).or_else(|| revive(engine, code));
        self.component.get_or_init(revived).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CompiledCache;
    use crate::engine::engine;
    use crate::in_place::PAGE;
    use crate::limits::Limits;
    use crate::module::{self, Source};
    use crate::session::Session;

    /// Code as it is in a release, on pages of its own or not.
    fn of_release(code: &[u8], on_pages: bool) -> Precompiled {
        let leaked = vec![0; code.len() + 2 * PAGE].leak();
        let aligned = leaked.as_ptr().align_offset(PAGE) + if on_pages { 0 } else { 64 };
        leaked[aligned..][..code.len()].copy_from_slice(code);
        Precompiled { code: &leaked[aligned..][..code.len()], component: OnceLock::new() }
    }

    #[test]
    fn code_of_this_machine_is_taken_for_its_own_module_and_for_no_other() {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let bytes = EMBEDDED[0].bytes;
        let code = compile(&engine_for(&target).unwrap(), bytes).unwrap();
        let (digest, engine) = (Digest::of(bytes), engine().unwrap());
        for on_pages in [true, false] {
            let precompiled = of_release(&code, on_pages);
            assert!(precompiled.component(engine, &Digest::of("another")).is_none());
            let component = precompiled.component(engine, &digest).unwrap();
            let stands_there = component.image_range().start == precompiled.code.as_ptr();
            assert_eq!(stands_there, on_pages && cfg!(all(target_os = "linux", target_arch = "x86_64")));
            let embedded = Some(&*Box::leak(Box::new(precompiled)));
            let source = Source { bytes, digest: &digest, pin: None, embedded };
            let code = module::load(engine, &source, &CompiledCache::none()).unwrap();
            let told = Session::start(engine, &code, Limits::default()).unwrap().describe().unwrap();
            assert_eq!(told.id, EMBEDDED[0].id, "it runs");
        }
        assert!(of_release(&[], true).component(engine, &digest).is_none());
        assert!(precompile("z80-unknown-none").is_err());
    }
}
