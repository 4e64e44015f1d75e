//! The program as a file.

/// A library more is a file more to find, map and relocate at each start (docs/adr/0012): `pow` is the program's own.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn it_needs_the_c_library_and_no_other() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_kubectl-ovncilium")).unwrap();
    // As the string table of its dynamic section has them.
    let needs = |library: &str| memchr::memmem::find(&bytes, format!("\0{library}\0").as_bytes()).is_some();
    assert!(needs("libc.so.6"));
    assert!(!needs("libm.so.6") && !needs("libgcc_s.so.1"));
}
