//! What the journal in the cluster says of a run, read as anybody could.

use ovncilium_core::journal::Header;

use crate::{
    api::Api,
    error::{Error, Result},
};

/// The header; `None` when no run was begun.
pub(in crate::scenarios) fn header(api: &Api) -> Result<Option<Header>> {
    let found = api.find("/api/v1/namespaces/kube-system/configmaps/ovncilium-journal")?;
    let Some(object) = found else { return Ok(None) };
    let text = object["data"]["header"].as_str().unwrap_or_default();
    serde_json::from_str(text).map(Some).map_err(Error::json("the header of the journal"))
}
