//! Stream in, stream or refusal out. Pure: no cluster, no disk, no output.

use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use ovncilium_core::ExitCode;
use ovncilium_core::facts::Facts;
use ovncilium_core::policy::{Evaluation, Gate};
use ovncilium_core::render::{DocumentPatch, Stream};

use crate::Evaluator;
use crate::denial::{self, Judged};
use crate::judge::judge;

/// What a chart is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Documents and cluster. The default.
    #[default]
    Gate,
    /// Documents only (`--offline`).
    Offline,
    /// Called by `migrate`: what the plan turns off itself counts as scheduled.
    Plan,
}

/// What comes out of a post-render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostRender<'i> {
    /// What Helm gets, the input itself when nothing was patched; nothing when it must not go on.
    pub stdout: Option<Cow<'i, [u8]>>,
    /// How the process ends.
    pub exit: ExitCode,
    /// What a person reads, with a line of result and a line of what to do next.
    pub report: String,
}

impl PostRender<'_> {
    /// Nothing for Helm.
    pub(crate) fn refused(exit: ExitCode, report: String) -> Self {
        Self { stdout: None, exit, report }
    }
}

/// Judges a stream and gives back the bytes for Helm: the same ones, but for documents that policies patched.
///
/// A patched stream is judged again before it leaves. A stream without documents has nothing to judge. A stream
/// that cannot be read, a denial, a fault and an unknown fact give no bytes.
pub fn post_render<'i>(input: &'i [u8], facts: Facts, mode: Mode, evaluate: Evaluator<'_>) -> PostRender<'i> {
    let stream = match Stream::parse(input) {
        // Never given back: a stream is thousands of values, which would take a twentieth of all the time, and the process ends.
        Ok(stream) => ManuallyDrop::new(stream),
        Err(error) => return PostRender::refused(ExitCode::CouldNotJudge, denial::unreadable(&error)),
    };
    if stream.documents().is_empty() {
        return match stream.write(&[]) {
            Ok(bytes) => PostRender {
                stdout: Some(bytes.into()),
                exit: ExitCode::Done,
                report: "allowed: the stream holds no documents, there was nothing to judge\n".to_owned(),
            },
            Err(error) => PostRender::refused(ExitCode::Internal, denial::unwritable(&error)),
        };
    }
    let mut facts = Arc::new(facts);
    let evaluation = judge(&stream, &mut facts, mode, evaluate);
    let judged = |stream, evaluation| Judged { stream, evaluation, mode, source: &facts.source };
    let gate = evaluation.gate();
    if gate != Gate::Open {
        return PostRender::refused(gate.exit_code(), denial::refused(&judged(&stream, &evaluation)));
    }
    let patches = match patches(&evaluation) {
        Ok(patches) => patches,
        Err(message) => return PostRender::refused(ExitCode::CouldNotJudge, denial::bad_patch(&message)),
    };
    let mut bytes = Cow::Borrowed(input);
    if !patches.is_empty() {
        bytes = match stream.write(&patches) {
            Ok(bytes) => bytes.into(),
            Err(error) => return PostRender::refused(ExitCode::CouldNotJudge, denial::unwritable(&error)),
        };
        let again = match Stream::parse(&bytes) {
            Ok(again) => again,
            Err(error) => return PostRender::refused(ExitCode::Internal, denial::unwritable(&error)),
        };
        let evaluation = evaluate(&facts, &again);
        if evaluation.gate() != Gate::Open {
            let report = denial::refused(&judged(&again, &evaluation));
            return PostRender::refused(evaluation.gate().exit_code(), report);
        }
    }
    let report = denial::allowed(&judged(&stream, &evaluation), patches.len());
    PostRender { stdout: Some(bytes), exit: ExitCode::Done, report }
}

fn patches(evaluation: &Evaluation) -> Result<Vec<DocumentPatch>, String> {
    let wanted =
        evaluation.findings.iter().filter_map(|finding| Some((finding, finding.document?, finding.patch.as_ref()?)));
    wanted
        .map(|(finding, document, text)| match serde_json::from_str(text) {
            Ok(patch) => Ok(DocumentPatch { by: finding.policy.to_string(), document, patch }),
            Err(error) => Err(format!("the patch of `{}` is no RFC 6902 patch: {error}", finding.id())),
        })
        .collect()
}
