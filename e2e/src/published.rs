//! Go modules built as their authors published them, with the `go.mod` and `go.sum` in them: the digest of the module pins all of it.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    error::{Error, Result},
    tools,
};

/// One version of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published<'m> {
    pub(crate) module: &'m str,
    pub(crate) version: &'m str,
    /// `h1:…` of the module, as `go mod download -json` tells it.
    pub(crate) sum: &'m str,
}

impl Published<'_> {
    /// The module's own directory in Go's cache, which is read-only, once its digest is the expected one.
    ///
    /// # Errors
    /// [`Error::Go`] when it is not to be had, [`Error::Expectation`] when it is another one.
    pub(crate) fn source(&self, go: &Path) -> Result<PathBuf> {
        let name = format!("{}@{}", self.module, self.version);
        let said = tools::go(go, &env::temp_dir(), &["mod", "download", "-json", &name])?;
        let said: Value = serde_json::from_slice(&said).map_err(Error::json("`go mod download -json`"))?;
        if said["Sum"] != self.sum {
            let message = format!("{name} has the digest {}, not {} as expected", said["Sum"], self.sum);
            return Err(Error::Expectation(message));
        }
        Ok(PathBuf::from(said["Dir"].as_str().unwrap_or_default()))
    }
}
