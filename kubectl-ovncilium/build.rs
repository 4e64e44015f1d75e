//! Links the program at a fixed address and with its own copy of the unwinder, where that is known to work:
//! docs/adr/0010-fixed-address.md, docs/adr/0012-what-a-post-render-waits-for.md.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// A linker finds this in place of the shared library that the standard library asks for.
const UNWINDER: &str = "INPUT(-lgcc_eh)\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|given| given == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
        let folder = PathBuf::from(env::var("OUT_DIR")?);
        fs::write(folder.join("libgcc_s.so"), UNWINDER)?;
        println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    }
    Ok(())
}
