//! `snapshot`: everything known of the cluster, in a file.

use ovncilium_core::ExitCode;

use crate::cli::{Connection, Snapshot};
use crate::failure::Failure;
use crate::input::{facts, files};
use crate::ui;

/// Collect and write.
pub fn run(args: &Snapshot, connection: &Connection) -> Result<ExitCode, Failure> {
    let facts = facts::live(connection, args.nodes, args.helm.as_deref(), facts::RELEASE_NAMESPACE)?;
    let text =
        ovncilium_core::facts::file::write(&facts).map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    files::write(&args.file, &text)?;
    for (subject, reason) in facts.unknowns() {
        ui::say(&format!("not known: {subject} ({reason})"));
    }
    if args.file != std::path::Path::new("-") {
        let file = args.file.display();
        ui::say(&format!("{file} written; next: `kubectl ovncilium check --facts {file}`"));
    }
    Ok(ExitCode::Done)
}
