//! How helm is told to hand its documents to us: by path for Helm 3, by a plugin for Helm 4.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ovncilium_engine::world::ChartsError;

/// Name of the plugin of ours; another than that of the plugin people install, which may be there too.
const PLUGIN: &str = "ovncilium-migrate";
/// Our binary in the plugin's directory: it tells by this name what it is.
const BINARY: &str = "kubectl-ovncilium";

/// Our executable as a post-renderer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostRenderer {
    /// Our executable.
    pub executable: PathBuf,
    /// All its arguments: `post-render`, `--mode=plan`, `--facts=FILE`, ….
    pub args: Vec<String>,
}

impl PostRenderer {
    /// Arguments of `helm upgrade`; for Helm 4 also makes the plugin in `plugins`.
    pub(super) fn prepare(&self, helm4: bool, plugins: &Path) -> Result<Vec<OsString>, ChartsError> {
        let mut args: Vec<OsString> = vec!["--post-renderer".into()];
        if helm4 {
            self.make_plugin(&plugins.join(PLUGIN))
                .map_err(|error| ChartsError::Failed { command: "upgrade".to_owned(), message: error.to_string() })?;
            args.push(PLUGIN.into());
        } else {
            args.push(self.executable.clone().into());
        }
        args.extend(self.args.iter().map(|arg| OsString::from(format!("--post-renderer-args={arg}"))));
        Ok(args)
    }

    fn make_plugin(&self, dir: &Path) -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let link = dir.join(BINARY);
        if fs::read_link(&link).is_ok_and(|target| target == self.executable) {
            return Ok(());
        }
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&self.executable, &link)?;
        // The command is split at spaces before variables are put in, so the directory may have some.
        fs::write(
            dir.join("plugin.yaml"),
            format!(
                "apiVersion: v1\n\
                 type: postrenderer/v1\n\
                 name: {PLUGIN}\n\
                 version: {}\n\
                 runtime: subprocess\n\
                 runtimeConfig:\n  platformCommand:\n    - command: \"${{HELM_PLUGIN_DIR}}/{BINARY}\"\n",
                env!("CARGO_PKG_VERSION")
            ),
        )
    }
}
