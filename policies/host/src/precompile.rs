//! Code of the built-in modules for a release: compiled once where it is built, so that no first run waits for it.
//!
//! It is for any processor of the target's kind, begins with the digest of its module, and becomes part of the binary
//! (`build.rs`): as much this program as the rest of it, and never read from a disk.

use ovncilium_core::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::revive;
use crate::catalog::EMBEDDED;
use crate::engine::configuration;

/// Hexadecimal digits of the module's digest.
const HEADER: usize = 64;

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
    let mut code = Digest::of(module).hex().into_bytes();
    code.extend(engine.precompile_component(module)?);
    Ok(code)
}

/// The code of this module that is part of the binary; none when a release was not built so, or its modules changed since.
pub(crate) fn embedded(engine: &Engine, module: &Digest, code: &'static [u8]) -> Option<Component> {
    let (header, code) = code.split_at_checked(HEADER)?;
    if header == module.hex().as_bytes() { revive(engine, code) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::engine;

    #[test]
    fn code_of_this_machine_is_taken_for_its_own_module_and_for_no_other() {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let bytes = EMBEDDED[0].bytes;
        let code: &'static [u8] = compile(&engine_for(&target).unwrap(), bytes).unwrap().leak();
        let (module, engine) = (Digest::of(bytes), engine().unwrap());
        assert!(embedded(engine, &module, code).is_some());
        assert!(embedded(engine, &Digest::of("another"), code).is_none());
        assert!(embedded(engine, &module, &[]).is_none());
        assert!(precompile("z80-unknown-none").is_err());
    }
}
