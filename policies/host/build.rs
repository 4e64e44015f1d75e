//! Takes in the code of the built-in modules that was compiled ahead of time, when a release is built.
//!
//! `cargo xtask precompile` fills a directory, `$OVNCILIUM_PRECOMPILED` names it. Otherwise there is none: a binary that was
//! built in the ordinary way compiles a module when it first runs it, and keeps the code in the user's cache.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const VARIABLE: &str = "OVNCILIUM_PRECOMPILED";
const MODULES: &str = "../dist";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={MODULES}");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let out = env::var("OUT_DIR")?;
    let given = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = &given {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    for entry in fs::read_dir(MODULES)? {
        let path = entry?.path();
        let (Some(name), true) = (path.file_stem(), path.extension().is_some_and(|end| end == "wasm")) else {
            continue;
        };
        let file = Path::new(name).with_extension("code");
        let code = match &given {
            Some(folder) => {
                let path = folder.join(&file);
                fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?
            }
            None => Vec::new(),
        };
        fs::write(Path::new(&out).join(file), code)?;
    }
    Ok(())
}
