//! Asks the policies about a stream and what it is about to do: the same question for the post-renderer and for `lint`.

use std::sync::Arc;

use ovncilium_core::facts::{Facts, Known, Source, Subject};
use ovncilium_core::policy::Evaluation;
use ovncilium_core::render::Stream;

use crate::Mode;
use crate::intent::intent;

/// What the policies say of facts and a stream.
pub type Evaluator<'e> = &'e dyn Fn(&Arc<Facts>, &Stream) -> Evaluation;

/// Facts for documents alone.
pub fn offline(now: jiff::Timestamp) -> Facts {
    Facts::unknown(Source::Offline, now, "documents only (--offline)")
}

/// What the policies say of a stream; its intent becomes a fact first.
pub(crate) fn judge(stream: &Stream, facts: &mut Arc<Facts>, mode: Mode, evaluate: Evaluator<'_>) -> Evaluation {
    let planned = intent(stream, mode, &facts.intent.value);
    let observed_at = Some(facts.collected_at);
    Arc::make_mut(facts).intent = Subject { observed_at, value: Known::Known(planned) };
    evaluate(facts, stream)
}
