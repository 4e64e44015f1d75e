//! How a command fails: one exit code, one message with its causes, one next step. The one place that maps errors to them.

use std::error::Error;

use ovncilium_cluster::ConnectionError;
use ovncilium_core::plan::kube_proxy::NoReplacement;
use ovncilium_core::plan::migrate::NoPlan;
use ovncilium_core::values::NoValues;
use ovncilium_core::values::pool::NoPool;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::collect::CollectError;
use ovncilium_engine::journal::JournalError;
use ovncilium_engine::lock::LockError;
use ovncilium_engine::run::{ClaimError, RunError};
use ovncilium_engine::world::{ChartsError, ClusterError};

use crate::ui;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: ExitCode,
    /// The message, causes included.
    pub message: String,
    /// What to do.
    pub next: Option<NextStep>,
}

impl Failure {
    /// A failure with a next step.
    pub fn new(exit: ExitCode, message: impl Into<String>, next: NextStep) -> Self {
        Self { exit, message: message.into(), next: Some(next) }
    }

    /// A failure from an error and its causes.
    pub fn of(exit: ExitCode, error: &(dyn Error + 'static), next: Option<NextStep>) -> Self {
        Self { exit, message: chain(error), next }
    }

    /// Print it.
    pub fn show(&self) -> ExitCode {
        ui::error(&self.message, self.next.as_ref().map(NextStep::line).as_deref());
        self.exit
    }
}

/// The error and its causes in one line; a cause that was said already is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        let next = error.next_step();
        Self::of(error.exit_code(), &error, Some(next))
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let next = cluster_next(&error);
        Self::of(ExitCode::Refused, &error, next)
    }
}

fn cluster_next(error: &ClusterError) -> Option<NextStep> {
    match error {
        ClusterError::Unreachable { .. } => Some(NextStep::Edit(
            "check that the API server runs and that this is the context you mean (`--context`)".to_owned(),
        )),
        ClusterError::Forbidden { .. } => {
            Some(NextStep::Edit("ask for this permission, or use a user who has it (`--context`, `--as`)".to_owned()))
        }
        _ => None,
    }
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        let next = error.next_step();
        Self::of(error.exit_code(), &error, Some(next))
    }
}

impl From<NoPlan> for Failure {
    fn from(error: NoPlan) -> Self {
        let exit = match &error {
            NoPlan::Unknown { .. } => ExitCode::CouldNotJudge,
            NoPlan::KubeOvn(_) => ExitCode::Denied,
            NoPlan::NoPool(NoPool::Unreadable { .. }) => ExitCode::CouldNotJudge,
            NoPlan::Chart(_) | NoPlan::NoPool(_) => ExitCode::Usage,
            NoPlan::AlreadyChained => ExitCode::Done,
            NoPlan::NotAdoptable(why) => why.exit_code(),
            NoPlan::Services(why) => why.exit_code(),
            NoPlan::NotAllowed { .. } => ExitCode::Refused,
            NoPlan::NotIpv4 { .. } => ExitCode::Denied,
            NoPlan::Release { .. }
            | NoPlan::NotClean { .. }
            | NoPlan::Drifted { .. }
            | NoPlan::NodesNotReady { .. }
            | NoPlan::PodsWithoutOwner { .. } => ExitCode::Paused,
        };
        let next = error.next_step();
        Self::of(exit, &error, Some(next))
    }
}

impl From<NoReplacement> for Failure {
    fn from(error: NoReplacement) -> Self {
        let next = error.next_step();
        Self::of(error.exit_code(), &error, Some(next))
    }
}

impl From<NoValues> for Failure {
    fn from(error: NoValues) -> Self {
        let next = error.next_step();
        Self::of(error.exit_code(), &error, Some(next))
    }
}

impl From<ChartsError> for Failure {
    fn from(error: ChartsError) -> Self {
        let (exit, next) = match &error {
            ChartsError::HelmMissing { .. } | ChartsError::HelmTooOld { .. } => (
                ExitCode::Refused,
                NextStep::Edit("install helm 3 or 4 (https://helm.sh), or name one with `--helm PATH`".to_owned()),
            ),
            ChartsError::ChartMissing { .. } => (
                ExitCode::Usage,
                NextStep::Edit("give `--chart` a package (.tgz) or a directory of Cilium's chart, or repo/name with `--chart-version`".to_owned()),
            ),
            ChartsError::Failed { .. } => (ExitCode::Refused, NextStep::Edit("helm's words above name the cause".to_owned())),
        };
        Self::of(exit, &error, Some(next))
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let (exit, next) = match &error {
            JournalError::Cluster { source, .. } => (ExitCode::Refused, cluster_next(source)),
            JournalError::Damaged { .. } => {
                (ExitCode::Refused, Some(NextStep::Read("docs/runbook.md, \"A damaged journal\"".to_owned())))
            }
            JournalError::Newer { .. } => {
                (ExitCode::Refused, Some(NextStep::Edit("use that version or a newer one".to_owned())))
            }
            JournalError::Fenced { .. } => {
                (ExitCode::LockHeld, Some(NextStep::Command("kubectl ovncilium status".to_owned())))
            }
        };
        Self::of(exit, &error, next)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let (exit, next) = match &error {
            LockError::Held { .. } => {
                (ExitCode::LockHeld, Some(NextStep::Command("kubectl ovncilium status".to_owned())))
            }
            LockError::Cluster(source) => (ExitCode::Refused, cluster_next(source)),
        };
        Self::of(exit, &error, next)
    }
}

impl From<ClaimError> for Failure {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Lock(error) => error.into(),
            ClaimError::Journal(error) => error.into(),
            ClaimError::NothingRecorded => Self::of(
                ExitCode::Usage,
                &error,
                Some(NextStep::Command("kubectl ovncilium migrate --chart CHART".to_owned())),
            ),
            ClaimError::Unfinished { .. } => Self::of(
                ExitCode::Paused,
                &error,
                Some(NextStep::Command(
                    "kubectl ovncilium migrate (goes on with it) or kubectl ovncilium rollback".to_owned(),
                )),
            ),
            ClaimError::Overtaken { .. } => {
                Self::of(ExitCode::Paused, &error, Some(NextStep::Command("kubectl ovncilium status".to_owned())))
            }
            ClaimError::Expired { .. } | ClaimError::OtherCluster { .. } => Self::of(
                ExitCode::Paused,
                &error,
                Some(NextStep::Command("kubectl ovncilium plan --chart CHART --out FILE".to_owned())),
            ),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Journal(error) => error.into(),
            RunError::Lock(error) => error.into(),
            RunError::Step { .. } => Self::of(
                ExitCode::Refused,
                &error,
                Some(NextStep::Edit("mend the cause and run the same command again: it goes on from here".to_owned())),
            ),
        }
    }
}
