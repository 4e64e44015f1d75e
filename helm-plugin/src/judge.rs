//! Asks the policies about a stream and what it is about to do: the same question for the post-renderer and for `lint`.

use ovncilium_core::facts::{Facts, Known, Source, Subject};
use ovncilium_core::policy::Evaluation;
use ovncilium_core::render::Stream;

use crate::Mode;
use crate::intent::intent;

/// What the policies say of facts and a stream.
pub type Evaluator<'e> = &'e dyn Fn(&Facts, &Stream) -> Evaluation;

/// Facts for documents alone.
pub fn offline(now: jiff::Timestamp) -> Facts {
    Facts::unknown(Source::Offline, now, "documents only (--offline)")
}

/// What the policies say of a stream; its intent becomes a fact first.
pub(crate) fn judge(stream: &Stream, facts: &mut Facts, mode: Mode, evaluate: Evaluator<'_>) -> Evaluation {
    let planned = intent(stream, mode, &facts.intent.value);
    facts.intent = Subject { observed_at: Some(facts.collected_at), value: Known::Known(planned) };
    evaluate(facts, stream)
}
