//! Writes the code of the built-in modules into a directory: `cargo xtask precompile` runs it before a release is built.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: precompile TARGET DIRECTORY".into());
    };
    std::fs::create_dir_all(&folder)?;
    for (id, code) in ovncilium_policy_host::precompile(&target)? {
        let file = Path::new(&folder).join(id).with_extension("code");
        // A file that is the same keeps its time, so that nothing is built again.
        if !std::fs::read(&file).is_ok_and(|before| before == code) {
            std::fs::write(&file, code)?;
        }
    }
    Ok(())
}
