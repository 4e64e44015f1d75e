//! From bytes to code that keeps the contract, with one clear word for each way it may not.

use std::borrow::Cow;

use ovncilium_core::Digest;
use ovncilium_core::policy::FaultKind;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::{PolicyModule, PolicyModulePre};
use crate::cache::CompiledCache;
use crate::guest::Guest;
use crate::limits::MODULE_BYTES;
use crate::precompile::Precompiled;
use crate::trouble::Trouble;

/// The interface a module must export; any 0.1.x will do.
const EXPORT: &str = "ovncilium:policy/policy@0.1.0";
const PACKAGE: &str = "ovncilium:policy/";

const GUIDE: &str = "build the module as docs/writing-policies.md shows";

/// A module as it came.
pub(crate) struct Source<'s> {
    pub(crate) bytes: &'s [u8],
    pub(crate) digest: &'s Digest,
    /// The digest it must have.
    pub(crate) pin: Option<&'s Digest>,
    /// Code that was compiled ahead of time and is part of this binary.
    pub(crate) embedded: Option<&'static Precompiled>,
}

/// Checks and compiles a module. Text that begins with `(` is WebAssembly text (WAT), anything else a binary.
///
/// # Errors
/// Too large, not the pinned digest, no WebAssembly, no component, or another contract.
pub(crate) fn load(
    engine: &Engine,
    source: &Source<'_>,
    cache: &CompiledCache,
) -> Result<PolicyModulePre<Guest>, Trouble> {
    let Source { bytes, digest, pin, embedded } = *source;
    check_size(bytes.len())?;
    if let Some(pin) = pin.filter(|pin| *pin != digest) {
        return Err(Trouble::new(
            FaultKind::WrongDigest,
            format!("its digest is {digest}, but {pin} is pinned"),
            "get the pinned module, or pin the new digest after reading what changed",
        ));
    }
    let binary = to_component(bytes)?;
    let component = match embedded.and_then(|code| code.component(engine, digest)) {
        Some(component) => component,
        None => cache.load(engine, digest, &binary).map_err(|error| {
            Trouble::new(
                FaultKind::NotWasm,
                format!("it is damaged, or uses what this host does not run: {error:#}"),
                GUIDE,
            )
        })?,
    };
    check_contract(engine, &component)?;
    let mut linker = Linker::new(engine);
    PolicyModule::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest: &mut Guest| guest)
        .and_then(|()| linker.instantiate_pre(&component))
        .and_then(PolicyModulePre::new)
        .map_err(|error| {
            let message = format!("it does not keep the contract ovncilium:policy@0.1.0: {error:#}");
            Trouble::new(FaultKind::WrongContract, message, GUIDE)
        })
}

/// Refuses files that are larger than a module may be.
pub(crate) fn check_size(bytes: usize) -> Result<(), Trouble> {
    if bytes <= MODULE_BYTES {
        return Ok(());
    }
    Err(Trouble::new(
        FaultKind::Budget,
        format!("the file has {} MiB; a module may have {}", bytes >> 20, MODULE_BYTES >> 20),
        "build it without debug information (`strip = true`, `opt-level = \"s\"`)",
    ))
}

/// The binary of a component, whatever way it was written.
fn to_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Trouble> {
    let binary = match bytes {
        [b'\0', b'a', b's', b'm', ..] => Cow::Borrowed(bytes),
        _ => Cow::Owned(from_text(bytes)?),
    };
    match binary.get(4..8) {
        Some([0x0d, 0, 1, 0]) => Ok(binary),
        Some([1, 0, 0, 0]) => Err(Trouble::new(
            FaultKind::NotComponent,
            "it is a core module of WebAssembly, not a component",
            "wrap it: `wasm-tools component new module.wasm -o policy.wasm`, or build it as docs/writing-policies.md shows",
        )),
        _ => Err(Trouble::new(FaultKind::NotWasm, "it is WebAssembly of an unknown layer or version", GUIDE)),
    }
}

fn from_text(bytes: &[u8]) -> Result<Vec<u8>, Trouble> {
    let not_wasm = |what: String| Trouble::new(FaultKind::NotWasm, what, GUIDE);
    let text = std::str::from_utf8(bytes).map_err(|_| not_wasm("it is neither WebAssembly nor text".to_owned()))?;
    let begins = text.trim_start();
    if begins.is_empty() {
        return Err(not_wasm("the file is empty".to_owned()));
    }
    if !begins.starts_with(['(', ';']) {
        let first = crate::answer::clean(begins, 24);
        return Err(not_wasm(format!("it is no WebAssembly: it begins with `{first}`")));
    }
    wat::parse_str(text).map_err(|error| {
        let told = crate::answer::clean(&error.to_string(), 600);
        not_wasm(format!("its WebAssembly text cannot be read: {told}"))
    })
}

/// Tells a wrong contract in the words of its author: what is exported instead, what is imported in vain.
fn check_contract(engine: &Engine, component: &Component) -> Result<(), Trouble> {
    let wrong = |message: String, remedy: &str| Err(Trouble::new(FaultKind::WrongContract, message, remedy));
    let ty = component.component_type();
    for (name, item) in ty.imports(engine) {
        let types_only = matches!(&item.ty, ComponentItem::ComponentInstance(instance)
            if instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))));
        if !name.starts_with(PACKAGE) && !types_only {
            let remedy =
                "build for `wasm32-unknown-unknown`: a module gets facts and documents and nothing else, no WASI";
            return wrong(
                format!("it imports `{}`, which the host does not give", crate::answer::clean(name, 200)),
                remedy,
            );
        }
    }
    if component.get_export_index(None, EXPORT).is_some() {
        return Ok(());
    }
    let exports: Vec<_> = ty.exports(engine).map(|(name, _)| crate::answer::clean(name, 200)).collect();
    if let Some(other) = exports.iter().find(|name| name.starts_with("ovncilium:policy/policy")) {
        return wrong(
            format!("it exports `{other}`; this host runs `{EXPORT}`"),
            "use a module and a host of the same contract",
        );
    }
    let told = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
    wrong(format!("it does not export `{EXPORT}`, but {told}"), GUIDE)
}
