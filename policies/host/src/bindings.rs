//! The contract `ovncilium:policy@0.1.0`, as wasmtime's bindings. A breaking version gets a second, frozen copy.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "policy-module",
    imports: { default: trappable },
});
