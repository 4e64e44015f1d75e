//! How long nobody answered, and what was going on then: steps in work by the journal, pods being made again by the API.

use ovncilium_core::ids::StepId;

use super::{
    Part, Stage,
    answers::{Answers, Gap, Moment, Window},
};
use crate::{
    error::{Error, Result},
    scenarios::oracle::intents,
};

/// Milliseconds; what is longer, or has lost a question, is told with what was going on.
const LONG: u128 = 1_000;

/// A step, and when it was in work.
struct Work {
    step: StepId,
    time: Window,
}

/// The longest gap of each part for everybody who asks, then each long one by itself; `excused` are times that are nobody's gap.
pub(super) fn lines(
    stage: &Stage,
    title: &str,
    answers: &[&Answers],
    parts: &[Part],
    excused: impl Fn(&Answers) -> Result<Vec<Window>>,
) -> Result<Vec<String>> {
    let work = work(stage)?;
    let names: Vec<_> = parts.iter().map(|part| part.name).collect();
    let mut table = vec![format!("{title}: {}", names.join(" · "))];
    let mut long = Vec::new();
    for one in answers {
        let excused = excused(one)?;
        let mut cells = Vec::new();
        for part in parts {
            let gap = one.longest_gap(part.time, &excused);
            let failed = one.failures(part.time, &excused).len();
            let told = gap.map_or("-".to_owned(), |gap| gap.to_string());
            if let Some(gap) = gap.filter(|gap| gap.milliseconds > LONG) {
                let cause = during(gap, &work, &stage.watch.made_again(gap.window())?);
                let reasons = one.reasons(gap.window());
                long.push(format!("{} in {}: {told} {cause}{reasons}", one.name(), part.name));
            }
            cells.push(if failed == 0 { told } else { format!("{told} ({failed} unanswered)") });
        }
        table.push(format!("{}: {}", one.name(), cells.join(" · ")));
    }
    table.extend(long);
    Ok(table)
}

/// From the first restart of an agent to the last in this part: while nodes differ in who serves their Services.
pub(super) fn restarts_of_agents(stage: &Stage, part: &Part) -> Result<Window> {
    let mut restarts = work(stage)?;
    restarts.retain(|one| one.step.as_str().contains("/restart-agent/") && one.time.meets(part.time));
    let (from, to) = (restarts.iter().map(|one| one.time.from).min(), restarts.iter().map(|one| one.time.to).max());
    match (from, to) {
        (Some(from), Some(to)) => Ok(Window { from, to }),
        _ => Err(Error::Expectation(format!("no agent was restarted in {}", part.name))),
    }
}

/// Every step of every run, by the requests that wrote the journal.
fn work(stage: &Stage) -> Result<Vec<Work>> {
    let moment = |at: jiff::Timestamp| Moment::try_from(at.as_millisecond()).unwrap_or_default();
    let steps = intents::in_work(&stage.lab.control_plane.audit()?);
    let window = |begun, end: Option<_>| Window { from: moment(begun), to: end.map_or(Moment::MAX, moment) };
    Ok(steps.into_iter().map(|(step, begun, end)| Work { step, time: window(begun, end) }).collect())
}

fn during(gap: Gap, work: &[Work], made_again: &[String]) -> String {
    let steps: Vec<_> = work.iter().filter(|one| one.time.meets(gap.window())).map(|one| one.step.as_str()).collect();
    match (steps.is_empty(), made_again.is_empty()) {
        (true, true) => "with no step in work".to_owned(),
        (true, false) => format!("while pods of {} were made again", made_again.join(", ")),
        (false, true) => format!("during {}", steps.join(", ")),
        (false, false) => {
            format!("during {}, while pods of {} were made again", steps.join(", "), made_again.join(", "))
        }
    }
}
