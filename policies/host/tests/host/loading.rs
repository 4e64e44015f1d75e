//! Files that are no module of the contract: one clear word each.

use ovncilium_core::Digest;
use ovncilium_core::policy::FaultKind;
use ovncilium_policy_host::Catalog;

use crate::support::{file, hostile, only_fault};

fn fault(bytes: impl Into<Vec<u8>>) -> ovncilium_core::policy::Fault {
    only_fault(&Catalog::empty().with_module(bytes, "given.wasm", None))
}

#[test]
fn files_that_are_no_module_are_told_apart() {
    let truncated = {
        let mut bytes = file("dist/node-kernel.wasm");
        bytes.truncate(5000);
        bytes
    };
    let wasi = br#"(component (import "wasi:cli/stdout@0.2.6" (instance (export "get" (func)))))"#;
    let newer = br#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))) (instance $p (export "f" (func $f)))
        (export "ovncilium:policy/policy@0.2.0" (instance $p)))"#;
    let hollow = br#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))) (instance $p (export "check" (func $f)))
        (export "ovncilium:policy/policy@0.1.0" (instance $p)))"#;
    for (bytes, kind, word) in [
        (b"".to_vec(), FaultKind::NotWasm, "the file is empty"),
        (b"apiVersion: v1".to_vec(), FaultKind::NotWasm, "it begins with `apiVersion: v1`"),
        (vec![0xff, 0xfe, 0x00], FaultKind::NotWasm, "neither WebAssembly nor text"),
        (b"(component (oops))".to_vec(), FaultKind::NotWasm, "WebAssembly text cannot be read"),
        (b"\0asm\x02\0\0\0".to_vec(), FaultKind::NotWasm, "unknown layer or version"),
        (truncated, FaultKind::NotWasm, "it is damaged"),
        (hostile("core"), FaultKind::NotComponent, "a core module"),
        (hostile("wrong-contract"), FaultKind::WrongContract, "acme:checks/run@1.0.0"),
        (wasi.to_vec(), FaultKind::WrongContract, "`wasi:cli/stdout@0.2.6`"),
        (newer.to_vec(), FaultKind::WrongContract, "ovncilium:policy/policy@0.2.0"),
        (hollow.to_vec(), FaultKind::WrongContract, "does not keep the contract"),
    ] {
        let fault = fault(bytes);
        assert_eq!(fault.kind, kind, "{fault:?}");
        assert!(fault.message.contains(word), "{}", fault.message);
        assert_eq!(fault.policy, "given.wasm");
        assert!(!fault.remedy.is_empty());
    }
}

#[test]
fn a_file_larger_than_a_module_may_be_is_not_read_further() {
    let fault = fault(vec![b'('; (32 << 20) + 1]);
    assert_eq!(fault.kind, FaultKind::Budget);
    assert!(fault.message.contains("a module may have 32"), "{}", fault.message);
}

#[test]
fn a_module_with_another_digest_than_pinned_is_not_run() {
    let (bytes, pin) = (hostile("deny"), Digest::of("another"));
    let fault = only_fault(&Catalog::empty().with_module(bytes.clone(), "deny.wat", Some(pin)));
    assert_eq!(fault.kind, FaultKind::WrongDigest);
    assert!(fault.message.contains(&Digest::of(&bytes).to_string()) && fault.message.contains(&pin.to_string()));
    assert_eq!(fault.module, Some(Digest::of(&bytes)), "the fault names what was given, not what was wished");
}

#[test]
fn a_module_that_cannot_be_read_is_missing() {
    let fault = only_fault(&Catalog::empty().with_absent("org.wasm", "No such file or directory"));
    assert_eq!((fault.kind, fault.module), (FaultKind::Missing, None));
    assert!(fault.message.contains("No such file"), "{}", fault.message);
}
