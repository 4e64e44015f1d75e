//! What is left, as a range from measured lanes.

use std::collections::BTreeMap;
use std::time::Duration;

use ovncilium_core::journal::Journal;
use ovncilium_core::plan::Plan;

/// Measured durations of lanes, by phase.
#[derive(Debug, Clone, Default)]
pub struct Eta {
    lanes: BTreeMap<String, Vec<Duration>>,
}

impl Eta {
    /// A lane of `phase` took `took`.
    pub fn measured(&mut self, phase: &str, took: Duration) {
        self.lanes.entry(phase.to_owned()).or_default().push(took);
    }

    /// What is left: for each stage to come the median and the slowest lane seen in its phase (in all phases where it has
    /// none yet), soaks included. Absent until a lane was measured.
    pub fn left(&self, plan: &Plan, journal: &Journal) -> Option<(Duration, Duration)> {
        let all: Vec<Duration> = self.lanes.values().flatten().copied().collect();
        let mut least = Duration::ZERO;
        let mut most = Duration::ZERO;
        for phase in &plan.phases {
            let seen = self.lanes.get(&phase.id).map_or(all.as_slice(), Vec::as_slice);
            let (median, slowest) = spread(seen)?;
            for stage in &phase.stages {
                let open = stage.lanes.iter().any(|lane| {
                    let subject = super::lane::subject(lane);
                    lane.steps.iter().any(|step| !journal.is_done(subject, &step.id))
                });
                if open {
                    let soak = Duration::from_secs(stage.soak_seconds.into());
                    least += median + soak;
                    most += slowest * 3 / 2 + soak;
                }
            }
        }
        Some((least, most))
    }
}

fn spread(durations: &[Duration]) -> Option<(Duration, Duration)> {
    let mut sorted = durations.to_vec();
    sorted.sort();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}
