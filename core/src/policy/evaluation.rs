//! Everything one run of the policies produced, and the gate that follows from it.

use serde::{Deserialize, Serialize};

use super::{Fault, Finding, Severity, Verdict};
use crate::ids::PolicyId;
use crate::{Digest, ExitCode};

/// One module that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRun {
    /// The id it told.
    pub policy: PolicyId,
    /// The version it told.
    pub version: String,
    /// Digest of its bytes.
    pub module: Digest,
    /// Fuel used, in wasmtime's units: the same on every machine.
    pub fuel: u64,
}

/// Everything one run of the policies produced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Modules that ran, in catalog order.
    pub modules: Vec<ModuleRun>,
    /// Their findings, in the same order.
    pub findings: Vec<Finding>,
    /// Modules that could not judge.
    pub faults: Vec<Fault>,
}

/// What an evaluation means for whoever wants to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Nothing stands in the way.
    Open,
    /// A policy denied.
    Denied,
    /// Nothing denied, but a policy could not judge or a fact is unknown.
    CouldNotJudge,
}

impl Gate {
    /// The exit code of a command that stops at this gate.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Open => ExitCode::Done,
            Self::Denied => ExitCode::Denied,
            Self::CouldNotJudge => ExitCode::CouldNotJudge,
        }
    }
}

impl Evaluation {
    /// Denied if any error-level rule failed; else could-not-judge on any fault or unknown error-level rule, or
    /// when no module ran at all; else open.
    pub fn gate(&self) -> Gate {
        if self.findings.iter().any(Finding::denies) {
            Gate::Denied
        } else if self.modules.is_empty() || !self.faults.is_empty() || self.findings.iter().any(Finding::is_open) {
            Gate::CouldNotJudge
        } else {
            Gate::Open
        }
    }

    /// Findings that a person must look at: failed or unknown, errors first.
    pub fn concerns(&self) -> Vec<&Finding> {
        let mut concerns: Vec<_> =
            self.findings.iter().filter(|f| matches!(f.verdict, Verdict::Fail | Verdict::Unknown)).collect();
        concerns.sort_by_key(|f| (std::cmp::Reverse(f.severity), std::cmp::Reverse(f.verdict)));
        concerns
    }

    /// How many findings have this severity and verdict.
    pub fn count(&self, severity: Severity, verdict: Verdict) -> usize {
        self.findings.iter().filter(|f| f.severity == severity && f.verdict == verdict).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FaultKind;

    fn finding(severity: Severity, verdict: Verdict) -> Finding {
        Finding {
            policy: "p".into(),
            module: Digest::of("m"),
            rule: "r".into(),
            title: "t".into(),
            severity,
            verdict,
            message: "m".into(),
            subject: None,
            remedy: None,
            document: None,
            source: None,
            pointer: None,
            patch: None,
        }
    }

    fn evaluation(findings: Vec<Finding>) -> Evaluation {
        let module = ModuleRun { policy: "p".into(), version: "0.1.0".into(), module: Digest::of("m"), fuel: 1 };
        Evaluation { modules: vec![module], findings, faults: vec![] }
    }

    #[test]
    fn unknown_and_faults_never_open_the_gate() {
        assert_eq!(Evaluation::default().gate(), Gate::CouldNotJudge);
        assert_eq!(evaluation(vec![finding(Severity::Error, Verdict::Pass)]).gate(), Gate::Open);
        assert_eq!(evaluation(vec![finding(Severity::Error, Verdict::Unknown)]).gate(), Gate::CouldNotJudge);
        assert_eq!(evaluation(vec![finding(Severity::Warning, Verdict::Fail)]).gate(), Gate::Open);
        let mut both = evaluation(vec![finding(Severity::Error, Verdict::Fail)]);
        both.faults.push(Fault {
            policy: "x".into(),
            module: None,
            kind: FaultKind::Missing,
            message: "m".into(),
            remedy: "r".into(),
        });
        assert_eq!(both.gate(), Gate::Denied, "a denial is not hidden by a fault");
        both.findings.clear();
        assert_eq!(both.gate(), Gate::CouldNotJudge);
    }
}
