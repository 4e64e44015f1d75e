//! Files as documents for the policies, with the place of each finding in them.

use ovncilium_core::ExitCode;
use ovncilium_core::policy::Evaluation;
use ovncilium_core::render::Stream;
use ovncilium_core::report::Whereabouts;
use ovncilium_helm_plugin::{Rendered, located};
use serde_json::Value;

use crate::failure::Failure;

/// What `evaluate` says of files as one stream. JSON that is no YAML (several objects in a file, tabs between them) is written anew
/// for it; of such a file line 1 is told.
///
/// # Errors
/// A file that is no manifest.
pub fn judge(
    files: &[(String, Vec<u8>)],
    evaluate: &dyn Fn(&Stream) -> Evaluation,
) -> Result<(Evaluation, Vec<Whereabouts>), Failure> {
    let anew: Vec<Option<Vec<u8>>> = files.iter().map(|(name, content)| rewritten(name, content)).collect();
    let rendered: Vec<Rendered<'_>> = files
        .iter()
        .zip(&anew)
        .map(|((name, content), anew)| Rendered { name, content: anew.as_deref().unwrap_or(content) })
        .collect();
    let (evaluation, mut places) =
        located(&rendered, evaluate).map_err(|error| Failure::of(ExitCode::Usage, &error, None))?;
    for place in places.iter_mut().filter_map(|(place, _)| place.as_mut()) {
        let of_file = |((name, _), anew): (&(String, Vec<u8>), &Option<Vec<u8>>)| anew.is_some() && *name == place.file;
        if files.iter().zip(&anew).any(of_file) {
            place.line = 1;
        }
    }
    Ok((evaluation, places))
}

/// A JSON file that YAML does not read, as YAML documents.
fn rewritten(name: &str, content: &[u8]) -> Option<Vec<u8>> {
    if !name.ends_with(".json") || Stream::parse(content).is_ok() {
        return None;
    }
    let values: Vec<Value> =
        serde_json::Deserializer::from_slice(content).into_iter().collect::<Result<_, _>>().ok()?;
    Some(values.iter().map(|value| format!("{value}\n---\n")).collect::<String>().into_bytes())
}
